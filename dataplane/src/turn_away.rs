//! Requests that are answered without a route: at once, in the caller's dialect, with a line in the log that says who asks
//! in vain.

use crate::account::Account;
use crate::authenticate::authenticate;
use crate::body::Body;
use crate::clock::unix_s;
use crate::gateway::Gateway;
use crate::overload;
use crate::receive::discard;
use crate::record::Unserved;
use crate::refusal;
use crate::shares::Holder;
use crate::surface::dialect_of;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use std::sync::Arc;
use weir_dialect::{Dialect, ErrorType, Refusal};
use weir_policy::Sender;
use weir_snapshot::Priority;

/// The error answer. What the client still sends is read beside it, up to a bound, and dropped: else the connection would
/// break, and the client would hear of that instead of this answer.
pub(crate) fn turn_away(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    refusal: &Refusal,
    peer: Holder,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut account = open(gateway, &head, peer);
    let dialect = dialect_of(head.uri.path(), &head.headers);
    account.refused(refusal, dialect);
    if !body.is_end_stream() {
        tokio::spawn(discard(body, overload::READ_BYTES));
    }
    refusal::respond(refusal, dialect, &account.record.request_id)
}

/// The same for a method that the path does not answer; `methods` are those that it does.
pub(crate) fn turn_away_method(
    gateway: &Arc<Gateway>,
    request: Request<Incoming>,
    methods: &'static str,
    peer: Holder,
) -> Response<Body> {
    let message = format!("{} does not answer {}; it answers {methods}", request.uri().path(), request.method());
    let refusal = Refusal::new(405, ErrorType::InvalidRequest, "method_not_allowed", message);
    let mut response = turn_away(gateway, request, &refusal, peer);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

/// The same for a client that would speak WebSocket. Such clients go on over HTTP after 426.
pub(crate) fn turn_away_upgrade(gateway: &Arc<Gateway>, request: Request<Incoming>, peer: Holder) -> Response<Body> {
    let message = "WebSocket is not spoken here; send the request over HTTP, and \"stream\": true for events";
    let refusal = Refusal::new(426, ErrorType::InvalidRequest, "upgrade_not_supported", message);
    let mut response = turn_away(gateway, request, &refusal, peer);
    // What RFC 9110 wants of a 426: the protocols that are spoken.
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("HTTP/1.1, HTTP/2.0"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response
}

/// Whether a client would speak WebSocket. Other upgrades, such as h2c that Java's client offers with each request, are
/// offers that a server may pass over.
pub(crate) fn wants_websocket(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    offers.flat_map(|value| value.split(',')).any(|offer| offer.trim().eq_ignore_ascii_case("websocket"))
}

/// The answer to who only looks whether anybody is there, such as a coding agent at its start.
pub(crate) fn nothing(gateway: &Arc<Gateway>, head: &Parts, peer: Holder) -> Response<Body> {
    open(gateway, head, peer).answered(StatusCode::OK.as_u16());
    Response::new(Body::whole(bytes::Bytes::new()))
}

/// The line of a head that could not be read; its answer is written already.
pub(crate) fn note_unread_head(gateway: &Gateway, peer: Holder, too_large: bool) {
    let mut account = Account::open(&gateway.telemetry, gateway.memory.hold(""), "");
    account.record.peer = peer.number();
    let refusal = if too_large {
        Refusal::new(431, ErrorType::InvalidRequest, "head_too_large", "")
    } else {
        Refusal::new(400, ErrorType::InvalidRequest, "invalid_head", "")
    };
    account.refused(&refusal, Dialect::OpenAI);
}

/// The account of such a request: what it asked, and who asked, unless there is too much to do to find out.
fn open(gateway: &Arc<Gateway>, head: &Parts, peer: Holder) -> Box<Account> {
    let mut account = Account::open(&gateway.telemetry, gateway.memory.hold(""), "");
    account.record.peer = peer.number();
    account.record.unserved = Some(Box::new(Unserved::of(head)));
    if overload::admit(gateway, Priority::High, fastrand::u32(..), Sender::Peer(peer.number())).is_ok() {
        let live = gateway.live.load();
        if let Ok(caller) = authenticate(head, &live, &gateway.config.trust_domain, unix_s()) {
            account.called_by(&Arc::new(caller));
        }
    }
    account
}
