//! Pure. The limits of an HTTP/2 connection. The comment of a limit says what the limit guards against.

use std::time::Duration;

use crate::message::head::MAX_FIELD_LINES;

/// The most streams that a client may have open at the same time. Guards against one connection with more
/// requests than many connections of HTTP/1.1 have. The limit is over 100, because clients may open 100
/// streams before they have read the settings (RFC 9113, section 6.5.2).
pub const MAX_STREAMS: u32 = 128;

/// The most requests of one connection that are under way. More requests than open streams can be under way,
/// because an authentic request goes on when its stream is reset. Guards against a client that resets each
/// stream and opens another.
pub const MOST_REQUESTS: usize = 256;

/// The most content of a stream that may arrive before the request reads the content, in bytes. Guards
/// against content that arrives faster than the memory budget has room.
pub const STREAM_WINDOW: u32 = 64 * 1024;

/// The most content of all streams of a connection that may arrive before the requests read it, in bytes.
pub const CONNECTION_WINDOW: u32 = 256 * 1024;

/// The most content of a frame, in bytes. RFC 9113, section 4.2, allows no smaller limit.
pub const MAX_FRAME: u32 = 16 * 1024;

/// The most content of a response that is handed to the send queue of a stream at once, in bytes.
pub const PIECE: usize = 8 * 1024;

/// The size of a stream's send queue from which on no further piece of the response is handed to the queue,
/// in bytes. Guards against clients that open a small window and read nothing.
pub const SEND_BUFFER: usize = 8 * 1024;

/// The most streams that a client may reset before they are served. Guards against "rapid reset"
/// (CVE-2023-44487).
pub const PENDING_RESETS: usize = 20;

/// The most streams that are reset because of the client's own errors, over the whole life of a connection.
/// Guards against "MadeYouReset" (CVE-2025-8671). h2 also counts streams that are refused as too many. So the
/// limit is high: a burst of events before the client has read the settings must not end the connection.
pub const LOCAL_RESETS: usize = 1024;

/// The time between two pings to the client. Guards against connections whose client is gone.
pub const PING_INTERVAL: Duration = Duration::from_secs(30);

/// The longest time in which the client must answer a ping.
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The unread content of a connection that does not count towards the memory budget, in bytes. Further unread
/// content counts.
pub const FREE_UNREAD: usize = 16 * 1024;

/// The steps in which memory for more unread content is reserved, in bytes.
pub const UNREAD_STEP: usize = 32 * 1024;

/// The memory of a stream, besides a large head and its content, in bytes: its tasks, its state in hyper and
/// h2, and the larger of two sizes. The first is a small head with its upstream's head, the second is a
/// response. The first stream of a connection is part of the memory of each connection. Further streams count
/// towards the memory budget.
pub const STREAM: usize = 32 * 1024;

/// The memory of a connection besides its streams, in bytes. In the order of the sum: the state of hyper and
/// h2; a frame that is being read, and frames that are being written; the tables of HPACK in both directions;
/// unread content that is not counted; and pieces of a response behind the send queue.
pub const CONNECTION: usize = 16 * 1024 + 2 * 16 * 1024 + 16 * 1024 + 16 * 1024 + FREE_UNREAD + 2 * PIECE;

/// The most content of a request that is read and discarded after the request was answered, in bytes.
pub const MOST_DISCARDED: usize = 64 * 1024;

/// How long this content is read and discarded.
pub const DISCARD: Duration = Duration::from_secs(1);

/// The size of a field line in a header list, besides its name and its value (RFC 9113, section 6.5.2).
const LINE: usize = 32;

/// The most bytes of a header list, as RFC 9113 counts them. The limit is larger than any head within
/// `max_header_bytes` and the limit on lines. So the gateway itself refuses a somewhat larger head, and the
/// log has the refusal. hyper refuses a header list over this limit.
#[must_use]
pub fn header_list(max_header_bytes: usize) -> u32 {
    let lines = MAX_FIELD_LINES.saturating_mul(2).saturating_mul(LINE);
    u32::try_from(max_header_bytes.saturating_add(lines)).unwrap_or(u32::MAX)
}
