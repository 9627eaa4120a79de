//! What pods say: what they hold, what they want, that they leave.

use super::id::PotId;
use super::state::{Leader, LimitState};
use crate::limit::is_passing;
use crate::{Counters, Now};
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_snapshot::ledger::{self, Closed, FromPod, Hello, Report, ToPod, from_pod, to_pod};

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

    /// Takes a part of what a start holds. It was heard of once it has said the last of them.
    pub(super) fn hello(&mut self, pod: &str, hello: Hello, now: Now) {
        let Hello { token: _, incarnation, highest_epoch: _, held, totals, more } = hello;
        if self.members.is_buried(&incarnation) {
            let closed = ToPod { kind: Some(to_pod::Kind::Closed(Closed {})) };
            self.out.push((incarnation.into(), closed));
            return;
        }
        let member = self.members.enter(&incarnation, pod);
        self.shards.touch(1, Some(""));
        self.emptied &= held.is_empty() && totals.is_empty();
        for total in totals {
            let Some(id) = total.pot.as_ref().map(|pot| self.id_of(pot)) else { continue };
            let limit = self.limits.get(&id.limit).and_then(|state| state.limit.as_ref());
            let counts = limit.map_or(!is_passing(&id.limit), |limit| limit.durable);
            if self.settled || total.sequence == 0 || !counts {
                continue;
            }
            self.pot(&id, now).told((total.epoch, total.sequence, total.granted));
        }
        self.held(member, &held, now);
        if more {
            return;
        }
        self.members.heard(member);
        // A Pod runs one start at a time: what an earlier one held is lost.
        for lost in self.members.of_pod(pod, Some(member)) {
            self.lose(lost, now);
        }
        self.hear(now);
        self.go_on(member, now);
        if self.adrift {
            self.tell_adrift(member);
        }
    }

    pub(super) fn report(&mut self, incarnation: &str, report: &Report, now: Now) {
        let Some(index) = self.members.find_open(incarnation) else { return };
        self.held(index, &report.held, now);
        self.retry(now);
        if let Some(member) = self.members.get_mut(index) {
            member.telling.get_or_insert_default().round = report.round;
        }
        self.go_on(index, now);
        if report.last {
            self.close(index, now);
        }
    }

    pub(super) fn held(&mut self, member: usize, held: &[ledger::Held], now: Now) {
        for held in held {
            let Some(id) = held.pot.as_ref().map(|pot| self.id_of(pot)) else { continue };
            let nature = self.limits.get(&id.limit).and_then(LimitState::nature);
            let pot = self.pot(&id, now);
            pot.report(member, &Counters::from(held), nature, now);
            let parts = pot.parts;
            self.shards.touch(parts, None);
            self.changed(&id);
        }
    }

    /// Those who have something of a pot are to be told that it changed.
    pub(super) fn changed(&mut self, id: &PotId) {
        let Some(state) = self.limits.get(&id.limit) else { return };
        if let Some(pot) = state.pots.get(&(id.window, Arc::clone(&id.partition))) {
            self.members.owe(&pot.shares, id);
        }
    }

    /// The stream of a start broke; it may come back.
    pub fn left(&mut self, incarnation: &str) {
        let Some(index) = self.members.find(incarnation) else { return };
        self.members.left(index);
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
}
