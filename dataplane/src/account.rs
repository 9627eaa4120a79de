//! The account of one request: opened when it arrives, settled exactly once, when this value is dropped.
//!
//! Nothing here waits: a client that leaves at any moment settles by the same drop.

use crate::clock::unix;
use crate::funds::{Funds, Told};
use crate::memory::Held;
use crate::record::{FailedAttempt, Record, usage_record};
use crate::surface::Surface;
use crate::tally::Tally;
use crate::telemetry::Telemetry;
use std::sync::Arc;
use tokio::time::Instant;
use weir_dialect::{Call, Dialect, Loss, Refusal, ServiceTier, Usage, UsageSource};
use weir_policy::{Asked, Bound, Caller, Came, Failure, FailureKind, Route, Target, cost};
use weir_snapshot::{OnLoss, Quote};

/// Status of a request whose client left before an answer.
const CLIENT_CLOSED: u16 = 499;

/// What is kept of the model that a client names.
const MODEL_BYTES: usize = 128;

/// One request's account. Boxed, since it is handed from stage to stage.
pub(crate) struct Account {
    telemetry: Arc<Telemetry>,
    began: Instant,
    pub(crate) record: Record,
    /// Input tokens that it probably needs.
    likely_input: u64,
    /// What it can come to at the target that was tried last.
    bound: Bound,
    /// Output tokens that it may come to there.
    most_output: u64,
    /// The tier of service that this target was asked for.
    asked_tier: ServiceTier,
    tally: Tally,
    /// When the request went to the provider that was tried last, and when that attempt ended without an answer; `None`
    /// where that provider surely did nothing with it.
    sent: Option<Sent>,
    /// Name of the target that was tried last.
    target: String,
    /// The model by the name under which the provider that was tried last lists it.
    model: String,
    /// What it holds of rates and Budgets.
    pub(crate) funds: Option<Funds>,
    /// What it holds of its provider's limits.
    pub(crate) room: Option<Funds>,
    /// What the client is told of them.
    pub(crate) told: Told,
    /// The memory that was taken for the request.
    pub(crate) held: Held,
    /// Whether an answer uses tokens; counting them does not.
    generates: bool,
    /// Whether the route names to the client what was lost.
    reports_loss: bool,
}

/// A request that an upstream may have seen.
#[derive(Clone, Copy)]
struct Sent {
    at: Instant,
    ended: Option<Instant>,
}

impl Account {
    pub(crate) fn open(telemetry: &Arc<Telemetry>, held: Held, path: &'static str) -> Box<Self> {
        telemetry.metrics.in_flight.inc();
        let record = Record {
            time_ms: u64::try_from(unix().as_millis()).unwrap_or(u64::MAX),
            request_id: new_request_id(),
            path,
            unserved: None,
            peer: 0,
            status: CLIENT_CLOSED,
            error_type: None,
            error_in_stream: false,
            caller: None,
            configured: None,
            route: None,
            provider: None,
            request_model: String::new(),
            model_label: "other".to_owned(),
            upstream_model: None,
            stream: false,
            attempts: 0,
            failed_attempts: Vec::new(),
            loss: Loss::default(),
            service_tier: None,
            usage: usage_record(&Usage::default(), UsageSource::None),
            usage_clamped: false,
            cost: None,
            unpriced: false,
            duration_us: 0,
            time_to_first_token_us: None,
        };
        let telemetry = Arc::clone(telemetry);
        Box::new(Self {
            telemetry,
            began: Instant::now(),
            record,
            likely_input: 0,
            bound: Bound::default(),
            most_output: 0,
            asked_tier: ServiceTier::default(),
            tally: Tally::default(),
            sent: None,
            target: String::new(),
            model: String::new(),
            funds: None,
            room: None,
            told: Told::default(),
            held,
            generates: path != Surface::CountTokens.path(),
            reports_loss: true,
        })
    }

    /// Who calls, as far as that follows from the credential.
    pub(crate) fn called_by(&mut self, caller: &Arc<Caller>) {
        self.record.configured = Some(Arc::clone(caller));
        self.called_for(caller);
    }

    /// The same caller, once the route told whom it asks for.
    pub(crate) fn called_for(&mut self, caller: &Arc<Caller>) {
        self.record.caller = Some(Arc::clone(caller));
    }

    pub(crate) fn named(&mut self, call: &Call<'_>) {
        let most = call.model.floor_char_boundary(MODEL_BYTES);
        self.record.request_model = call.model.get(..most).unwrap_or_default().to_owned();
        self.record.stream = call.stream;
        self.likely_input = call.input.likely;
        self.bound = Bound { window: None, choices: call.choices, may_repeat: call.may_repeat };
    }

    pub(crate) fn routed(&mut self, route: &Arc<Route>, model: &str) {
        self.record.route = Some(Arc::clone(route));
        self.reports_loss = route.data.on_loss != OnLoss::CountOnly;
        let configured = route.data.models.iter().find(|held| match held.pattern.strip_suffix('*') {
            Some(prefix) => model.starts_with(prefix),
            None => held.pattern == model,
        });
        if let Some(held) = configured {
            self.record.model_label.clone_from(&held.pattern);
        }
    }

