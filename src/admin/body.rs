//! Shell. Reads the content of a hyper message under a bound: for the admin listener's requests and the command line's
//! responses.

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;

/// Reads the first `limit` bytes of a body, and whether there are more.
///
/// # Errors
/// The body's own.
pub async fn read_bounded<B>(mut body: B, limit: usize) -> Result<(Vec<u8>, bool), B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut content = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = limit.saturating_sub(content.len());
        content.extend_from_slice(data.get(..room).unwrap_or(&data));
        if data.len() > room {
            return Ok((content, true));
        }
    }
    Ok((content, false))
}
