//! What is kept of one request, in the form of its log line. Prompts and answers are not in it.

use serde::Serialize;
use weir_dialect::{Loss, Usage, UsageSource};
use weir_snapshot::Name;

/// One request.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Record {
    /// Unix milliseconds of its arrival.
    pub(crate) time_ms: u64,
    pub(crate) request_id: String,
    pub(crate) path: &'static str,
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_type: Option<String>,
    /// Whether the error came after the answer had begun.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) error_in_stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) caller: Option<CallerRecord>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "display")]
    pub(crate) route: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "display")]
    pub(crate) provider: Option<Name>,
    /// What the client named, cut to 128 characters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) request_model: String,
    /// What the route's configuration calls it; for metrics.
    #[serde(skip)]
    pub(crate) model_label: String,
    /// Team and project as the configuration has them, whatever a token or a header says; for metrics.
    #[serde(skip)]
    pub(crate) team_label: String,
    #[serde(skip)]
    pub(crate) project_label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upstream_model: Option<String>,
    pub(crate) stream: bool,
    pub(crate) attempts: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) failed_attempts: Vec<FailedAttempt>,
    /// What could not be said in the provider's dialect, or in the client's.
    #[serde(skip_serializing_if = "Loss::is_empty", serialize_with = "names")]
    pub(crate) loss: Loss,
    #[serde(flatten)]
    pub(crate) usage: UsageRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<CostRecord>,
    /// Answered by a model without a price.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unpriced: bool,
    pub(crate) duration_us: u64,
    /// To the first content of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time_to_first_token_us: Option<u64>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct CallerRecord {
    pub(crate) kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) team: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost_center: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) groups: Vec<String>,
}

/// An attempt that gave no answer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FailedAttempt {
    pub(crate) target: String,
    pub(crate) error: &'static str,
    pub(crate) message: String,
    /// The provider may have worked on it; its estimated input is charged to nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ambiguous_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct UsageRecord {
    pub(crate) usage_source: &'static str,
    pub(crate) input_tokens: u64,
    pub(crate) cache_read_tokens: u64,
    pub(crate) cache_write_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) reasoning_tokens: u64,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct CostRecord {
    pub(crate) currency: String,
    /// Decimal units.
    pub(crate) amount: String,
    #[serde(skip)]
    pub(crate) units: f64,
}

pub(crate) const fn usage_record(usage: &Usage, source: UsageSource) -> UsageRecord {
    let Usage { input, cache_read, cache_write_5m: _, cache_write_1h: _, output, reasoning } = *usage;
    UsageRecord {
        usage_source: source.as_str(),
        input_tokens: input,
        cache_read_tokens: cache_read,
        cache_write_tokens: usage.cache_write(),
        output_tokens: output,
        reasoning_tokens: reasoning,
    }
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn display<S: serde::Serializer>(name: &Option<Name>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&name.as_ref().map(ToString::to_string).unwrap_or_default())
}

fn names<S: serde::Serializer>(loss: &Loss, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(loss.names())
}
