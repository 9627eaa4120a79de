//! Whether a credential is fit for use, from what providers answered to requests with it.
//!
//! One error is no proof: it may be about its request. A caller to whom an error came twice, without a success of anybody
//! between, is spared the credential; all are once it came to two callers, so that no caller can take it from the others.

use crate::{Caller, Failure, FailureKind, Millis};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long a refused or exhausted credential is left alone, where others can be used.
const PARKED_MS: u64 = 300_000;
/// Between two probes of one that is parked, where nothing else can be used: mended keys are noticed soon, and a
/// provider sees few requests with a bad one.
const PROBE_MS: u64 = 5_000;
/// Errors of one caller in a row that spare it the credential.
const CONFIRMED: u32 = 2;
/// Callers whose errors are remembered; two are enough to park it for all.
const MOST_CALLERS: usize = 4;

/// What real answers said of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CredentialState {
    /// Nothing yet.
    #[default]
    Untried,
    /// It was accepted.
    Accepted,
    /// The provider refuses it.
    Rejected,
    /// No quota left.
    Exhausted,
}

/// Health of one credential; a changed secret begins anew.
#[derive(Debug, Default)]
pub struct CredentialHealth(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    state: CredentialState,
    message: String,
    /// For everybody.
    parked_until: Millis,
    signs: Vec<Sign>,
    probe_at: Millis,
}

/// What came to one caller since the last success.
#[derive(Debug)]
struct Sign {
    caller: u64,
    errors: u32,
    parked_until: Millis,
}

/// What a caller is remembered by: its namespace, since one tenant can have as many keys and accounts as it likes.
pub fn mark_of(caller: &Caller) -> u64 {
    let mut hasher = DefaultHasher::new();
    caller.namespace.hash(&mut hasher);
    hasher.finish()
}

impl CredentialHealth {
    /// When that caller may use it again; 0 = now.
    pub fn parked_until(&self, caller: u64, now: Millis) -> Millis {
        let held = self.lock();
        let of_caller = held.signs.iter().find(|sign| sign.caller == caller).map_or(0, |sign| sign.parked_until);
        let until = of_caller.max(held.parked_until);
        if until > now { until } else { 0 }
    }

    /// When a request of that caller may be sent with it at the latest, where there is nothing else to use; 0 = now.
    pub(crate) fn probe_at(&self, caller: u64, now: Millis) -> Millis {
        let until = self.parked_until(caller, now).min(self.lock().probe_at);
        if until > now { until } else { 0 }
    }

    /// Takes the probe that is due now; false where another request has it.
    pub(crate) fn begin_probe(&self, now: Millis) -> bool {
        let mut held = self.lock();
        let due = held.probe_at <= now;
        if due {
            held.probe_at = now + PROBE_MS;
        }
        due
    }

    /// The provider answered a request with it.
    pub fn accepted(&self) {
        let mut held = self.lock();
        if held.state != CredentialState::Accepted || !held.signs.is_empty() {
            *held = Held { state: CredentialState::Accepted, ..Held::default() };
        }
    }

    /// A request of that caller failed.
    pub fn failed(&self, failure: &Failure, caller: u64, now: Millis) {
        let state = if failure.kind == FailureKind::CredentialRejected {
            CredentialState::Rejected
        } else if failure.kind == FailureKind::Quota {
            CredentialState::Exhausted
        } else {
            return;
        };
        let mut held = self.lock();
        let parked_until = now + PARKED_MS;
        if let Some(sign) = held.signs.iter_mut().find(|sign| sign.caller == caller) {
            sign.errors = sign.errors.saturating_add(1);
            if sign.errors >= CONFIRMED {
                sign.parked_until = parked_until;
            }
        } else if held.signs.len() < MOST_CALLERS {
            held.signs.push(Sign { caller, errors: 1, parked_until: 0 });
        }
        if held.signs.len() > 1 {
            held.parked_until = parked_until;
        }
        if held.parked_until.max(held.signs.iter().map(|sign| sign.parked_until).max().unwrap_or(0)) > now {
            held.state = state;
            held.message.clone_from(&failure.message);
            held.probe_at = now + PROBE_MS;
        }
    }

    /// What is known of it, and why.
    pub fn state(&self) -> (CredentialState, String) {
        let held = self.lock();
        (held.state, held.message.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 5;

    fn failed(health: &CredentialHealth, kind: FailureKind, caller: u64) {
        health.failed(&Failure::local(kind, "x"), caller, NOW);
    }

    #[test]
    fn one_error_parks_nothing_a_second_spares_its_caller_and_one_of_another_caller_parks_it() {
        let health = CredentialHealth::default();
        health.accepted();
        failed(&health, FailureKind::CredentialRejected, 1);
        assert_eq!((health.parked_until(1, NOW), health.state().0), (0, CredentialState::Accepted));
        for _ in 0..10 {
            failed(&health, FailureKind::Quota, 1);
        }
        assert_eq!((health.parked_until(1, NOW), health.parked_until(2, NOW)), (NOW + PARKED_MS, 0));
        assert_eq!(health.state().0, CredentialState::Exhausted);
        failed(&health, FailureKind::CredentialRejected, 2);
        assert_eq!((health.parked_until(2, NOW), health.parked_until(3, NOW)), (NOW + PARKED_MS, NOW + PARKED_MS));
        assert_eq!((health.state().0, health.parked_until(3, NOW + PARKED_MS)), (CredentialState::Rejected, 0));
        health.accepted();
        assert_eq!((health.parked_until(1, NOW), health.state().0), (0, CredentialState::Accepted));
    }

    #[test]
    fn a_success_between_two_errors_makes_them_one_each_and_other_failures_say_nothing() {
        let health = CredentialHealth::default();
        for caller in 0..100 {
            failed(&health, FailureKind::CredentialRejected, caller);
            health.accepted();
            failed(&health, FailureKind::NotPermitted, caller);
            failed(&health, FailureKind::TooCostly, caller);
            failed(&health, FailureKind::RateLimited, caller);
        }
        assert_eq!(health.parked_until(0, NOW), 0);
        assert!(health.lock().signs.is_empty());
    }

    #[test]
    fn one_that_is_parked_is_probed_now_and_then_and_callers_are_not_remembered_without_end() {
        let health = CredentialHealth::default();
        (0..1_000).for_each(|caller| failed(&health, FailureKind::CredentialRejected, caller));
        assert_eq!(health.lock().signs.len(), MOST_CALLERS);
        let due = NOW + PROBE_MS;
        assert_eq!((health.probe_at(7, NOW), health.begin_probe(NOW)), (due, false));
        assert_eq!((health.probe_at(7, due), health.begin_probe(due), health.begin_probe(due)), (0, true, false));
    }
}
