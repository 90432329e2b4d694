//! Shell. Standard output and standard error of the commands.
//!
//! A closed reader is not a failure, as in `hookgate check | head -1`. The rest of the output is dropped, and
//! the exit code still says how the command ended. Any other error is kept, and is reported once at the end.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal as _, Write};

use tracing::Level;

use crate::config::problem::Style;
use crate::telemetry;
use crate::telemetry::hidden_characters::is_hidden;

/// The two streams.
pub(super) struct Terminal {
    /// Standard output. It gets the result.
    pub(super) out: Stream,
    /// Standard error. It gets remarks about the result.
    pub(super) err: Stream,
}

/// One of the streams.
pub(super) struct Stream {
    to: Box<dyn Write>,
    style: Style,
    person: bool,
    state: State,
    /// The level of the lines, if they go to the journal of systemd.
    journal: Option<Level>,
}

enum State {
    Open,
    ReaderGone,
    Failed(io::Error),
}

/// The meaning of a text. It decides the colour.
#[derive(Clone, Copy, Debug)]
pub(super) enum Paint {
    /// Success.
    Good,
    /// Failure.
    Bad,
    /// Important.
    Strong,
    /// Unimportant.
    Faint,
}

impl Terminal {
    /// The streams of this process. Terminals get colours, unless `NO_COLOR` is set (<https://no-color.org>).
    pub(super) fn of_process() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let style = |person: bool| if person && !unwanted { Style::Colored } else { Style::Plain };
        let stream =
            |to, person| Stream { to, style: style(person), person, state: State::Open, journal: None };
        let err = stream(Box::new(io::stderr()), io::stderr().is_terminal());
        let journal = telemetry::is_journal(io::stderr()).then_some(Level::WARN);
        Self {
            out: stream(Box::new(io::stdout()), io::stdout().is_terminal()),
            err: Stream { journal, ..err },
        }
    }

    /// Prints a remark on standard error.
    pub(super) fn note(&mut self, text: impl Display) {
        let label = self.err.paint(Paint::Strong, "note");
        self.err.line(format_args!("{label}: {text}"));
    }

    /// Writes the buffered text.
    ///
    /// # Errors
    /// The first error of standard output. Errors of standard error cannot be reported.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let flushed = self.out.to.flush();
        self.out.remember(flushed);
        match self.out.state {
            State::Open | State::ReaderGone => Ok(()),
            State::Failed(error) => Err(error),
        }
    }
}

impl Stream {
    /// Writes a line.
    pub(super) fn line(&mut self, text: impl Display) {
        self.text(format_args!("{text}\n"));
    }

    /// Writes a text unchanged, in one piece. In the journal, each line has its priority.
    pub(super) fn text(&mut self, text: impl Display) {
        let text = text.to_string();
        match self.journal {
            Some(level) => self.bytes(&telemetry::with_priority(level, text.as_bytes())),
            None => self.bytes(text.as_bytes()),
        }
    }

    /// Says that the next lines are about a failure. The journal then shows them among the errors.
    pub(super) fn fails(&mut self) {
        self.journal = self.journal.map(|_level| Level::ERROR);
    }

    /// Writes the lines of a table. The first line is the heading.
    pub(super) fn table(&mut self, lines: &[String]) {
        if let Some((heading, lines)) = lines.split_first() {
            self.line(self.paint(Paint::Faint, heading));
            lines.iter().for_each(|line| self.line(line));
        }
    }

    /// Writes bytes unchanged.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::Open) {
            let written = self.to.write_all(bytes);
            self.remember(written);
        }
    }

    /// Writes a JSON document on its own lines.
    pub(super) fn json(&mut self, document: &serde_json::Value) {
        self.line(format_args!("{document:#}"));
    }

    /// The text in the colour of its meaning, if this stream has colours.
    pub(super) fn paint(&self, paint: Paint, text: impl Display) -> String {
        let code = match (self.style, paint) {
            (Style::Plain, _) => return text.to_string(),
            (Style::Colored, Paint::Good) => "1;32",
            (Style::Colored, Paint::Bad) => "1;31",
            (Style::Colored, Paint::Strong) => "1",
            (Style::Colored, Paint::Faint) => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Whether the stream has colours.
    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// Whether the stream is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.person
    }

    /// Whether the reader has closed the stream.
    pub(super) fn is_gone(&self) -> bool {
        !matches!(self.state, State::Open)
    }

    fn remember(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.state = State::ReaderGone,
            Err(error) => self.state = State::Failed(error),
        }
    }
}

/// Text from the network in a form that is safe for a terminal. Invalid UTF-8 and hidden characters except
/// newline and tab are escaped. So no answer can move the cursor, colour later text or change its direction.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\t' => text.push(c),
                c if is_hidden(c) => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        text.extend(
            chunk.invalid().iter().flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn terminal(out: impl Write + 'static, style: Style) -> Terminal {
        let stream = |to| Stream { to, style, person: false, state: State::Open, journal: None };
        Terminal { out: stream(Box::new(out)), err: stream(Box::new(io::sink())) }
    }

    #[test]
    fn a_closed_reader_is_not_a_failure_and_a_full_disk_is_one() {
        let mut gone = terminal(Broken(ErrorKind::BrokenPipe), Style::Plain);
        gone.out.line("a");
        assert!(gone.out.is_gone());
        gone.out.line("b");
        assert!(gone.finish().is_ok());
        let mut full = terminal(Broken(ErrorKind::StorageFull), Style::Plain);
        full.out.line("a");
        assert_eq!(full.finish().unwrap_err().kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn only_a_coloured_stream_has_escapes() {
        assert_eq!(terminal(io::sink(), Style::Plain).out.paint(Paint::Bad, "x"), "x");
        assert_eq!(terminal(io::sink(), Style::Colored).out.paint(Paint::Bad, "x"), "\x1b[1;31mx\x1b[0m");
    }

    #[test]
    fn control_characters_are_not_printed() {
        assert_eq!(printable("a\té\n\x1b[2J\r\u{9b}".as_bytes()), "a\té\n\\u{1b}[2J\\r\\u{9b}");
        assert_eq!(printable(b"\xff{}"), "\\xff{}");
        assert_eq!(printable("a\u{202e}b\u{200b}\r".as_bytes()), "a\\u{202e}b\\u{200b}\\r");
    }
}
