//! How many lines senders have in the log for requests that no route took, so that a flood of those fills no disk.

use std::sync::atomic::{AtomicU64, Ordering};

/// Senders are told apart so far; those that share a place share its lines.
const PLACES: usize = 64;
/// A place gains a line so often, in milliseconds.
const EVERY_MS: u64 = 100;
/// Lines that a place has at once, when it was quiet for long.
const BURST: u64 = 1_000;

/// When each place has all of its lines again, in milliseconds.
pub(super) struct Quota([AtomicU64; PLACES]);

impl Quota {
    pub(super) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; PLACES])
    }

    /// Takes a line of that sender; false where it has none left.
    pub(super) fn take(&self, sender: u64, now_ms: u64) -> bool {
        let place = usize::try_from(sender % PLACES as u64).unwrap_or(0);
        let Some(full_at) = self.0.get(place) else { return true };
        let taken = full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
            let next = full_at.max(now_ms) + EVERY_MS;
            (next <= now_ms + BURST * EVERY_MS).then_some(next)
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_has_its_burst_and_then_ten_lines_a_second_and_takes_none_of_another_sender() {
        let quota = Quota::new();
        let lines = |sender, from: u64, to: u64| (from..to).filter(|now| quota.take(sender, *now)).count();
        assert_eq!(lines(7, 0, 5_000), 1_000 + 49, "a request each millisecond");
        assert_eq!(lines(7, 5_000, 6_000), 10);
        assert_eq!(lines(8, 6_000, 6_500), 500);
        assert_eq!(lines(7, 200_000, 203_000), 1_000 + 29, "quiet for long");
    }
}
