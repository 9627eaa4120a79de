//! A request, top to bottom, on one screen.
//!
//! The table is loaded once and held to the end; each stage needs what the one before it gave.

use crate::account::Account;
use crate::attempt::Attempts;
use crate::authenticate::{authenticate, has_credential};
use crate::body::Body;
use crate::clock::unix_s;
use crate::config::Limits;
use crate::explain;
use crate::funds::Funds;
use crate::gateway::Gateway;
use crate::hops;
use crate::memory::TRANSLATED;
use crate::overload;
use crate::receive::{discard, receive};
use crate::refusal;
use crate::relay::{Answered, Job, Listener, Stream};
use crate::shares::Holder;
use crate::surface::{Surface, dialect_of, tell_request_id};
use crate::turn_away::{nothing, turn_away, turn_away_method, turn_away_upgrade, wants_websocket};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use weir_dialect::{Call, ErrorType, Page, Refusal};
use weir_policy::{Asked, CallerKind, Facts, Sender};
use weir_snapshot::Priority;

const ATTEMPTS: HeaderName = HeaderName::from_static("x-weir-attempts");
const ROUTE: HeaderName = HeaderName::from_static("x-weir-route");
const TARGET: HeaderName = HeaderName::from_static("x-weir-target");
const LOSS: HeaderName = HeaderName::from_static("x-weir-loss");
const DEGRADED_BY: HeaderName = HeaderName::from_static("x-weir-degraded-by");
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-weir-upstream-request-id");
const USAGE_SOURCE: HeaderName = HeaderName::from_static("x-weir-usage-source");

/// Answers any request; `peer` is who sent it.
pub(crate) async fn answer(gateway: Arc<Gateway>, request: Request<Incoming>, peer: Holder) -> Response<Body> {
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > Limits::URI_BYTES) {
        let message = format!("the request target is over {} bytes", Limits::URI_BYTES);
        let refusal = Refusal::new(414, ErrorType::InvalidRequest, "uri_too_long", message);
        return turn_away(&gateway, request, &refusal, peer);
    }
    if wants_websocket(request.headers()) {
        return turn_away_upgrade(&gateway, request, peer);
    }
    let path = request.uri().path();
    if let Some(surface) = Surface::at(path) {
        if request.method() != Method::POST {
            return turn_away_method(&gateway, request, "POST", peer);
        }
        let (head, body) = request.into_parts();
        return generate(gateway, surface, head, body, peer).await;
    }
    let is_model = path.strip_prefix("/v1/models").is_some_and(|id| id.is_empty() || id.starts_with('/'));
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match (is_model || path == "/", reads) {
        (true, true) if is_model => models(&gateway, &request.into_parts().0, peer),
        (true, true) => nothing(&gateway, &request.into_parts().0, peer),
        (true, false) => turn_away_method(&gateway, request, "GET, HEAD", peer),
        (false, _) => {
            let message = "there is nothing at this path; Weir answers POST /v1/chat/completions, POST /v1/messages, POST /v1/messages/count_tokens, GET /v1/models and GET /v1/models/{id}";
            let refusal = Refusal::new(404, ErrorType::NotFound, "not_found", message);
            turn_away(&gateway, request, &refusal, peer)
        }
    }
}

async fn generate(
    gateway: Arc<Gateway>,
    surface: Surface,
    head: Parts,
    body: Incoming,
    peer: Holder,
) -> Response<Body> {
    let lot = fastrand::u32(..);
    let mut account = Account::open(&gateway.telemetry, gateway.memory.hold(""), surface.path());
    account.record.peer = peer.number();
    if let Err(refusal) = overload::admit(&gateway, Priority::High, lot, Sender::Peer(peer.number())) {
        // Whoever sends it.
        discard(body, overload::READ_BYTES).await;
        gateway.telemetry.metrics.load.unread.inc();
        account.refused(&refusal, surface.dialect());
        return refusal::respond(&refusal, surface.dialect(), &account.record.request_id);
    }
    let listener = Listener { dialect: surface.dialect(), request_id: account.record.request_id.clone() };
    let streams = Arc::new(AtomicBool::new(false));
    let mut job: Job = Box::pin(work(Arc::clone(&gateway), surface, head, body, lot, account, Arc::clone(&streams)));
    let (account, outcome) = match tokio::time::timeout(Limits::HEAD_HOLD, &mut job).await {
        Ok(done) => done,
        Err(_) if streams.load(Ordering::Relaxed) => {
            return event_stream(HeaderMap::new(), Stream::waiting(job, listener, &gateway));
        }
        Err(_) => job.await,
    };
    finish(&gateway, listener, account, outcome)
}

