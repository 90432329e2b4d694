//! Pure. An HTTP message, in any version of HTTP: head, fields and content.

pub mod chunked;
pub mod content;
pub mod fields;
pub mod forwarded;
pub mod head;
