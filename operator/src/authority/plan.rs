//! When the CA is made, announced, promoted and forgotten: one pure function over its ages.
//!
//! A CA signs only after it stood in the public bundle for a day, and stands there for a day after it
//! signed last; so whatever bundle of the last day a pod holds, it trusts the leaf it is shown.

use std::time::Duration;

/// Kubelet refreshes a mounted ConfigMap within minutes; a day also covers a node that was away.
pub(crate) const OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// Age at which a CA gets its successor.
pub(crate) const SUCCESSION: Duration = Duration::from_secs(300 * 24 * 3600);
/// Validity of a CA.
pub(crate) const CA_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
/// Validity of a leaf, not longer than the overlap.
pub(crate) const LEAF_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Age at which a leaf is replaced.
pub(crate) const LEAF_RENEWAL: Duration = Duration::from_secs(8 * 3600);

/// The slots that a Secret holds, by the unix seconds at which each was filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Slots {
    /// The CA that signs: when it was made.
    pub(crate) current: Option<i64>,
    /// Its announced successor: since when it is announced.
    pub(crate) next: Option<i64>,
    /// Its predecessor: since when it no longer signs.
    pub(crate) previous: Option<i64>,
}

/// What to change in the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing is due.
    Keep,
    /// Make the first CA.
    Make,
    /// Make a successor and announce it.
    Announce,
    /// Let the successor sign; keep the old one for verification.
    Promote,
    /// Drop the predecessor.
    Forget,
}

/// The one step that is due at `now` (unix seconds).
pub(crate) fn due(slots: Slots, now: i64) -> Step {
    let passed = |since: i64, span: Duration| now.saturating_sub(since) >= span.as_secs().cast_signed();
    let Slots { current, next, previous } = slots;
    let Some(current) = current else { return Step::Make };
    if previous.is_some_and(|since| passed(since, OVERLAP)) {
        return Step::Forget;
    }
    match next {
        Some(since) if passed(since, OVERLAP) && previous.is_none() => Step::Promote,
        None if passed(current, SUCCESSION) => Step::Announce,
        Some(_) | None => Step::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    #[test]
    fn at_every_hour_of_years_the_signer_was_announced_a_day_ago_and_is_verifiable_for_a_day_more() {
        let mut slots = Slots { current: Some(0), ..Slots::default() };
        let (mut announced, mut promotions) = (0, 0);
        for hour in 1..(3 * 365 * 24) {
            let now = hour * HOUR;
            match due(slots, now) {
                Step::Keep => {}
                Step::Make => panic!("a CA exists"),
                Step::Announce => {
                    assert!(slots.next.is_none());
                    announced = now;
                    slots.next = Some(now);
                }
                Step::Promote => {
                    assert!(now - announced >= DAY, "signs {} h after it was announced", (now - announced) / HOUR);
                    assert!(slots.previous.is_none());
                    promotions += 1;
                    slots = Slots { current: slots.next, next: None, previous: Some(now) };
                }
                Step::Forget => {
                    assert!(now - slots.previous.unwrap() >= DAY);
                    slots.previous = None;
                }
            }
            assert!(now - slots.current.unwrap() < CA_LIFE.as_secs().cast_signed() - DAY, "an old CA signs");
        }
        assert_eq!(promotions, 3);
    }

    #[test]
    fn without_a_ca_one_is_made() {
        assert_eq!(due(Slots::default(), 7), Step::Make);
    }
}
