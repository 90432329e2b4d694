//! Pure. How a command ends: its exit code, and the text of a failure.

use std::error::Error;
use std::fmt;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// The command succeeded.
    Done,
    /// The command failed.
    Failed,
    /// The arguments are invalid.
    Usage,
    /// The configuration has errors (`EX_CONFIG` of sysexits.h).
    Config,
}

impl Exit {
    /// The exit code.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Config => 78,
        }
    }
}

/// Why a command failed.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hint: Option<String>,
}

impl Failure {
    /// The command failed.
    pub(super) fn failed(what: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, what: what.into(), source: None, hint: None }
    }

    /// The arguments are invalid, or conflict.
    pub(super) fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::failed(what) }
    }

    /// The configuration has errors.
    pub(super) fn config(what: impl Into<String>) -> Self {
        Self { exit: Exit::Config, ..Self::failed(what) }
    }

    /// Adds the error that caused the failure.
    pub(super) fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// Adds advice.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// How the command ends after this failure.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// The advice, if there is any.
    pub(super) fn to_do(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// Prints the whole chain of causes. Errors become text only here.
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
    fn a_failure_prints_all_its_causes() {
        let failure = Failure::failed("cannot read x").because(fmt::Error).hint("try y");
        assert_eq!(failure.to_string(), format!("cannot read x: {}", fmt::Error));
        assert_eq!((failure.exit().code(), failure.to_do()), (1, Some("try y")));
        assert_eq!(Failure::usage("").exit().code(), 2);
        assert_eq!(Failure::config("").exit().code(), 78);
    }
}
