//! A leader's process: what it takes, sends and writes, until it is over.

use super::{Pod, World};
use std::collections::{BTreeMap, BTreeSet};
use weir_lease::{Leader, Now, Outcome};
use weir_snapshot::ledger::{FromPod, Shard};

/// Where a process is in its time as a leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    Leads,
    /// It grants no more, and waits for the writes that are under way.
    Ends,
    /// Its last words are on their way to the store.
    HandedOver,
    Over,
}

/// A write on its way.
pub(super) struct Post {
    at: u64,
    shard: usize,
    body: Shard,
    /// The version that it replaces.
    replaces: Option<u64>,
}

pub(super) struct Office {
    pub(super) leader: Leader,
    pub(super) epoch: u64,
    pub(super) skew: i64,
    pub(super) time: Time,
    /// Stands still until then, if it does.
    pub(super) paused: Option<u64>,
    /// Reaches no API server until then; pods reach it.
    pub(super) cut_until: u64,
    /// The end of its term, if it cannot renew it.
    pub(super) until: u64,
    /// When it next reads the Lease.
    pub(super) looks_at: u64,
    pub(super) inbox: Vec<(u64, String, String, FromPod)>,
    pub(super) posts: Vec<Post>,
    /// What became of its writes while it stood still.
    heard: Vec<(usize, u64, Outcome)>,
    /// The version of each part that it read or wrote last.
    versions: BTreeMap<usize, u64>,
}

impl Office {
    pub(super) fn new(leader: Leader, epoch: u64, skew: i64, looks_at: u64, versions: BTreeMap<usize, u64>) -> Self {
        let (inbox, posts, heard) = (Vec::new(), Vec::new(), Vec::new());
        let (time, paused) = (Time::Leads, None);
        Self { leader, epoch, skew, time, paused, cut_until: 0, until: 0, looks_at, inbox, posts, heard, versions }
    }

    /// Whether it grants: it leads, as far as it knows, and its process runs.
    pub(super) fn acts(&self) -> bool {
        self.time == Time::Leads && self.paused.is_none()
    }

    /// Whether it can renew the Lease and write.
    pub(super) const fn is_cut_off(&self, mono: u64) -> bool {
        mono < self.cut_until
    }
}

impl World {
    pub(super) fn now(&self, office: usize) -> Now {
        self.now_at(self.offices[office].skew)
    }

    pub(super) fn step_office(&mut self, index: usize) {
        self.land(index);
        if self.offices[index].paused.is_some() {
            return;
        }
        let now = self.now(index);
        self.hear_of_writes(index, now);
        match self.offices[index].time {
            Time::Leads => self.lead(index, now),
            Time::Ends if self.offices[index].posts.is_empty() => {
                for write in self.offices[index].leader.hand_over() {
                    self.post(index, write.shard, write.body);
                }
                self.offices[index].time = Time::HandedOver;
            }
            Time::Ends | Time::HandedOver | Time::Over => {}
        }
    }

    fn lead(&mut self, index: usize, now: Now) {
        let mono = self.mono;
        let due: Vec<_> = {
            let office = &mut self.offices[index];
            let (due, later) = std::mem::take(&mut office.inbox).into_iter().partition(|(at, ..)| *at <= mono);
            office.inbox = later;
            due
        };
        for (_, name, uid, message) in due {
            let is_here = |pod: &Pod| pod.leader == Some(index) || pod.leaves.is_some_and(|(left, _)| left == index);
            let spoken_to = self.pods.iter().any(|pod| pod.name == name && is_here(pod));
            if spoken_to {
                self.offices[index].leader.take(&name, &uid, message, now);
            }
        }
        // As the shell does that looks for Pods that run no more.
        let running: BTreeSet<String> = self.pods.iter().map(|pod| pod.uid.clone()).collect();
        let gone: Vec<_> = self.offices[index].leader.pods().difference(&running).cloned().collect();
        gone.iter().for_each(|pod| self.offices[index].leader.gone(pod, now));
        self.offices[index].leader.tick(now);
        let is_over = mono >= self.offices[index].until;
        self.offices[index].leader.set_adrift(is_over);
        for write in self.offices[index].leader.writes(now) {
            self.post(index, write.shard, write.body);
        }
        for name in self.offices[index].leader.telling() {
            let parts = self.chance.usize(..4);
            (0..parts).for_each(|_| _ = self.offices[index].leader.tell_more(&name, now));
        }
        for (name, message) in self.offices[index].leader.outgoing() {
            let at = self.delay();
            let Some(pod) = self.pods.iter_mut().find(|pod| *pod.name == *name && pod.leader == Some(index)) else {
                continue;
            };
            let last = pod.inbox.iter().map(|(at, ..)| *at).max().unwrap_or(0);
            pod.inbox.push((at.max(last), index, message));
        }
    }

    fn post(&mut self, index: usize, shard: usize, body: Shard) {
        let slow = self.plan.failures && self.chance.u8(..6) == 0;
        let at = self.mono + if slow { self.chance.u64(..3_000) } else { 5 };
        let office = &mut self.offices[index];
        let replaces = office.versions.get(&shard).copied();
        office.posts.push(Post { at, shard, body, replaces });
    }

    /// Writes land, whatever their process does meanwhile; or they get lost, or nobody hears that they landed.
    fn land(&mut self, index: usize) {
        let mono = self.mono;
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.offices[index].posts).into_iter().partition(|post| post.at <= mono);
        self.offices[index].posts = later;
        for Post { shard, body, replaces, .. } in due {
            let (lost, unheard) = match self.chance.u8(..20) {
                _ if self.offices[index].is_cut_off(mono) => (true, false),
                0 if self.plan.failures => (true, false),
                1 if self.plan.failures => (false, true),
                _ => (false, false),
            };
            let held = self.store.get(&shard);
            let (sequence, fits) = (body.sequence, held.map(|(version, _)| *version) == replaces);
            let versions = &mut self.offices[index].versions;
            let outcome = match held {
                _ if lost => Outcome::Failed,
                Some((version, body)) if !fits => {
                    versions.insert(shard, *version);
                    Outcome::Conflict(body.clone())
                }
                None if !fits => {
                    versions.remove(&shard);
                    Outcome::Conflict(Shard::default())
                }
                Some(_) | None => {
                    self.version += 1;
                    self.store.insert(shard, (self.version, body));
                    if unheard {
                        Outcome::Failed
                    } else {
                        versions.insert(shard, self.version);
                        Outcome::Stored
                    }
                }
            };
            self.tell(|| format!("write of part {shard} by {}: {outcome:?}", index + 1));
            self.offices[index].heard.push((shard, sequence, outcome));
        }
    }

    fn hear_of_writes(&mut self, index: usize, now: Now) {
        for (shard, sequence, outcome) in std::mem::take(&mut self.offices[index].heard) {
            let office = &mut self.offices[index];
            let listens = matches!(office.time, Time::Leads | Time::Ends);
            if listens && !office.leader.written(shard, sequence, outcome, now) {
                self.tell(|| format!("{} is deposed", index + 1));
                self.offices[index].time = Time::Over;
                self.close_streams(index);
            }
        }
    }

    /// Those that spoke with it are told, and look for another.
    pub(super) fn close_streams(&mut self, index: usize) {
        for pod in 0..self.pods.len() {
            if self.pods[pod].leader == Some(index) {
                let redial_at = self.mono + self.chance.u64(1..1_500);
                self.disconnect(pod, redial_at);
            }
        }
    }
}
