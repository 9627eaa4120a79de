//! What an upstream said is left of its own rates, so that what it would refuse is not sent.
//!
//! A rate is taken to fill up evenly until it is full, as the vendors' do. What was sent since is subtracted, and comes
//! back where the answer to it never told. Whatever upstreams say and clients ask for, nothing is shut for longer than the
//! time that was told, and after [`MOST_WAIT_MS`] without a request one is let through.

use crate::Millis;
use std::sync::{Mutex, MutexGuard, PoisonError};
use weir_dialect::{Left, RATE_UNITS};

/// The longest that anything is left alone for what it said; what a day's rate needs is tried again before.
const MOST_WAIT_MS: u64 = 300_000;
/// Credentials whose rates are kept; of more, the one that rested longest is forgotten. A Provider has fewer, but a target
/// outlives their names.
const MOST_CREDENTIALS: usize = 64;
/// What one request counts at most before a limit was told, in tokens: more than any model reads and writes.
const MOST_OF_ONE: u64 = 1 << 32;
const UNITS: usize = RATE_UNITS.len();

/// What a request is sure to take of each of [`RATE_UNITS`].
pub(crate) type Needed = [u64; UNITS];

/// The rates of one target, by name of the credential.
#[derive(Debug, Default)]
pub struct Rates(Mutex<Vec<Held>>);

#[derive(Debug)]
struct Held {
    credential: String,
    rates: [Rate; UNITS],
    /// When a request was last sent, or an answer last told.
    touched: Millis,
}

/// What an attempt takes of the rates. It is given back when this value is dropped, unless the answer told something.
#[derive(Debug, Default)]
pub struct Taken<'r> {
    /// How long it must wait for them, in milliseconds.
    pub wait_ms: u64,
    of: Option<(&'r Rates, &'r str)>,
    at: Millis,
    touched_before: Millis,
    shares: [Share; UNITS],
}

/// Of one rate.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    amount: u64,
    /// What had been taken by then, ever, this one included.
    so_far: u64,
    /// What had come back by then, ever.
    returned: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    /// What was taken, ever.
    taken: u64,
    /// What of it came back, ever.
    returned: u64,
    told: Option<Told>,
}

/// How much there was at a time, and when it is full.
#[derive(Debug, Clone, Copy)]
struct Told {
    said: Left,
    at: Millis,
    /// What had been taken, ever, by the request whose answer told.
    so_far: u64,
    /// What was taken since, also ahead of the time when it is there.
    gone: u64,
    /// When the last of that was taken, or this was told.
    last: Millis,
}

impl Rates {
    /// How long a request must wait; 0 = it can be sent.
    pub(crate) fn wait(&self, credential: &str, needs: &Needed, now: Millis) -> u64 {
        let held = self.lock();
        held.iter().find(|held| held.credential == credential).map_or(0, |held| held.wait(needs, now))
    }

    /// Takes what a request needs, also ahead of the time when it is there: that is how long it must wait. Of each rate
    /// it takes all at most. A request that needs nothing takes nothing, and its answer tells nothing.
    pub(crate) fn take<'r>(&'r self, credential: &'r str, needs: &Needed, now: Millis) -> Taken<'r> {
        if *needs == [0; UNITS] {
            return Taken::default();
        }
        let mut list = self.lock();
        if !list.iter().any(|held| held.credential == credential) {
            if list.len() >= MOST_CREDENTIALS
                && let Some((oldest, _)) = list.iter().enumerate().min_by_key(|(_, held)| held.touched)
            {
                list.swap_remove(oldest);
            }
            list.push(Held { credential: credential.to_owned(), rates: Default::default(), touched: now });
        }
        let Some(held) = list.iter_mut().find(|held| held.credential == credential) else { return Taken::default() };
        let wait_ms = held.wait(needs, now);
        let touched_before = std::mem::replace(&mut held.touched, now);
        let mut shares = [Share::default(); UNITS];
        for ((rate, need), share) in held.rates.iter_mut().zip(*needs).zip(&mut shares) {
            *share = rate.take(need, now);
        }
        Taken { wait_ms, of: Some((self, credential)), at: now, touched_before, shares }
    }

