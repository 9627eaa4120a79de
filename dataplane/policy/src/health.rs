//! Which targets and credentials are fit for use, from what attempts met.
//!
//! State belongs to a target's identity and outlives every config swap.

use crate::{Failure, FailureKind, Millis, Rates, Trouble};
use std::sync::{Mutex, MutexGuard, PoisonError};
use weir_snapshot::Health;

/// Longest cooldown that a `Retry-After` may ask for.
const MAX_COOLDOWN_MS: u64 = 300_000;
/// Cooldown after a 429 without a hint.
const DEFAULT_COOLDOWN_MS: u64 = 1_000;
/// Cooldown of an overloaded model.
const OVERLOADED_COOLDOWN_MS: u64 = 5_000;
/// How long a refused or exhausted credential is left alone.
const PARKED_MS: u64 = 300_000;
/// The window of the success rate, and the requests that it needs to count.
const WINDOW_MS: u64 = 30_000;
const WINDOW_REQUESTS: u32 = 20;

/// Service after which one ejection is forgotten.
const FORGET_MS: u64 = 60_000;

/// Whether a target may be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    Ready,
    /// By one request, whose success ends the ejection.
    Probe,
    /// Not before that time.
    Out(Millis),
}

/// Health of one target.
#[derive(Debug, Default)]
pub struct TargetHealth {
    state: Mutex<State>,
    /// What its upstream says of its own rates.
    pub rates: Rates,
}

#[derive(Debug, Default)]
struct State {
    consecutive: u32,
    ejected: bool,
    /// Ejections that still count: each makes the next one longer, and one is forgotten for every
    /// [`FORGET_MS`] of service. A target that flaps is out for longer and longer.
    ejections: u32,
    /// The end of the last ejection: when a probe may begin, and once one succeeded, when it did.
    out_until: Millis,
    probing: bool,
    window: Window,
    /// By name of the credential, empty where there is none.
    cooling: Vec<(String, Millis)>,
    trouble: Option<Trouble>,
}

#[derive(Debug, Default)]
struct Window {
    since: Millis,
    good: u32,
    bad: u32,
}

impl TargetHealth {
    /// Whether the target may be used at `now`, without using it.
    pub fn standing(&self, now: Millis) -> Standing {
        let state = self.lock();
        if !state.ejected {
            Standing::Ready
        } else if now < state.out_until {
            Standing::Out(state.out_until)
        } else if state.probing {
            Standing::Out(now + 1_000)
        } else {
            Standing::Probe
        }
    }

    /// Takes the one probe of an ejected target whose time is over.
    pub(crate) fn begin_probe(&self) {
        let mut state = self.lock();
        state.probing = state.ejected;
    }

    /// When that credential may be used at this target again; 0 = now.
    pub fn cooling_until(&self, credential: &str, now: Millis) -> Millis {
        let state = self.lock();
        state.cooling.iter().find(|(name, until)| name == credential && *until > now).map_or(0, |(_, until)| *until)
    }

    /// An attempt got its answer. One that began before an ejection does not end it; the probe does.
    pub fn succeeded(&self, now: Millis) {
        let mut state = self.lock();
        state.window.count(now, true);
        state.consecutive = 0;
        if state.ejected && !state.probing {
            return;
        }
        if std::mem::take(&mut state.ejected) {
            state.out_until = now;
        }
        state.probing = false;
        state.trouble = None;
    }

    /// An attempt ended without telling anything: the client left.
    pub fn cancelled(&self) {
        self.lock().probing = false;
    }

    /// An attempt failed. `draw` spreads ejections of many pods.
    pub fn failed(&self, failure: &Failure, credential: &str, config: &Health, now: Millis, draw: u64) {
        let mut state = self.lock();
        let probed = std::mem::take(&mut state.probing);
        if let Some(until) = cooldown(failure, config).map(|ms| now + ms) {
            state.cool(credential, until, now);
        }
        if let Some(trouble) = failure.trouble() {
            state.trouble = Some(trouble);
        }
        let eject = match failure.kind {
            FailureKind::Certificate | FailureKind::Forbidden => true,
            FailureKind::Connect | FailureKind::Reset | FailureKind::Server | FailureKind::Malformed => {
                state.consecutive += 1;
                state.window.count(now, false) || state.consecutive >= config.consecutive_failures
            }
            FailureKind::Timeout | FailureKind::Overloaded => state.window.count(now, false),
            FailureKind::Unprocessed
            | FailureKind::RateLimited
            | FailureKind::Quota
            | FailureKind::CredentialRejected
            | FailureKind::ModelUnavailable
            | FailureKind::Request
            | FailureKind::NotSent
            | FailureKind::Redirect => false,
        };
        if eject || (probed && state.ejected) {
            state.eject(config, now, draw);
        }
    }

