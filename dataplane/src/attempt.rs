//! The attempts at one request: a body for each target, sent until one answers.
//!
//! Until the first content nothing has reached the client, so that every failure may be followed by
//! another attempt from the caller's original request.

use crate::account::Account;
use crate::clock::unix_s;
use crate::config::Limits;
use crate::funds::Funds;
use crate::gateway::Gateway;
use crate::live::Live;
use crate::memory::{self, Held, TRANSLATED};
use crate::relay::{Answered, Reader, Relay, StreamLimits, Watch};
use crate::room::Room;
use crate::surface::Surface;
use crate::upstream::{Answer, Origin, Outgoing, send};
use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::Instant;
use weir_dialect::chat::Request;
use weir_dialect::{
    Call, Dialect, ErrorBody, Loss, NoEvent, Refusal, Translation, UpstreamModel, Whole, encode_request, without_betas,
};
use weir_policy::{
    Asked, Credential, Failure, FailureKind, Needs, Plan, Route, Step, Taken, Target, classify_error, classify_status,
    mark_of,
};
use weir_snapshot::OnLoss;

/// How often an official SDK has tried already.
const RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");

/// What one attempt got.
enum Got {
    Whole { bytes: Bytes, held: Held, upstream_id: Option<HeaderValue> },
    Stream(Box<Relay>),
    Estimate(Bytes),
}

/// Where an attempt goes.
struct Tried<'t> {
    target: &'t Target,
    credential: Option<&'t Credential>,
    /// Given back when the attempt ends and nothing was told.
    taken: Taken<'t>,
}

impl Tried<'_> {
    /// Takes what the upstream says of its rates.
    fn learn(&mut self, answer: &Answer, now: u64) {
        self.taken.learn(&answer.rates, is_success(answer.status), now);
    }
}

/// The attempts at one request.
pub(crate) struct Attempts<'a> {
    gateway: &'a Arc<Gateway>,
    live: &'a Arc<Live>,
    route: &'a Arc<Route>,
    surface: Surface,
    call: &'a Call<'a>,
    body: &'a Bytes,
    asked: Asked<'a>,
    headers: &'a HeaderMap,
    /// The request as the chat model has it; decoded when the first target needs that.
    decoded: OnceLock<Result<Request<'a>, Refusal>>,
}

impl<'a> Attempts<'a> {
    pub(crate) const fn new(
        gateway: &'a Arc<Gateway>,
        live: &'a Arc<Live>,
        surface: Surface,
        call: &'a Call<'a>,
        body: &'a Bytes,
        asked: Asked<'a>,
        headers: &'a HeaderMap,
    ) -> Self {
        Self { gateway, live, route: asked.route, surface, call, body, asked, headers, decoded: OnceLock::new() }
    }

    /// Tries targets as the plan says, until one answers or none is left.
    pub(crate) async fn run(&self, account: &mut Account) -> Result<Answered, Refusal> {
        let clock = self.gateway.clock;
        let now = clock.now();
        let limit = if self.call.stream { Limits::STREAM_MS } else { Limits::REQUEST_MS };
        let deadline = now + self.route.data.timeouts.request_ms.unwrap_or(limit);
        let needs = Needs {
            input: self.call.input.least,
            max_output: self.call.max_output,
            max_output_name: self.call.max_output_name(),
            rated: self.surface != Surface::CountTokens,
        };
        let client_retries = self.headers.get(RETRY_COUNT).is_some_and(|count| count != "0");
        let only = account.funds.as_ref().and_then(|funds| funds.only.clone());
        let model = self.route.model(&self.call.model);
        let mut plan = Plan::new(self.route, model, needs, only.as_deref(), client_retries, now, deadline)?;
        let caller = mark_of(self.asked.caller);
        plan.called_by(caller);
        // To count tokens tells nothing of how a target generates, nor of what its account can pay for.
        let tells = self.surface != Surface::CountTokens;
        loop {
            match plan.next(clock.now(), fastrand::u64(..)) {
                Step::Refuse(refusal) => return Err(refusal),
                Step::Attempt { target, credential, wait_ms, taken } => {
                    if wait_ms > 0 {
                        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
                    }
                    let name = credential.map(|held| held.name.clone()).unwrap_or_default();
                    let mut watch = Watch::new(Arc::clone(&target.health), target.provider.data.health, name, caller);
                    let tried = Tried { target, credential, taken };
                    let got = self.attempt(tried, deadline, account).await;
                    if tells && got.is_ok() {
                        credential.iter().for_each(|credential| credential.health.accepted());
                    }
                    match got {
                        Ok(Got::Stream(relay)) => return Ok(Answered::Stream { relay, watch }),
                        Ok(Got::Whole { bytes, held, upstream_id }) => {
                            if tells {
                                watch.succeeded(&clock);
                            }
                            return Ok(Answered::Whole { bytes, held, upstream_id });
                        }
                        Ok(Got::Estimate(bytes)) => return Ok(Answered::Estimate(bytes)),
                        Err(failure) => {
                            let same = target.provider.dialect() == self.call.dialect;
                            let failure = failure.told_in(same);
                            let failure = match credential {
                                Some(credential) => failure.without(credential.secret.expose()),
                                None => failure,
                            };
                            if tells && failure.kind != FailureKind::NotSent {
                                watch.failed(&failure, &clock);
                                let now = clock.now();
                                credential
                                    .iter()
                                    .for_each(|credential| credential.health.failed(&failure, caller, now));
                            }
                            self.failed(&mut plan, target, credential, failure, account);
                        }
                    }
                }
            }
        }
    }

