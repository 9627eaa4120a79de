//! What a pod was given: staged until a commit, then one whole.
//!
//! It decides what is acceptable by itself; applying it is the gateway's.

use crate::rejection::Rejection;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_snapshot::envelope::{Commit, Put, Rejected, Remove};
use weir_snapshot::{Digest, FEATURES, Kind, Name, Resource, ResourceId, Resources};

/// Longest reason that is sent back.
const MAX_REASON: usize = 1_024;
/// Largest resource that is assembled from parts.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// A resource that is held.
#[derive(Clone)]
pub struct Held {
    /// Digest of its body; that of nothing for one that is served in the stead of what was pushed.
    pub digest: Digest,
    /// What it says.
    pub resource: Resource,
}

/// All that is held, and what is staged.
#[derive(Default)]
pub struct Holding {
    held: BTreeMap<Arc<ResourceId>, Held>,
    /// Highest epoch of a leader that config was taken from.
    pub(super) epoch: u64,
    staged: Vec<Change>,
    part: Vec<u8>,
    /// What was put or is gone since it was last written down.
    changed: BTreeSet<Arc<ResourceId>>,
}

/// Read as it comes, so that no body waits for its commit.
enum Change {
    Put(Arc<ResourceId>, Held),
    Remove(ResourceId),
    Refuse(Rejected),
}

/// Why a commit is not taken at all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outdated {
    pub(super) seen: u64,
}

impl Holding {
    /// Forgets what an ended stream did not commit.
    pub(super) fn unstage(&mut self) {
        self.staged.clear();
        self.part.clear();
    }

    /// Stages one message; parts of a large body are joined. False if they never end.
    pub(super) fn put(&mut self, mut put: Put) -> bool {
        if self.part.len() + put.body.len() > MAX_BODY {
            return false;
        }
        if put.more {
            self.part.extend_from_slice(&put.body);
            return true;
        }
        if !self.part.is_empty() {
            self.part.extend_from_slice(&put.body);
            put.body = std::mem::take(&mut self.part);
        }
        match read(&put) {
            Ok((id, held)) => self.stage(id, held),
            Err(reason) => self.staged.push(Change::Refuse(rejection(put, reason))),
        }
        true
    }

    pub(super) fn stage(&mut self, id: ResourceId, held: Held) {
        self.staged.push(Change::Put(Arc::new(id), held));
    }

    pub(super) fn remove(&mut self, Remove { kind, namespace, name }: Remove) {
        self.staged.extend(Kind::parse(&kind).map(|kind| Change::Remove(ResourceId::new(kind, namespace, name))));
    }

    /// Takes what was staged, and says what cannot be used: it keeps its last good version; what decides who may do
    /// what fails closed.
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<Vec<Rejected>, Outdated> {
        let staged = std::mem::take(&mut self.staged);
        if commit.epoch < self.epoch {
            return Err(Outdated { seen: self.epoch });
        }
        self.epoch = commit.epoch;
        let mut unusable = Vec::new();
        for change in staged {
            let gone = match change {
                Change::Put(id, held) => {
                    self.changed.insert(Arc::clone(&id));
                    self.held.insert(id, held);
                    continue;
                }
                Change::Remove(id) => Some(id),
                Change::Refuse(rejected) => {
                    let kind = Kind::parse(&rejected.kind).filter(|kind| fails_closed(*kind));
                    let id = kind.map(|kind| ResourceId::new(kind, &rejected.namespace, &rejected.name));
                    unusable.push(rejected);
                    id
                }
            };
            if let Some((id, _)) = gone.and_then(|id| self.held.remove_entry(&id)) {
                self.changed.insert(id);
            }
        }
        Ok(unusable)
    }

    /// What was put or is gone since the last call.
    pub(super) fn take_changed(&mut self) -> BTreeSet<Arc<ResourceId>> {
        std::mem::take(&mut self.changed)
    }

    /// The resources, to be applied.
    pub(super) fn resources(&self) -> Resources {
        self.held.iter().map(|(id, held)| (Arc::clone(id), held.resource.clone())).collect()
    }

    /// Takes back a resource that could not be applied: what is served in its stead stays, without a digest, so
    /// that it is not reported as what was pushed.
    pub(super) fn reject(&mut self, rejection: Rejection, served: Option<Resource>) -> Option<Rejected> {
        let Rejection { id, reason } = rejection;
        let (id, Held { digest, resource: _ }) = self.held.remove_entry(&id)?;
        let Name { namespace, name } = id.name.clone();
        let put = Put { kind: id.kind.as_str().into(), namespace, name, digest: digest.to_string(), ..Put::default() };
        self.changed.insert(Arc::clone(&id));
        if let Some(resource) = served {
            self.held.insert(id, Held { digest: Digest::NONE, resource });
        }
        Some(self::rejection(put, reason))
    }

    pub(super) fn get(&self, id: &ResourceId) -> Option<&Held> {
        self.held.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ResourceId, &Held)> {
        self.held.iter().map(|(id, held)| (&**id, held))
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }
}

fn read(put: &Put) -> Result<(ResourceId, Held), String> {
    let kind = Kind::parse(&put.kind).ok_or_else(|| format!("this build does not know the kind {}", put.kind))?;
    if let Some(need) = put.needs.iter().find(|need| !FEATURES.contains(&need.as_str())) {
        return Err(format!("it needs the feature {need}, which this build lacks"));
    }
    let digest = Digest::of(&put.body);
    if digest != Digest::read(&put.digest) {
        return Err("its body is not what its digest says".to_owned());
    }
    let resource = Resource::parse(kind, &put.body)?;
    Ok((ResourceId::new(kind, &put.namespace, &put.name), Held { digest, resource }))
}

