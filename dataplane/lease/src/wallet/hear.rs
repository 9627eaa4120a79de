//! What a leader says to a pod.

use super::Wallet;
use super::claim::Taken;
use crate::{LEASE_MS, Millis};
use std::sync::Arc;
use weir_snapshot::ledger::{Answer, Refused, Round, State, ToPod, to_pod};

impl Wallet {
    /// Takes a message of a leader. One of an older leader is not taken.
    pub fn take(&mut self, message: ToPod, now: Millis) -> Taken {
        match message.kind {
            Some(to_pod::Kind::Round(round)) => {
                if self.follows(round.epoch, now) {
                    self.round(round, now);
                }
                Taken::default()
            }
            Some(to_pod::Kind::Answer(answer)) if self.follows(answer.epoch, now) => self.answer(answer, now),
            Some(to_pod::Kind::Recall(recall)) => {
                for pot in recall.pots {
                    let Some(index) = self.find(&pot.limit, &pot.partition) else { continue };
                    self.at(index).into_iter().for_each(|slot| slot.give_back());
                    self.mark(index);
                }
                Taken { report: true, ..Taken::default() }
            }
            Some(to_pod::Kind::Closed(_)) => Taken { closed: true, ..Taken::default() },
            Some(
                to_pod::Kind::Answer(_)
                | to_pod::Kind::NotLeader(_)
                | to_pod::Kind::CostsStored(_)
                | to_pod::Kind::Leads(_)
                | to_pod::Kind::Adrift(_),
            )
            | None => Taken::default(),
        }
    }

    fn follows(&mut self, epoch: u64, now: Millis) -> bool {
        if epoch < self.epoch {
            return false;
        }
        (self.epoch, self.valid_until) = (epoch, now + LEASE_MS);
        true
    }

    fn round(&mut self, round: Round, now: Millis) {
        self.pods = u64::from(round.pods.max(1));
        round.states.iter().for_each(|state| self.state(state, now));
        round.totals.into_iter().for_each(|total| self.totals.take(total, now));
        if !round.more {
            self.acknowledged = Some(self.acknowledged.map_or(round.round, |held| held.max(round.round)));
        }
    }

    fn answer(&mut self, answer: Answer, now: Millis) -> Taken {
        for state in answer.states {
            self.state(&state, now);
        }
        let refused = answer.left_out.into_iter().chain(answer.refused.clone());
        refused.for_each(|refused| self.refuse(refused, now));
        Taken { answered: Some((answer.id, answer.refused)), ..Taken::default() }
    }

    fn refuse(&mut self, refused: Refused, now: Millis) {
        let index = self.find(&refused.limit, &refused.partition);
        if let Some(slot) = index.and_then(|index| self.at(index)) {
            slot.refuse(refused, now);
        }
    }

    /// A leader knows best what a pod was granted: the pot is taken whoever holds how much.
    fn state(&mut self, state: &State, now: Millis) {
        let Some(pot) = &state.pot else { return };
        let index = match self.find(&pot.limit, &pot.partition) {
            Some(index) => index,
            None => {
                let limit = self.by_limit.get_key_value(pot.limit.as_str()).map(|(limit, _)| Arc::clone(limit));
                let limit = limit.unwrap_or_else(|| pot.limit.as_str().into());
                self.add(&limit, &pot.partition.as_str().into())
            }
        };
        if let Some(slot) = self.at(index) {
            slot.take(state, now);
            if slot.has_changed() {
                self.mark(index);
            }
        }
    }
}
