//! Which targets are fit for use, from what attempts met.
//!
//! State belongs to a target's identity and outlives every config swap. One failure is no outage: a target is left alone
//! after several in a row, or where its provider says so.

use crate::ejection::{Ejections, Standing, WINDOW_MS};
use crate::{Failure, FailureKind, Millis, Rates, Trouble};
use std::sync::{Mutex, MutexGuard, PoisonError};
use weir_snapshot::Health;

/// Longest cooldown that a `Retry-After` may ask for.
const MAX_COOLDOWN_MS: u64 = 300_000;
/// The first cooldown without a hint; each further one in a row is twice as long, up to the longest.
const COOLDOWN_MS: u64 = 1_000;
const LONGEST_COOLDOWN_MS: u64 = 5_000;
/// Answers in a row, within [`WINDOW_MS`] of each other, that begin a cooldown without a hint: rare ones never are.
const PATTERN: u32 = 3;
/// Failures in a row after which a target counts as failing.
const FAILING: u32 = 3;
/// Between two probes of a target that its provider wants to be left alone, where nothing else can be used.
const PROBE_MS: u64 = 5_000;
/// Credentials whose cooldowns are kept; of more, the one that cooled down longest ago is forgotten.
const MOST_CREDENTIALS: usize = 64;

/// Health of one target.
#[derive(Debug, Default)]
pub struct TargetHealth {
    state: Mutex<State>,
    /// What its upstream says of its own rates.
    pub rates: Rates,
}

#[derive(Debug, Default)]
struct State {
    ejections: Ejections,
    /// Failures since the last success, but for those that are about a credential or a request.
    failures: u32,
    /// Whether it ever answered.
    answered: bool,
    /// Of all credentials, since the target is overloaded.
    overload: Cooling,
    /// By name of the credential, empty where there is none.
    cooling: Vec<(String, Cooling)>,
    trouble: Option<Trouble>,
}

/// How a target, or one credential at it, is left alone.
#[derive(Debug, Clone, Copy, Default)]
struct Cooling {
    until: Millis,
    /// Whether the provider said for how long.
    told: bool,
    /// Refusals since the last success, and when the last one came.
    in_a_row: u32,
    last: Millis,
    probe_at: Millis,
}

/// What a plan asks of a target and one of its credentials.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) standing: Standing,
    /// When it may be used again; 0 = now.
    pub(crate) cooling_until: Millis,
    /// Where its provider said so, when it may be probed before.
    pub(crate) probe_at: Option<Millis>,
    /// Its last attempts failed.
    pub(crate) failing: bool,
    /// Its last attempt was answered.
    pub(crate) well: bool,
}

impl TargetHealth {
    /// Whether the caller of that [mark](crate::mark_of) may use the target at `now`, without using it.
    pub fn standing(&self, caller: u64, now: Millis) -> Standing {
        self.lock().ejections.standing(caller, now)
    }

    /// Whether it is out of service, and nobody is known whom it answers.
    pub fn is_out(&self, now: Millis) -> bool {
        self.lock().ejections.is_out(now)
    }

    /// What the caller may do, with all else that is known of it and that credential.
    pub(crate) fn look(&self, credential: &str, caller: u64, now: Millis) -> Look {
        let state = self.lock();
        let of_credential = state.cooling.iter().find(|(name, _)| name == credential).map(|(_, cooling)| *cooling);
        let cooling = of_credential.filter(|held| held.until >= state.overload.until).unwrap_or(state.overload);
        let is_cooling = cooling.until > now;
        Look {
            standing: state.ejections.standing(caller, now),
            cooling_until: if is_cooling { cooling.until } else { 0 },
            probe_at: (is_cooling && cooling.told).then_some(cooling.probe_at),
            failing: state.failures >= FAILING,
            well: state.answered && state.failures == 0,
        }
    }

    /// Takes the one probe of an ejected target whose time is over.
    pub(crate) fn begin_probe(&self) {
        self.lock().ejections.begin_probe();
    }

