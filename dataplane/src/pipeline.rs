//! A request, top to bottom, on one screen.
//!
//! The table is loaded once and held to the end; each stage needs what the one before it gave.

use crate::account::Account;
use crate::authenticate::authenticate;
use crate::body::Body;
use crate::clock::unix_s;
use crate::config::Limits;
use crate::gateway::Gateway;
use crate::live::Live;
use crate::receive::receive;
use crate::refusal;
use crate::relay::{Answered, Job, Reader, Relay, Stream, StreamLimits, Watch};
use crate::upstream::{Answer, Outgoing, send};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use weir_dialect::openai::{Call, ErrorBody, Reply, encode_model, encode_models, read_reply};
use weir_dialect::{ErrorType, Refusal};
use weir_policy::{
    Caller, Credential, Facts, Failure, FailureKind, Plan, Route, Step, Target, classify_error, classify_status,
};

/// What one attempt got.
enum Got {
    Whole { bytes: Bytes, upstream_id: Option<HeaderValue> },
    Stream(Box<Relay>),
}

/// Answers any request.
pub(crate) async fn answer(gateway: Arc<Gateway>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    if head.uri.path_and_query().is_some_and(|target| target.as_str().len() > Limits::URI_BYTES) {
        let message = format!("the request target is over {} bytes", Limits::URI_BYTES);
        return refusal::respond(&Refusal::new(414, ErrorType::InvalidRequest, "uri_too_long", message));
    }
    match (&head.method, path) {
        (&Method::POST, "/v1/chat/completions") => {
            chat(gateway, head.uri.host().map(str::to_owned), head.headers, body).await
        }
        (&Method::GET, "/v1/models") => models(&gateway, &head.headers, None),
        (&Method::GET, path) if path.starts_with("/v1/models/") => {
            models(&gateway, &head.headers, path.strip_prefix("/v1/models/"))
        }
        (_, "/v1/chat/completions" | "/v1/models") => {
            let message =
                format!("{} does not answer {}; use POST for chat completions, GET for models", path, head.method);
            refusal::respond(&Refusal::new(405, ErrorType::InvalidRequest, "method_not_allowed", message))
        }
        _ => {
            let message = "there is nothing at this path; Weir answers POST /v1/chat/completions, GET /v1/models and GET /v1/models/{id}";
            refusal::respond(&Refusal::new(404, ErrorType::NotFound, "not_found", message))
        }
    }
}

async fn chat(gateway: Arc<Gateway>, host: Option<String>, headers: HeaderMap, body: Incoming) -> Response<Body> {
    let account = Account::open(&gateway.telemetry, "/v1/chat/completions");
    let streams = Arc::new(AtomicBool::new(false));
    let mut job: Job = Box::pin(work(Arc::clone(&gateway), host, headers, body, account, Arc::clone(&streams)));
    let (account, outcome) = match tokio::time::timeout(Limits::HEAD_HOLD, &mut job).await {
        Ok(done) => done,
        Err(_) if streams.load(Ordering::Relaxed) => return event_stream(Stream::waiting(job, &gateway)),
        Err(_) => job.await,
    };
    finish(&gateway, account, outcome)
}

/// Everything up to the first content of an answer.
async fn work(
    gateway: Arc<Gateway>,
    host: Option<String>,
    headers: HeaderMap,
    body: Incoming,
    mut account: Account,
    streams: Arc<AtomicBool>,
) -> (Account, Result<Answered, Refusal>) {
    let outcome = async {
        let live = gateway.live.load_full();
        let caller = authenticate(&headers, &live.table, &live.verifier, unix_s())?;
        account.called_by(&caller);
        let body = receive(body, &headers, gateway.config.max_body_bytes).await?;
        let call = Call::read(&body)?;
        account.named(&call.model, call.stream, call.prompt_bytes);
        streams.store(call.stream, Ordering::Relaxed);
        let hostname = host.or_else(|| hostname(&headers));
        let route =
            matching(&live, &Facts { caller: &caller, hostname: hostname.as_deref(), model: &call.model }, &headers)?;
        account.routed(route, &call.model);
        Attempts { gateway: &gateway, live: &live, route, call: &call, body: &body, headers: &headers }
            .run(&mut account)
            .await
    }
    .await;
    (account, outcome)
}

/// A caller without a credential is told to bring one, unless there are models for such callers too.
fn matching<'l>(live: &'l Live, facts: &Facts<'_>, headers: &HeaderMap) -> Result<&'l Arc<Route>, Refusal> {
    live.table.matching(facts).map_err(|unknown| {
        let nobody = *facts.caller == Caller::anonymous();
        if !nobody || !live.table.models(facts.caller, facts.hostname).is_empty() {
            return unknown;
        }
        let mut refusal = weir_policy::unauthenticated();
        if !headers.contains_key(hyper::header::AUTHORIZATION) {
            refusal.message = format!("no credential was sent: {}", weir_policy::SEND_CREDENTIAL);
        }
        refusal
    })
}