/// Everything up to the first content of an answer.
async fn work(
    gateway: Arc<Gateway>,
    surface: Surface,
    head: Parts,
    body: Incoming,
    lot: u32,
    mut account: Box<Account>,
    streams: Arc<AtomicBool>,
) -> (Box<Account>, Result<Answered, Refusal>) {
    let outcome = async {
        let headers = &head.headers;
        hops::check(headers)?;
        let live = gateway.live.load_full();
        let mut caller = Arc::new(authenticate(&head, &live, &gateway.config.trust_domain, unix_s())?);
        account.called_by(&caller);
        let hostname = hostname(&head);
        if caller.kind == CallerKind::Anonymous && !live.table.admits_anonymous(hostname.as_deref()) {
            return Err(no_credential(headers));
        }
        account.held = gateway.memory.hold(&caller.namespace);
        let body = receive(body, headers, gateway.config.max_body_bytes, &mut account.held).await?;
        overload::admit(&gateway, caller.priority, lot, Sender::Namespace(Holder::of(&*caller.namespace).number()))?;
        let call = Call::read(surface.dialect(), &body)?;
        account.named(&call);
        streams.store(call.stream, Ordering::Relaxed);
        let facts = Facts { caller: &caller, hostname: hostname.as_deref(), model: &call.model };
        let route = live.table.matching(&facts)?;
        if route.tell(&mut caller, |name| header(headers, name)) {
            account.called_for(&caller);
        }
        account.routed(route, &call.model);
        if route.targets.iter().any(|target| !call.passes_to(target.provider.dialect())) {
            account.held.grow_in_time(body.len() * (1 + TRANSLATED)).await?;
        }
        let said = |name: &str| header(headers, name);
        let asked = Asked {
            caller: &caller,
            route,
            model: route.model(&call.model),
            only: None,
            input: call.input,
            max_output: call.max_output,
            choices: call.choices,
            predicted: call.predicted,
            service_tier: &call.service_tier,
            counts_only: surface == Surface::CountTokens,
            dialect: call.dialect,
            header: &said,
        };
        let secured = Funds::secure(&gateway.ledger, &live, asked, surface.dialect(), &mut account.told).await;
        let only = secured.as_ref().ok().and_then(|funds| funds.only.as_deref());
        explain::tell(&gateway, &live, &Asked { only, ..asked }, headers, &mut account.told.headers);
        account.funds = Some(secured?);
        Attempts::new(&gateway, &live, surface, &call, &body, asked, headers).run(&mut account).await
    }
    .await;
    // The request is not needed any more; a stream may go on for long.
    account.held.shrink(0);
    (account, outcome)
}

/// The one value of a header; several say nothing, since they may have been added on the way.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then(|| value.to_owned())
}

/// What a caller hears who needs a credential and brought none.
fn no_credential(headers: &HeaderMap) -> Refusal {
    let mut refusal = weir_policy::unauthenticated();
    if !has_credential(headers) {
        refusal.message = format!("no credential was sent: {}", weir_policy::SEND_CREDENTIAL);
    }
    refusal
}

