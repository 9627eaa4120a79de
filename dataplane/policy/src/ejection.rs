//! When a target is out of service for what it answered, and for whom.
//!
//! A request can be what makes a target fail. So failures that came to one namespace alone put the target out of service
//! for that namespace; once they came to a second one, it is out for all.

use crate::{FailureKind, Millis};
use weir_snapshot::Health;

/// The window of the success rate, and the requests that it needs to count.
pub(crate) const WINDOW_MS: u64 = 30_000;
const WINDOW_REQUESTS: u32 = 20;
/// Requests of other callers that show by themselves that not one caller alone meets failures.
const REQUESTS_OF_OTHERS: u32 = 5;
/// Callers whose outcomes are counted apart in a window; those beyond count in all alone.
const MOST_CALLERS: usize = 8;
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

/// Whom a target is out of service for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    /// The caller of that [mark](crate::mark_of), and whether another one was answered since.
    One(u64, bool),
}

impl Scope {
    fn covers(self, caller: u64) -> bool {
        match self {
            Self::All => true,
            Self::One(held, _) => held == caller,
        }
    }
}

/// The ejections of one target.
#[derive(Debug, Default)]
pub(crate) struct Ejections {
    /// Failures since the last answer to anybody.
    in_a_row: u32,
    /// The caller of the first of them, and whether another one met some too.
    first: u64,
    several: bool,
    window: Window,
    ejected: Option<Scope>,
    /// Ejections that still count: each makes the next one longer, and one is forgotten for every
    /// [`FORGET_MS`] of service. A target that flaps is out for longer and longer.
    count: u32,
    /// The end of the last ejection: when a probe may begin, and once one succeeded, when it did.
    until: Millis,
    probing: bool,
}

#[derive(Debug, Default)]
struct Window {
    since: Millis,
    all: Tally,
    callers: Vec<(u64, Tally)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    good: u32,
    bad: u32,
}

impl Ejections {
    /// Whether that caller may use the target.
    pub(crate) fn standing(&self, caller: u64, now: Millis) -> Standing {
        if !self.ejected.is_some_and(|scope| scope.covers(caller)) {
            Standing::Ready
        } else if now < self.until {
            Standing::Out(self.until)
        } else if self.probing {
            Standing::Out(now + 1_000)
        } else {
            Standing::Probe
        }
    }

    /// Whether it is out of service, and nobody is known whom it answers.
    pub(crate) fn is_out(&self, now: Millis) -> bool {
        let out = matches!(self.ejected, Some(Scope::All | Scope::One(_, false)));
        out && (now < self.until || self.probing)
    }

    /// A caller for whom it is out of service takes the one probe.
    pub(crate) fn begin_probe(&mut self) {
        self.probing = self.ejected.is_some();
    }

    /// An attempt of that caller ended without telling anything.
    pub(crate) fn cancelled(&mut self, caller: u64) {
        self.take_probe(caller);
    }

    fn take_probe(&mut self, caller: u64) -> bool {
        self.ejected.is_some_and(|scope| scope.covers(caller)) && std::mem::take(&mut self.probing)
    }

    /// An attempt of that caller got its answer; true if the target is in service now for whoever meets no failures. One
    /// that began before an ejection does not end it; the probe does.
    pub(crate) fn succeeded(&mut self, caller: u64, now: Millis) -> bool {
        self.window.count(caller, now, true);
        (self.in_a_row, self.several) = (0, false);
        match &mut self.ejected {
            None => true,
            Some(Scope::One(held, answers)) if *held != caller => {
                *answers = true;
                true
            }
            Some(_) => {
                let probed = std::mem::take(&mut self.probing);
                if probed {
                    (self.ejected, self.until) = (None, now);
                }
                probed
            }
        }
    }

    /// An attempt of that caller failed. `draw` spreads ejections of many pods.
    pub(crate) fn failed(&mut self, kind: FailureKind, caller: u64, config: &Health, now: Millis, draw: u64) {
        let probed = self.take_probe(caller);
        let found = match kind {
            FailureKind::Certificate | FailureKind::Forbidden => Some(Scope::All),
            FailureKind::Connect | FailureKind::Reset | FailureKind::Server | FailureKind::Malformed => {
                self.several |= self.in_a_row > 0 && self.first != caller;
                if self.in_a_row == 0 {
                    self.first = caller;
                }
                self.in_a_row = self.in_a_row.saturating_add(1);
                // Without a connection no request was seen.
                let is_all = self.several || kind == FailureKind::Connect;
                let scope = if is_all { Scope::All } else { Scope::One(caller, false) };
                let by_rate = self.window.count(caller, now, false);
                if self.in_a_row >= config.consecutive_failures { Some(scope) } else { by_rate }
            }
            FailureKind::Timeout | FailureKind::Overloaded => self.window.count(caller, now, false),
            FailureKind::Unprocessed
            | FailureKind::RateLimited
            | FailureKind::Quota
            | FailureKind::TooCostly
            | FailureKind::CredentialRejected
            | FailureKind::NotPermitted
            | FailureKind::ModelUnavailable
            | FailureKind::Request
            | FailureKind::NotSent
            | FailureKind::NoMemory
            | FailureKind::Redirect => None,
        };
        match (self.ejected, found) {
            // A second caller meets failures.
            (Some(Scope::One(held, _)), Some(Scope::One(other, _))) if held != other => {
                self.eject(Scope::All, config, now, draw);
            }
            (Some(Scope::One(..)), Some(Scope::All)) | (None, Some(_)) => {
                self.eject(found.unwrap_or(Scope::All), config, now, draw);
            }
            (Some(scope), _) if probed => self.eject(scope, config, now, draw),
            (Some(_), _) | (None, None) => {}
        }
    }

