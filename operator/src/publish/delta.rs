//! The difference between what is wanted and what a pod has, and the messages that carry it. Pure.
//!
//! A resource that a pod cannot have (a feature is missing, or it refused this very digest) is left out;
//! the rest goes on.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_compile::{Alarm, ObjectId, Verdict};
use weir_snapshot::envelope::{Commit, Put, Remove, ToPod, to_pod};
use weir_snapshot::{Digest, Kind, Name, Resource, ResourceId, Sealed, ServiceAccount, Settings, Snapshot};

/// Largest body of one message.
const BODY_BYTES: usize = 1024 * 1024;

/// What pods are to have.
#[derive(Default)]
pub(crate) struct Desired {
    /// Counts up with every change.
    pub(crate) revision: u64,
    /// The resources.
    pub(crate) snapshot: Snapshot,
    /// What became of each object.
    pub(crate) verdicts: BTreeMap<ObjectId, Arc<Verdict>>,
    /// Whom the operator tells when so much of a Budget is spent.
    pub(crate) alarms: BTreeMap<Name, Vec<Alarm>>,
    /// Secrets meant as API keys that cannot be used, with the mend.
    pub(crate) refused_keys: BTreeMap<Name, String>,
    /// The ServiceAccounts of the cluster, whether or not a route admits them.
    pub(crate) accounts: Vec<Arc<k8s_openapi::api::core::v1::ServiceAccount>>,
    /// What pods keep for now, whatever the snapshot says.
    pub(crate) kept: Kept,
    /// Objects of which too little is known for a verdict.
    pub(crate) undecided: BTreeSet<ObjectId>,
}

impl Desired {
    /// The operator's own flags, as pods get them.
    pub(crate) fn settings(&self) -> Option<&Settings> {
        let sealed = self.snapshot.resources.get(&ResourceId::new(Kind::Settings, "", ""))?;
        if let Resource::Settings(settings) = &sealed.resource { Some(settings) } else { None }
    }
}

/// Resources about which too little is known to change what pods have of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Kept {
    /// Everything made from Secrets of these namespaces.
    pub(crate) namespaces: BTreeSet<String>,
    /// These, by themselves.
    pub(crate) resources: BTreeSet<ResourceId>,
    /// The token issuer.
    pub(crate) issuer: bool,
}

impl Kept {
    fn holds(&self, id: &ResourceId) -> bool {
        let by_namespace = match id.kind {
            Kind::ApiKey | Kind::Credential | Kind::Access | Kind::Budget => {
                self.namespaces.contains(&id.name.namespace)
            }
            Kind::Issuer => self.issuer,
            Kind::Settings
            | Kind::KeySet
            | Kind::Namespace
            | Kind::ServiceAccount
            | Kind::Prices
            | Kind::Provider
            | Kind::Consent
            | Kind::Route => false,
        };
        by_namespace || self.resources.contains(id)
    }
}

/// What one pod has and can have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holdings {
    /// Digests by resource; of nothing where the pod refused it and may have an older version.
    pub(crate) held: BTreeMap<ResourceId, Digest>,
    /// Digests that it refused, with its reasons.
    pub(crate) rejected: BTreeMap<ResourceId, (Digest, String)>,
    /// What its build understands.
    pub(crate) features: BTreeSet<String>,
}

/// What a pod has other than a snapshot.
#[derive(Default)]
pub(crate) struct Difference<'a> {
    /// What it lacks or has of another digest.
    pub(crate) behind: BTreeMap<&'a ResourceId, &'a Sealed>,
    /// What it has and the snapshot has not.
    pub(crate) beside: Vec<&'a ResourceId>,
}

/// What to send to one pod.
#[derive(Debug, PartialEq, Eq, Default)]
pub(crate) struct Delta {
    pub(crate) puts: Vec<ResourceId>,
    pub(crate) removes: Vec<ResourceId>,
}

impl Holdings {
    /// What is to be sent.
    pub(crate) fn delta(&self, desired: &Desired) -> Delta {
        let Difference { behind, beside } = self.difference(&desired.snapshot);
        let wanted = |(id, sealed): &(&ResourceId, &Sealed)| {
            let refused = self.rejected.get(*id).is_some_and(|(refused, _)| *refused == sealed.digest);
            let kept = desired.kept.holds(id) && self.held.contains_key(*id);
            !refused && !kept && self.lacks(&sealed.resource).is_none()
        };
        let puts = behind.into_iter().filter(wanted).map(|(id, _)| id.clone());
        let removes = beside.into_iter().filter(|id| !desired.kept.holds(id)).cloned();
        Delta { puts: puts.collect(), removes: removes.collect() }
    }

    /// What the pod has other than the snapshot, by one walk along both.
    pub(crate) fn difference<'a>(&'a self, snapshot: &'a Snapshot) -> Difference<'a> {
        let mut held = self.held.iter().peekable();
        let mut difference = Difference::default();
        for (id, sealed) in &snapshot.resources {
            while let Some((beside, _)) = held.next_if(|(held, _)| *held < id) {
                difference.beside.push(beside);
            }
            let same = held.next_if(|(held, _)| *held == id).is_some_and(|(_, digest)| *digest == sealed.digest);
            if !same {
                difference.behind.insert(id, sealed);
            }
        }
        difference.beside.extend(held.map(|(id, _)| id));
        difference
    }

