//! What pods say: what they hold, what they want, that they leave.

use super::id::PotId;
use super::state::{Leader, LimitState};
use crate::{Counters, Now};
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_snapshot::ledger::{self, Closed, FromPod, Hello, Report, Round, State, ToPod, Total, from_pod, to_pod};

impl Leader {
    /// Takes a message of a start; `pod` is the proven UID of its Pod.
    pub fn take(&mut self, incarnation: &str, pod: &str, message: FromPod, now: Now) {
        match message.kind {
            Some(from_pod::Kind::Hello(hello)) => self.hello(pod, hello, now),
            Some(from_pod::Kind::Report(report)) => self.report(incarnation, &report, now),
            Some(from_pod::Kind::Ask(ask)) => {
                if let Some(member) = self.members.find_open(incarnation) {
                    self.ask(member, ask, now);
                }
            }
            Some(from_pod::Kind::Costs(_)) | None => {}
        }
    }

    pub(super) fn hello(&mut self, pod: &str, hello: Hello, now: Now) {
        let Hello { token: _, incarnation, highest_epoch: _, held, totals } = hello;
        if self.members.is_buried(&incarnation) {
            let closed = ToPod { kind: Some(to_pod::Kind::Closed(Closed {})) };
            self.out.push((incarnation.into(), closed));
            return;
        }
        let member = self.members.enter(&incarnation, pod);
        self.shards.touch(0, true);
        self.emptied &= held.is_empty() && totals.is_empty();
        for total in totals {
            let Some(id) = total.pot.as_ref().map(PotId::of) else { continue };
            let limit = self.limits.get(&id.limit).and_then(|state| state.limit.as_ref());
            if self.settled || total.sequence == 0 || limit.is_some_and(|limit| !limit.durable) {
                continue;
            }
            self.pot(&id, now).told((total.epoch, total.sequence, total.granted));
        }
        self.held(member, &held, now);
        // A Pod runs one start at a time: what an earlier one held is lost.
        for lost in self.members.of_pod(pod, Some(member)) {
            self.lose(lost, now);
        }
        self.hear(now);
        self.round(member, 0, now);
        if self.adrift {
            self.tell_adrift(member);
        }
    }

    pub(super) fn report(&mut self, incarnation: &str, report: &Report, now: Now) {
        let Some(member) = self.members.find_open(incarnation) else { return };
        self.held(member, &report.held, now);
        self.retry(now);
        self.round(member, report.round, now);
        if report.last {
            self.close(member, now);
        }
    }

    pub(super) fn held(&mut self, member: usize, held: &[ledger::Held], now: Now) {
        self.changes += 1;
        let changes = self.changes;
        for held in held {
            let Some(id) = held.pot.as_ref().map(PotId::of) else { continue };
            let nature = self.limits.get(&id.limit).and_then(LimitState::nature);
            let pot = self.pot(&id, now);
            pot.report(member, &Counters::from(held), nature, now);
            pot.changed = changes;
            self.touch(&id, false);
            if let Some(member) = self.members.get_mut(member) {
                member.pots.insert(id);
            }
        }
    }

    /// The stream of a start broke; it may come back.
    pub fn left(&mut self, incarnation: &str) {
        let Some(index) = self.members.find(incarnation) else { return };
        if let Some(member) = self.members.get_mut(index) {
            member.connected = false;
        }
        self.pending.retain(|pending| pending.member != index);
    }

    /// A Pod is gone, with all of its starts.
    pub fn gone(&mut self, pod: &str, now: Now) {
        self.members.not_expected(pod);
        for index in self.members.of_pod(pod, None) {
            self.lose(index, now);
        }
        self.hear(now);
    }

    /// The Pods whose starts may hold leases, as far as they are known: a start that only a pot names has none yet.
    pub fn pods(&self) -> BTreeSet<String> {
        let pods = self.members.open().map(|(_, member)| &member.pod);
        pods.filter(|pod| !pod.is_empty()).cloned().collect()
    }

    /// Answers a report: what changed of the start's pots, and totals to keep for others.
    pub(super) fn round(&mut self, index: usize, round: u64, now: Now) {
        let Some(member) = self.members.get_mut(index) else { return };
        let (incarnation, told) = (Arc::clone(&member.incarnation), member.told);
        member.told = self.changes;
        let (pots, keeps) = (member.pots.clone(), std::mem::take(&mut member.keeps));
        let changed = |leader: &Self, id: &PotId| {
            let pots = leader.limits.get(&id.limit).map(|state| &state.pots);
            pots.and_then(|pots| pots.get(&(id.window, Arc::clone(&id.partition)))).map(|pot| pot.changed)
        };
        let mut states = Vec::new();
        for id in pots {
            match changed(self, &id) {
                Some(at) if at > told || round == 0 => states.push(self.state(index, &id, now)),
                Some(_) => {}
                None => {
                    if let Some(member) = self.members.get_mut(index) {
                        member.pots.remove(&id);
                    }
                }
            }
        }
        let totals = keeps.into_iter().map(|id| {
            let State { pot, epoch, sequence, total, .. } = self.state(index, &id, now);
            Total { pot, epoch, sequence, granted: total }
        });
        let totals = totals.filter(|total| total.pot.is_some() && total.sequence > 0).collect();
        let pods = u32::try_from(self.members.connected().count()).unwrap_or(u32::MAX);
        let round = Round { epoch: self.settings.epoch, round, pods, states, totals };
        self.out.push((incarnation, ToPod { kind: Some(to_pod::Kind::Round(round)) }));
    }
}