    async fn attempt(&self, tried: Tried<'_>, deadline: u64, account: &mut Account) -> Result<Got, Failure> {
        let Tried { target, credential, .. } = &tried;
        let (target, credential) = (*target, *credential);
        let clock = self.gateway.clock;
        let origin = self.live.origins.get(&target.provider.id);
        let origin =
            origin.ok_or_else(|| Failure::local(FailureKind::Connect, "the provider has no usable endpoint"))?;
        let named = self.route.model(&self.call.model);
        let model = UpstreamModel {
            dialect: target.provider.dialect(),
            vendor: target.provider.is_vendor(),
            name: target.upstream_model(named).unwrap_or(named),
            max_output: target.limits_for(named).max_output,
            origin: origin.seal(),
        };
        if self.surface == Surface::CountTokens && model.dialect != Dialect::Anthropic {
            account.attempted(target, &self.asked, model.name, Loss::default());
            account.answering();
            return Ok(Got::Estimate(self.estimate()));
        }
        let (pieces, loss) = self.body_for(target, &model)?;
        account.attempted(target, &self.asked, model.name, loss);
        let limits = Timeouts::of(self.route, target, clock.now(), deadline);
        let outgoing = Outgoing {
            dialect: model.dialect,
            path: self.surface.upstream_path(model.dialect),
            pieces: &pieces,
            model: model.name,
            stream: self.call.stream,
            input_tokens: self.call.input.likely,
            credential,
            headers: &target.provider.data.headers,
            caller: self.headers,
            caller_dialect: self.call.dialect,
        };
        let translation = Translation {
            from: model.dialect,
            to: self.call.dialect,
            origin: model.origin,
            now_s: u64::try_from(unix_s()).unwrap_or(0),
            wants_usage: self.call.wants_usage,
            seed: fastrand::u64(..),
        };
        account.room = self.room(target, clock.at(deadline)).await?;
        let answer = self.answer(tried, origin, &outgoing, &translation, &limits, account);
        let by = if self.call.stream { limits.first_token.min(limits.attempt) } else { limits.attempt };
        let answered = tokio::time::timeout_at(clock.at(by), answer).await;
        let answered = answered
            .unwrap_or_else(|_| Err(Failure::local(FailureKind::Timeout, "no answer of the provider in time")))?;
        account.answering();
        Ok(answered)
    }

    /// What the provider's own limits leave for this attempt; held until the answer ends.
    async fn room(&self, target: &Target, deadline: Instant) -> Result<Option<Funds>, Failure> {
        let Gateway { ledger, clock, .. } = &**self.gateway;
        let room = Room { ledger, live: self.live, clock: *clock, target, asked: &self.asked };
        room.get(deadline).await.map_err(|met| Failure::not_sent(weir_policy::no_room(&target.provider.id, &met)))
    }

    /// Sends the request and reads its answer, whole or to its first content.
    async fn answer(
        &self,
        mut tried: Tried<'_>,
        origin: &Arc<Origin>,
        outgoing: &Outgoing<'_>,
        translation: &Translation<'_>,
        limits: &Timeouts,
        account: &mut Account,
    ) -> Result<Got, Failure> {
        let rules = self.live.table.settings();
        let sent = || account.sent();
        let answer = send(origin, outgoing, rules, limits.connect, fastrand::u64(..), sent).await?;
        tried.learn(&answer, self.gateway.clock.now());
        let answer = check(answer).await?;
        if self.call.stream {
            let stream = StreamLimits { idle: limits.idle, deadline: self.gateway.clock.at(limits.attempt) };
            let reader = Reader::new(answer.source, translation, stream, account.held.beside());
            let relay = reader.begin(account).await?;
            account.lost(relay.loss());
            return Ok(Got::Stream(Box::new(relay)));
        }
        whole(answer, self.surface, translation, account).await
    }

