//! A streamed answer on its way to the client: events pass as they came or translated, usage is tapped, and
//! an end that is none becomes the dialect's error event.
//!
//! The client's disconnect drops this value, and with it the upstream.

use crate::account::Account;
use crate::clock::Clock;
use crate::config::Limits;
use crate::gateway::Gateway;
use crate::joined::Joined;
use crate::memory::{self, Held};
use crate::telemetry::Telemetry;
use crate::upstream::Source;
use bytes::Bytes;
use hyper::header::HeaderValue;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use weir_dialect::sse::{Event, Parser};
use weir_dialect::{
    Chunk, Dialect, ErrorType, Loss, MAX_EVENT_BYTES, NoEvent, Part, Refusal, Stream as Events, Translation,
};
use weir_policy::{Failure, FailureKind, Provider, TargetHealth, classify_error};
use weir_snapshot::Health;

/// Most bytes of events that are passed on as one, give or take the last event.
const GATHER: usize = 8 * 1024;
/// Most bytes of events that wait for the first content: a start with its usage, an empty delta for each choice.
const MOST_HELD: usize = 256 * 1024;

/// Whom an answer is for.
pub(crate) struct Listener {
    pub(crate) dialect: Dialect,
    pub(crate) request_id: String,
}

/// What a request came to.
pub(crate) enum Answered {
    /// A whole answer, the memory that was taken for it, and the provider's id of it.
    Whole { bytes: Bytes, held: Held, upstream_id: Option<HeaderValue> },
    /// A stream that has begun.
    Stream { relay: Box<Relay>, watch: Watch },
    /// A count that no provider gave.
    Estimate(Bytes),
}

/// The work on a request; dropped when the client leaves.
pub(crate) type Job = Pin<Box<dyn Future<Output = (Box<Account>, Result<Answered, Refusal>)> + Send>>;

/// The body of a streamed answer.
pub(crate) struct Stream {
    state: State,
    listener: Listener,
    clock: Clock,
    telemetry: Arc<Telemetry>,
    /// Resolves when the process is about to end.
    farewell: Pin<Box<dyn Future<Output = ()> + Send>>,
}

enum State {
    /// The head is out, the answer has not begun: attempts go on.
    Waiting {
        job: Job,
        keep_alive: Pin<Box<Sleep>>,
    },
    /// The answer passes.
    Relaying {
        relay: Box<Relay>,
        account: Box<Account>,
        watch: Watch,
    },
    Ended,
}

/// A streamed answer that has begun.
pub(crate) struct Relay {
    reader: Reader,
    /// Events that came before the first content, and the first content.
    held: Bytes,
    /// What is told after the events that came before it.
    failed: Option<Failure>,
    timer: Pin<Box<Sleep>>,
    /// When what the client last got had come.
    last_told: Instant,
}

/// Tells a target's health how an attempt went; dropped untold, the client left, or nothing is to be learnt.
pub(crate) struct Watch {
    target: Arc<TargetHealth>,
    config: Health,
    credential: String,
    caller: u64,
    told: bool,
}

/// Reads a streamed answer event by event.
pub(crate) struct Reader {
    source: Source,
    parser: Parser,
    events: Events,
    /// The memory of an event that waits for its rest, and of what a translation holds back.
    memory: Held,
    limits: StreamLimits,
    /// What the client gets after a while without anything else. `None` where both speak the same dialect: then the
    /// provider's own signs of life are passed on.
    keep_alive: Option<&'static [u8]>,
    begun: bool,
    finished: bool,
    done: bool,
    last_read: Instant,
}

/// Time limits of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamLimits {
    /// Between two reads: any bytes show that the provider lives, those of pings and comments too.
    pub(crate) idle: Duration,
    pub(crate) deadline: Instant,
}

/// An event as it goes on, and what was in it.
struct Passed {
    bytes: Option<Bytes>,
    part: Option<Part>,
}

impl Reader {
    pub(crate) fn new(source: Source, translation: &Translation<'_>, limits: StreamLimits, memory: Held) -> Self {
        let parser = Parser::new(MAX_EVENT_BYTES);
        Self {
            source,
            parser,
            events: Events::new(translation),
            memory,
            limits,
            keep_alive: (translation.from != translation.to).then(|| translation.to.keep_alive()),
            begun: false,
            finished: false,
            done: false,
            last_read: Instant::now(),
        }
    }

