//! Shell. Reads the content of a hyper message up to a bound: for requests to the admin listener, and for
//! responses to the command line.

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt as _;

/// Reads the first `limit` bytes of a body. Returns also whether the body is longer.
///
/// # Errors
/// The error of the body.
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