/// The attempts at one request.
struct Attempts<'a> {
    gateway: &'a Arc<Gateway>,
    live: &'a Arc<Live>,
    route: &'a Arc<Route>,
    call: &'a Call<'a>,
    body: &'a Bytes,
    headers: &'a HeaderMap,
}

impl Attempts<'_> {
    async fn run(&self, account: &mut Account) -> Result<Answered, Refusal> {
        let clock = self.gateway.clock;
        let now = clock.now();
        let limit = if self.call.stream { Limits::STREAM_MS } else { Limits::REQUEST_MS };
        let deadline = now + self.route.data.timeouts.request_ms.unwrap_or(limit);
        // Six bytes a token is more than any tokenizer needs, so that nothing is refused that would have fit.
        let needs = ((self.call.prompt_bytes / 6) as u64, self.call.max_output);
        let client_retries = self.headers.get("x-stainless-retry-count").is_some_and(|count| count != "0");
        let mut plan = Plan::new(self.route, self.route.model(&self.call.model), needs, client_retries, now, deadline)?;
        loop {
            match plan.next(clock.now(), fastrand::u64(..)) {
                Step::Refuse(refusal) => return Err(refusal),
                Step::Attempt { target, credential, wait_ms } => {
                    if wait_ms > 0 {
                        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                    }
                    let name = credential.map(|held| held.name.clone()).unwrap_or_default();
                    let mut watch = Watch::new(Arc::clone(&target.health), target.provider.data.health, name);
                    match self.attempt(target, credential, deadline, account).await {
                        Ok(Got::Stream(relay)) => return Ok(Answered::Stream { relay, watch }),
                        Ok(Got::Whole { bytes, upstream_id }) => {
                            watch.succeeded(&clock);
                            return Ok(Answered::Whole { bytes, upstream_id });
                        }
                        Err(failure) => {
                            watch.failed(&failure, &clock);
                            self.failed(&mut plan, target, credential, failure, account);
                        }
                    }
                }
            }
        }
    }

    async fn attempt(
        &self,
        target: &Target,
        credential: Option<&Credential>,
        deadline: u64,
        account: &mut Account,
    ) -> Result<Got, Failure> {
        let clock = self.gateway.clock;
        let named = self.route.model(&self.call.model);
        let upstream_model = target.upstream_model(named).unwrap_or(named);
        account.attempted(target, upstream_model, named);
        let model = Bytes::from(serde_json::Value::from(upstream_model).to_string());
        let pieces = self.call.patched(self.body, &model, &target.defaults, &target.overrides);
        let origin = self.live.origins.get(&target.provider.id);
        let origin =
            origin.ok_or_else(|| Failure::local(FailureKind::Connect, "the provider has no usable endpoint"))?;
        let limits = Timeouts::of(self.route, target, clock.now(), deadline);
        let outgoing = Outgoing {
            path: "/chat/completions",
            pieces: &pieces,
            model: upstream_model,
            stream: self.call.stream,
            prompt_bytes: self.call.prompt_bytes,
            credential,
            caller: self.headers,
        };
        let rules = self.live.table.settings();
        let answer = async {
            let answer = check(send(origin, &outgoing, rules, limits.connect, fastrand::u64(..)).await?).await?;
            if let Some(credential) = credential {
                credential.health.accepted();
            }
            if self.call.stream {
                let stream = StreamLimits {
                    idle: limits.idle,
                    semantic: Duration::from_millis(Limits::SEMANTIC_IDLE_MS),
                    deadline: clock.at(limits.attempt),
                };
                let reader = Reader::new(answer.source, !self.call.wants_usage, stream);
                return reader.begin(account).await.map(|relay| Got::Stream(Box::new(relay)));
            }
            whole(answer, account).await
        };
        let by = if self.call.stream { limits.first_token.min(limits.attempt) } else { limits.attempt };
        let answered = tokio::time::timeout_at(clock.at(by), answer).await;
        let answered = answered
            .unwrap_or_else(|_| Err(Failure::local(FailureKind::Timeout, "no answer of the provider in time")))?;
        account.answering();
        Ok(answered)
    }

    fn failed(
        &self,
        plan: &mut Plan<'_>,
        target: &Target,
        credential: Option<&Credential>,
        failure: Failure,
        account: &mut Account,
    ) {
        let (now, draw) = (self.gateway.clock.now(), fastrand::u64(..));
        if let Some(credential) = credential {
            credential.health.failed(&failure, now);
        }
        account.attempt_failed(&failure);
        plan.failed(target, credential, failure, now, draw);
    }
}

/// When what must have happened, on the clock's scale.
struct Timeouts {
    connect: Duration,
    first_token: u64,
    idle: Duration,
    attempt: u64,
}

