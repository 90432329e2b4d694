//! Pure. The findings of `hookgate doctor`, written as lines and as JSON.

use serde::Serialize;
use serde_json::{Value, json};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// The checked part is as it should be.
    Ok,
    /// An operator should look at the finding.
    Warning,
    /// Events are lost, or unverified requests get through.
    Problem,
}

impl Level {
    /// The name of the severity.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) level: Level,
    /// The kind of check, such as `upstream` or `route`.
    pub(super) check: &'static str,
    /// The subject of the check, if there are several subjects.
    pub(super) subject: Option<String>,
    /// The result.
    pub(super) what: String,
    /// What the operator should do.
    pub(super) to_do: Option<String>,
}

impl Finding {
    /// A finding without a problem.
    pub(super) fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { level: Level::Ok, check, subject: None, what: what.into(), to_do: None }
    }

    /// A warning, with advice.
    pub(super) fn warning(check: &'static str, what: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self { level: Level::Warning, to_do: Some(to_do.into()), ..Self::ok(check, what) }
    }

    /// A problem, with advice.
    pub(super) fn problem(check: &'static str, what: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self { level: Level::Problem, to_do: Some(to_do.into()), ..Self::ok(check, what) }
    }

    /// Sets the subject.
    pub(super) fn of(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// The subject and the result, as a text.
    pub(super) fn text(&self) -> String {
        match &self.subject {
            Some(subject) => format!("{} {subject}: {}", self.check, self.what),
            None => format!("{}: {}", self.check, self.what),
        }
    }
}

/// Adds a finding. Of two findings with the same subject, the worse is kept.
pub(super) fn keep_worse(findings: &mut Vec<Finding>, finding: Finding) {
    match findings.iter_mut().find(|known| known.subject == finding.subject) {
        Some(known) if known.level < finding.level => *known = finding,
        Some(_) => {}
        None => findings.push(finding),
    }
}

/// The number of findings with a severity.
pub(super) fn count(findings: &[Finding], level: Level) -> usize {
    findings.iter().filter(|finding| finding.level == level).count()
}

/// Whether there are no problems. If `strict`, also whether there are no warnings.
pub(super) fn is_good(findings: &[Finding], strict: bool) -> bool {
    let bad = if strict { Level::Warning } else { Level::Problem };
    findings.iter().all(|finding| finding.level < bad)
}

/// The JSON document of all findings.
pub(super) fn report(findings: &[Finding], strict: bool) -> Value {
    json!({
        "ok": is_good(findings, strict),
        "problems": count(findings, Level::Problem),
        "warnings": count(findings, Level::Warning),
        "findings": findings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_fails_only_in_strict_mode_and_a_problem_always() {
        let (ok, warning) = (Finding::ok("a", "b"), Finding::warning("a", "b", "c"));
        let problem = Finding::problem("a", "b", "c").of("x");
        for (findings, loose, strict) in [
            (vec![ok.clone()], true, true),
            (vec![ok.clone(), warning.clone()], true, false),
            (vec![ok, warning, problem.clone()], false, false),
        ] {
            assert_eq!((is_good(&findings, false), is_good(&findings, true)), (loose, strict));
            assert_eq!(report(&findings, true)["ok"], json!(strict));
        }
        assert_eq!(problem.text(), "a x: b");
    }
}
