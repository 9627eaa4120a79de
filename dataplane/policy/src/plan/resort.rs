//! What is left where no target can be used: a probe, or the refusal and when to come back.

use super::{Lane, MAX_WAIT_MS, Plan, Step};
use crate::{Failure, FailureKind, Millis, Standing};
use std::sync::atomic::Ordering;
use weir_dialect::{ErrorType, Refusal};

/// Between two probes of a route whose targets are all out.
const PANIC_PROBE_MS: u64 = 1_000;
/// The longest hint that SDKs wait for by themselves.
const SDK_WAIT_MS: u64 = 60_000;

impl<'t> Plan<'t> {
    /// When no target can be used: the one whose time ends first is probed, once a second a route, and less often where
    /// its provider wants to be left alone or refuses the credential. The only target is always worth that.
    pub(super) fn last_resort(&self, now: Millis) -> Option<Lane<'t>> {
        if self.attempts > 0 {
            return None;
        }
        let due = |lane: &&Lane<'t>| !lane.spent && self.rated_ms(lane, now) == 0 && self.probe_at(lane, now) <= now;
        let lane = self.lanes.iter().filter(due).min_by_key(|lane| self.free_at(lane, now))?;
        let won = match lane.credential.filter(|_| self.parked_until(lane, now) > 0) {
            Some(credential) => credential.health.begin_probe(now),
            None if lane.look(self.caller, now).probe_at.is_some() => {
                lane.target.health.begin_told_probe(lane.name(), now)
            }
            None => {
                let last = self.route.load.last_probe.load(Ordering::Relaxed);
                let due = last == 0 || now.saturating_sub(last) >= PANIC_PROBE_MS;
                let probe = &self.route.load.last_probe;
                due && probe.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            }
        };
        won.then_some(*lane)
    }

    /// When it may be probed, as far as its provider has a say in it.
    fn probe_at(&self, lane: &Lane<'_>, now: Millis) -> Millis {
        let of_credential = lane.credential.map_or(0, |credential| credential.health.probe_at(self.caller, now));
        of_credential.max(lane.look(self.caller, now).probe_at.unwrap_or(0))
    }

    /// When it may be used.
    fn free_at(&self, lane: &Lane<'_>, now: Millis) -> Millis {
        let look = lane.look(self.caller, now);
        let parked = lane.credential.map_or(0, |credential| credential.health.probe_at(self.caller, now));
        let out = if let Standing::Out(until) = look.standing { until } else { now };
        look.cooling_until.max(parked).max(out)
    }

    pub(super) fn give_up(&self, now: Millis) -> Step<'t> {
        let free = |lane: &Lane<'_>| self.free_at(lane, now).max(now + self.rated_ms(lane, now));
        let hint = self.lanes.iter().map(free).min().unwrap_or(now);
        let wait = hint.checked_sub(now).filter(|ms| *ms > 0);
        let mut refusal = match &self.best {
            Some(failure) => failure.refusal(),
            None if now >= self.deadline => Refusal::new(
                504,
                ErrorType::Timeout,
                "request_timeout",
                "the request's time limit passed before any target answered",
            ),
            None if self.lanes.iter().any(|lane| self.rated_ms(lane, now) > 0 && self.free_at(lane, now) <= now) => {
                Failure::local(FailureKind::RateLimited, "the provider said that its rate is used up").refusal()
            }
            None => {
                let message = "every target of the route is out of service after failures; try again later";
                Refusal::new(503, ErrorType::Overloaded, "no_healthy_target", message)
            }
        };
        if matches!(refusal.status, 429 | 503 | 529) {
            refusal.retry_after_ms = refusal.retry_after_ms.or(wait);
        }
        // An SDK's own retry helps where Weir left it to the SDK, or waits for a moment that is near.
        let wait_ms = refusal.retry_after_ms.unwrap_or(0);
        let helps = !self.over_budget
            && now < self.deadline
            && match (self.attempts, &self.best) {
                (0, None) => (1..=MAX_WAIT_MS).contains(&wait_ms),
                (1, Some(failure)) => {
                    self.route.data.retry.max_attempts > 1 && failure.is_transient() && wait_ms <= SDK_WAIT_MS
                }
                _ => false,
            };
        refusal.should_retry = (!helps).then_some(false);
        Step::Refuse(refusal)
    }
}
