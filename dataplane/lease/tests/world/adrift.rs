//! A leader that cannot renew the Lease, and its pods, which leave it for a newer one while it goes on.

use super::World;

/// Between two looks for a newer leader.
const LOOK_MS: u64 = 2_000;
/// A leader notices within that time that a pod has left.
const LEAVE_MS: u64 = 1_000;

impl World {
    /// A pod of a leader that is adrift looks for a newer one. From its hello to that one on it reads nothing of the old
    /// one, which may still take what was on its way.
    pub(super) fn move_on(&mut self, index: usize) {
        let mono = self.mono;
        if let Some((left, _)) = self.pods[index].leaves.take_if(|(_, until)| *until <= mono)
            && self.offices[left].acts()
        {
            self.offices[left].leader.left(&self.pods[index].name);
        }
        // A stream may break before a word came over it, and the next one may be to the old leader.
        if self.plan.cuts && self.pods[index].leaves.is_some() && self.chance.u8(..3) == 0 {
            let redial_at = mono + self.chance.u64(1..500);
            self.disconnect(index, redial_at);
        }
        let pod = &mut self.pods[index];
        let Some(old) = pod.leader.filter(|_| pod.looks_at.is_some_and(|at| at <= mono)) else { return };
        pod.looks_at = Some(mono + LOOK_MS);
        let newer = (old + 1..self.offices.len()).rev().find(|office| self.offices[*office].acts());
        let Some(newer) = newer.filter(|_| self.chance.u8(..5) > 0) else { return };
        self.tell(|| format!("{} leaves {} for {}", self.pods[index].name, old + 1, newer + 1));
        self.moves += u64::from(self.offices[old].acts());
        let leaves = mono + self.chance.u64(1..LEAVE_MS);
        let pod = &mut self.pods[index];
        pod.leaves = Some((old, leaves));
        pod.hangs_up_at = None;
        // What was asked of the old one is not answered.
        pod.wallet.set_connected(false);
        pod.waiting.clear();
        self.say_hello(index, newer);
    }
}
