//! A leader that cannot prove that it still leads: another one may.

use super::state::Leader;
use std::sync::Arc;
use weir_snapshot::ledger::{Adrift, ToPod, to_pod};

impl Leader {
    /// Whether it cannot prove that it still leads. While it cannot, it writes nothing, so that it grants from what is
    /// stored alone, and its pods look for a newer leader. Says whether that has changed.
    pub fn set_adrift(&mut self, adrift: bool) -> bool {
        if self.adrift == adrift {
            return false;
        }
        self.adrift = adrift;
        let connected: Vec<usize> = self.members.connected().collect();
        connected.into_iter().for_each(|member| self.tell_adrift(member));
        true
    }

    pub(super) fn tell_adrift(&mut self, member: usize) {
        let Some(member) = self.members.get(member) else { return };
        let adrift = Adrift { epoch: self.settings.epoch, adrift: self.adrift };
        self.out.push((Arc::clone(&member.incarnation), ToPod { kind: Some(to_pod::Kind::Adrift(adrift)) }));
    }
}
