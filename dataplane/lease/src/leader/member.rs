//! The starts of pods' processes that may hold leases.

use super::id::PotId;
use super::share::Share;
use crate::Now;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use weir_snapshot::ledger::{self, Tombstone};

/// How long the name of a closed start is kept, so that it is not let in again.
const TOMBSTONE_S: i64 = 3_600;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) incarnation: Arc<str>,
    /// UID of its Pod; empty while only a pot names it.
    pub(super) pod: String,
    pub(super) connected: bool,
    /// Whether it said what it holds, to this leader.
    pub(super) heard: bool,
    /// Whether the store names it.
    pub(super) stored: bool,
    pub(super) closed: bool,
    /// Parts of the store that must tell what it left behind before they may forget its name.
    unwritten: BTreeSet<usize>,
    /// When it was closed, or what it left behind was settled.
    closed_at: u64,
    /// Pots that it has something of and that changed since it was told of them.
    pub(super) due: BTreeSet<PotId>,
    /// Pots of others whose totals it is to keep.
    pub(super) keeps: BTreeSet<PotId>,
    /// The answer that is not finished yet.
    pub(super) telling: Option<Telling>,
}

/// An answer to a report or a hello that goes out in parts.
#[derive(Debug, Clone, Default)]
pub(super) struct Telling {
    /// The report that it answers.
    pub(super) round: u64,
    /// To a hello, which is told of all: where the next part begins.
    pub(super) all: Option<From>,
}

/// Where a part of all pots begins.
#[derive(Debug, Clone)]
pub(super) enum From {
    /// With the first one.
    First,
    /// With the one after it.
    After(PotId),
}

#[derive(Debug, Default)]
pub(super) struct Members {
    all: Vec<Member>,
    by_name: HashMap<Arc<str>, usize>,
    /// Pods that run and did not say hello yet.
    expected: BTreeSet<String>,
    tombstones: HashMap<String, i64>,
}