impl Timeouts {
    /// The route's, else the provider's, else the built-in ones; never past the request's deadline.
    fn of(route: &Route, target: &Target, now: u64, deadline: u64) -> Self {
        let (of_route, of_provider) = (&route.data.timeouts, &target.provider.data.timeouts);
        let first_token = of_route.first_token_ms.or(of_provider.first_token_ms).unwrap_or(Limits::FIRST_TOKEN_MS);
        let idle = of_route.stream_idle_ms.or(of_provider.stream_idle_ms).unwrap_or(Limits::STREAM_IDLE_MS);
        let attempt = of_route.attempt_ms.or(of_provider.attempt_ms).map_or(deadline, |ms| now + ms);
        Self {
            connect: Duration::from_millis(of_provider.connect_ms.unwrap_or(Limits::CONNECT_MS)),
            first_token: now + first_token,
            idle: Duration::from_millis(idle),
            attempt: attempt.min(deadline),
        }
    }
}

/// An unsuccessful status is a failure, told by its body.
async fn check(answer: Answer) -> Result<Answer, Failure> {
    if (200..300).contains(&answer.status) {
        return Ok(answer);
    }
    let body = answer.source.collect(Limits::ERROR_BYTES).await.unwrap_or_default();
    Err(classify_status(answer.status, ErrorBody::read(&body), answer.retry_after_ms))
}

async fn whole(answer: Answer, account: &mut Account) -> Result<Got, Failure> {
    let upstream_id = answer.request_id;
    let bytes = answer.source.collect(Limits::ANSWER_BYTES).await?;
    let reply = read_reply(&bytes)
        .map_err(|e| Failure::local(FailureKind::Malformed, format!("the answer is not one: {e}")))?;
    match reply {
        Reply::Error(body) => Err(classify_error(body)),
        Reply::Answer(usage) => {
            account.tally().usage = usage;
            Ok(Got::Whole { bytes, upstream_id })
        }
    }
}

/// The client's answer, with the headers that say how it came about.
fn finish(gateway: &Gateway, mut account: Account, outcome: Result<Answered, Refusal>) -> Response<Body> {
    let mut told = HeaderMap::with_capacity(8);
    let mut tell = |name: &'static str, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            told.insert(name, value);
        }
    };
    tell("x-weir-request-id", &account.record.request_id);
    tell("x-request-id", &account.record.request_id);
    if account.record.attempts > 0 {
        tell("x-weir-attempts", &account.record.attempts.to_string());
    }
    if !gateway.config.hide_targets {
        account.record.route.iter().for_each(|route| tell("x-weir-route", &route.to_string()));
        account.record.provider.iter().for_each(|provider| tell("x-weir-target", &provider.to_string()));
    }
    let mut response = match outcome {
        Err(refusal) => {
            account.refused(&refusal);
            refusal::respond(&refusal)
        }
        Ok(Answered::Stream { relay, watch }) => event_stream(Stream::relaying(relay, account, watch, gateway)),
        Ok(Answered::Whole { bytes, upstream_id }) => {
            if let Some(id) = upstream_id {
                told.insert("x-weir-upstream-request-id", id);
            }
            json(bytes)
        }
    };
    response.headers_mut().extend(told);
    response
}

fn event_stream(stream: Stream) -> Response<Body> {
    let mut response = Response::new(Body::Stream(Box::new(stream)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn json(bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::whole(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `GET /v1/models` and, with an id, `GET /v1/models/{id}`.
fn models(gateway: &Gateway, headers: &HeaderMap, id: Option<&str>) -> Response<Body> {
    let mut account = Account::open(&gateway.telemetry, "/v1/models");
    let live = gateway.live.load();
    let answer = authenticate(headers, &live.table, &live.verifier, unix_s()).and_then(|caller| {
        account.called_by(&caller);
        let hostname = hostname(headers);
        let Some(id) = id else { return Ok(encode_models(&live.table.models(&caller, hostname.as_deref()))) };
        let model = live.table.model(&caller, hostname.as_deref(), id);
        model.map(|model| encode_model(&model)).ok_or_else(|| {
            let message = format!(
                "the model {:?} does not exist here, or this credential may not use it",
                id.chars().take(128).collect::<String>()
            );
            Refusal {
                param: Some("model".into()),
                ..Refusal::new(404, ErrorType::NotFound, "model_not_found", message)
            }
        })
    });
    match answer {
        Ok(bytes) => {
            account.answered(200);
            json(bytes)
        }
        Err(refusal) => {
            account.refused(&refusal);
            refusal::respond(&refusal)
        }
    }
}

/// The host that the client meant, lower case, without port.
fn hostname(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let name = if host.starts_with('[') {
        host.split_once(']').map_or(host, |(name, _)| name)
    } else {
        host.split(':').next()?
    };
    Some(name.to_ascii_lowercase())
}
