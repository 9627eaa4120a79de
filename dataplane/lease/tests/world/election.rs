//! The Lease, by which leaders follow on each other: the times are those of the operator's election.

use super::World;
use super::office::Time;

/// A holder that falls silent keeps it so long.
const LEASE_MS: u64 = 15_000;
/// A holder goes on so long after it was renewed last; then it is adrift.
const TERM_MS: u64 = 10_000;
/// Between two looks at it.
const RETRY_MS: u64 = 2_000;
/// A look that hangs is given up.
const LOOK_MS: u64 = 4_000;

/// As the API server has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    /// The leader that holds it; absent once it was given up.
    holder: Option<usize>,
    /// Of its last write.
    version: u64,
}

/// The process that waits to lead.
#[derive(Debug, Default)]
pub(super) struct Standby {
    looks_at: u64,
    /// The Lease as it was read, and since when it has stood like this.
    seen: Option<(Lease, u64)>,
}

impl World {
    /// Whoever is due looks at the Lease.
    pub(super) fn hold_elections(&mut self) {
        // Who comes first after a pause of all is chance.
        let standby_first = self.plan.failures && self.chance.bool();
        if standby_first {
            self.look_from_standby();
        }
        (0..self.offices.len()).for_each(|office| self.look_from_office(office));
        if !standby_first {
            self.look_from_standby();
        }
    }

    /// Whether nobody renews the Lease: time passes until somebody takes it.
    pub(super) fn awaits_leader(&self) -> bool {
        let holder = self.lease.and_then(|lease| self.offices.get(lease.holder?));
        !holder.is_some_and(|holder| holder.acts() && !holder.is_cut_off(self.mono))
    }

    pub(super) fn write_lease(&mut self, holder: Option<usize>) {
        self.version += 1;
        self.lease = Some(Lease { holder, version: self.version });
        if let Some(holder) = holder {
            self.offices[holder].until = self.mono + TERM_MS;
        }
    }

    /// A leader that ends gives it up, if it still holds it.
    pub(super) fn give_up_lease(&mut self, index: usize) {
        if self.lease.is_some_and(|lease| lease.holder == Some(index)) {
            self.write_lease(None);
        }
    }

    /// The next look's answer comes then: mostly soon after the pause between two, sometimes late.
    fn next_look(&mut self, pause: u64) -> u64 {
        let hangs = self.plan.failures && self.chance.u8(..10) == 0;
        self.mono + pause + self.chance.u64(1..=if hangs { LOOK_MS } else { RETRY_MS / 10 })
    }

    fn look_fails(&mut self) -> bool {
        self.plan.failures && self.chance.u8(..10) == 0
    }

    fn look_from_standby(&mut self) {
        let mono = self.mono;
        if mono < self.standby.looks_at {
            return;
        }
        self.standby.looks_at = self.next_look(RETRY_MS);
        if self.look_fails() {
            return;
        }
        let seen = self.standby.seen.filter(|(seen, _)| Some(*seen) == self.lease);
        let since = seen.map_or(mono, |(_, since)| since);
        self.standby.seen = self.lease.map(|lease| (lease, since));
        match self.lease {
            Some(Lease { holder: Some(_), .. }) if mono < since + LEASE_MS => {}
            Some(_) | None => self.elect(),
        }
    }

    fn look_from_office(&mut self, index: usize) {
        let mono = self.mono;
        if self.offices[index].paused.is_some_and(|until| until <= mono) {
            self.tell(|| format!("{} goes on", index + 1));
            self.offices[index].paused = None;
            // Its pause between two looks is over; until the answer comes it acts as if nothing were.
            self.offices[index].looks_at = self.next_look(0);
        }
        let office = &self.offices[index];
        if !office.acts() || mono < office.looks_at {
            return;
        }
        self.offices[index].looks_at = self.next_look(RETRY_MS);
        if self.offices[index].is_cut_off(mono) || self.look_fails() {
            return;
        }
        match self.lease {
            Some(Lease { holder: Some(holder), .. }) if holder == index => self.write_lease(Some(index)),
            Some(Lease { holder: Some(_), .. }) => self.end(index),
            // Taken anew it is another term, which the same process begins after this one.
            Some(Lease { holder: None, .. }) | None => {
                self.end(index);
                self.elect();
            }
        }
    }

    /// A leader ends in order; what it has taken is written for the next one.
    pub(super) fn end(&mut self, index: usize) {
        self.tell(|| format!("{} ends", index + 1));
        self.offices[index].time = Time::Ends;
        self.close_streams(index);
    }
}
