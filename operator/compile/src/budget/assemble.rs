//! All Budgets together: each by itself, its place among the others, and what pods get of it.
//!
//! What was made of one is kept as long as all that it was made from is the same.

use super::absent::{self, Absent};
use super::ancestry::{Known, Misplaced, above};
use super::pots::{Placed, too_many};
use super::{BuiltBudget, build};
use crate::alarm::Alarm;
use crate::findings::Gravity;
use crate::index::{self, Index};
use crate::objects::Objects;
use crate::verdict::{ObjectKind, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_snapshot::{BudgetMode, BudgetSelector, Kind, Name, ResourceId, Sealed};

/// The Budgets, compiled again and again.
#[derive(Default)]
pub(crate) struct Budgets {
    known: Known,
    objects: BTreeMap<Name, Arc<weir_crds::Budget>>,
    absent: BTreeMap<Name, Vec<Absent>>,
    kept: BTreeMap<Name, KeptBudget>,
}

/// What was made of a Budget, and from what.
pub(crate) struct KeptBudget {
    built: Arc<BuiltBudget>,
    place: Result<Vec<Name>, Misplaced>,
    absent: Vec<Absent>,
    /// What pods get.
    pub(crate) resource: Option<(ResourceId, Arc<Sealed>)>,
    /// What became of it.
    pub(crate) verdict: Arc<Verdict>,
}

impl KeptBudget {
    /// What it covers, unless it does nothing.
    pub(crate) fn selector(&self) -> Option<&BudgetSelector> {
        self.resource.as_ref().map(|_| &self.built.data.selector)
    }

    /// Whom the operator tells of it.
    pub(crate) fn alarms(&self) -> &[Alarm] {
        &self.built.alarms
    }
}

impl Budgets {
    /// Takes the Budgets of an index that may be another than the last time; says whether any is other than before.
    pub(crate) fn build(&mut self, objects: &Objects, index: &Index, anew: bool) -> bool {
        let unread = objects.undecodable.iter().filter(|held| held.id.kind == ObjectKind::Budget);
        let mut known: Known = unread.map(|held| (held.id.name.clone(), None)).collect();
        let wanted: BTreeMap<Name, Arc<weir_crds::Budget>> =
            objects.budgets.iter().map(|object| (index::name(&object.metadata), Arc::clone(object))).collect();
        for (name, object) in &wanted {
            let before = self.known.get(name).and_then(Option::as_ref);
            let same = !anew && self.objects.get(name).is_some_and(|held| Arc::ptr_eq(held, object));
            let built = match before {
                Some(before) if same => Arc::clone(before),
                Some(_) | None => {
                    let built = build(object, index);
                    before.filter(|before| ***before == built).map_or_else(|| Arc::new(built), Arc::clone)
                }
            };
            known.insert(name.clone(), Some(built));
        }
        let as_before = |one: &Option<Arc<BuiltBudget>>, other: &Option<Arc<BuiltBudget>>| {
            one.as_ref().map(Arc::as_ptr) == other.as_ref().map(Arc::as_ptr)
        };
        let absent = absent::find(&known, objects);
        let mut pairs = known.iter().zip(&self.known);
        let changed = known.len() != self.known.len()
            || absent != self.absent
            || pairs.any(|((name, built), (other, before))| name != other || !as_before(built, before));
        (self.known, self.objects, self.absent) = (known, wanted, absent);
        if changed {
            self.assemble();
        }
        changed
    }

    /// Every Budget that can be read.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &KeptBudget)> {
        self.kept.iter()
    }

    fn assemble(&mut self) {
        let readable = || self.known.iter().filter_map(|(name, built)| Some((name, built.as_ref()?)));
        let mut places: BTreeMap<&Name, Result<Vec<Name>, Misplaced>> =
            readable().map(|(name, built)| (name, above(name, built, &self.known))).collect();
        let placed: Vec<Placed<'_>> = readable()
            .filter(|(_, built)| built.findings.first(Gravity::Invalid).is_none())
            .filter_map(|(name, built)| Some(Placed { name, built, ancestors: places.get(name)?.as_ref().ok()? }))
            .collect();
        let refused = too_many(&placed);
        for (name, misplaced) in refused {
            if let Some(place) = places.get_mut(&name) {
                *place = Err(misplaced);
            }
        }
        let mut last = std::mem::take(&mut self.kept);
        let mut kept = BTreeMap::new();
        for (name, built) in readable() {
            let Some(place) = places.remove(name) else { continue };
            let absent = self.absent.get(name).map(Vec::as_slice).unwrap_or_default();
            let same =
                |held: &KeptBudget| Arc::ptr_eq(&held.built, built) && held.place == place && held.absent == absent;
            let held = last.remove(name).filter(same);
            kept.insert(name.clone(), held.unwrap_or_else(|| one(name, built, place, absent)));
        }
        self.kept = kept;
    }
}

/// A Budget in its place. Asked to restrict and not accepted, it refuses what it covers.
fn one(name: &Name, built: &Arc<BuiltBudget>, place: Result<Vec<Name>, Misplaced>, absent: &[Absent]) -> KeptBudget {
    let mut findings = built.findings.clone();
    for Absent { reason, path, message } in absent {
        findings.add(Gravity::Partial, reason, *path, message.clone());
    }
    if let Err(misplaced) = &place {
        findings.add(Gravity::Invalid, misplaced.reason, misplaced.path, misplaced.message.clone());
    }
    let accepted = findings.first(Gravity::Invalid).is_none();
    let mut data = built.data.clone();
    data.ancestors = place.clone().unwrap_or_default();
    if !accepted {
        data.mode = BudgetMode::Block;
    }
    let resource = (accepted || built.restricts()).then(|| {
        let id = ResourceId { kind: Kind::Budget, name: name.clone() };
        (id, Arc::new(Sealed::new(data)))
    });
    let verdict = Verdict {
        generation: built.generation,
        conditions: vec![findings.accepted()],
        complaints: findings.complaints(),
        resources: resource.iter().map(|(id, _)| id.clone()).collect(),
        ..Verdict::default()
    };
    let (built, absent) = (Arc::clone(built), absent.to_vec());
    KeptBudget { built, place, absent, resource, verdict: Arc::new(verdict) }
}
