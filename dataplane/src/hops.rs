//! How often a request passed through a gateway of this kind, so that one that comes back to where it was cannot go round for
//! ever.
//!
//! A chain of gateways is a use: an edge before a cluster's own. A provider whose address leads back here is a mistake, or an
//! attack that would take every connection.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use weir_dialect::{ErrorType, Refusal};

const HOPS: HeaderName = HeaderName::from_static("x-weir-hops");
/// Gateways that a request may have passed before this one.
const MOST: u64 = 2;

/// The gateways that a request passed, as the last one says; a value that is no number is none of ours and counts as too many.
fn passed(headers: &HeaderMap) -> u64 {
    let read = |value: &HeaderValue| value.to_str().ok()?.parse::<u64>().ok();
    headers.get_all(&HOPS).iter().map(|value| read(value).unwrap_or(u64::MAX)).max().unwrap_or(0)
}

/// Refuses a request that has passed too many.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    if passed(headers) <= MOST {
        return Ok(());
    }
    let message = "the request has passed through this gateway before: the endpoint of a Provider leads back to it";
    let refusal = Refusal::new(508, ErrorType::InvalidRequest, "request_loop", message);
    Err(Refusal { should_retry: Some(false), ..refusal })
}

/// Tells the next one, on the way to an upstream, that the caller's request passed one more.
pub(crate) fn count(caller: &HeaderMap, upstream: &mut HeaderMap) {
    upstream.insert(HOPS, HeaderValue::from(passed(caller).saturating_add(1)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (HOPS, HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn each_gateway_counts_one_and_a_loop_ends() {
        let mut request = HeaderMap::new();
        let passes = (0..10).take_while(|_| {
            let passes = check(&request).is_ok();
            let caller = request.clone();
            count(&caller, &mut request);
            passes
        });
        assert_eq!(passes.count() as u64, MOST + 1);
    }

    #[test]
    fn a_forged_count_shortens_the_way_and_never_lengthens_it() {
        for values in [&["x"][..], &["-1"], &["99999999999999999999"], &["0", "9"], &["18446744073709551615"], &[""]] {
            let forged = headers(values);
            assert!(check(&forged).is_err(), "{values:?}");
            let mut upstream = headers(&["0"]);
            count(&forged, &mut upstream);
            assert!(check(&upstream).is_err(), "{values:?}");
        }
        assert!(check(&headers(&["2"])).is_ok());
    }
}
