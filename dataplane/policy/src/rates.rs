//! What an upstream said is left of its own rates, so that what it would refuse is not sent.
//!
//! A rate is taken to fill up evenly until it is full, as the vendors' do. What was sent since is subtracted.

use crate::Millis;
use std::sync::{Mutex, MutexGuard, PoisonError};
use weir_dialect::{Left, RATE_UNITS};

/// The longest that anything is left alone for what it said; what a day's rate needs is tried again before.
const MOST_WAIT_MS: u64 = 300_000;
const UNITS: usize = RATE_UNITS.len();

/// What a request is sure to take of each of [`RATE_UNITS`].
pub(crate) type Needed = [u64; UNITS];

/// The rates of one target, by name of the credential.
#[derive(Debug, Default)]
pub struct Rates(Mutex<Vec<(String, [Rate; UNITS])>>);

/// What an attempt takes of the rates.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taken {
    /// How long it must wait for them.
    pub wait_ms: u64,
    /// What had been taken of each by then, ever.
    so_far: [u64; UNITS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    taken: u64,
    told: Option<Told>,
}

/// How much there was at a time, and when it is full.
#[derive(Debug, Clone, Copy)]
struct Told {
    limit: Option<u64>,
    /// Less than nothing where it is taken ahead by those who wait.
    left: i64,
    at: Millis,
    full_at: Millis,
    /// How much comes back in how many milliseconds; `None` where no limit was told.
    back: Option<(u128, u128)>,
}

impl Rates {
    /// How long a request must wait; 0 = it can be sent.
    pub(crate) fn wait(&self, credential: &str, needs: &Needed, now: Millis) -> u64 {
        let held = self.lock();
        let rates = held.iter().find(|(name, _)| name == credential);
        rates.map_or(0, |(_, rates)| longest(rates, needs, now))
    }

    /// Takes what a request needs, also ahead of the time when it is there: that is how long it must wait.
    pub(crate) fn take(&self, credential: &str, needs: &Needed, now: Millis) -> Taken {
        let mut held = self.lock();
        if !held.iter().any(|(name, _)| name == credential) {
            held.push((credential.to_owned(), Default::default()));
        }
        let rates = held.iter_mut().find(|(name, _)| name == credential);
        let Some((_, rates)) = rates else { return Taken::default() };
        let wait_ms = longest(rates, needs, now);
        for (rate, need) in rates.iter_mut().zip(*needs) {
            rate.taken = rate.taken.saturating_add(need);
            rate.told = rate.told.filter(|told| now < told.full_at).map(|told| told.less(need));
        }
        Taken { wait_ms, so_far: rates.map(|rate| rate.taken) }
    }

    /// Takes what an answer said of each rate to the request that had taken so much.
    pub fn learn(&self, credential: &str, taken: &Taken, said: &[Option<Left>; UNITS], now: Millis) {
        let mut held = self.lock();
        let Some((_, rates)) = held.iter_mut().find(|(name, _)| name == credential) else { return };
        for ((rate, said), so_far) in rates.iter_mut().zip(said).zip(taken.so_far) {
            let Some(said) = *said else { continue };
            // The upstream did not know yet what was sent since.
            let since = rate.taken.saturating_sub(so_far);
            rate.told = (said.full_in_ms > 0).then(|| Told::new(said, now).less(since));
        }
    }

