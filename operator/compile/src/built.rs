//! A Provider on its way through compile.

use crate::verdict::Verdict;
use weir_snapshot::{Consent, Provider, Secret};

/// A Provider, compiled.
#[derive(Default, PartialEq)]
pub(crate) struct Built {
    /// What pods get of it; absent where it cannot be used.
    pub(crate) data: Option<Provider>,
    /// Which namespaces' routes may use it.
    pub(crate) consent: Consent,
    /// Secrets by the names of their credentials.
    pub(crate) secrets: Vec<(String, Secret)>,
    /// What became of it.
    pub(crate) verdict: Verdict,
}