    /// Reads up to the first content; the caller bounds the wait. Until then a failure costs the client nothing.
    pub(crate) async fn begin(mut self, account: &mut Account) -> Result<Relay, Failure> {
        let mut held = Joined::default();
        while !self.begun {
            let event = std::future::poll_fn(|cx| self.poll_event(cx)).await?;
            let Some(passed) = event else {
                let why = "the stream ended before any content";
                return Err(Failure::local(FailureKind::Malformed, why));
            };
            // A comment keeps a connection alive; here it would only wait.
            if passed.part.is_none() && !self.begun {
                continue;
            }
            tally(account, passed.part);
            passed.bytes.into_iter().for_each(|bytes| held.push(bytes, None));
            if !self.begun && held.len() > MOST_HELD {
                let why = format!("over {MOST_HELD} bytes of events came before any content");
                return Err(Failure::local(FailureKind::Malformed, why));
            }
        }
        let now = Instant::now();
        let mut relay = Relay {
            timer: Box::pin(tokio::time::sleep_until(now)),
            reader: self,
            held: held.into_bytes(),
            failed: None,
            last_told: now,
        };
        relay.set_timer();
        Ok(relay)
    }

    /// The next event; `None` at the orderly end.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Passed>, Failure>> {
        loop {
            if self.done {
                // The body's end, which as a rule comes with the last event, gives the connection back.
                let _ = self.source.poll_chunk(cx);
                return Poll::Ready(Ok(None));
            }
            match self.parser.next_event() {
                Some(Ok(event)) => return Poll::Ready(self.pass(event).map(Some)),
                Some(Err(_)) => {
                    let why = format!("an event of the stream is over {MAX_EVENT_BYTES} bytes");
                    return Poll::Ready(Err(Failure::local(FailureKind::Malformed, why)));
                }
                None => {}
            }
            match ready!(self.source.poll_chunk(cx)) {
                Some(chunk) => {
                    self.last_read = Instant::now();
                    let chunk = chunk?;
                    let waiting = self.parser.held() + self.events.held() + chunk.len();
                    self.memory.follow(waiting).map_err(memory::failure)?;
                    self.parser.feed(chunk);
                }
                None => return Poll::Ready(self.end()),
            }
        }
    }

    /// The upstream closed: good only after a finish reason or `[DONE]`. A last event without its blank line
    /// counts if it is whole; a body that is no stream of events is read as a whole answer.
    fn end(&mut self) -> Result<Option<Passed>, Failure> {
        let is_whole = |event: &Event| event.whole || event.data.as_ref().is_some_and(|data| Events::is_whole(data));
        if let Some(event) = self.parser.finish().filter(is_whole) {
            return self.pass(event).map(Some);
        }
        if !self.finished {
            return Err(Failure::local(FailureKind::Reset, "the stream ended before its finish reason"));
        }
        self.done = true;
        let end = self.events.end().map_err(no_event)?;
        Ok(Some(Passed { bytes: Some(end), part: None }))
    }

    fn pass(&mut self, event: Event) -> Result<Passed, Failure> {
        let (bytes, chunk) = self.events.pass(event, self.begun).map_err(no_event)?;
        match chunk {
            Chunk::Nothing => Ok(Passed { bytes, part: None }),
            Chunk::Error(body) => Err(classify_error(body).told_in(self.keep_alive.is_none())),
            Chunk::Done(part) if !self.begun && !part.content => {
                Err(Failure::local(FailureKind::Malformed, "the stream ended before any content"))
            }
            Chunk::Done(part) => {
                (self.begun, self.done) = (true, true);
                Ok(Passed { bytes, part: Some(part) })
            }
            Chunk::Part(part) => {
                self.begun |= part.content || part.finish;
                self.finished |= part.finish;
                Ok(Passed { bytes, part: Some(part) })
            }
        }
    }

    fn due(&self) -> Instant {
        (self.last_read + self.limits.idle).min(self.limits.deadline)
    }

    fn overdue(&self, now: Instant) -> Option<Failure> {
        (now >= self.due()).then(|| {
            let why =
                if now >= self.limits.deadline { "the request's time limit passed" } else { "the stream stood still" };
            Failure::local(FailureKind::Timeout, why)
        })
    }
}

