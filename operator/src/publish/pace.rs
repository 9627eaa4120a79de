//! How often one pod is pushed to: a token bucket over the caller's clock.

use std::time::{Duration, Instant};

const BURST: u32 = 20;
const REFILL: Duration = Duration::from_millis(100);

/// Twenty pushes at once, then ten a second.
pub(crate) struct Pace {
    tokens: u32,
    refilled: Instant,
}

impl Pace {
    /// A full bucket.
    pub(crate) fn new(now: Instant) -> Self {
        Self { tokens: BURST, refilled: now }
    }

    /// Takes a token, or says when there will be one.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let passed = now.saturating_duration_since(self.refilled).as_millis() / REFILL.as_millis();
        let gained = u32::try_from(passed).unwrap_or(BURST).min(BURST);
        self.tokens = (self.tokens + gained).min(BURST);
        self.refilled = if self.tokens == BURST { now } else { self.refilled + REFILL * gained };
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => Err(self.refilled + REFILL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_at_once_then_ten_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for _ in 0..20 {
            pace.take(start).unwrap();
        }
        assert_eq!(pace.take(start), Err(start + REFILL));
        let mut sent = 0;
        for ms in 0..1000 {
            sent += u32::from(pace.take(start + Duration::from_millis(ms)).is_ok());
        }
        assert_eq!(sent, 9);
        pace.take(start + Duration::from_secs(1)).unwrap();
        let later = start + Duration::from_secs(60);
        assert_eq!((0..100).filter(|_| pace.take(later).is_ok()).count(), 20);
    }
}