impl Members {
    pub(super) fn get(&self, index: usize) -> Option<&Member> {
        self.all.get(index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Member> {
        self.all.get_mut(index)
    }

    pub(super) fn find(&self, incarnation: &str) -> Option<usize> {
        self.by_name.get(incarnation).copied()
    }

    /// The place of a start that may still spend.
    pub(super) fn find_open(&self, incarnation: &str) -> Option<usize> {
        self.find(incarnation).filter(|index| self.get(*index).is_some_and(|member| !member.closed))
    }

    /// The place of a start; a new one is not heard of yet.
    pub(super) fn index(&mut self, incarnation: &str) -> usize {
        if let Some(index) = self.find(incarnation) {
            return index;
        }
        let incarnation: Arc<str> = incarnation.into();
        self.by_name.insert(Arc::clone(&incarnation), self.all.len());
        self.all.push(Member {
            incarnation,
            pod: String::new(),
            connected: false,
            heard: false,
            stored: false,
            closed: false,
            unwritten: BTreeSet::new(),
            closed_at: 0,
            due: BTreeSet::new(),
            keeps: BTreeSet::new(),
            telling: None,
        });
        self.all.len() - 1
    }

    /// Pods that are known to run.
    pub(super) fn expect(&mut self, pods: &BTreeSet<String>) {
        self.expected.clone_from(pods);
    }

    pub(super) fn of_store(&mut self, stored: ledger::Member) {
        let index = self.index(&stored.incarnation);
        if let Some(member) = self.get_mut(index) {
            (member.pod, member.stored) = (stored.pod, true);
        }
    }

    pub(super) fn buried(&mut self, tombstone: Tombstone) {
        self.tombstones.insert(tombstone.incarnation, tombstone.closed_at);
    }

    pub(super) fn is_buried(&self, incarnation: &str) -> bool {
        self.tombstones.contains_key(incarnation)
    }

    /// A start begins to say what it holds.
    pub(super) fn enter(&mut self, incarnation: &str, pod: &str) -> usize {
        self.expected.remove(pod);
        let index = self.index(incarnation);
        if let Some(member) = self.get_mut(index) {
            pod.clone_into(&mut member.pod);
        }
        index
    }

    /// A start has said all that it holds, and is told of all its pots.
    pub(super) fn heard(&mut self, index: usize) {
        if let Some(member) = self.get_mut(index) {
            (member.connected, member.heard) = (true, true);
            member.due.clear();
            member.telling = Some(Telling { round: 0, all: Some(From::First) });
        }
    }

    /// The stream of a start broke. On its next one it is told of all.
    pub(super) fn left(&mut self, index: usize) {
        if let Some(member) = self.get_mut(index) {
            member.connected = false;
            member.due.clear();
            member.keeps.clear();
            member.telling = None;
        }
    }

    /// A pot changed: those who have something of it are to be told.
    pub(super) fn owe(&mut self, shares: &[Share], id: &PotId) {
        for share in shares {
            if let Some(member) = self.all.get_mut(share.member).filter(|member| member.connected) {
                member.due.insert(id.clone());
            }
        }
    }

    /// A start spends no more; what it left behind is told by these parts of the store.
    pub(super) fn close(&mut self, index: usize, parts: BTreeSet<usize>, stamp: u64, now: Now) {
        if let Some(member) = self.all.get_mut(index) {
            (member.closed, member.connected) = (true, false);
            (member.unwritten, member.closed_at) = (parts, stamp);
            member.due.clear();
            member.keeps.clear();
            member.telling = None;
            self.tombstones.insert(member.incarnation.to_string(), now.unix / 1_000);
        }
        self.tombstones.retain(|_, closed_at| now.unix / 1_000 - *closed_at < TOMBSTONE_S);
    }

    /// What closed starts left behind has changed: every one of these parts must be written first.
    pub(super) fn settled(&mut self, parts: &BTreeSet<usize>, stamp: u64) {
        for member in self.all.iter_mut().filter(|member| member.closed) {
            member.unwritten.clone_from(parts);
            member.closed_at = stamp;
        }
    }

    /// A part was written as it was then.
    pub(super) fn written(&mut self, part: usize, stamp: u64) {
        for member in self.all.iter_mut().filter(|member| member.closed && member.closed_at < stamp) {
            member.unwritten.remove(&part);
        }
    }

    /// A Pod is gone: it is not waited for.
    pub(super) fn not_expected(&mut self, pod: &str) {
        self.expected.remove(pod);
    }

    /// The starts of a Pod that are not closed, but for one.
    pub(super) fn of_pod(&self, pod: &str, except: Option<usize>) -> Vec<usize> {
        let open = self.open().filter(|(index, member)| member.pod == pod && Some(*index) != except);
        open.map(|(index, _)| index).collect()
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (usize, &Member)> {
        self.all.iter().enumerate().filter(|(_, member)| !member.closed)
    }

    pub(super) fn connected(&self) -> impl Iterator<Item = usize> {
        self.open().filter(|(_, member)| member.connected).map(|(index, _)| index)
    }

    /// Whether every start that may hold leases said what it holds. A start without a Pod, which a pot names and
    /// the list of starts does not, is not waited for.
    pub(super) fn all_heard(&self) -> bool {
        self.open().all(|(_, member)| member.heard || member.pod.is_empty())
    }

    /// Those that said nothing and that no list of starts names, so that their Pod is not known.
    pub(super) fn named_by_pots(&self) -> Vec<usize> {
        let named = self.open().filter(|(_, member)| !member.heard && member.pod.is_empty());
        named.map(|(index, _)| index).collect()
    }

    /// Those that said nothing, where another start of their Pod did: a Pod runs one at a time.
    pub(super) fn followed(&self) -> Vec<usize> {
        let heard: BTreeSet<_> =
            self.open().filter(|(_, member)| member.heard).map(|(_, member)| &member.pod).collect();
        let followed = self.open().filter(|(_, member)| !member.heard && heard.contains(&member.pod));
        followed.map(|(index, _)| index).collect()
    }

    /// Whether Pods run of which nothing was heard.
    pub(super) fn expects(&self) -> bool {
        !self.expected.is_empty()
    }

    /// What the store is to say. Until what closed starts left behind is settled and written, their names stay.
    pub(super) fn store(&self, settled: bool) -> (Vec<ledger::Member>, Vec<Tombstone>) {
        let kept = self.all.iter().filter(|member| !settled || !member.closed || !member.unwritten.is_empty());
        let named =
            kept.map(|member| ledger::Member { incarnation: member.incarnation.to_string(), pod: member.pod.clone() });
        let mut tombstones: Vec<Tombstone> = self
            .tombstones
            .iter()
            .map(|(incarnation, closed_at)| Tombstone { incarnation: incarnation.clone(), closed_at: *closed_at })
            .collect();
        tombstones.sort_by(|a, b| a.incarnation.cmp(&b.incarnation));
        (named.collect(), tombstones)
    }

    /// The store names all starts up to that one.
    pub(super) fn stored_up_to(&mut self, count: usize) {
        self.all.iter_mut().take(count).for_each(|member| member.stored = true);
    }

    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    /// The two connected starts that follow on one, in a ring: they keep its totals.
    pub(super) fn keepers(&self, index: usize) -> Vec<usize> {
        let after = self.connected().filter(|other| *other > index);
        let before = self.connected().filter(|other| *other < index);
        after.chain(before).take(2).collect()
    }
}