impl Relay {
    /// The next bytes: all events that are at hand, so that a burst costs the client's connection one write. Where there
    /// is none for long, a keep-alive.
    fn poll_events(&mut self, cx: &mut Context<'_>, account: &mut Account) -> Poll<Result<Option<Bytes>, Failure>> {
        let polled = self.poll_gathered(cx, account);
        if let Poll::Ready(Ok(Some(_))) = &polled {
            self.last_told = self.last_told.max(self.reader.last_read);
        }
        polled
    }

    fn poll_gathered(&mut self, cx: &mut Context<'_>, account: &mut Account) -> Poll<Result<Option<Bytes>, Failure>> {
        if !self.held.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.held))));
        }
        // A provider that never pauses is overdue all the same.
        if let Some(failure) = self.failed.take().or_else(|| self.reader.overdue(self.reader.last_read)) {
            return Poll::Ready(Err(failure));
        }
        let mut gathered = Joined::default();
        loop {
            match self.reader.poll_event(cx) {
                Poll::Ready(Ok(Some(passed))) => {
                    tally(account, passed.part);
                    passed.bytes.into_iter().for_each(|bytes| gathered.push(bytes, None));
                    if gathered.len() >= GATHER {
                        return Poll::Ready(Ok(Some(gathered.into_bytes())));
                    }
                }
                Poll::Ready(Ok(None)) if gathered.len() == 0 => return Poll::Ready(Ok(None)),
                Poll::Ready(Err(failure)) if gathered.len() == 0 => return Poll::Ready(Err(failure)),
                Poll::Ready(ended) => {
                    self.failed = ended.err();
                    return Poll::Ready(Ok(Some(gathered.into_bytes())));
                }
                Poll::Pending if gathered.len() > 0 => return Poll::Ready(Ok(Some(gathered.into_bytes()))),
                Poll::Pending => {
                    ready!(self.timer.as_mut().poll(cx));
                    let now = Instant::now();
                    if let Some(failure) = self.reader.overdue(now) {
                        return Poll::Ready(Err(failure));
                    }
                    let quiet = self.reader.keep_alive.filter(|_| now >= self.last_told + Limits::HEAD_HOLD);
                    if let Some(keep_alive) = quiet {
                        self.last_told = now;
                        self.set_timer();
                        return Poll::Ready(Ok(Some(Bytes::from_static(keep_alive))));
                    }
                    self.set_timer();
                }
            }
        }
    }

    /// Sets the timer to what is due first. It is not set anew with each event, only looked at when it is over.
    fn set_timer(&mut self) {
        let due = self.reader.due();
        let told = self.reader.keep_alive.map(|_| self.last_told + Limits::HEAD_HOLD);
        self.timer.as_mut().reset(told.map_or(due, |told| told.min(due)));
    }

    /// What was lost so far.
    pub(crate) fn loss(&self) -> Loss {
        self.reader.events.loss().cloned().unwrap_or_default()
    }
}

fn no_event(NoEvent(why): NoEvent) -> Failure {
    Failure::local(FailureKind::Malformed, format!("what came is no part of an answer: {why}"))
}

impl Stream {
    /// An answer that has begun.
    pub(crate) fn relaying(
        relay: Box<Relay>,
        account: Box<Account>,
        watch: Watch,
        listener: Listener,
        gateway: &Gateway,
    ) -> Self {
        Self::new(State::Relaying { relay, account, watch }, listener, gateway)
    }

    /// An answer that is still looked for.
    pub(crate) fn waiting(job: Job, listener: Listener, gateway: &Gateway) -> Self {
        Self::new(State::Waiting { job, keep_alive: Box::pin(tokio::time::sleep(Duration::ZERO)) }, listener, gateway)
    }

    fn new(state: State, listener: Listener, gateway: &Gateway) -> Self {
        Self {
            state,
            listener,
            clock: gateway.clock,
            telemetry: Arc::clone(&gateway.telemetry),
            farewell: Box::pin(gateway.drain.farewell()),
        }
    }