/// The client's answer, with the headers that say how it came about.
fn finish(
    gateway: &Gateway,
    listener: Listener,
    mut account: Box<Account>,
    outcome: Result<Answered, Refusal>,
) -> Response<Body> {
    let mut told = std::mem::take(&mut account.told.headers);
    told.reserve(12);
    tell_request_id(&mut told, listener.dialect, &listener.request_id);
    if account.record.attempts > 0 {
        told.insert(ATTEMPTS, HeaderValue::from(account.record.attempts));
    }
    if !gateway.config.hide_targets {
        account.record.route.iter().for_each(|route| tell(&mut told, ROUTE, &route.id.joined()));
        account.record.provider.iter().for_each(|provider| tell(&mut told, TARGET, &provider.id.joined()));
    }
    if account.tells_loss() {
        tell(&mut told, LOSS, &account.record.loss.names().collect::<Vec<_>>().join(", "));
    }
    account.told.degraded_by.iter().for_each(|budget| tell(&mut told, DEGRADED_BY, &budget.to_string()));
    match outcome {
        Err(refusal) => {
            account.refused(&refusal, listener.dialect);
            let mut response = refusal::respond(&refusal, listener.dialect, &listener.request_id);
            response.headers_mut().extend(told);
            response
        }
        Ok(Answered::Stream { relay, watch }) => {
            event_stream(told, Stream::relaying(relay, account, watch, listener, gateway))
        }
        Ok(Answered::Whole { bytes, held, upstream_id }) => {
            if let Some(id) = upstream_id {
                told.insert(UPSTREAM_REQUEST_ID, id);
            }
            json(told, Body::whole_held(bytes, held))
        }
        Ok(Answered::Estimate(bytes)) => {
            tell(&mut told, USAGE_SOURCE, "estimated");
            json(told, Body::whole(bytes))
        }
    }
}

fn tell(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

fn event_stream(headers: HeaderMap, stream: Stream) -> Response<Body> {
    answered(headers, "text/event-stream; charset=utf-8", Body::Stream(Box::new(stream)))
}

fn json(headers: HeaderMap, body: Body) -> Response<Body> {
    answered(headers, "application/json", body)
}

fn answered(mut headers: HeaderMap, content_type: &'static str, body: Body) -> Response<Body> {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}

/// `GET /v1/models` and, with an id, `GET /v1/models/{id}`.
fn models(gateway: &Gateway, head: &Parts, peer: Holder) -> Response<Body> {
    let dialect = dialect_of(head.uri.path(), &head.headers);
    let id = head.uri.path().strip_prefix("/v1/models/");
    let mut account = Account::open(&gateway.telemetry, gateway.memory.hold(""), "/v1/models");
    account.record.peer = peer.number();
    let live = gateway.live.load();
    let answer = authenticate(head, &live, &gateway.config.trust_domain, unix_s()).map(Arc::new).and_then(|caller| {
        account.called_by(&caller);
        overload::admit(gateway, caller.priority, fastrand::u32(..), Sender::Peer(peer.number()))?;
        let hostname = hostname(head);
        let Some(id) = id else {
            let page = page(head.uri.query().unwrap_or_default())?;
            return Ok(dialect.encode_models(&live.table.models(&caller, hostname.as_deref()), &page));
        };
        let id = decoded(id);
        let model = live.table.model(&caller, hostname.as_deref(), &id);
        model.map(|model| dialect.encode_model(&model)).ok_or_else(|| {
            let named: String = id.chars().take(128).collect();
            let message = format!("the model {named:?} does not exist here, or this credential may not use it");
            let refusal = Refusal::new(404, ErrorType::NotFound, "model_not_found", message);
            Refusal { param: Some("model".into()), ..refusal }
        })
    });
    let mut response = match answer {
        Ok(bytes) => {
            account.answered(200);
            json(HeaderMap::new(), Body::whole(bytes))
        }
        Err(refusal) => {
            account.refused(&refusal, dialect);
            refusal::respond(&refusal, dialect, &account.record.request_id)
        }
    };
    tell_request_id(response.headers_mut(), dialect, &account.record.request_id);
    response
}

fn page(query: &str) -> Result<Page, Refusal> {
    let members = query.split('&').filter_map(|member| member.split_once('='));
    Page::read(members.map(|(name, value)| (name, decoded(value))))
}

/// A part of a URI without its percent-encoding.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The host that the client meant, of the request target or else the `host` header: lower case, without port and without
/// the dot of a fully qualified name.
fn hostname(head: &Parts) -> Option<String> {
    let host = match head.uri.host() {
        Some(host) => host,
        None => {
            let host = head.headers.get(HOST)?.to_str().ok()?;
            match host.rsplit_once(':') {
                Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
                _ => host,
            }
        }
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some(host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase())
}
