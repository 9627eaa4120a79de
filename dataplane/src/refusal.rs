//! The one place where a refusal becomes the client's error answer.

use crate::body::Body;
use crate::surface::tell_request_id;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use weir_dialect::{Dialect, Refusal};

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The error answer, in the client's dialect.
pub(crate) fn respond(refusal: &Refusal, dialect: Dialect, request_id: &str) -> Response<Body> {
    let mut response = Response::new(Body::whole(dialect.encode_error(refusal, request_id)));
    *response.status_mut() = StatusCode::from_u16(dialect.status(refusal)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tell_request_id(headers, dialect, request_id);
    if let Some(ms) = refusal.retry_after_ms {
        headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000)));
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(ms));
    }
    if let Some(should) = refusal.should_retry {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static(if should { "true" } else { "false" }));
    }
    response
}
