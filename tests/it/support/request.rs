//! Requests in the form that a sender writes. The test controls every byte.

use crate::support::sign::signature;

/// The path of the tests' usual route.
pub(crate) const PATH: &str = "/webhook/leases";

/// The `host` of the tests' requests.
pub(crate) const HOST: &str = "gateway.test";

/// A request that can still be modified.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    method: String,
    target: String,
    version: &'static str,
    lines: Vec<Vec<u8>>,
    framing: Framing,
    content: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Framing {
    /// A `content-length` line, as the last line.
    Length,
    /// Chunks of these sizes, a last chunk with the rest of the content, and then the trailer lines.
    Chunked(Vec<usize>, Vec<u8>),
    /// No framing line. These bytes follow the head.
    Raw(Vec<u8>),
}

/// A signed event, in the form that Propify sends.
pub(crate) fn post(content: impl AsRef<[u8]>) -> Post {
    let content = content.as_ref();
    unsigned(content).line(format!("propify-signature: {}", signature(content)))
}

/// An event without a signature.
pub(crate) fn unsigned(content: impl AsRef<[u8]>) -> Post {
    Post {
        method: "POST".to_owned(),
        target: PATH.to_owned(),
        version: "HTTP/1.1",
        lines: Vec::new(),
        framing: Framing::Length,
        content: content.as_ref().to_vec(),
    }
    .line(format!("host: {HOST}"))
    .line("content-type: application/json")
}

impl Post {
    pub(crate) fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    pub(crate) fn target(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    pub(crate) fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// Adds this line unchanged.
    pub(crate) fn line(mut self, line: impl AsRef<[u8]>) -> Self {
        self.lines.push(line.as_ref().to_vec());
        self
    }

    /// Removes all lines of a field.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.lines.retain(|line| {
            let own = line.split(|byte| *byte == b':').next().unwrap();
            !own.eq_ignore_ascii_case(name.as_bytes())
        });
        self
    }

    /// Replaces the content but keeps the signature.
    pub(crate) fn forged(mut self, content: impl AsRef<[u8]>) -> Self {
        self.content = content.as_ref().to_vec();
        self
    }

    /// Sends the content in chunks of these sizes.
    pub(crate) fn chunked(self, sizes: &[usize]) -> Self {
        self.chunked_with_trailers(sizes, "")
    }

    /// Sends the content in chunks, followed by these trailer lines (each with its CRLF).
    pub(crate) fn chunked_with_trailers(mut self, sizes: &[usize], trailers: &str) -> Self {
        self.framing = Framing::Chunked(sizes.to_vec(), trailers.as_bytes().to_vec());
        self
    }

    /// Adds no framing line. These bytes follow the head.
    pub(crate) fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.framing = Framing::Raw(bytes.as_ref().to_vec());
        self
    }

    /// Adds a `content-length` that may be wrong. The content is unchanged.
    pub(crate) fn claiming(self, length: usize) -> Self {
        let content = self.content.clone();
        self.line(format!("content-length: {length}")).raw(content)
    }

    /// The request line and the field lines, with the final empty line.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut head = format!("{} {} {}\r\n", self.method, self.target, self.version).into_bytes();
        for line in &self.lines {
            head.extend_from_slice(line);
            head.extend_from_slice(b"\r\n");
        }
        match &self.framing {
            Framing::Length => {
                head.extend_from_slice(format!("content-length: {}\r\n", self.content.len()).as_bytes());
            }
            Framing::Chunked(..) => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Framing::Raw(_) => {}
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// The bytes after the head.
    pub(crate) fn body(&self) -> Vec<u8> {
        match &self.framing {
            Framing::Length => self.content.clone(),
            Framing::Raw(bytes) => bytes.clone(),
            Framing::Chunked(sizes, trailers) => {
                let mut body = Vec::new();
                let mut rest = self.content.as_slice();
                let sizes = sizes.iter().copied().chain([usize::MAX]);
                for size in sizes {
                    let (piece, tail) = rest.split_at(size.min(rest.len()));
                    if !piece.is_empty() {
                        body.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                        body.extend_from_slice(piece);
                        body.extend_from_slice(b"\r\n");
                    }
                    rest = tail;
                }
                body.extend_from_slice(b"0\r\n");
                body.extend_from_slice(trailers);
                body.extend_from_slice(b"\r\n");
                body
            }
        }
    }

    /// The whole request.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.head(), self.body()].concat()
    }
}