    /// What is left of each rate that is not known to be full: the credential, the unit and how much.
    pub fn left(&self, now: Millis) -> Vec<(String, &'static str, i64)> {
        let list = self.lock();
        let of = |held: &Held| {
            let told = held.rates.iter().zip(RATE_UNITS).filter_map(|(rate, unit)| Some((rate.told?, unit)));
            let told = told.filter(|(told, _)| now < told.full_at());
            told.map(|(told, unit)| (held.credential.clone(), unit, told.left_at(now))).collect::<Vec<_>>()
        };
        list.iter().flat_map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken<'_> {
    /// Takes what the answer said of each rate. What it does not name stays taken where the request was `accepted`: the
    /// upstream counted it all the same.
    pub fn learn(&mut self, said: &[Option<Left>; UNITS], accepted: bool, now: Millis) {
        let Some((rates, credential)) = self.of else { return };
        if !accepted && said.iter().all(Option::is_none) {
            return;
        }
        self.of = None;
        let mut list = rates.lock();
        let Some(held) = list.iter_mut().find(|held| held.credential == credential) else { return };
        held.touched = held.touched.max(now);
        for ((rate, said), share) in held.rates.iter_mut().zip(said).zip(&self.shares) {
            match *said {
                Some(said) => rate.learn(said, share, now),
                None if !accepted => rate.give_back(share),
                None => {}
            }
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let Some((rates, credential)) = self.of.take() else { return };
        let mut list = rates.lock();
        let Some(held) = list.iter_mut().find(|held| held.credential == credential) else { return };
        if held.touched == self.at {
            held.touched = self.touched_before;
        }
        held.rates.iter_mut().zip(&self.shares).for_each(|(rate, share)| rate.give_back(share));
    }
}

impl Held {
    fn wait(&self, needs: &Needed, now: Millis) -> u64 {
        let waits = self.rates.iter().zip(needs).filter_map(|(rate, need)| Some(rate.told?.wait(*need, now)));
        let probe_at = self.touched.saturating_add(MOST_WAIT_MS);
        waits.max().unwrap_or(0).min(probe_at.saturating_sub(now))
    }
}

impl Rate {
    fn take(&mut self, need: u64, now: Millis) -> Share {
        self.told = self.told.filter(|told| now < told.full_at());
        let amount = self.told.map_or(need, |told| told.countable(need).min(told.most())).min(MOST_OF_ONE);
        self.taken = self.taken.saturating_add(amount);
        if let Some(told) = &mut self.told {
            told.gone = told.gone.saturating_add(amount);
            told.last = now;
        }
        Share { amount, so_far: self.taken, returned: self.returned }
    }

    /// The answer to a later request knows more, so that an earlier one that comes after it says nothing.
    fn learn(&mut self, said: Left, share: &Share, now: Millis) {
        if self.told.is_some_and(|told| now < told.full_at() && told.so_far > share.so_far) {
            return;
        }
        let mut told = Told { said, at: now, so_far: share.so_far, gone: 0, last: now };
        // The upstream did not know yet what was sent since.
        let since =
            self.taken.saturating_sub(share.so_far).saturating_sub(self.returned.saturating_sub(share.returned));
        told.gone = since.min(told.most());
        self.told = (said.full_in_ms > 0).then_some(told);
    }

    fn give_back(&mut self, share: &Share) {
        self.returned = self.returned.saturating_add(share.amount);
        if let Some(told) = self.told.as_mut().filter(|told| share.so_far > told.so_far) {
            told.gone = told.gone.saturating_sub(share.amount);
        }
    }
}

impl Told {
    /// All of it: what is there when it is full, as far as that was told.
    fn most(&self) -> u64 {
        self.said.limit.unwrap_or(self.said.left).max(1)
    }

    /// A request that needs more than there ever is is not counted so: the upstream refuses it, or counts otherwise.
    fn countable(&self, need: u64) -> u64 {
        if self.said.limit.is_some_and(|limit| need > limit) { 0 } else { need }
    }

    /// How much comes back in how many milliseconds; `None` where no limit was told.
    fn back(&self) -> Option<(u128, u128)> {
        let missing = self.said.limit?.saturating_sub(self.said.left).max(1);
        Some((u128::from(missing), u128::from(self.said.full_in_ms)))
    }

    /// When it is full: later by what was taken since, but never later than it was told to take in all.
    fn full_at(&self) -> Millis {
        let later = self.back().map_or(0, |(amount, span)| u128::from(self.gone) * span / amount);
        let counted =
            self.at.saturating_add(self.said.full_in_ms).saturating_add(u64::try_from(later).unwrap_or(u64::MAX));
        counted.min(self.last.saturating_add(self.said.full_in_ms))
    }

    fn left_at(&self, now: Millis) -> i64 {
        let came =
            self.back().map_or(0, |(amount, span)| amount * u128::from(now.saturating_sub(self.at)) / span.max(1));
        let there = signed(self.said.left).saturating_add(i64::try_from(came).unwrap_or(i64::MAX));
        there.saturating_sub(signed(self.gone)).min(self.said.limit.map_or(i64::MAX, signed))
    }

    fn wait(&self, need: u64, now: Millis) -> u64 {
        let (need, full_at) = (self.countable(need), self.full_at());
        if need == 0 || now >= full_at || self.left_at(now) >= signed(need) {
            return 0;
        }
        let there = self.back().map(|(amount, span)| {
            let short = (u128::from(need) + u128::from(self.gone)).saturating_sub(u128::from(self.said.left));
            let after = u64::try_from((short * span).div_ceil(amount)).unwrap_or(u64::MAX);
            self.at.saturating_add(after).saturating_sub(now)
        });
        let full = full_at - now;
        there.unwrap_or(full).min(full)
    }
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
