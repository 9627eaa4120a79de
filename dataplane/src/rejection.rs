//! What a pod says of a resource that it cannot use.

use std::sync::Arc;
use weir_snapshot::ResourceId;

/// A resource that cannot be used, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which.
    pub id: Arc<ResourceId>,
    /// What is wrong with it, without secrets.
    pub reason: String,
}
