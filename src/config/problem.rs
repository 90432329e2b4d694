//! Pure. Problems of a configuration, with their places and remedies, for people and for programs.
//!
//! A [`Report`] holds the file's text with its secrets redacted (`redact`). So no rendering of a report shows
//! a secret.

use std::cell::RefCell;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;
use serde_json::{Value, json};

/// The severity of a problem.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file has an error, so there is no configuration.
    Error,
    /// The configuration works, but should be improved. `check --strict` fails.
    Warning,
    /// The note is only information.
    Note,
}

/// The problems found so far. All tables and values of a file add to the same list.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Adds a problem.
    pub(super) fn push(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    /// The number of problems.
    pub(super) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// The problems, in the order in which they were found.
    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

/// One problem or note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The severity of the problem.
    pub severity: Severity,
    /// A stable short name for this kind of problem.
    pub code: &'static str,
    /// The message. It never contains a secret.
    pub message: String,
    /// The place in the file, in bytes.
    pub span: Range<usize>,
    /// The text next to the underlined place.
    pub label: Option<String>,
    /// What to write or to do instead.
    pub help: Option<String>,
    /// Other places that are involved, each with an explanation.
    pub related: Vec<(Range<usize>, String)>,
}

impl Problem {
    /// An error. With an error, there is no configuration.
    #[must_use]
    pub fn error(code: &'static str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, span, message.into())
    }

    /// A warning. hookgate runs nevertheless.
    #[must_use]
    pub fn warning(code: &'static str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, span, message.into())
    }

    /// A note.
    #[must_use]
    pub fn note(code: &'static str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, code, span, message.into())
    }

    /// Adds a text next to the underlined place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds the word that the user may have meant.
    #[must_use]
    pub(super) fn meant(self, word: Option<&str>) -> Self {
        match word {
            Some(word) => self.label(format!("did you mean `\"{word}\"`?")),
            None => self,
        }
    }

    /// Adds advice on what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds another place in the file.
    #[must_use]
    pub fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// Adds this problem to the list of problems.
    pub(super) fn report(self, problems: &Problems) {
        problems.push(self);
    }

    /// Adds this problem to the list of problems, and returns `None` because the key has no valid value.
    pub(super) fn refuse<T>(self, problems: &Problems) -> Option<T> {
        problems.push(self);
        None
    }

    fn new(severity: Severity, code: &'static str, span: Range<usize>, message: String) -> Self {
        Self { severity, code, message, span, label: None, help: None, related: Vec::new() }
    }
}

/// Whether a rendering may use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Text only.
    Plain,
    /// With ANSI escape sequences, for a terminal.
    Colored,
}

