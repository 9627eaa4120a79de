//! One attempt: the request to the upstream, and the head of its answer.

use super::connection::{is_left_out, of_http2};
use super::encoding::Encoding;
use super::mock::Question;
use super::origin::{Network, Origin};
use super::pieces::Pieces;
use super::source::{LeaseOf, Source};
use crate::clock::unix;
use crate::hops;
use bytes::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    USER_AGENT,
};
use hyper::{Method, Request};
use std::sync::Arc;
use std::time::Duration;
use weir_dialect::{Dialect, LONGEST_WAIT_MS, Left, retry_after_ms};
use weir_policy::{Credential, Failure, FailureKind};
use weir_snapshot::{Headers, Settings};

pub(super) const AGENT: &str = concat!("weir/", env!("CARGO_PKG_VERSION"));
/// Headers of the caller that go upstream, the last to Anthropic alone: which betas the request is written for.
const TRACE: [HeaderName; 2] = [HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate")];
const BETAS: HeaderName = HeaderName::from_static("anthropic-beta");
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));

/// What is sent.
pub(crate) struct Outgoing<'a> {
    /// What the provider speaks.
    pub(crate) dialect: Dialect,
    /// Path below the base URL.
    pub(crate) path: &'static str,
    /// The body.
    pub(crate) pieces: &'a [Bytes],
    /// The provider's name of the model, for the mock.
    pub(crate) model: &'a str,
    /// Whether a stream is asked for.
    pub(crate) stream: bool,
    /// Tokens of the input, roughly, for the mock's usage.
    pub(crate) input_tokens: u64,
    /// The secret.
    pub(crate) credential: Option<&'a Credential>,
    /// The provider's changes to the head.
    pub(crate) headers: &'a Headers,
    /// The caller's head, and what the caller speaks.
    pub(crate) caller: &'a HeaderMap,
    pub(crate) caller_dialect: Dialect,
}

/// The head of an upstream's answer, its body yet to be read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after_ms: Option<u64>,
    /// What the provider says is left of its own rates.
    pub(crate) rates: [Option<Left>; 4],
    /// The provider's own id of the request.
    pub(crate) request_id: Option<HeaderValue>,
    pub(crate) source: Source,
}

/// Sends and waits for the head; the caller bounds the wait. It says `sent` when the upstream may have seen the request
/// from then on.
pub(crate) async fn send(
    origin: &Arc<Origin>,
    outgoing: &Outgoing<'_>,
    rules: &Settings,
    connect: Duration,
    draw: u64,
    sent: impl FnOnce(),
) -> Result<Answer, Failure> {
    let network = match &**origin {
        Origin::Mock(mock) => {
            let Outgoing { model, stream, input_tokens, .. } = *outgoing;
            sent();
            let (status, answer) = mock.answer(&Question { model, stream, input_tokens }).await;
            return Ok(Answer {
                status,
                retry_after_ms: None,
                rates: [None; 4],
                request_id: None,
                source: Source::Mock(Box::new(answer)),
            });
        }
        Origin::Network(network) => network,
    };
    let mut lease = network.lease(rules, connect, draw).await?;
    let request = request(network, outgoing, lease.is_h2())?;
    sent();
    let response = lease.send(request).await.map_err(|mut e| {
        let unprocessed = e.take_message().is_some() || is_refused(e.error());
        let kind = if unprocessed { FailureKind::Unprocessed } else { FailureKind::Reset };
        Failure::local(kind, format!("the connection to {} broke: {}", network.authority, e.error()))
    })?;
    let (head, body) = response.into_parts();
    Ok(Answer {
        status: head.status.as_u16(),
        retry_after_ms: if head.status.is_success() { None } else { retry_after(&head.headers) },
        rates: rates(outgoing.dialect, &head.headers),
        request_id: head.headers.get(request_id(outgoing.dialect)).cloned(),
        source: Source::Network {
            body,
            lease: Some(LeaseOf { lease, origin: Arc::clone(origin) }),
            encoding: Encoding::of(&head.headers),
        },
    })
}

fn request(network: &Network, outgoing: &Outgoing<'_>, h2: bool) -> Result<Request<Pieces>, Failure> {
    let wrong =
        |e: &dyn std::fmt::Display| Failure::local(FailureKind::Connect, format!("the request cannot be built: {e}"));
    let mut request = Request::new(Pieces::new(outgoing.pieces));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = network.uri(outgoing.path, h2).map_err(|e| wrong(&e))?;
    let headers = request.headers_mut();
    if !h2 {
        headers.insert(HOST, network.host.clone());
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        ACCEPT,
        HeaderValue::from_static(if outgoing.stream { "text/event-stream" } else { "application/json" }),
    );
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    for name in TRACE {
        if let Some(value) = outgoing.caller.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if outgoing.dialect == Dialect::Anthropic {
        // Whoever speaks this dialect says of which version its request is.
        let said = outgoing.caller.get(VERSION.0).filter(|_| outgoing.caller_dialect == Dialect::Anthropic);
        headers.insert(VERSION.0, said.cloned().unwrap_or(VERSION.1));
        for betas in outgoing.caller.get_all(BETAS) {
            headers.append(BETAS, betas.clone());
        }
    }
    change(headers, outgoing.headers);
    hops::count(outgoing.caller, headers);
    if let Some(credential) = outgoing.credential {
        let (name, value) = secret(outgoing.dialect, credential)?;
        headers.insert(name, value);
    }
    Ok(request)
}

/// As the provider's definition says; what names and values may be, its compilation has made sure of.
fn change(headers: &mut HeaderMap, changes: &Headers) {
    for name in &changes.remove {
        headers.remove(name.as_str());
    }
    for (name, value) in &changes.set {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
}

fn secret(dialect: Dialect, credential: &Credential) -> Result<(HeaderName, HeaderValue), Failure> {
    let secret = credential.secret.expose();
    let (name, value) = match dialect {
        Dialect::OpenAI => (AUTHORIZATION, HeaderValue::from_str(&["Bearer ", secret].concat())),
        Dialect::Anthropic => (API_KEY, HeaderValue::from_str(secret)),
    };
    let mut value = value.map_err(|_| {
        let message = format!("the secret of {} is no header value", credential.name);
        Failure::local(FailureKind::CredentialRejected, message)
    })?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Where the provider puts its own id of a request.
const fn request_id(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAI => "x-request-id",
        Dialect::Anthropic => "request-id",
    }
}

/// The server says that it did nothing with the stream: by refusing it, or by ending the connection before it.
fn is_refused(error: &hyper::Error) -> bool {
    is_left_out(error) || of_http2(error).is_some_and(|e| e.reason() == Some(h2::Reason::REFUSED_STREAM))
}

fn rates(dialect: Dialect, headers: &HeaderMap) -> [Option<Left>; 4] {
    if !headers.keys().any(|name| name.as_str().contains("ratelimit-")) {
        return [None; 4];
    }
    let now_ms = i64::try_from(unix().as_millis()).unwrap_or(i64::MAX);
    dialect.rates_left(|name| headers.get(name)?.to_str().ok(), now_ms)
}

/// When the provider says that trying again makes sense, in milliseconds from now, a day at most.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let now = unix();
    retry_after_ms(text, i64::try_from(now.as_millis()).unwrap_or(i64::MAX)).or_else(|| {
        let date = httpdate::parse_http_date(text(RETRY_AFTER.as_str())?.trim()).ok()?;
        // One in the past means at once.
        let wait = date.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().saturating_sub(now);
        Some(u64::try_from(wait.as_millis()).map_or(LONGEST_WAIT_MS, |ms| ms.min(LONGEST_WAIT_MS)))
    })
}
