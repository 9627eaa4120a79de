//! Kubernetes objects in, a snapshot and verdicts out: total, deterministic, without IO.
//!
//! A bad object gets a verdict and the rest compile. Equal objects in any order give equal bytes.

mod objects;
mod verdict;

pub use objects::{Objects, Undecodable};
pub use verdict::{Compiled, Condition, CredentialVerdict, ObjectId, ObjectKind, Verdict};