/// All problems of a configuration file, in the order of the file.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file's path, as given.
    pub name: String,
    /// The file's text, with its secrets redacted.
    pub source: String,
    /// The problems.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Sorts the problems by their places in the file. The secrets in `source` must be redacted already.
    pub(super) fn new(name: &str, source: String, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.span.start, problem.severity, problem.span.end));
        Self { name: name.to_owned(), source, problems }
    }

    /// Whether there is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// The errors.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.of(Severity::Error)
    }

    /// The warnings. `check --strict` fails on warnings.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.of(Severity::Warning)
    }

    fn of(&self, severity: Severity) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(move |problem| problem.severity == severity)
    }

    /// Renders the problems for people: each with file, line, column, the underlined text, and advice. The
    /// result is empty without problems. Otherwise it ends with a line break.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Colored => Renderer::styled(),
        };
        let mut text = String::new();
        for problem in &self.problems {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&renderer.render(&[self.group(problem)]));
            text.push('\n');
        }
        text
    }

    /// Renders the problems for programs: an array with an object for each problem. Lines and columns count
    /// from 1. A column counts characters.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.problems.iter().map(|problem| self.problem_to_json(problem)).collect()
    }

    fn group<'r>(&'r self, problem: &'r Problem) -> Group<'r> {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let span = self.within(&problem.span);
        let primary = AnnotationKind::Primary.span(span).label(problem.label.as_deref());
        let related = problem
            .related
            .iter()
            .map(|(span, label)| AnnotationKind::Context.span(self.within(span)).label(label));
        let snippet = Snippet::source(&self.source).path(&self.name).annotation(primary).annotations(related);
        let group = level.primary_title(&problem.message).id(problem.code).element(snippet);
        match &problem.help {
            Some(help) => group.element(Level::HELP.message(help)),
            None => group,
        }
    }

    fn problem_to_json(&self, problem: &Problem) -> Value {
        let place = |span: &Range<usize>| {
            let span = self.within(span);
            let (start, end) = (self.position(span.start), self.position(span.end));
            (start, end, self.source.get(span).unwrap_or_default())
        };
        let ((line, column), (end_line, end_column), text) = place(&problem.span);
        let related = problem.related.iter().map(|(span, label)| {
            let ((line, column), (end_line, end_column), text) = place(span);
            json!({
                "line": line, "column": column, "end_line": end_line, "end_column": end_column,
                "text": text, "label": label,
            })
        });
        json!({
            "severity": problem.severity,
            "code": problem.code,
            "message": problem.message,
            "file": self.name,
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "text": text,
            "label": problem.label,
            "help": problem.help,
            "related": related.collect::<Value>(),
        })
    }

    /// The line and column of a byte of the source.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.source.get(..offset).unwrap_or(&self.source);
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        (before.matches('\n').count().saturating_add(1), column.saturating_add(1))
    }

    /// The span, extended to whole characters of the source. Otherwise rendering could panic.
    fn within(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.source.floor_char_boundary(span.start);
        start..self.source.ceil_char_boundary(span.end.max(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "[server]\nlisten = \"é\" # ä\nlisten = 1\n";

    fn report() -> Report {
        let unknown = Problem::error("bad_address", 18..22, "not an address")
            .label("no port")
            .help("write `\"127.0.0.1:8080\"`");
        let twice = Problem::warning("duplicate_key", 28..34, "this key is there twice")
            .related(9..15, "it is first set here");
        Report::new("dir/gateway.toml", SOURCE.to_owned(), vec![twice, unknown])
    }

    #[test]
    fn people_see_file_line_column_and_the_text_underlined() {
        let want = r#"error[bad_address]: not an address
 --> dir/gateway.toml:2:10
  |
2 | listen = "é" # ä
  |          ^^^ no port
  |
  = help: write `"127.0.0.1:8080"`

warning[duplicate_key]: this key is there twice
 --> dir/gateway.toml:3:1
  |
2 | listen = "é" # ä
  | ------ it is first set here
3 | listen = 1
  | ^^^^^^
"#;
        assert_eq!(report().render(Style::Plain), want);
        assert!(report().render(Style::Colored).contains("\x1b["));
    }

    #[test]
    fn programs_see_the_same() {
        let json = report().to_json();
        assert_eq!(
            json[0],
            json!({
                "severity": "error", "code": "bad_address", "message": "not an address",
                "file": "dir/gateway.toml", "line": 2, "column": 10, "end_line": 2, "end_column": 13,
                "text": "\"é\"", "label": "no port", "help": "write `\"127.0.0.1:8080\"`", "related": [],
            })
        );
        assert_eq!(json[1]["severity"], "warning");
        assert_eq!(json[1]["line"], 3);
        assert_eq!(json[1]["related"][0]["line"], 2);
        assert_eq!(json[1]["related"][0]["text"], "listen");
    }

    #[test]
    fn only_errors_are_errors() {
        let mut report = report();
        assert!(report.has_errors());
        assert_eq!((report.errors().count(), report.warnings().count()), (1, 1));
        report.problems.retain(|problem| problem.severity != Severity::Error);
        assert!(!report.has_errors());
    }

    #[test]
    fn an_invalid_span_still_renders() {
        for (source, span) in [
            ("", 0..0),
            ("", 5..9),
            ("é", 1..1),
            ("a\n", 2..2),
            ("a\n\n", 3..3),
            ("é", Range { start: 9, end: 1 }),
            ("a\r\nb", 1..3),
        ] {
            let problem = Problem::error("x", span.clone(), "m").related(span.clone(), "r");
            let report = Report::new("f", source.to_owned(), vec![problem]);
            assert!(report.render(Style::Plain).contains("error[x]: m"), "{source:?} {span:?}");
            assert_eq!(report.to_json()[0]["code"], "x");
        }
    }
}
