//! Pure. A parser of server-sent events (HTML, section 9.2.6), as far as the gateway writes them.

/// The most bytes of a line. Guards against a server that is no gateway.
const LONGEST: usize = 1 << 20;

/// The parser. It takes the stream in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    event: Event,
}

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) data: String,
}

/// A line is too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Parser {
    /// Takes a piece of the stream, and returns the events that are complete.
    ///
    /// # Errors
    /// [`TooLong`]
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut events = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.len() > LONGEST {
                return Err(TooLong);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                events.extend(self.end_of_line(String::from_utf8_lossy(&line).trim_end()));
            }
        }
        Ok(events)
    }

    fn end_of_line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return (!event.data.is_empty()).then_some(event);
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.event.name),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => self.event.data.push_str(value),
            // Comments and unknown fields are ignored.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "event: start\ndata: {\"number\":1}\n\n:\n\nid: 7\nevent: request\nretry: 1\ndata: {\"path\":\"/é\"}\n\n";

    #[test]
    fn events_are_the_same_however_the_stream_is_cut() {
        let event = |name: &str, id: Option<&str>, data: &str| Event {
            name: name.to_owned(),
            id: id.map(str::to_owned),
            data: data.to_owned(),
        };
        let want = [event("start", None, "{\"number\":1}"), event("request", Some("7"), "{\"path\":\"/é\"}")];
        for size in 1..STREAM.len() {
            let mut parser = Parser::default();
            let pieces = STREAM.as_bytes().chunks(size);
            let events: Vec<_> = pieces.flat_map(|piece| parser.take(piece).unwrap()).collect();
            assert_eq!(events, want, "{size}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_given_up() {
        let mut parser = Parser::default();
        assert_eq!(parser.take(&vec![b'a'; LONGEST]), Ok(Vec::new()));
        assert_eq!(parser.take(b"a"), Err(TooLong));
    }
}