    /// What is left of each rate that is not known to be full: the credential, the unit and how much.
    pub fn left(&self, now: Millis) -> Vec<(String, &'static str, i64)> {
        let held = self.lock();
        let of = |(name, rates): &(String, [Rate; UNITS])| {
            let told = rates.iter().zip(RATE_UNITS).filter_map(|(rate, unit)| Some((rate.told?, unit)));
            let told = told.filter(|(told, _)| now < told.full_at);
            told.map(|(told, unit)| (name.clone(), unit, told.left_at(now))).collect::<Vec<_>>()
        };
        held.iter().flat_map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, [Rate; UNITS])>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Told {
    fn new(said: Left, now: Millis) -> Self {
        let Left { limit, left, full_in_ms } = said;
        let missing = limit.map(|limit| u128::from(limit.saturating_sub(left)).max(1));
        let back = missing.map(|missing| (missing, u128::from(full_in_ms).max(1)));
        Self { limit, left: signed(left), at: now, full_at: now + full_in_ms, back }
    }

    fn left_at(&self, now: Millis) -> i64 {
        let Some((amount, span)) = self.back else { return self.left };
        let came = amount * u128::from(now.saturating_sub(self.at)) / span;
        self.left.saturating_add(i64::try_from(came).unwrap_or(i64::MAX))
    }

    fn wait(&self, need: u64, now: Millis) -> u64 {
        if need == 0 || now >= self.full_at || self.left_at(now) >= signed(need) {
            return 0;
        }
        let full = self.full_at - now;
        let fits = self.limit.is_some_and(|limit| need <= limit);
        let there = self.back.filter(|_| fits).map(|(amount, span)| {
            let short = u128::try_from(signed(need).saturating_sub(self.left)).unwrap_or(0);
            let after = u64::try_from((short * span).div_ceil(amount)).unwrap_or(u64::MAX);
            self.at.saturating_add(after).saturating_sub(now)
        });
        there.unwrap_or(full).min(full).min(MOST_WAIT_MS)
    }

    /// The same once so much more is taken; it is full that much later.
    fn less(self, need: u64) -> Self {
        let later = self.back.map_or(0, |(amount, span)| u128::from(need) * span / amount);
        let full_at = self.full_at.saturating_add(u64::try_from(later).unwrap_or(u64::MAX));
        Self { left: self.left.saturating_sub(signed(need)), full_at, ..self }
    }
}

fn longest(rates: &[Rate; UNITS], needs: &Needed, now: Millis) -> u64 {
    let waits = rates.iter().zip(needs).filter_map(|(rate, need)| Some(rate.told?.wait(*need, now)));
    waits.max().unwrap_or(0)
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needed = [1, 150, 100, 50];

    fn requests(limit: Option<u64>, left: u64, full_in_ms: u64) -> [Option<Left>; UNITS] {
        [Some(Left { limit, left, full_in_ms }), None, None, None]
    }

    #[test]
    fn what_is_used_up_is_waited_for_as_long_as_one_more_takes_to_come_back() {
        let rates = Rates::default();
        let taken = rates.take("a", &NEEDS, 1_000);
        assert_eq!(taken.wait_ms, 0, "nothing was said yet");
        rates.learn("a", &taken, &requests(Some(60), 0, 60_000), 1_000);
        assert_eq!((rates.wait("a", &NEEDS, 1_000), rates.wait("b", &NEEDS, 1_000)), (1_000, 0));
        assert_eq!(rates.wait("a", &[0; UNITS], 1_000), 0);
        let waits: Vec<_> = (0..3).map(|_| rates.take("a", &NEEDS, 1_500).wait_ms).collect();
        assert_eq!(waits, [500, 1_500, 2_500], "each waits behind those before it");
        assert_eq!(rates.wait("a", &NEEDS, 200_000), 0, "it is full again");
    }

    #[test]
    fn what_was_sent_since_is_not_there_though_the_answer_says_so() {
        let rates = Rates::default();
        let first = rates.take("a", &NEEDS, 0);
        rates.take("a", &NEEDS, 0);
        rates.learn("a", &first, &requests(None, 2, 10_000), 100);
        assert_eq!(rates.take("a", &NEEDS, 100).wait_ms, 0);
        assert_eq!(rates.wait("a", &NEEDS, 100), 10_000, "without a limit nothing is known until it is full");
        assert_eq!(rates.wait("a", &NEEDS, 10_100), 0);
    }

    #[test]
    fn tokens_count_by_what_the_request_is_sure_to_need_and_no_wait_is_endless() {
        let rates = Rates::default();
        let taken = rates.take("", &NEEDS, 0);
        let tokens = |left| [None, Some(Left { limit: Some(1_000), left, full_in_ms: 86_400_000 }), None, None];
        rates.learn("", &taken, &tokens(150), 0);
        assert_eq!(rates.wait("", &NEEDS, 0), 0);
        rates.learn("", &taken, &tokens(149), 0);
        assert_eq!(rates.wait("", &[1, 51, 1, 50], 0), 0, "a smaller one fits");
        assert_eq!(rates.wait("", &NEEDS, 0), 86_400_000_u64.div_ceil(851));
        rates.learn("", &taken, &tokens(0), 0);
        assert_eq!(rates.wait("", &NEEDS, 0), MOST_WAIT_MS);
    }
}
