//! A request's body, within its bounds.

use crate::config::Limits;
use crate::joined::Joined;
use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};
use weir_dialect::{ErrorType, Refusal};

/// Reads a request body within its bounds. A declared length over the bound is refused before anything is read.
pub(crate) async fn receive(mut body: Incoming, headers: &HeaderMap, most: u64) -> Result<Bytes, Refusal> {
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
    let slow = |_| Refusal::new(408, ErrorType::Timeout, "request_body_timeout", "the request body came too slowly");
    let read = async {
        let mut joined = Joined::default();
        loop {
            let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx));
            let Some(frame) = tokio::time::timeout(Limits::BODY_IDLE, frame).await.map_err(slow)? else { break };
            let frame =
                frame.map_err(|e| Refusal::invalid("invalid_body", None, format!("the body broke off: {e}")))?;
            let Ok(data) = frame.into_data() else { continue };
            if (joined.len() + data.len()) as u64 > most {
                return Err(too_large());
            }
            joined.push(data, declared.and_then(|length| usize::try_from(length).ok()));
        }
        Ok(joined.into_bytes())
    };
    tokio::time::timeout(Limits::BODY_TIMEOUT, read).await.map_err(slow)?
}
