//! What is kept of one request, in the form of its log line. Prompts and answers are not in it.

use hyper::header::USER_AGENT;
use hyper::http::request::Parts;
use std::sync::Arc;
use weir_dialect::{Loss, Object, Usage, UsageSource};
use weir_policy::{Caller, Cost, Provider, Route};

/// One request.
pub(crate) struct Record {
    /// Unix milliseconds of its arrival.
    pub(crate) time_ms: u64,
    pub(crate) request_id: String,
    /// Of what is served; see [`Unserved`] for other paths.
    pub(crate) path: &'static str,
    /// What was asked that is not served.
    pub(crate) unserved: Option<Box<Unserved>>,
    /// Number of the sender's address, by which lines are bounded.
    pub(crate) peer: u64,
    pub(crate) status: u16,
    pub(crate) error_type: Option<String>,
    /// Whether the error came after the answer had begun.
    pub(crate) error_in_stream: bool,
    pub(crate) caller: Option<Arc<Caller>>,
    /// The caller as the configuration has it, whatever a token or a header says of its team and project; for metrics.
    pub(crate) configured: Option<Arc<Caller>>,
    pub(crate) route: Option<Arc<Route>>,
    pub(crate) provider: Option<Arc<Provider>>,
    /// What the client named, cut to 128 bytes.
    pub(crate) request_model: String,
    /// What the route's configuration calls it; for metrics.
    pub(crate) model_label: String,
    pub(crate) upstream_model: Option<String>,
    pub(crate) stream: bool,
    pub(crate) attempts: u32,
    pub(crate) failed_attempts: Vec<FailedAttempt>,
    /// What could not be said in the provider's dialect, or in the client's.
    pub(crate) loss: Loss,
    /// The tier of service, where it is not the standard one: what the answer is of, else what was asked for.
    pub(crate) service_tier: Option<Box<str>>,
    pub(crate) usage: UsageRecord,
    /// Whether the provider reported more than a request can come to, and so much alone was taken.
    pub(crate) usage_clamped: bool,
    pub(crate) cost: Option<Cost>,
    /// Answered by a model without a price, or in a tier of service without one.
    pub(crate) unpriced: bool,
    pub(crate) duration_us: u64,
    /// To the first content of a stream.
    pub(crate) time_to_first_token_us: Option<u64>,
}

/// What a client asked that is not served, as far as the log keeps texts of clients: cut, and without the query, which may
/// hold a key.
pub(crate) struct Unserved {
    method: String,
    path: String,
    user_agent: Option<String>,
}

impl Unserved {
    /// Most bytes of each text.
    const MOST: usize = 128;

    pub(crate) fn of(head: &Parts) -> Self {
        let cut = |text: &str| text.get(..text.floor_char_boundary(Self::MOST)).unwrap_or_default().to_owned();
        let user_agent = head.headers.get(USER_AGENT).map(|value| cut(&String::from_utf8_lossy(value.as_bytes())));
        Self { method: cut(head.method.as_str()), path: cut(head.uri.path()), user_agent }
    }
}

/// An attempt that gave no answer.
#[derive(Debug, Clone)]
pub(crate) struct FailedAttempt {
    pub(crate) target: String,
    pub(crate) error: &'static str,
    pub(crate) message: String,
    /// The provider may have worked on it; its estimated input, which is charged if no other attempt followed.
    pub(crate) ambiguous_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct UsageRecord {
    pub(crate) usage_source: &'static str,
    pub(crate) input_tokens: u64,
    pub(crate) cache_read_tokens: u64,
    pub(crate) cache_write_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) reasoning_tokens: u64,
}

pub(crate) const fn usage_record(usage: &Usage, source: UsageSource) -> UsageRecord {
    let Usage { input, cache_read, output, reasoning, .. } = *usage;
    UsageRecord {
        usage_source: source.as_str(),
        input_tokens: input,
        cache_read_tokens: cache_read,
        cache_write_tokens: usage.cache_write(),
        output_tokens: output,
        reasoning_tokens: reasoning,
    }
}

impl Record {
    /// Whether no route took it and nothing else served it.
    pub(crate) const fn is_in_vain(&self) -> bool {
        self.route.is_none() && (self.unserved.is_some() || self.status >= 400)
    }

    /// Writes its members; those that say nothing are left out.
    pub(crate) fn write(&self, o: &mut Object<'_>) {
        o.count("time_ms", self.time_ms);
        o.str("request_id", &self.request_id);
        match &self.unserved {
            Some(unserved) => {
                let Unserved { method, path, user_agent } = &**unserved;
                o.str("method", method);
                o.str("path", path);
                o.str_if("user_agent", user_agent.as_deref());
            }
            None => o.str_if("path", filled(self.path)),
        }
        o.count("status", self.status);
        o.str_if("error_type", self.error_type.as_deref());
        if self.error_in_stream {
            o.value("error_in_stream", true);
        }
        if let Some(caller) = &self.caller {
            o.object("caller", |o| write_caller(o, caller));
        }
        if let Some(route) = &self.route {
            o.str("route", &route.id.joined());
        }
        if let Some(provider) = &self.provider {
            o.str("provider", &provider.id.joined());
        }
        o.str_if("request_model", filled(&self.request_model));
        o.str_if("upstream_model", self.upstream_model.as_deref());
        o.value("stream", self.stream);
        o.count("attempts", self.attempts);
        if !self.failed_attempts.is_empty() {
            o.array("failed_attempts", |list| {
                self.failed_attempts.iter().for_each(|failed| list.object(|o| failed.write(o)));
            });
        }
        if !self.loss.is_empty() {
            o.strs("loss", self.loss.names());
        }
        o.str_if("service_tier", self.service_tier.as_deref());
        self.usage.write(o);
        if self.usage_clamped {
            o.value("usage_clamped", true);
        }
        if let Some(cost) = &self.cost {
            o.object("cost", |o| {
                o.str("currency", cost.currency.as_str());
                o.str("amount", &cost.decimal());
            });
        }
        if self.unpriced {
            o.value("unpriced", true);
        }
        o.count("duration_us", self.duration_us);
        o.value_if("time_to_first_token_us", self.time_to_first_token_us);
    }
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn write_caller(o: &mut Object<'_>, caller: &Caller) {
    o.str("kind", caller.kind.as_str());
    o.str_if("namespace", filled(&caller.namespace));
    o.str_if("name", filled(&caller.name));
    o.str_if("key_id", caller.key_id.as_deref());
    o.str_if("user", caller.user.as_deref());
    o.str_if("team", caller.team.as_deref());
    o.str_if("project", caller.project.as_deref());
    o.str_if("cost_center", caller.cost_center.as_deref());
    o.str_if("session", caller.session.as_deref());
    o.str_if("agent", caller.agent.as_deref());
    if !caller.groups.is_empty() {
        o.strs("groups", caller.groups.iter().map(String::as_str));
    }
}

impl FailedAttempt {
    fn write(&self, o: &mut Object<'_>) {
        o.str("target", &self.target);
        o.str("error", self.error);
        o.str("message", &self.message);
        o.value_if("ambiguous_input_tokens", self.ambiguous_input_tokens);
    }
}

impl UsageRecord {
    fn write(&self, o: &mut Object<'_>) {
        o.str("usage_source", self.usage_source);
        o.count("input_tokens", self.input_tokens);
        o.count("cache_read_tokens", self.cache_read_tokens);
        o.count("cache_write_tokens", self.cache_write_tokens);
        o.count("output_tokens", self.output_tokens);
        o.count("reasoning_tokens", self.reasoning_tokens);
    }
}
