//! From a request's head to a caller. No network, no API server: keys and token signatures are checked against
//! what was pushed.

use crate::live::Live;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use std::sync::Arc;
use weir_dialect::Refusal;
use weir_policy::{Caller, Certificate};

/// Where Anthropic's SDKs put their key.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The caller of a request, by the first credential that has the form of one: of each `authorization` in their order, then
/// of each `x-api-key`. One that is not good is refused everywhere, whatever comes after it; anything else, such as an
/// empty bearer, another scheme or the placeholder that SDKs insist on, is no credential. Where there is none, the
/// certificate of the connection is.
pub(crate) fn authenticate(head: &Parts, live: &Live, trust_domain: &str, unix_s: i64) -> Result<Caller, Refusal> {
    let (headers, table) = (&head.headers, &live.table);
    for credential in presented(headers) {
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
    presented(headers).next().is_some()
}

/// What may be a credential, in the order in which they count.
fn presented(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let bearers = headers.get_all(AUTHORIZATION).iter().filter_map(bearer);
    let keys = headers.get_all(API_KEY).iter().filter_map(|key| Some(key.to_str().ok()?.trim()));
    bearers.chain(keys).filter(|credential| !credential.is_empty())
}

fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, credential) = header.to_str().ok()?.trim().split_once([' ', '\t'])?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is presented by headers of these names and values.
    fn of(headers: &[(&'static str, &'static str)]) -> Vec<String> {
        let map = headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut held = HeaderMap::new();
        for (name, value) in map {
            held.append(name, value);
        }
        presented(&held).map(str::to_owned).collect()
    }

    #[test]
    fn an_empty_bearer_and_another_scheme_are_no_credential_and_bearers_come_before_keys() {
        let none: [&[(&str, &str)]; 8] = [
            &[],
            &[("authorization", "")],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer ")],
            &[("authorization", "Basic dTpw")],
            &[("authorization", "weir_x")],
            &[("authorization", "Negotiate a.b.c"), ("x-api-key", " ")],
            &[("x-api-key", "")],
        ];
        for headers in none {
            assert_eq!(of(headers), [""; 0], "{headers:?}");
        }
        for bearer in ["Bearer k", "bearer k", "BEARER   k  ", "Bearer\tk"] {
            assert_eq!(of(&[("authorization", bearer)]), ["k"], "{bearer}");
        }
        let both =
            [("x-api-key", " a "), ("authorization", "Basic x"), ("authorization", "Bearer b"), ("x-api-key", "c")];
        assert_eq!(of(&both), ["b", "a", "c"]);
    }
}