    /// What ails the target, while something does.
    pub fn trouble(&self) -> Option<Trouble> {
        self.lock().trouble.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn eject(&mut self, config: &Health, now: Millis, draw: u64) {
        let served = if self.ejected { 0 } else { now.saturating_sub(self.out_until) };
        let forgotten = u32::try_from(served / FORGET_MS).unwrap_or(u32::MAX);
        self.ejections = self.ejections.saturating_sub(forgotten).saturating_add(1);
        self.ejected = true;
        self.consecutive = 0;
        self.window = Window { since: now, good: 0, bad: 0 };
        let span = config.min_ejection_ms.saturating_mul(u64::from(self.ejections)).min(config.max_ejection_ms);
        self.out_until = now + span + draw % (span / 10).max(1);
    }

    /// A longer cooldown is never shortened.
    fn cool(&mut self, credential: &str, until: Millis, now: Millis) {
        self.cooling.retain(|(_, held)| *held > now);
        match self.cooling.iter_mut().find(|(name, _)| name == credential) {
            Some((_, held)) => *held = until.max(*held),
            None => self.cooling.push((credential.to_owned(), until)),
        }
    }
}

impl Window {
    /// Counts one outcome; true when the rate of this window says that the target is not fit.
    fn count(&mut self, now: Millis, good: bool) -> bool {
        if now.saturating_sub(self.since) > WINDOW_MS {
            *self = Self { since: now, good: 0, bad: 0 };
        }
        if good {
            self.good += 1;
        } else {
            self.bad += 1;
        }
        self.good + self.bad >= WINDOW_REQUESTS && self.bad > self.good
    }
}

fn cooldown(failure: &Failure, config: &Health) -> Option<u64> {
    let hint = failure.retry_after_ms.filter(|_| config.honor_retry_after);
    let default = if failure.kind == FailureKind::RateLimited {
        Some(DEFAULT_COOLDOWN_MS)
    } else if failure.kind == FailureKind::Overloaded {
        Some(OVERLOADED_COOLDOWN_MS)
    } else {
        None
    };
    let hinted = hint.filter(|_| default.is_some() || failure.kind == FailureKind::Server);
    hinted.or(default).map(|ms| ms.clamp(100, MAX_COOLDOWN_MS))
}

/// What real answers said of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CredentialState {
    /// Nothing yet.
    #[default]
    Untried,
    /// It was accepted.
    Accepted,
    /// 401 or 403.
    Rejected,
    /// No quota left.
    Exhausted,
}

/// Health of one credential; a changed secret begins anew.
#[derive(Debug, Default)]
pub struct CredentialHealth(Mutex<(CredentialState, Millis, String)>);

impl CredentialHealth {
    /// When it may be used again; 0 = now.
    pub fn parked_until(&self, now: Millis) -> Millis {
        let (_, until, _) = *self.lock();
        if until > now { until } else { 0 }
    }

    /// The provider took it.
    pub fn accepted(&self) {
        let mut held = self.lock();
        if held.0 != CredentialState::Accepted {
            *held = (CredentialState::Accepted, 0, String::new());
        }
    }

    /// An attempt with it failed.
    pub fn failed(&self, failure: &Failure, now: Millis) {
        let state = if failure.kind == FailureKind::CredentialRejected {
            CredentialState::Rejected
        } else if failure.kind == FailureKind::Quota {
            CredentialState::Exhausted
        } else {
            return;
        };
        *self.lock() = (state, now + PARKED_MS, failure.message.clone());
    }

    /// What is known of it, and why.
    pub fn state(&self) -> (CredentialState, String) {
        let held = self.lock();
        (held.0, held.2.clone())
    }

    fn lock(&self) -> MutexGuard<'_, (CredentialState, Millis, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: FailureKind) -> Failure {
        Failure::local(kind, "x")
    }

    #[test]
    fn five_failures_in_a_row_eject_and_one_good_probe_ends_it() {
        let (health, config) = (TargetHealth::default(), Health::default());
        for n in 0..5 {
            assert_eq!(health.standing(n), Standing::Ready);
            health.failed(&failure(FailureKind::Server), "", &config, n, 0);
        }
        assert_eq!(health.standing(5), Standing::Out(10_004));
        assert_eq!(health.standing(10_004), Standing::Probe);
        health.begin_probe();
        assert_eq!(health.standing(10_005), Standing::Out(11_005), "one probe at a time");
        health.failed(&failure(FailureKind::Connect), "", &config, 10_010, 0);
        assert_eq!(health.standing(10_011), Standing::Out(30_010), "the second ejection is longer");
        health.begin_probe();
        health.cancelled();
        assert_eq!(health.standing(30_010), Standing::Probe, "a client that leaves proves nothing");
        health.begin_probe();
        health.succeeded(30_020);
        assert_eq!(health.standing(30_021), Standing::Ready);
    }

    #[test]
    fn a_success_rate_below_half_ejects_though_no_five_fail_in_a_row() {
        let (health, config) = (TargetHealth::default(), Health::default());
        for n in 0..30 {
            if n % 3 == 0 {
                health.succeeded(n);
            } else {
                health.failed(&failure(FailureKind::Timeout), "", &config, n, 0);
            }
        }
        assert!(matches!(health.standing(31), Standing::Out(_)));
    }

    #[test]
    fn cooldowns_belong_to_a_credential_follow_the_hint_and_are_never_shortened() {
        let (health, config) = (TargetHealth::default(), Health::default());
        let limited = |ms| Failure { retry_after_ms: Some(ms), ..failure(FailureKind::RateLimited) };
        health.failed(&limited(60_000), "a", &config, 0, 0);
        health.failed(&limited(1_000), "a", &config, 0, 0);
        health.failed(&limited(9_999_999), "b", &config, 0, 0);
        assert_eq!(health.cooling_until("a", 1), 60_000);
        assert_eq!(health.cooling_until("a", 60_000), 0);
        assert_eq!(health.cooling_until("b", 1), MAX_COOLDOWN_MS);
        assert_eq!(health.cooling_until("c", 1), 0);
        assert_eq!(health.standing(1), Standing::Ready, "a rate limit ejects nobody");
    }

    #[test]
    fn a_refused_credential_is_parked() {
        let health = CredentialHealth::default();
        health.accepted();
        health.failed(&failure(FailureKind::CredentialRejected), 5);
        assert_eq!(health.parked_until(6), 300_005);
        assert_eq!(health.state().0, CredentialState::Rejected);
        assert_eq!(health.parked_until(300_005), 0);
    }
}
