//! Shell. Reads the content of requests to the admin listener, and writes the documents in its answers.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::sync::OwnedSemaphorePermit;

use crate::admin::body;
use crate::admin::response_content::holding;

/// Reads the content of a request, unless it is too large. The time limit of the connection bounds the time.
pub(super) async fn content(mut body: Incoming, limit: usize) -> Result<Vec<u8>, Response<Full<Bytes>>> {
    match body::read_bounded(&mut body, limit).await {
        Ok((content, false)) => Ok(content),
        Ok((_, true)) => {
            // If a connection with unread content were closed, the kernel would discard the answer.
            while let Some(Ok(_discarded)) = body.frame().await {}
            Err(document(StatusCode::PAYLOAD_TOO_LARGE, &json!({ "status": "too large" })))
        }
        Err(_gone) => Err(document(StatusCode::BAD_REQUEST, &json!({ "status": "not complete" }))),
    }
}

/// A time in a document: seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// An answer with this JSON document.
pub(super) fn document(status: StatusCode, document: &Value) -> Response<Full<Bytes>> {
    respond(status, "application/json", format!("{document}\n"))
}

/// An answer with this JSON document, which holds a place until the answer is sent.
pub(super) fn document_holding(
    status: StatusCode,
    document: &Value,
    place: Option<OwnedSemaphorePermit>,
) -> Response<Full<Bytes>> {
    let text = format!("{document}\n");
    let bytes = match place {
        Some(place) => holding(text, place),
        None => Bytes::from(text),
    };
    respond_with(status, "application/json", bytes)
}

/// An answer with this text. The answer must not be cached, and a browser must not guess another media type.
pub(super) fn respond(status: StatusCode, media_type: &'static str, text: String) -> Response<Full<Bytes>> {
    respond_with(status, media_type, Bytes::from(text))
}

fn respond_with(status: StatusCode, media_type: &'static str, content: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(content));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
