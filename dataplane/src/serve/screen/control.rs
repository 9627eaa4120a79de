//! How many HTTP/2 frames that carry nothing a connection may send: pings, settings, resets, priorities.
//!
//! They cost their sender nine bytes and us an answer. Windows are not counted: they pay for what is sent.

use tokio::time::Instant;

/// Frames at once; more than a proxy cancels when all of its streams end together.
const BURST: u32 = 1_000;
/// Frames a second over time.
const RATE: u32 = 200;

const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;

/// The frames of one connection.
#[derive(Default)]
pub(super) struct Control {
    head: [u8; HEAD],
    /// Bytes of the head so far.
    have: usize,
    /// Bytes of the payload to come.
    skip: usize,
    spent: u32,
    since: Option<Instant>,
}

impl Control {
    /// Looks at the next bytes; false once there are too many frames that carry nothing.
    pub(super) fn look(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some((first, rest)) = bytes.split_first() else { return true };
            bytes = rest;
            if let Some(byte) = self.head.get_mut(self.have) {
                *byte = *first;
            }
            self.have += 1;
            if self.have == HEAD {
                self.have = 0;
                let [a, b, c, kind, flags, ..] = self.head;
                self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                let carries = match kind {
                    DATA => self.skip > 0 || flags & END_STREAM != 0,
                    HEADERS | CONTINUATION | WINDOW_UPDATE => true,
                    _ => false,
                };
                if !carries && !self.spend(now) {
                    return false;
                }
            }
        }
    }

    fn spend(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let regained = now.saturating_duration_since(since).as_secs().saturating_mul(u64::from(RATE));
        if regained > 0 {
            self.spent = self.spent.saturating_sub(u32::try_from(regained).unwrap_or(u32::MAX));
            self.since = Some(now);
        }
        self.spent += 1;
        self.spent <= BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a small frame").to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[tokio::test(start_paused = true)]
    async fn f61_empty_frames_are_rationed_and_those_that_carry_something_are_not() {
        let now = Instant::now();
        for (kind, flags) in [(DATA, 0), (2, 0), (3, 0), (4, 0), (6, 0), (7, 0), (99, 0)] {
            let mut control = Control::default();
            let frames = frame(kind, flags, b"").repeat(1_000);
            assert!(control.look(&frames, now), "a burst of kind {kind}");
            assert!(control.look(&frame(DATA, 0, b"x"), now), "content costs nothing");
            assert!(!control.look(&frame(kind, flags, b""), now), "and no more of kind {kind}");
        }
        let mut control = Control::default();
        for (kind, flags) in [(DATA, END_STREAM), (HEADERS, 0), (CONTINUATION, 0), (WINDOW_UPDATE, 0)] {
            assert!(control.look(&frame(kind, flags, b"").repeat(5_000), now), "kind {kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn f61_frames_are_counted_however_they_are_cut_and_the_ration_comes_back() {
        let (now, mut control) = (Instant::now(), Control::default());
        let ping = frame(6, 0, b"\0\0\0\0\0\0\0\x06");
        for byte in ping.repeat(1_000) {
            assert!(control.look(&[byte], now));
        }
        assert!(control.look(&ping.repeat(200), now + Duration::from_secs(1)));
        assert!(!control.look(&ping, now + Duration::from_secs(1)));
    }
}
