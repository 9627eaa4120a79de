//! A request's body, within its bounds.

use crate::config::Limits;
use crate::joined::Joined;
use crate::memory::Held;
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use weir_dialect::{ErrorType, Refusal};

/// Reads a request body within its bounds. A declared length over the bound is refused before anything is read, and so is
/// one that the gateway has no memory for; of an unknown length memory is taken piece by piece.
pub(crate) async fn receive(
    mut body: Incoming,
    headers: &HeaderMap,
    most: u64,
    held: &mut Held,
) -> Result<Bytes, Refusal> {
    let too_large = || {
        let message = format!("the body is over {most} bytes");
        Refusal::new(413, ErrorType::TooLarge, "request_too_large", message)
    };
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        let message = "compressed request bodies are not accepted; send the JSON as it is";
        return Err(Refusal::new(415, ErrorType::InvalidRequest, "unsupported_content_encoding", message));
    }
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let declared = declared.and_then(|length| usize::try_from(length).ok());
    held.grow_in_time(declared.unwrap_or(0)).await?;
    let read = async {
        let mut joined = Joined::default();
        while let Some(data) = piece(&mut body).await? {
            let length = joined.len() + data.len();
            if length as u64 > most {
                return Err(too_large());
            }
            if declared.is_none() {
                held.grow_in_time(length).await?;
            }
            joined.push(data, declared);
        }
        Ok(joined.into_bytes())
    };
    tokio::time::timeout(Limits::BODY_TIMEOUT, read).await.map_err(slow)?
}

/// Reads so many bytes of a body and keeps none of them.
pub(crate) async fn discard(mut body: Incoming, most: u64) {
    let read = async {
        let mut length = 0;
        while let Ok(Some(data)) = piece(&mut body).await {
            length += data.len() as u64;
            if length > most {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(Limits::BODY_TIMEOUT, read).await;
}

/// The next bytes; `None` at the end.
async fn piece(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_frame(cx));
        let Some(frame) = tokio::time::timeout(Limits::BODY_IDLE, frame).await.map_err(slow)? else {
            return Ok(None);
        };
        let frame = frame.map_err(|e| Refusal::invalid("invalid_body", None, format!("the body broke off: {e}")))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}

fn slow(_: tokio::time::error::Elapsed) -> Refusal {
    Refusal::new(408, ErrorType::Timeout, "request_body_timeout", "the request body came too slowly")
}
