//! The end of a run: everything works again, and the sums must agree.

use super::office::Time;
use super::{LIMIT, World};

impl World {
    /// Everything works again: what is left can be spent to the last unit, and the sums agree.
    pub(super) fn heal(mut self) -> u64 {
        self.plan.failures = false;
        self.plan.overruns = false;
        let newest = self.offices.len() - 1;
        for office in &mut self.offices[..newest] {
            office.time = Time::Over;
        }
        (self.offices[newest].paused, self.offices[newest].cut_until) = (None, 0);
        if self.offices[newest].acts() {
            self.write_lease(Some(newest));
        } else {
            self.elect();
        }
        let newest = self.offices.len() - 1;
        for pod in 0..self.pods.len() {
            if self.pods[pod].leader != Some(newest) {
                let at = self.mono;
                self.disconnect(pod, at);
            }
        }
        for _ in 0..400 {
            self.step();
            self.check();
        }
        for pod in &mut self.pods {
            let longest = pod.running.iter().map(|request| request.ends).max().unwrap_or(0);
            self.mono = self.mono.max(longest);
        }
        // Requests end, and a minute without any gives every lease back.
        let quiet = self.chance.clone();
        for _ in 0..200 {
            self.mono += 500;
            self.hold_elections();
            (0..self.pods.len()).for_each(|pod| self.settle_down(pod));
            (0..self.offices.len()).for_each(|office| self.step_office(office));
            (0..self.pods.len()).for_each(|pod| self.receive(pod));
        }
        self.chance = quiet;
        self.compare();
        self.moves
    }

    fn settle_down(&mut self, index: usize) {
        let mono = self.mono;
        for request in std::mem::take(&mut self.pods[index].running) {
            self.spent.push((mono, request.partition, request.spends));
            self.pods[index].wallet.settle(request.reservation, &[Some(request.spends)], mono);
        }
        self.pods[index].waiting.clear();
        let newest = self.offices.len() - 1;
        if self.pods[index].leader.is_none() {
            self.pods[index].leader = Some(newest);
            self.greet(index);
        }
        self.report(index);
    }

    fn compare(&mut self) {
        if self.plan.windows || self.forgotten {
            return;
        }
        let newest = self.offices.len() - 1;
        let now = self.now(newest);
        let limit = self.offices[newest].leader.view(now).limits.remove(LIMIT).unwrap();
        let mut forgot = 0;
        for partition in 0..self.partitions {
            let name = self.name_of(partition);
            let pot = limit.top.iter().find(|(held, _)| **held == *name).map(|(_, pot)| *pot).unwrap_or_default();
            let spent = self.counted(partition, 0);
            assert_eq!(pot.reserved, 0, "nothing runs any more");
            forgot += spent.saturating_sub(pot.spent + pot.unaccounted);
            if self.lost_starts == 0 {
                assert!(pot.spent <= spent, "{pot:?} counts more than {spent}");
            }
            if self.lost_starts == 0 && pot.unaccounted == 0 {
                assert_eq!(pot.spent, spent, "the sums agree");
            }
            if self.calm {
                assert_eq!((pot.spent, pot.unaccounted), (spent, 0));
            }
            // What is left is not stuck anywhere.
            let left = self.limit.saturating_sub(pot.spent + pot.unaccounted);
            let free = self.offices[newest].leader.remaining(LIMIT, &name, now);
            assert_eq!(free, Some(left), "{pot:?} of {}", self.limit);
        }
        assert!(self.overruns >= forgot, "{forgot} are forgotten");
    }
}
