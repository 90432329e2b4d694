//! Pure. How a command can end: the exit codes, and a failure as it is told to a person.

use std::error::Error;
use std::fmt;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// What was asked for is done.
    Done,
    /// What was asked for failed.
    Failed,
    /// It could not be understood what was asked for.
    Usage,
    /// The configuration is wrong (`EX_CONFIG` of sysexits.h).
    Config,
}

impl Exit {
    /// The code that the shell sees.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Config => 78,
        }
    }
}

/// Why a command did not come to an end of its own.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
}

impl Failure {
    /// What was asked for failed.
    pub(super) fn failed(what: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, what: what.into(), source: None, hint: None }
    }

    /// It was asked for in a way that cannot be understood, or that does not fit together.
    pub(super) fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::failed(what) }
    }

    /// The configuration is wrong.
    pub(super) fn config(what: impl Into<String>) -> Self {
        Self { exit: Exit::Config, ..Self::failed(what) }
    }

    /// With the error that it came from.
    pub(super) fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// With what to do about it.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// How the command ends.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// What to do about it, if that can be said.
    pub(super) fn to_do(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// The whole chain of causes: this is where errors become text.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        let mut cause = self.source.as_deref().map(|source| -> &dyn Error { source });
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_all_its_causes() {
        let failure = Failure::failed("cannot read x").because(fmt::Error).hint("try y");
        assert_eq!(failure.to_string(), format!("cannot read x: {}", fmt::Error));
        assert_eq!((failure.exit().code(), failure.to_do()), (1, Some("try y")));
        assert_eq!(Failure::usage("").exit().code(), 2);
        assert_eq!(Failure::config("").exit().code(), 78);
    }
}
