//! Kubernetes objects in, a snapshot and verdicts out: total, deterministic, without IO.
//!
//! A bad object gets a verdict and the rest compile. Equal objects in any order give equal bytes.

mod access;
mod age;
mod alarm;
mod api_key;
mod budget;
mod built;
mod callers;
mod claimed;
mod compile;
mod conflict;
mod findings;
mod index;
mod jwt;
mod key_set;
mod limits;
mod models;
mod objects;
mod params;
mod prices;
mod pricing;
mod provider;
mod reference;
mod render;
mod route;
mod spec;
mod target;
mod url;
mod verdict;

pub use alarm::{Alarm, Webhook};
pub use compile::{Compiler, compile};
pub use jwt::mapped_key_sets;
pub use key_set::{KeySource, ReadKeys, read_key_set};
pub use objects::{Objects, Undecodable};
pub use prices::{Catalogue, Entry, Overlay};
pub use reference::secret_variable;
pub use render::render;
pub use verdict::{Compiled, Condition, CredentialVerdict, ObjectId, ObjectKind, Verdict};
