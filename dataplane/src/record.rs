//! What is kept of one request, in the form of its log line. Prompts and answers are not in it.

use serde::{Serialize, Serializer};
use std::sync::Arc;
use weir_dialect::{Loss, Usage, UsageSource};
use weir_policy::{Caller, Provider, Route};

/// One request.
#[derive(Serialize)]
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
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "caller")]
    pub(crate) caller: Option<Arc<Caller>>,
    /// The caller as the configuration has it, whatever a token or a header says of its team and project; for metrics.
    #[serde(skip)]
    pub(crate) configured: Option<Arc<Caller>>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "route")]
    pub(crate) route: Option<Arc<Route>>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "provider")]
    pub(crate) provider: Option<Arc<Provider>>,
    /// What the client named, cut to 128 characters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) request_model: String,
    /// What the route's configuration calls it; for metrics.
    #[serde(skip)]
    pub(crate) model_label: String,
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

/// What is told of a caller.
#[derive(Serialize)]
struct CallerRecord<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_center: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    groups: &'a [String],
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
fn caller<S: Serializer>(caller: &Option<Arc<Caller>>, serializer: S) -> Result<S::Ok, S::Error> {
    let told = caller.as_ref().map(|caller| CallerRecord {
        kind: caller.kind.as_str(),
        namespace: &caller.namespace,
        name: &caller.name,
        key_id: caller.key_id.as_deref(),
        user: caller.user.as_deref(),
        team: caller.team.as_deref(),
        project: caller.project.as_deref(),
        cost_center: caller.cost_center.as_deref(),
        groups: &caller.groups,
    });
    told.serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn route<S: Serializer>(route: &Option<Arc<Route>>, serializer: S) -> Result<S::Ok, S::Error> {
    match route {
        Some(route) => serializer.collect_str(&route.id),
        None => serializer.serialize_none(),
    }
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn provider<S: Serializer>(provider: &Option<Arc<Provider>>, serializer: S) -> Result<S::Ok, S::Error> {
    match provider {
        Some(provider) => serializer.collect_str(&provider.id),
        None => serializer.serialize_none(),
    }
}

fn names<S: Serializer>(loss: &Loss, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(loss.names())
}
