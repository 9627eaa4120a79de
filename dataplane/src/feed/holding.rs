//! What a pod was given: staged until a commit, then one whole.
//!
//! It decides what is acceptable by itself; applying it is the gateway's.

use std::collections::BTreeMap;
use std::sync::Arc;
use weir_snapshot::envelope::{Commit, Put, Rejected, Remove};
use weir_snapshot::{Digest, FEATURES, Kind, Name, Resource, ResourceId};

/// Longest reason that is sent back.
const MAX_REASON: usize = 1_024;
/// Largest resource that is assembled from parts.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// A resource that is held.
#[derive(Clone)]
pub struct Held {
    /// Digest of its body.
    pub digest: Digest,
    /// What it says.
    pub resource: Arc<Resource>,
}

/// All that is held, and what is staged.
#[derive(Default)]
pub struct Holding {
    held: BTreeMap<ResourceId, Held>,
    /// Highest epoch of a leader that config was taken from.
    pub(super) epoch: u64,
    staged: Vec<Change>,
    part: Vec<u8>,
}

enum Change {
    Put(Put),
    Remove(Remove),
}

/// Why a commit is not taken at all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outdated {
    pub(super) seen: u64,
}

impl Holding {
    /// Of what was kept from before.
    pub(super) fn kept(held: BTreeMap<ResourceId, Held>, epoch: u64) -> Self {
        Self { held, epoch, ..Self::default() }
    }

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
        self.staged.push(Change::Put(put));
        true
    }

    pub(super) fn remove(&mut self, remove: Remove) {
        self.staged.push(Change::Remove(remove));
    }

    /// Takes what was staged. What cannot be used keeps its last good version; what decides who may do what
    /// fails closed.
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<Vec<Rejected>, Outdated> {
        let staged = std::mem::take(&mut self.staged);
        if commit.epoch < self.epoch {
            return Err(Outdated { seen: self.epoch });
        }
        self.epoch = commit.epoch;
        let mut rejected = Vec::new();
        for change in staged {
            match change {
                Change::Remove(Remove { kind, namespace, name }) => {
                    if let Some(kind) = Kind::parse(&kind) {
                        self.held.remove(&ResourceId::new(kind, namespace, name));
                    }
                }
                Change::Put(put) => {
                    if let Err(reason) = self.take(&put) {
                        rejected.push(rejection(put, reason));
                    }
                }
            }
        }
        Ok(rejected)
    }

    fn take(&mut self, put: &Put) -> Result<(), String> {
        let kind = Kind::parse(&put.kind).ok_or_else(|| format!("this build does not know the kind {}", put.kind))?;
        let id = ResourceId::new(kind, &put.namespace, &put.name);
        let read = match put.needs.iter().find(|need| !FEATURES.contains(&need.as_str())) {
            Some(need) => Err(format!("it needs the feature {need}, which this build lacks")),
            None if Digest::of(&put.body).0 != put.digest => Err("its body is not what its digest says".to_owned()),
            None => Resource::parse(kind, &put.body),
        };
        match read {
            Ok(resource) => {
                let digest = Digest(put.digest.clone());
                self.held.insert(id, Held { digest, resource: Arc::new(resource) });
                Ok(())
            }
            Err(reason) => {
                if !matches!(
                    kind,
                    Kind::Settings
                        | Kind::Issuer
                        | Kind::KeySet
                        | Kind::Prices
                        | Kind::Provider
                        | Kind::Route
                        | Kind::Namespace
                ) {
                    self.held.remove(&id);
                }
                Err(reason)
            }
        }
    }

    /// The resources, to be applied.
    pub(super) fn resources(&self) -> BTreeMap<ResourceId, Arc<Resource>> {
        self.held.iter().map(|(id, held)| (id.clone(), Arc::clone(&held.resource))).collect()
    }

    /// Takes back a resource that could not be applied: what is served in its stead stays, without a digest, so
    /// that it is not reported as what was pushed.
    pub(super) fn reject(
        &mut self,
        rejected: crate::live::Rejection,
        served: Option<Arc<Resource>>,
    ) -> Option<Rejected> {
        let crate::live::Rejection { id, reason } = rejected;
        let Held { digest, resource: _ } = self.held.remove(&id)?;
        let Name { namespace, name } = id.name.clone();
        let put = Put { kind: id.kind.as_str().into(), namespace, name, digest: digest.0, ..Put::default() };
        if let Some(resource) = served {
            self.held.insert(id, Held { digest: Digest(String::new()), resource });
        }
        Some(rejection(put, reason))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ResourceId, &Held)> {
        self.held.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }
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
        let digest = Digest::of(&body).0;
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
        assert!(holding.put(put(&Resource::Access(Access::default()), "r")));
        assert_eq!(holding.len(), 0);
        assert_eq!(holding.commit(&Commit { epoch: 3, revision: 1 }).unwrap(), []);
        assert_eq!(holding.len(), 1);
        holding.remove(Remove { kind: "Access".into(), namespace: "a".into(), name: "r".into() });
        assert_eq!(holding.commit(&Commit { epoch: 2, revision: 9 }).unwrap_err(), Outdated { seen: 3 });
        assert_eq!(holding.len(), 1);
    }

    #[test]
    fn what_this_build_lacks_or_cannot_read_is_named_and_access_fails_closed_f46() {
        let mut holding = Holding::default();
        holding.put(put(&Resource::Access(Access::default()), "r"));
        holding.put(put(&Resource::Consent(Consent::default()), "p"));
        holding.commit(&Commit { epoch: 1, revision: 1 }).unwrap();
        let mut corrupt = put(&Resource::Access(Access { anonymous: true, ..Access::default() }), "r");
        corrupt.body.truncate(3);
        holding.put(corrupt);
        holding.put(Put {
            needs: vec!["future".into()],
            ..put(&Resource::Consent(Consent { all: true, ..Consent::default() }), "q")
        });
        holding.put(Put { kind: "Toaster".into(), ..Put::default() });
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
    }

    #[test]
    fn what_could_not_be_applied_leaves_its_last_good_version_over_later_commits() {
        let mut holding = Holding::default();
        holding.put(put(&Resource::Consent(Consent::default()), "p"));
        holding.commit(&Commit { epoch: 1, revision: 1 }).unwrap();
        let (id, good) = holding.iter().next().map(|(id, held)| (id.clone(), Arc::clone(&held.resource))).unwrap();
        holding.put(put(&Resource::Consent(Consent { all: true, ..Consent::default() }), "p"));
        holding.commit(&Commit { epoch: 1, revision: 2 }).unwrap();
        let rejected = crate::live::Rejection { id: id.clone(), reason: "x".into() };
        assert!(holding.reject(rejected, Some(good)).is_some());
        holding.commit(&Commit { epoch: 1, revision: 3 }).unwrap();
        assert!(matches!(&*holding.resources()[&id], Resource::Consent(consent) if !consent.all));
        assert_eq!(holding.iter().next().unwrap().1.digest.0, "", "it is not reported as what was pushed");
    }

    #[test]
    fn a_large_body_comes_in_parts() {
        let mut holding = Holding::default();
        let whole =
            put(&Resource::Access(Access { api_key_namespaces: vec!["x".repeat(100)], ..Access::default() }), "r");
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
            for kind in Kind::ALL {
                let _ = Resource::parse(kind, bytes);
                let mut holding = Holding::default();
                holding.put(Put {
                    kind: kind.as_str().into(),
                    digest: Digest::of(bytes).0,
                    body: bytes.to_vec(),
                    ..Put::default()
                });
                let _ = holding.commit(&Commit::default());
            }
        });
    }
}