/// Whether a resource of this kind is let go of where its newest version cannot be used.
const fn fails_closed(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Settings | Kind::Issuer | Kind::KeySet | Kind::Prices | Kind::Provider | Kind::Route | Kind::Namespace
    )
}

fn rejection(put: Put, mut reason: String) -> Rejected {
    let end = reason.floor_char_boundary(MAX_REASON);
    reason.truncate(end);
    Rejected { kind: put.kind, namespace: put.namespace, name: put.name, digest: put.digest, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_snapshot::{Access, Consent};

    fn put(resource: &Resource, name: &str) -> Put {
        let body = resource.body().unwrap();
        let digest = Digest::of(&body).to_string();
        Put {
            kind: resource.kind().as_str().into(),
            namespace: "a".into(),
            name: name.into(),
            digest,
            body,
            ..Put::default()
        }
    }

    #[test]
    fn nothing_is_taken_before_its_commit_nor_from_an_older_leader() {
        let mut holding = Holding::default();
        assert!(holding.put(put(&Resource::from(Access::default()), "r")));
        assert_eq!(holding.len(), 0);
        assert_eq!(holding.commit(&Commit { epoch: 3, revision: 1 }).unwrap(), []);
        assert_eq!(holding.len(), 1);
        holding.remove(Remove { kind: "Access".into(), namespace: "a".into(), name: "r".into() });
        assert_eq!(holding.commit(&Commit { epoch: 2, revision: 9 }).err(), Some(Outdated { seen: 3 }));
        assert_eq!(holding.len(), 1);
    }

    #[test]
    fn what_this_build_lacks_or_cannot_read_is_named_and_access_fails_closed_f46() {
        let mut holding = Holding::default();
        holding.put(put(&Resource::from(Access::default()), "r"));
        holding.put(put(&Resource::from(Consent::default()), "p"));
        holding.commit(&Commit { epoch: 1, revision: 1 }).unwrap();
        let mut corrupt = put(&Resource::from(Access { anonymous: true, ..Access::default() }), "r");
        corrupt.body.truncate(3);
        holding.put(corrupt);
        holding.put(Put {
            needs: vec!["future".into()],
            ..put(&Resource::from(Consent { all: true, ..Consent::default() }), "q")
        });
        holding.put(Put { kind: "Toaster".into(), ..Put::default() });
        holding.take_changed();
        let rejected = holding.commit(&Commit { epoch: 1, revision: 2 }).unwrap();
        let reasons: Vec<_> = rejected.iter().map(|r| r.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "its body is not what its digest says",
                "it needs the feature future, which this build lacks",
                "this build does not know the kind Toaster"
            ]
        );
        assert_eq!(holding.len(), 1, "the access of r is gone, the consent of p stays");
        assert_eq!(holding.take_changed(), [Arc::new(ResourceId::new(Kind::Access, "a", "r"))].into());
    }

    #[test]
    fn what_could_not_be_applied_leaves_its_last_good_version_over_later_commits() {
        let mut holding = Holding::default();
        holding.put(put(&Resource::from(Consent::default()), "p"));
        holding.commit(&Commit { epoch: 1, revision: 1 }).unwrap();
        let (id, good) = holding.iter().next().map(|(id, held)| (id.clone(), held.resource.clone())).unwrap();
        holding.put(put(&Resource::from(Consent { all: true, ..Consent::default() }), "p"));
        holding.commit(&Commit { epoch: 1, revision: 2 }).unwrap();
        let rejected = Rejection { id: Arc::new(id.clone()), reason: "x".into() };
        assert!(holding.reject(rejected, Some(good)).is_some());
        holding.commit(&Commit { epoch: 1, revision: 3 }).unwrap();
        assert!(matches!(&holding.resources()[&id], Resource::Consent(consent) if !consent.all));
        assert_eq!(holding.get(&id).unwrap().digest, Digest::NONE, "it is not reported as what was pushed");
    }

    #[test]
    fn a_large_body_comes_in_parts() {
        let mut holding = Holding::default();
        let whole =
            put(&Resource::from(Access { api_key_namespaces: vec!["x".repeat(100)], ..Access::default() }), "r");
        for (n, part) in whole.body.chunks(40).enumerate() {
            let more = (n + 1) * 40 < whole.body.len();
            assert!(holding.put(Put { body: part.to_vec(), more, ..whole.clone() }));
        }
        assert_eq!(holding.commit(&Commit { epoch: 1, revision: 1 }).unwrap(), []);
        assert_eq!(holding.len(), 1);
    }

    #[test]
    fn garbage_never_panics() {
        bolero::check!().with_max_len(2048).for_each(|bytes| {
            for kind in Kind::ALL.iter().copied() {
                let _ = Resource::parse(kind, bytes);
                let mut holding = Holding::default();
                holding.put(Put {
                    kind: kind.as_str().into(),
                    digest: Digest::of(bytes).to_string(),
                    body: bytes.to_vec(),
                    ..Put::default()
                });
                let _ = holding.commit(&Commit::default());
            }
        });
    }
}
