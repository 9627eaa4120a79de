//! One entry of the catalogue or the overlay, as it is written.

use crate::findings::{Findings, Gravity};
use crate::pricing;
use serde::{Deserialize, Serialize};
use weir_snapshot::{ModelPrice, PriceSource, Prices};

/// Most names of one entry.
const MOST_NAMES: usize = 32;

/// What is known of the models of some names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The provider's names for it, in any case; `*` at either end stands for anything, `#` for a digit.
    pub names: Vec<String>,
    /// What it costs; absent in the catalogue where it is charged by more than tokens of text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<weir_crds::Pricing>,
    /// Tokens of input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Tokens of output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
}

impl Entry {
    /// Whether it speaks of a model, by the provider's name for it.
    pub fn fits(&self, name: &str) -> bool {
        Prices::from(vec![self.read(PriceSource::Catalogue, "", &mut Findings::default())]).find(name).is_some()
    }

    /// As pods take it; `path` is where it stands in its source.
    pub(super) fn read(&self, source: PriceSource, path: &str, findings: &mut Findings) -> ModelPrice {
        let mut invalid = |path: String, message: &str| findings.add(Gravity::Invalid, "InvalidPrice", path, message);
        if self.names.is_empty() || self.names.len() > MOST_NAMES {
            invalid(format!("{path}.names"), &format!("give 1 to {MOST_NAMES} names"));
        }
        for (at, name) in self.names.iter().enumerate() {
            let inner = name.strip_prefix('*').unwrap_or(name);
            let inner = inner.strip_suffix('*').unwrap_or(inner);
            if name.is_empty() || name.len() > 256 || inner.contains(|c: char| c == '*' || c.is_whitespace()) {
                let message = "must be 1 to 256 characters without blanks, and `*` at its ends only";
                invalid(format!("{path}.names[{at}]"), message);
            }
        }
        ModelPrice {
            names: self.names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            pricing: self
                .pricing
                .as_ref()
                .and_then(|given| pricing::read(given, source, &format!("{path}.pricing"), findings)),
            context_window: self.context_window,
            max_output: self.max_output,
        }
    }
}