    /// Takes the probe of a target that its provider wants to be left alone; false where another request has it.
    pub(crate) fn begin_told_probe(&self, credential: &str, now: Millis) -> bool {
        let mut state = self.lock();
        let State { overload, cooling, .. } = &mut *state;
        let of_credential = cooling.iter_mut().find(|(name, _)| name == credential).map(|(_, cooling)| cooling);
        let each = || {
            [Some(overload), of_credential].into_iter().flatten().filter(|cooling| cooling.until > now && cooling.told)
        };
        let mut due = true;
        for cooling in each() {
            due &= cooling.probe_at <= now;
            cooling.probe_at = cooling.probe_at.max(now + PROBE_MS);
        }
        due
    }

    /// An attempt of that caller with that credential got its answer.
    pub fn succeeded(&self, credential: &str, caller: u64, now: Millis) {
        let mut state = self.lock();
        (state.failures, state.answered) = (0, true);
        state.overload.in_a_row = 0;
        if let Some((_, cooling)) = state.cooling.iter_mut().find(|(name, _)| name == credential) {
            cooling.in_a_row = 0;
        }
        if state.ejections.succeeded(caller, now) {
            state.trouble = None;
        }
    }

    /// An attempt of that caller ended without telling anything: the client left.
    pub fn cancelled(&self, caller: u64) {
        self.lock().ejections.cancelled(caller);
    }

    /// An attempt of that caller failed. `draw` spreads ejections of many pods.
    pub fn failed(&self, failure: &Failure, credential: &str, caller: u64, config: &Health, now: Millis, draw: u64) {
        let mut state = self.lock();
        state.cool(failure, credential, config, now);
        if let Some(trouble) = failure.trouble() {
            state.trouble = Some(trouble);
        }
        if failure.of_target() {
            state.failures = state.failures.saturating_add(1);
        }
        state.ejections.failed(failure.kind, caller, config, now, draw);
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
    /// Overload is the target's, a rate limit the credential's.
    fn cool(&mut self, failure: &Failure, credential: &str, config: &Health, now: Millis) {
        let hint = failure.retry_after_ms.filter(|_| config.honor_retry_after);
        let kind = failure.kind;
        if kind == FailureKind::Overloaded || (kind == FailureKind::Server && hint.is_some()) {
            self.overload.begin(hint, now);
        } else if kind == FailureKind::RateLimited {
            self.cooling_of(credential).into_iter().for_each(|cooling| cooling.begin(hint, now));
        }
    }

    fn cooling_of(&mut self, credential: &str) -> Option<&mut Cooling> {
        if !self.cooling.iter().any(|(name, _)| name == credential) {
            if self.cooling.len() >= MOST_CREDENTIALS
                && let Some((oldest, _)) = self.cooling.iter().enumerate().min_by_key(|(_, (_, cooling))| cooling.last)
            {
                self.cooling.swap_remove(oldest);
            }
            self.cooling.push((credential.to_owned(), Cooling::default()));
        }
        self.cooling.iter_mut().find(|(name, _)| name == credential).map(|(_, cooling)| cooling)
    }
}

impl Cooling {
    /// A longer cooldown is never shortened. What is met during one was sent before it, and makes no other longer.
    fn begin(&mut self, hint: Option<u64>, now: Millis) {
        if let Some(ms) = hint {
            let until = now + ms.clamp(100, MAX_COOLDOWN_MS);
            if until > self.until {
                (self.until, self.told, self.probe_at) = (until, true, now + PROBE_MS);
            }
        } else if self.until <= now {
            let before = if now.saturating_sub(self.last) > WINDOW_MS { 0 } else { self.in_a_row };
            self.in_a_row = before.saturating_add(1);
            if let Some(doublings) = self.in_a_row.checked_sub(PATTERN) {
                let ms = (COOLDOWN_MS << doublings.min(16)).min(LONGEST_COOLDOWN_MS);
                (self.until, self.told) = (now + ms, false);
            }
        }
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: FailureKind) -> Failure {
        Failure::local(kind, "x")
    }

