//! What the ledger shows: to status, to metrics, to explain.

use super::state::{Leader, LimitState};
use crate::{Millis, Now, Span};
use std::collections::BTreeMap;
use std::sync::Arc;

/// So long after a partition was refused for want of a place, that is told.
const FULL_MS: Millis = 300_000;

/// Partitions of a limit that are shown by themselves.
pub const TOP: usize = 10;

/// Everything, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// By the limit's name in the ledger.
    pub limits: BTreeMap<Arc<str>, LimitView>,
    /// What the leader can vouch for.
    pub health: Health,
}

/// What the leader can vouch for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// Every count is exact.
    #[default]
    Exact,
    /// Starts of pods were not heard of yet; what they may hold counts as spent.
    Recovering,
    /// The store was empty and no pod knew what had been spent.
    Reset,
}

/// A limit in the window that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitView {
    /// What each of its pots holds, overrides included.
    pub amount: u64,
    /// Names of the overrides that hold now.
    pub overrides: Vec<String>,
    /// The window.
    pub span: Span,
    /// How many partitions it has; 1 without any.
    pub partitions: usize,
    /// The partitions that have spent most, the most first, ten at most; of Budgets alone.
    pub top: Vec<(Arc<str>, PotView)>,
    /// Requests whose price nobody knew, over all partitions.
    pub unpriced: u64,
    /// Whether further partitions were refused of late, since it or its namespace has its share of the ledger.
    pub full: bool,
}

/// A pot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PotView {
    /// What was spent of it.
    pub spent: u64,
    /// What running requests have reserved.
    pub reserved: u64,
    /// What was taken by starts that are gone, and that nobody can tell the fate of.
    pub unaccounted: u64,
    /// Requests whose price nobody knew.
    pub unpriced: u64,
}

impl Leader {
    /// Everything, as it is now.
    pub fn view(&mut self, now: Now) -> View {
        let health = match (self.settled, self.reset) {
            (false, _) => Health::Recovering,
            (true, true) => Health::Reset,
            (true, false) => Health::Exact,
        };
        let limits = self.limits.iter_mut().filter_map(|(id, state)| Some((Arc::clone(id), view(state, now)?)));
        View { limits: limits.collect(), health }
    }

    /// What can still be granted of a pot in the window that is open; `None` for a limit that nobody set.
    pub fn remaining(&mut self, limit: &str, partition: &str, now: Now) -> Option<u64> {
        let state = self.limits.get_mut(limit)?;
        let window = state.opened(now).id;
        let amount = state.limit.as_ref()?.amount_at(now.unix);
        let pot = state.pots.get(&(window, Arc::from(partition)));
        Some(amount.saturating_sub(pot.map_or(0, super::pot::Pot::committed)))
    }
}

fn view(state: &mut LimitState, now: Now) -> Option<LimitView> {
    let span = state.opened(now);
    let full = state.full_at.is_some_and(|at| now.mono.saturating_sub(at) < FULL_MS);
    let limit = state.limit.as_ref()?;
    let (amount, nature) = (limit.amount_at(now.unix), limit.nature);
    let overrides = limit.overrides_at(now.unix).map(|change| change.name.clone()).collect();
    let (mut partitions, mut unpriced, mut top) = (0, 0, Vec::with_capacity(TOP + 1));
    let stored = nature.is_stored();
    let open = state.pots.range_mut((span.id, Arc::from(""))..);
    for ((_, partition), pot) in open.take_while(|((window, _), _)| *window == span.id) {
        partitions += 1;
        if !stored {
            continue;
        }
        pot.age(nature, now);
        let (spent, reserved) = (pot.spent(), pot.outstanding());
        let view = PotView { spent, reserved, unaccounted: pot.unaccounted, unpriced: pot.unpriced() };
        unpriced += view.unpriced;
        // Of those that spent the same, the first by name.
        let place = top.partition_point(|(_, held): &(Arc<str>, PotView)| held.spent >= spent);
        if place < TOP {
            top.insert(place, (Arc::clone(partition), view));
            top.truncate(TOP);
        }
    }
    Some(LimitView { amount, overrides, span, partitions, top, unpriced, full })
}
