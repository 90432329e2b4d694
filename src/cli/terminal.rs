//! Shell. Standard output and standard error, as the commands write to them.
//!
//! A reader that goes away (`hookgate check | head -1`) is no failure: what is left to write is dropped, and the exit
//! code still says how the command ended. Any other error is kept until the end, and reported once.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal as _, Write};

use crate::config::problem::Style;

/// The two streams.
pub(super) struct Terminal {
    /// What was asked for.
    pub(super) out: Stream,
    /// What is said about it.
    pub(super) err: Stream,
}

/// One of them.
pub(super) struct Stream {
    to: Box<dyn Write>,
    style: Style,
    person: bool,
    state: State,
}

enum State {
    Open,
    ReaderGone,
    Failed(io::Error),
}

/// What a text stands for, and so how it looks where there are colours.
#[derive(Clone, Copy, Debug)]
pub(super) enum Paint {
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
    /// The word to see first.
    Strong,
    /// What need not be read.
    Faint,
}

impl Terminal {
    /// The streams of this process. Colours are for terminals, unless `NO_COLOR` is set (<https://no-color.org>).
    pub(super) fn of_process() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let style = |person: bool| if person && !unwanted { Style::Colored } else { Style::Plain };
        let stream = |to, person| Stream { to, style: style(person), person, state: State::Open };
        Self {
            out: stream(Box::new(io::stdout()), io::stdout().is_terminal()),
            err: stream(Box::new(io::stderr()), io::stderr().is_terminal()),
        }
    }

    /// Remarks on standard error.
    pub(super) fn note(&mut self, text: impl Display) {
        let label = self.err.paint(Paint::Strong, "note");
        self.err.line(format_args!("{label}: {text}"));
    }

    /// Writes what is still buffered.
    ///
    /// # Errors
    /// The first error of standard output. Those of standard error have nowhere to be told.
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

    /// Writes a text as it is.
    pub(super) fn text(&mut self, text: impl Display) {
        if matches!(self.state, State::Open) {
            let written = write!(self.to, "{text}");
            self.remember(written);
        }
    }

    /// Writes a JSON document, on lines of its own.
    pub(super) fn json(&mut self, document: &serde_json::Value) {
        self.line(format_args!("{document:#}"));
    }

    /// The text as it looks on this stream.
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

    /// Whether there are colours.
    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// Whether a person reads it.
    pub(super) fn is_terminal(&self) -> bool {
        self.person
    }

    /// Whether nobody reads it any more.
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

/// Bytes from the network, fit for a terminal: what is not text, and control characters but newline and tab, stand
/// escaped, so that no answer can move the cursor or colour what is written after it.
pub(super) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\t' => text.push(c),
                c if c.is_control() => text.extend(c.escape_default()),
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
        let stream = |to| Stream { to, style, person: false, state: State::Open };
        Terminal { out: stream(Box::new(out)), err: stream(Box::new(io::sink())) }
    }

    #[test]
    fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one() {
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
    fn nothing_that_steers_a_terminal_is_printed() {
        assert_eq!(printable("a\té\n\x1b[2J\r\u{9b}".as_bytes()), "a\té\n\\u{1b}[2J\\r\\u{9b}");
        assert_eq!(printable(b"\xff{}"), "\\xff{}");
    }
}
