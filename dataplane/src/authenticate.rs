//! From a request's head to a caller. No network, no API server: keys and token signatures are checked against
//! what was pushed.

use crate::live::Live;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName};
use hyper::http::request::Parts;
use std::sync::Arc;
use weir_dialect::Refusal;
use weir_policy::{Caller, Certificate, unauthenticated};

/// Where Anthropic's SDKs put their key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The caller of a request. A credential that has the form of one and is not good is refused everywhere;
/// anything else, such as the placeholder that SDKs insist on, is no credential. Where there is none, the certificate
/// of the connection is.
pub(crate) fn authenticate(head: &Parts, live: &Live, trust_domain: &str, unix_s: i64) -> Result<Caller, Refusal> {
    let (headers, table) = (&head.headers, &live.table);
    for credential in [bearer(headers)?, headers.get(API_KEY).and_then(|key| key.to_str().ok())].into_iter().flatten() {
        if credential.starts_with("weir_") {
            return Caller::of_key(table, credential, unix_s);
        }
        if credential.bytes().filter(|b| *b == b'.').count() == 2 {
            return live.verifier.caller(table, credential, unix_s);
        }
    }
    let certificate = head.extensions.get::<Arc<Certificate>>();
    Ok(certificate
        .map_or_else(Caller::anonymous, |certificate| Caller::of_certificate(table, certificate, trust_domain)))
}

/// Whether a client sent anything that might be one.
pub(crate) fn has_credential(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION) || headers.contains_key(API_KEY)
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(header) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let credential = header.to_str().ok().and_then(|text| {
        let (scheme, credential) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())
    });
    credential.map(Some).ok_or_else(unauthenticated)
}