    /// A feature that the resource needs and this pod lacks.
    pub(crate) fn lacks(&self, resource: &Resource) -> Option<&'static str> {
        resource.needs().into_iter().find(|need| !self.features.contains(*need))
    }

    /// Takes note that a commit was applied, but for what the pod refused.
    pub(crate) fn applied(&mut self, sent: Sent, refused: BTreeMap<ResourceId, (Digest, String)>) {
        for id in sent.removes {
            self.held.remove(&id);
            self.rejected.remove(&id);
        }
        for (id, digest) in sent.puts {
            self.rejected.remove(&id);
            self.held.insert(id, digest);
        }
        for (id, refusal) in refused {
            self.held.insert(id.clone(), Digest::NONE);
            self.rejected.insert(id, refusal);
        }
    }
}

/// A commit that awaits its acknowledgement.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) revision: u64,
    pub(crate) puts: Vec<(ResourceId, Digest)>,
    pub(crate) removes: Vec<ResourceId>,
}

impl Delta {
    /// Without the removal of held routes and Budgets and of what goes only because they do. A revocation is never held
    /// back: keys go, accounts that are gone or were created anew, and the access, consent, credentials and key sets
    /// of routes and Providers that stay. `held` is what the pod has.
    pub(crate) fn without_removes(mut self, desired: &Desired, held: &BTreeMap<ResourceId, Digest>) -> Self {
        let removed = |kind: Kind| -> BTreeSet<Name> {
            self.removes.iter().filter(|id| id.kind == kind).map(|id| id.name.clone()).collect()
        };
        let (routes, providers) = (removed(Kind::Route), removed(Kind::Provider));
        let namespaces: BTreeSet<&str> = routes.iter().map(|route| route.namespace.as_str()).collect();
        let accounts = desired.accounts.iter().filter_map(|held| {
            let ObjectMeta { namespace, name, uid, .. } = &held.metadata;
            Some(((namespace.as_deref()?, name.as_deref()?), uid.as_deref()?))
        });
        let accounts: BTreeMap<(&str, &str), &str> = accounts.collect();
        let is_revoked = |id: &ResourceId| {
            let Name { namespace, name } = &id.name;
            match id.kind {
                Kind::ApiKey => true,
                Kind::ServiceAccount => {
                    let of_now = accounts.get(&(namespace.as_str(), name.as_str()));
                    let of_now = of_now.map(|uid| Sealed::new(ServiceAccount { uid: (*uid).to_owned() }).digest);
                    of_now.is_none() || of_now.as_ref() != held.get(id)
                }
                Kind::Access => !routes.contains(&id.name),
                Kind::Consent => !providers.contains(&id.name),
                Kind::Credential => {
                    let provider = name.split('/').next().unwrap_or_default();
                    !providers.contains(&Name::new(namespace, provider))
                }
                Kind::KeySet => !namespaces.contains(namespace.as_str()),
                Kind::Settings
                | Kind::Issuer
                | Kind::Namespace
                | Kind::Prices
                | Kind::Provider
                | Kind::Route
                | Kind::Budget => false,
            }
        };
        let removes = self.removes.iter().filter(|id| is_revoked(id)).cloned().collect();
        self.removes = removes;
        self
    }

    /// What the pod will have once it acknowledges.
    pub(crate) fn sent(&self, desired: &Desired) -> Sent {
        let digest = |id: &ResourceId| Some((id.clone(), desired.snapshot.resources.get(id)?.digest));
        Sent {
            revision: desired.revision,
            puts: self.puts.iter().filter_map(digest).collect(),
            removes: self.removes.clone(),
        }
    }

    /// The messages, ending with the commit.
    pub(crate) fn messages(&self, desired: &Desired, epoch: u64) -> impl Iterator<Item = ToPod> {
        let puts = self.puts.iter().flat_map(|id| put(id, desired));
        let removes = self.removes.iter().map(|id| {
            let Name { namespace, name } = id.name.clone();
            to_pod::Kind::Remove(Remove { kind: id.kind.as_str().to_owned(), namespace, name })
        });
        let commit = to_pod::Kind::Commit(Commit { epoch, revision: desired.revision });
        puts.chain(removes).chain([commit]).map(|kind| ToPod { kind: Some(kind) })
    }
}

fn put(id: &ResourceId, desired: &Desired) -> Vec<to_pod::Kind> {
    let Some(sealed) = desired.snapshot.resources.get(id) else { return Vec::new() };
    let Sealed { resource, digest } = &**sealed;
    let body = resource.body().unwrap_or_default();
    let parts = body.chunks(BODY_BYTES);
    let last = parts.len().saturating_sub(1);
    let message = |(index, part): (usize, &[u8])| {
        to_pod::Kind::Put(Put {
            kind: id.kind.as_str().to_owned(),
            namespace: id.name.namespace.clone(),
            name: id.name.name.clone(),
            digest: digest.to_string(),
            needs: resource.needs().into_iter().map(str::to_owned).collect(),
            body: part.to_vec(),
            more: index < last,
        })
    };
    parts.enumerate().map(message).collect()
}

#[cfg(test)]
mod tests;