    /// The body for a target: the caller's with some members replaced, else a translation of it.
    fn body_for(&self, target: &Target, to: &UpstreamModel<'_>) -> Result<(Vec<Bytes>, Loss), Failure> {
        self.call.check(to, &target.provider.data.allowed_request_members).map_err(Failure::not_sent)?;
        let tuned = if target.tunes() && self.surface != Surface::CountTokens {
            let asked = self.call.sampling().map_err(Failure::not_sent)?;
            Some((asked, target.tuned(&asked)))
        } else {
            None
        };
        let patched = self.call.patched(self.body, to, tuned.as_ref().map(|(asked, tuned)| (asked, tuned)));
        let untold = to.dialect == Dialect::Anthropic && target.provider.is_not_told("anthropic-beta");
        if let Some(pieces) = patched {
            // Betas and what they allow go together.
            let left = if untold { without_betas(&pieces.concat().into()) } else { None };
            let Some((pieces, names)) = left else { return Ok((pieces, Loss::default())) };
            let mut loss = Loss::default();
            names.into_iter().for_each(|name| loss.add(name));
            return self.lossy(pieces, loss);
        }
        let request = self.decoded.get_or_init(|| self.call.decode()).as_ref();
        let request = request.map_err(|refusal| Failure::not_sent(refusal.clone()))?;
        let sampling = tuned.map_or(request.sampling, |(_, tuned)| tuned);
        let (body, mut loss) = encode_request(request, &sampling, to).map_err(Failure::not_sent)?;
        if to.dialect != Dialect::Anthropic && self.headers.contains_key("anthropic-beta") {
            loss.add("anthropic-beta");
        }
        self.lossy(vec![body], loss)
    }

    /// A body that says less than the caller's, where the route lets that be.
    fn lossy(&self, pieces: Vec<Bytes>, loss: Loss) -> Result<(Vec<Bytes>, Loss), Failure> {
        if self.route.data.on_loss == OnLoss::Refuse
            && let Some(first) = loss.names().next()
        {
            let names = loss.names().collect::<Vec<_>>().join(", ");
            let message =
                format!("the provider of this route cannot be told {names}, and the route lets nothing be lost");
            let refusal = Refusal::invalid("translation_loss", None, message);
            return Err(Failure::not_sent(Refusal { param: Some(first.to_owned().into()), ..refusal }));
        }
        Ok((pieces, loss))
    }

    /// What the count comes to by size, where the provider does not count.
    fn estimate(&self) -> Bytes {
        format!("{{\"input_tokens\":{}}}", self.call.input.likely).into()
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
        account.attempt_failed(&target.data.name, &failure);
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

const fn is_success(status: u16) -> bool {
    matches!(status, 200..300)
}

/// An unsuccessful status is a failure, told by its body.
async fn check(answer: Answer) -> Result<Answer, Failure> {
    if is_success(answer.status) {
        return Ok(answer);
    }
    let body = answer.source.collect(Limits::ERROR_BYTES, None).await.unwrap_or_default();
    Err(classify_status(answer.status, ErrorBody::read(&body), answer.retry_after_ms))
}

/// A whole answer in the caller's dialect.
async fn whole(
    answer: Answer,
    surface: Surface,
    translation: &Translation<'_>,
    account: &mut Account,
) -> Result<Got, Failure> {
    let upstream_id = answer.request_id;
    let mut held = account.held.beside();
    let bytes = answer.source.collect(Limits::ANSWER_BYTES, Some(&mut held)).await?;
    let bytes = without_mark(bytes);
    let none = |NoEvent(why)| Failure::local(FailureKind::Malformed, format!("the answer is not one: {why}"));
    let read = match surface {
        Surface::CountTokens => Dialect::read_count(&bytes),
        Surface::ChatCompletions | Surface::Messages => translation.from.read_whole(&bytes),
    };
    let (usage, service_tier, text_bytes) = match read.map_err(none)? {
        Whole::Error(body) => return Err(classify_error(body)),
        Whole::Answer { usage, service_tier, text_bytes } => (usage, service_tier, text_bytes),
    };
    let bytes = if translation.from == translation.to {
        bytes
    } else {
        held.grow(bytes.len() * (1 + TRANSLATED)).map_err(memory::failure)?;
        let mut loss = Loss::default();
        let (translated, _) = translation.whole(&bytes, &mut loss).map_err(none)?;
        account.lost(loss);
        held.shrink(translated.len());
        translated
    };
    account.tally().whole(usage, service_tier, text_bytes as u64);
    Ok(Got::Whole { bytes, held, upstream_id })
}

/// Without the mark that some servers put before JSON (U+FEFF).
fn without_mark(bytes: Bytes) -> Bytes {
    if bytes.starts_with(b"\xef\xbb\xbf") { bytes.slice(3..) } else { bytes }
}
