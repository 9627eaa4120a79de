//! What compile says: the snapshot, and of each object what became of it.

use crate::alarm::Alarm;
use crate::key_set::KeySource;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use weir_snapshot::{Name, ResourceId, Snapshot};

/// The outcome of one compilation.
#[derive(Default)]
pub struct Compiled {
    /// What the pods are to serve from.
    pub snapshot: Snapshot,
    /// What became of each object of our kinds.
    pub verdicts: BTreeMap<ObjectId, Arc<Verdict>>,
    /// Whom the operator tells when so much of a Budget is spent, by rising percent.
    pub alarms: BTreeMap<Name, Vec<Alarm>>,
    /// Secrets that are meant as API keys and cannot be used, with the mend.
    pub refused_keys: BTreeMap<Name, String>,
    /// Where key sets are to be read for the next compilation.
    pub key_sources: BTreeSet<KeySource>,
    /// Key sets that could not be read yet: pods keep what they have of them.
    pub key_sets_missing: BTreeSet<ResourceId>,
}

/// One of our kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named after the kinds")]
pub enum ObjectKind {
    Provider,
    LLMRoute,
    Budget,
}

/// Identity of an object of one of our kinds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace and name.
    pub name: Name,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.name)
    }
}

/// What became of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// `metadata.generation` that was compiled.
    pub generation: i64,
    /// What compile can know: Accepted, ResolvedRefs (but for Budgets), Conflicted (routes).
    pub conditions: Vec<Condition>,
    /// Where in the object each complaint lies, for `validate`: field path, message.
    pub complaints: Vec<(String, String)>,
    /// The resources made from it; a pod has programmed the object when it holds their digests.
    pub resources: Vec<ResourceId>,
    /// Of a Provider: its credentials.
    pub credentials: Vec<CredentialVerdict>,
    /// Of a Provider: listed models, and those of them without a price.
    pub models: usize,
    /// Of a Provider: models without a price.
    pub unpriced: Vec<String>,
    /// Of a Provider: routes that target it.
    pub routes: usize,
    /// Of a route: targets that are good, and all.
    pub targets_ready: usize,
    /// Of a route: targets that are good, and all.
    pub targets_total: usize,
    /// Of a route: a key set that it names was never asked for yet, so that the conditions say too little.
    pub pending: bool,
    /// Of a route: what ails the others, as `rule/target: message`.
    pub targets_bad: Vec<String>,
    /// Of a route: Budgets that may cover requests of it.
    pub budgets: Vec<Name>,
}

/// One finding, as it stands in `status.conditions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// `Accepted`, `ResolvedRefs` or `Conflicted`.
    pub type_: &'static str,
    /// True or False.
    pub status: bool,
    /// CamelCase.
    pub reason: &'static str,
    /// What to do about it.
    pub message: String,
}

/// One credential of a Provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialVerdict {
    /// Its name.
    pub name: String,
    /// Fingerprint of the secret; absent when the secret is.
    pub fingerprint: Option<String>,
}
