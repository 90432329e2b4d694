//! Pure. A message of HTTP, as every version of it has one: where its content comes from and where it goes to.

pub mod chunked;
pub mod content;
pub mod fields;
pub mod head;