    /// An attempt begins; `loss` is what its request leaves out.
    pub(crate) fn attempted(&mut self, target: &Target, asked: &Asked<'_>, upstream_model: &str, loss: Loss) {
        self.record.loss = loss;
        self.asked_tier = asked.tier_at(target);
        self.record.service_tier = self.asked_tier.name();
        self.bound.window = target.limits_for(asked.model).context_window;
        self.most_output = asked.most_output(target);
        (self.tally, self.sent) = (Tally::default(), None);
        self.record.attempts += 1;
        self.record.provider = Some(Arc::clone(&target.provider));
        self.target.clone_from(&target.data.name);
        self.record.upstream_model = Some(upstream_model.to_owned());
        target.model(asked.model).clone_into(&mut self.model);
    }

    /// The provider may have seen the request from now on: whatever becomes of it, it is settled.
    pub(crate) fn sent(&mut self) {
        self.sent = Some(Sent { at: Instant::now(), ended: None });
    }

    /// More was lost on the way back.
    pub(crate) fn lost(&mut self, loss: Loss) {
        self.record.loss.extend(loss);
    }

    /// Whether the client is told what was lost.
    pub(crate) const fn tells_loss(&self) -> bool {
        self.reports_loss && !self.record.loss.is_empty()
    }

    /// The answer that had begun broke off.
    pub(crate) fn answer_failed(&mut self, failure: &Failure) {
        let target = self.target.clone();
        self.attempt_failed(&target, failure);
    }

    /// An attempt at that target failed.
    pub(crate) fn attempt_failed(&mut self, target: &str, failure: &Failure) {
        let ambiguous = failure.ambiguous() && self.record.status != 200;
        // One that was not sent says nothing of the attempt before.
        if self.record.status != 200 && failure.kind != FailureKind::NotSent {
            self.sent = self.sent.filter(|_| ambiguous).map(|sent| Sent { ended: Some(Instant::now()), ..sent });
        }
        let ambiguous = ambiguous.then_some(self.likely_input);
        self.record.failed_attempts.push(FailedAttempt {
            target: target.to_owned(),
            error: failure.error_type(),
            message: failure.message.clone(),
            ambiguous_input_tokens: ambiguous,
        });
    }

    /// The answer has begun; from here on, whatever ends it, its usage is settled.
    pub(crate) fn answering(&mut self) {
        self.record.status = 200;
        if self.record.stream {
            self.record.time_to_first_token_us = Some(self.elapsed_us());
        }
    }

    pub(crate) const fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// The client hears of a refusal in its dialect.
    pub(crate) fn refused(&mut self, refusal: &Refusal, dialect: Dialect) {
        self.record.error_in_stream = self.record.status == 200;
        if !self.record.error_in_stream {
            self.record.status = dialect.status(refusal);
        }
        self.record.error_type = Some(refusal.code.clone().into_owned());
    }

    pub(crate) fn answered(&mut self, status: u16) {
        self.record.status = status;
    }

    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// What the answer used: as reported at its end, else estimated from what was reported and relayed until then. An
    /// attempt that was sent is settled also where nothing came of it.
    fn settle(&mut self) {
        let Some(sent) = self.sent.filter(|_| self.generates) else { return self.pay(None, None) };
        let said = std::mem::take(&mut self.tally.service_tier);
        self.record.service_tier = said.or(&self.asked_tier).name();
        let unseen_ms = sent.ended.unwrap_or_else(Instant::now).duration_since(sent.at).as_millis();
        let unseen_ms = u64::try_from(unseen_ms).unwrap_or(u64::MAX);
        let (counted, source) = self.tally.count(self.likely_input, unseen_ms, self.most_output);
        let usage = self.bound.believed(&counted);
        let provider = self.record.provider.clone();
        let pricing = provider.as_ref().and_then(|provider| provider.pricing(&self.model));
        let quote = pricing.and_then(|pricing| pricing.quote(self.record.service_tier.as_deref()));
        self.record.usage = usage_record(&usage, source);
        self.record.usage_clamped = usage != counted;
        self.record.unpriced = quote.is_none();
        self.record.cost = quote.map(|quote| cost(&usage, quote));
        self.telemetry.charge(&self.record, &usage, quote);
        self.pay(Some(&usage), quote);
    }

    /// Settles what is held of limits; what was not used comes back.
    fn pay(&mut self, usage: Option<&Usage>, pricing: Option<Quote<'_>>) {
        let provider = self.record.provider.as_ref().map(|provider| &provider.id);
        let came = Came { usage, pricing, provider };
        for funds in [self.funds.take(), self.room.take()].into_iter().flatten() {
            funds.settle(&came);
        }
    }
}

/// An id that the client can quote.
pub(crate) fn new_request_id() -> String {
    let mut id = String::with_capacity(36);
    id.push_str("req_");
    let digits = fastrand::u128(..).to_le_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    id.extend(digits.filter_map(|digit| char::from_digit(digit.into(), 16)));
    id
}

impl Drop for Account {
    fn drop(&mut self) {
        self.record.duration_us = self.elapsed_us();
        self.settle();
        self.telemetry.settle(&self.record);
    }
}
