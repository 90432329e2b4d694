//! Pure. The read buffer that the connections of a worker share.

use std::cell::RefCell;
use std::rc::Rc;

use crate::connection::buffer;

/// How many bytes one read may take if the number of following bytes is unknown.
///
/// A connection may hold this many unparsed bytes without counting them. These bytes are a request that
/// arrived together with the request before it, or a part of a head. A larger head needs more memory. Its
/// whole size counts towards the memory budget.
pub const READ_SIZE: usize = buffer::AHEAD;

/// The read buffer that all connections of a worker share. A connection that waits holds no read buffer.
pub type Scratch = Rc<RefCell<Box<[u8]>>>;

/// Makes the read buffer of a worker.
#[must_use]
pub fn scratch() -> Scratch {
    Rc::new(RefCell::new(vec![0; READ_SIZE].into_boxed_slice()))
}