    fn eject(&mut self, scope: Scope, config: &Health, now: Millis, draw: u64) {
        let served = if self.ejected.is_some() { 0 } else { now.saturating_sub(self.until) };
        let forgotten = u32::try_from(served / FORGET_MS).unwrap_or(u32::MAX);
        self.count = self.count.saturating_sub(forgotten).saturating_add(1);
        self.ejected = Some(scope);
        self.probing = false;
        if scope == Scope::All {
            (self.in_a_row, self.several) = (0, false);
        }
        self.window = Window { since: now, ..Window::default() };
        let span = config.min_ejection_ms.saturating_mul(u64::from(self.count)).min(config.max_ejection_ms);
        self.until = now + span + draw % (span / 10).max(1);
    }
}

impl Window {
    /// Counts one outcome; for whom the rate of this window says that the target is not fit.
    fn count(&mut self, caller: u64, now: Millis, good: bool) -> Option<Scope> {
        if now.saturating_sub(self.since) > WINDOW_MS {
            *self = Self { since: now, ..Self::default() };
        }
        self.all.count(good);
        if self.callers.len() < MOST_CALLERS && self.callers.iter().all(|(held, _)| *held != caller) {
            self.callers.push((caller, Tally::default()));
        }
        if let Some((_, tally)) = self.callers.iter_mut().find(|(held, _)| *held == caller) {
            tally.count(good);
        }
        if good || self.all.requests() < WINDOW_REQUESTS {
            return None;
        }
        let (worst, own) = self.callers.iter().copied().max_by_key(|(_, tally)| tally.bad)?;
        let others = Tally { good: self.all.good - own.good, bad: self.all.bad - own.bad };
        if others.requests() >= REQUESTS_OF_OTHERS && others.is_bad() {
            Some(Scope::All)
        } else {
            (own.requests() >= WINDOW_REQUESTS && own.is_bad()).then_some(Scope::One(worst, false))
        }
    }
}

impl Tally {
    const fn count(&mut self, good: bool) {
        if good {
            self.good += 1;
        } else {
            self.bad += 1;
        }
    }

    const fn requests(self) -> u32 {
        self.good + self.bad
    }

    const fn is_bad(self) -> bool {
        self.bad > self.good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u64 = 1;
    const B: u64 = 2;

    fn fail(ejections: &mut Ejections, kind: FailureKind, caller: u64, now: Millis) {
        ejections.failed(kind, caller, &Health::default(), now, 0);
    }

    #[test]
    fn five_failures_in_a_row_eject_and_one_good_probe_ends_it() {
        let mut held = Ejections::default();
        for n in 0..5 {
            assert_eq!(held.standing(A, n), Standing::Ready);
            fail(&mut held, FailureKind::Server, A, n);
        }
        assert_eq!((held.standing(A, 5), held.is_out(5)), (Standing::Out(10_004), true));
        assert_eq!(held.standing(A, 10_004), Standing::Probe);
        held.begin_probe();
        assert_eq!(held.standing(A, 10_005), Standing::Out(11_005), "one probe at a time");
        fail(&mut held, FailureKind::Connect, A, 10_010);
        assert_eq!(held.standing(A, 10_011), Standing::Out(30_010), "the second ejection is longer");
        held.begin_probe();
        held.cancelled(A);
        assert_eq!(held.standing(A, 30_010), Standing::Probe, "a client that leaves proves nothing");
        held.begin_probe();
        assert!(held.succeeded(A, 30_020));
        assert_eq!(held.standing(A, 30_021), Standing::Ready);
    }

    #[test]
    fn a_caller_whose_requests_make_the_target_fail_loses_it_alone() {
        for kind in [FailureKind::Server, FailureKind::Malformed, FailureKind::Reset, FailureKind::Timeout] {
            let mut held = Ejections::default();
            for n in 0..2_000 {
                fail(&mut held, kind, A, n);
                // Few of the other's among many.
                if n % 10 == 9 {
                    held.succeeded(B, n);
                }
                assert_eq!(held.standing(B, n), Standing::Ready, "{kind:?}");
            }
            assert!(matches!(held.standing(A, 2_000), Standing::Out(_)), "{kind:?}");
            assert!(!held.is_out(2_000), "it answers somebody");
        }
    }

    #[test]
    fn a_target_that_fails_for_a_second_caller_is_out_for_all() {
        let out = |held: &Ejections| matches!(held.standing(3, 100), Standing::Out(_));
        let mut held = Ejections::default();
        (0..5).for_each(|n| fail(&mut held, FailureKind::Server, A, n));
        assert!(!out(&held));
        fail(&mut held, FailureKind::Server, B, 5);
        assert!(out(&held), "in a row, of two");
        let mut held = Ejections::default();
        (0..5).for_each(|n| fail(&mut held, FailureKind::Connect, A, n));
        assert!(out(&held), "nobody's request was seen");
        let mut held = Ejections::default();
        (0..40).for_each(|n| fail(&mut held, FailureKind::Timeout, if n % 4 == 0 { B } else { A }, n));
        assert!(out(&held), "by the rate");
    }

    #[test]
    fn a_success_rate_below_half_ejects_though_no_five_fail_in_a_row() {
        let mut held = Ejections::default();
        for n in 0..30 {
            if n % 3 == 0 {
                held.succeeded(A, n);
            } else {
                fail(&mut held, FailureKind::Timeout, A, n);
            }
        }
        assert!(matches!(held.standing(A, 31), Standing::Out(_)));
    }
}
