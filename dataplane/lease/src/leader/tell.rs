//! What starts are told: all of their pots in answer to a hello, what changed in answer to a report, part by part.

use super::id::PotId;
use super::member::{From, Telling};
use super::state::Leader;
use crate::Now;
use crate::part::Part;
use std::ops::Bound;
use std::sync::Arc;
use weir_snapshot::ledger::{Round, State, ToPod, Total, to_pod};

impl Leader {
    /// The starts whose answer goes on in further parts, each to be asked for by [`Leader::tell_more`].
    pub fn telling(&self) -> Vec<Arc<str>> {
        let telling = self.members.open().filter(|(_, member)| member.telling.is_some());
        telling.map(|(_, member)| Arc::clone(&member.incarnation)).collect()
    }

    /// Makes the next part of what a start is told, for [`Leader::outgoing`]; false where there is none.
    pub fn tell_more(&mut self, incarnation: &str, now: Now) -> bool {
        let told = self.members.find_open(incarnation);
        told.is_some_and(|index| self.go_on(index, now))
    }

    /// Tells a start the next part of what changed of its pots, and of totals to keep for others.
    pub(super) fn go_on(&mut self, index: usize, now: Now) -> bool {
        let Some(member) = self.members.get_mut(index) else { return false };
        let Some(Telling { round, all }) = member.telling.take() else { return false };
        let incarnation = Arc::clone(&member.incarnation);
        let mut part = Part::new(self.settings.part_bytes);
        let (mut states, mut totals) = (Vec::new(), Vec::new());
        let all = all.and_then(|from| self.all(index, from, &mut part, &mut states, now));
        while all.is_none()
            && !part.is_full()
            && let Some(id) = self.members.get_mut(index).and_then(|member| member.due.pop_first())
        {
            part.add(&id.limit, &id.partition);
            states.extend(self.state(index, &id, now));
        }
        while !part.is_full()
            && let Some(id) = self.members.get_mut(index).and_then(|member| member.keeps.pop_first())
        {
            part.add(&id.limit, &id.partition);
            totals.extend(self.state(index, &id, now).and_then(total));
        }
        let pods = u32::try_from(self.members.connected().count()).unwrap_or(u32::MAX);
        let Some(member) = self.members.get_mut(index) else { return false };
        let more = all.is_some() || !member.due.is_empty() || !member.keeps.is_empty();
        member.telling = more.then_some(Telling { round, all });
        let round = Round { epoch: self.settings.epoch, round, pods, states, totals, more };
        self.out.push((incarnation, ToPod { kind: Some(to_pod::Kind::Round(round)) }));
        true
    }

    /// A part of all pots that a start has something of; where the next one begins.
    fn all(&self, index: usize, from: From, part: &mut Part, states: &mut Vec<State>, now: Now) -> Option<From> {
        let (first, mut after) = match from {
            From::First => (Bound::Unbounded, None),
            From::After(id) => (Bound::Included(Arc::clone(&id.limit)), Some(id)),
        };
        for (limit, state) in self.limits.range::<Arc<str>, _>((first, Bound::Unbounded)) {
            let after = after.take().filter(|id| id.limit == *limit);
            let begin = after.map_or(Bound::Unbounded, |id| Bound::Excluded((id.window, id.partition)));
            for ((window, partition), pot) in state.pots.range((begin, Bound::Unbounded)) {
                let Some(share) = pot.shares.iter().find(|share| share.member == index) else { continue };
                if pot.is_over_for(share, now) {
                    continue;
                }
                let id = PotId { limit: Arc::clone(limit), window: *window, partition: Arc::clone(partition) };
                part.add(&id.limit, &id.partition);
                states.extend(self.state(index, &id, now));
                if part.is_full() {
                    return Some(From::After(id));
                }
            }
        }
        None
    }
}

/// What is kept of a pot by another pod; nothing while the leader has not heard of everybody.
fn total(state: State) -> Option<Total> {
    let State { pot, epoch, sequence, total, ends_in_ms, .. } = state;
    (sequence > 0).then_some(Total { pot, epoch, sequence, granted: total, ends_in_ms })
}