    /// The next bytes for the client. A panic ends this stream with the error event and nothing else.
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| self.poll_state(cx)));
        let Ok(polled) = polled else {
            self.telemetry.metrics.panics.inc();
            self.state = State::Ended;
            return Poll::Ready(Some(self.error_event(&Refusal::internal())));
        };
        if let Poll::Ready(event) = polled {
            return Poll::Ready(event);
        }
        ready!(self.farewell.as_mut().poll(cx));
        let message = "the gateway is shutting down; send the request again";
        let refusal = Refusal::new(503, ErrorType::Overloaded, "gateway_draining", message);
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Relaying { account, .. } => Poll::Ready(Some(self.fail(account, &refusal))),
            State::Waiting { .. } | State::Ended => Poll::Ready(Some(self.error_event(&refusal))),
        }
    }

    fn poll_state(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.state {
                State::Ended => return Poll::Ready(None),
                State::Waiting { job, keep_alive } => {
                    let Poll::Ready((account, outcome)) = job.as_mut().poll(cx) else {
                        ready!(keep_alive.as_mut().poll(cx));
                        keep_alive.as_mut().reset(Instant::now() + Limits::HEAD_HOLD);
                        return Poll::Ready(Some(Bytes::from_static(self.listener.dialect.keep_alive())));
                    };
                    match outcome {
                        Ok(Answered::Stream { relay, watch }) => self.state = State::Relaying { relay, account, watch },
                        Ok(Answered::Whole { .. } | Answered::Estimate(_)) => self.state = State::Ended,
                        Err(refusal) => return Poll::Ready(Some(self.fail(account, &refusal))),
                    }
                }
                State::Relaying { relay, account, watch } => match ready!(relay.poll_events(cx, account)) {
                    Ok(Some(bytes)) => return Poll::Ready(Some(bytes)),
                    Ok(None) => {
                        account.lost(relay.loss());
                        watch.succeeded(&self.clock);
                        self.state = State::Ended;
                    }
                    Err(failure) => {
                        watch.failed(&failure, &self.clock);
                        account.answer_failed(&failure);
                        let failure = watch.without_secret(failure, account.record.provider.as_deref());
                        let ended = std::mem::replace(&mut self.state, State::Ended);
                        let State::Relaying { account, .. } = ended else { return Poll::Ready(None) };
                        return Poll::Ready(Some(self.fail(account, &failure.refusal())));
                    }
                },
            }
        }
    }

    /// The error event that ends the stream.
    fn fail(&mut self, mut account: Box<Account>, refusal: &Refusal) -> Bytes {
        account.refused(refusal, self.listener.dialect);
        self.state = State::Ended;
        self.error_event(refusal)
    }

    fn error_event(&self, refusal: &Refusal) -> Bytes {
        self.listener.dialect.encode_error_event(refusal, &self.listener.request_id)
    }
}

impl Watch {
    pub(crate) const fn new(target: Arc<TargetHealth>, config: Health, credential: String, caller: u64) -> Self {
        Self { target, config, credential, caller, told: false }
    }

    pub(crate) fn succeeded(&mut self, clock: &Clock) {
        self.told = true;
        self.target.succeeded(&self.credential, self.caller, clock.now());
    }

    pub(crate) fn failed(&mut self, failure: &Failure, clock: &Clock) {
        self.told = true;
        self.target.failed(failure, &self.credential, self.caller, &self.config, clock.now(), fastrand::u64(..));
    }
}

impl Watch {
    /// The failure without a text that holds a piece of the credential's secret.
    fn without_secret(&self, failure: Failure, provider: Option<&Provider>) -> Failure {
        let credentials = provider.into_iter().flat_map(|provider| &provider.credentials);
        match credentials.into_iter().find(|held| held.name == self.credential) {
            Some(held) => failure.without(held.secret.expose()),
            None => failure,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.told {
            self.target.cancelled(self.caller);
        }
    }
}

fn tally(account: &mut Account, part: Option<Part>) {
    let Some(part) = part else { return };
    account.tally().add(part);
}

#[cfg(test)]
mod cuts;
#[cfg(test)]
mod tests;