    #[test]
    fn cooldowns_belong_to_a_credential_follow_the_hint_and_are_never_shortened() {
        let (health, config) = (TargetHealth::default(), Health::default());
        let limited = |ms| Failure { retry_after_ms: Some(ms), ..failure(FailureKind::RateLimited) };
        let cooling = |credential, now| health.look(credential, 0, now).cooling_until;
        health.failed(&limited(60_000), "a", 0, &config, 0, 0);
        health.failed(&limited(1_000), "a", 0, &config, 0, 0);
        health.failed(&limited(9_999_999), "b", 0, &config, 0, 0);
        assert_eq!((cooling("a", 1), cooling("a", 60_000)), (60_000, 0));
        assert_eq!((cooling("b", 1), cooling("c", 1)), (MAX_COOLDOWN_MS, 0));
        assert_eq!(health.standing(0, 1), Standing::Ready, "a rate limit ejects nobody");
        assert_eq!(health.look("a", 0, 1).probe_at, Some(PROBE_MS));
        assert!(health.begin_told_probe("a", PROBE_MS) && !health.begin_told_probe("a", PROBE_MS));
        let deaf = Health { honor_retry_after: false, ..config };
        health.failed(&limited(60_000), "d", 0, &deaf, 0, 0);
        assert_eq!(cooling("d", 1), 0);
    }

    #[test]
    fn without_a_hint_a_cooldown_begins_after_three_in_a_row_and_grows() {
        let config = Health::default();
        for kind in [FailureKind::RateLimited, FailureKind::Overloaded] {
            let health = TargetHealth::default();
            let met = |now| {
                health.failed(&failure(kind), "a", 0, &config, now, 0);
                health.look("a", 0, now).cooling_until.saturating_sub(now)
            };
            for now in 0..100 {
                assert_eq!(met(now), 0, "{kind:?}: rare ones, each followed by a success");
                health.succeeded("a", 0, now);
            }
            assert_eq!([met(100), met(101), met(102), met(103)], [0, 0, 1_000, 999], "{kind:?}");
            assert_eq!([met(1_102), met(3_102), met(7_102), met(12_102)], [2_000, 4_000, 5_000, 5_000], "{kind:?}");
            assert_eq!(met(17_103 + WINDOW_MS), 0, "{kind:?}: long ago");
        }
        let others = TargetHealth::default();
        (0..3).for_each(|now| others.failed(&failure(FailureKind::Overloaded), "a", 0, &config, now, 0));
        assert!(others.look("b", 0, 3).cooling_until > 0, "overload is the target's, whatever the credential");
        let names = (0..1_000).map(|n| n.to_string());
        names.for_each(|name| others.failed(&failure(FailureKind::RateLimited), &name, 0, &config, 0, 0));
        assert_eq!(others.lock().cooling.len(), MOST_CREDENTIALS);
    }

    #[test]
    fn one_failure_among_successes_makes_no_target_a_failing_one() {
        let (health, config) = (TargetHealth::default(), Health::default());
        let look = || (health.look("", 0, 0).failing, health.look("", 0, 0).well);
        assert_eq!(look(), (false, false), "nothing is known");
        health.succeeded("", 0, 0);
        assert_eq!(look(), (false, true));
        health.failed(&failure(FailureKind::Timeout), "", 0, &config, 0, 0);
        assert_eq!(look(), (false, false));
        (0..2).for_each(|_| health.failed(&failure(FailureKind::Server), "", 0, &config, 0, 0));
        assert_eq!(look(), (true, false));
        health.succeeded("", 0, 0);
        (0..9).for_each(|_| health.failed(&failure(FailureKind::Request), "", 0, &config, 0, 0));
        assert_eq!(look(), (false, true), "a request is no target");
    }
}
