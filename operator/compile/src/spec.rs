//! Texts and optional fields of a spec as the numbers that pods use; here the defaults are applied.
//!
//! What the schema bounds is not bounded again; what is still no number becomes a finding.

use crate::findings::{Findings, Gravity};
use weir_crds::{Decimal, GoDuration};
use weir_snapshot::{Health, Mock, OnLoss, Retry, RetryOn, RouteTimeouts, Timeouts};

const MOCK_TEXT: &str = "This is the answer of a Mock provider.";
const MOCK_ERROR_STATUS: u16 = 500;

/// Time limits of a Provider.
pub(crate) fn timeouts(spec: Option<&weir_crds::Timeouts>, findings: &mut Findings) -> Timeouts {
    let Some(weir_crds::Timeouts { connect, first_token, stream_idle, attempt }) = spec else {
        return Timeouts::default();
    };
    Timeouts {
        connect_ms: millis(connect.as_ref(), "spec.timeouts.connect", findings),
        first_token_ms: millis(first_token.as_ref(), "spec.timeouts.firstToken", findings),
        stream_idle_ms: millis(stream_idle.as_ref(), "spec.timeouts.streamIdle", findings),
        attempt_ms: millis(attempt.as_ref(), "spec.timeouts.attempt", findings),
    }
}

/// Time limits of a route.
pub(crate) fn route_timeouts(spec: Option<&weir_crds::RouteTimeouts>, findings: &mut Findings) -> RouteTimeouts {
    let Some(weir_crds::RouteTimeouts { request, attempt, first_token, stream_idle }) = spec else {
        return RouteTimeouts::default();
    };
    RouteTimeouts {
        request_ms: millis(request.as_ref(), "spec.timeouts.request", findings),
        attempt_ms: millis(attempt.as_ref(), "spec.timeouts.attempt", findings),
        first_token_ms: millis(first_token.as_ref(), "spec.timeouts.firstToken", findings),
        stream_idle_ms: millis(stream_idle.as_ref(), "spec.timeouts.streamIdle", findings),
    }
}

/// When a Provider is left alone.
pub(crate) fn health(spec: Option<&weir_crds::Health>, findings: &mut Findings) -> Health {
    let default = Health::default();
    let Some(weir_crds::Health { consecutive_failures, min_ejection, max_ejection, honor_retry_after }) = spec else {
        return default;
    };
    let min = millis(min_ejection.as_ref(), "spec.health.minEjection", findings);
    let max = millis(max_ejection.as_ref(), "spec.health.maxEjection", findings);
    Health {
        consecutive_failures: number(*consecutive_failures).unwrap_or(default.consecutive_failures),
        min_ejection_ms: min.unwrap_or(default.min_ejection_ms),
        max_ejection_ms: max.unwrap_or(default.max_ejection_ms),
        honor_retry_after: honor_retry_after.unwrap_or(default.honor_retry_after),
    }
}

/// How a Mock answers.
pub(crate) fn mock(spec: Option<&weir_crds::Mock>, findings: &mut Findings) -> Mock {
    let absent = weir_crds::Mock::default();
    let weir_crds::Mock { text, latency, token_interval, error_rate, error_status, cut_after_tokens } =
        spec.unwrap_or(&absent);
    let errors_per_mille =
        error_rate.as_ref().map_or(Some(0), |rate| Decimal(rate.clone()).per_mille().filter(|rate| *rate <= 1_000));
    if errors_per_mille.is_none() {
        findings.add(Gravity::Invalid, "InvalidNumber", "spec.mock.errorRate", "the rate is not from \"0\" to \"1\"");
    }
    Mock {
        text: text.clone().unwrap_or_else(|| MOCK_TEXT.into()),
        latency_ms: millis(latency.as_ref(), "spec.mock.latency", findings).unwrap_or(0),
        token_interval_ms: millis(token_interval.as_ref(), "spec.mock.tokenInterval", findings).unwrap_or(0),
        errors_per_mille: errors_per_mille.unwrap_or(0),
        error_status: number(*error_status).unwrap_or(MOCK_ERROR_STATUS),
        cut_after_tokens: number(*cut_after_tokens),
    }
}

/// When an attempt is repeated.
pub(crate) fn retry(spec: Option<&weir_crds::Retry>, findings: &mut Findings) -> Retry {
    let default = Retry::default();
    let Some(weir_crds::Retry { max_attempts, on, backoff, budget_percent }) = spec else { return default };
    let (base, max) = backoff.as_ref().map_or((None, None), |held| (held.base.as_ref(), held.max.as_ref()));
    let base = millis(base, "spec.retry.backoff.base", findings);
    let max = millis(max, "spec.retry.backoff.max", findings);
    let mut on: Vec<_> = on.as_ref().map_or(default.on, |on| on.iter().copied().map(retry_on).collect());
    on.sort();
    on.dedup();
    Retry {
        max_attempts: number(*max_attempts).unwrap_or(default.max_attempts),
        on,
        backoff_base_ms: base.unwrap_or(default.backoff_base_ms),
        backoff_max_ms: max.unwrap_or(default.backoff_max_ms),
        budget_percent: number(*budget_percent).unwrap_or(default.budget_percent),
    }
}

const fn retry_on(on: weir_crds::RetryOn) -> RetryOn {
    match on {
        weir_crds::RetryOn::Connect => RetryOn::Connect,
        weir_crds::RetryOn::Reset => RetryOn::Reset,
        weir_crds::RetryOn::Timeout => RetryOn::Timeout,
        weir_crds::RetryOn::ServerError => RetryOn::ServerError,
        weir_crds::RetryOn::Overloaded => RetryOn::Overloaded,
        weir_crds::RetryOn::RateLimited => RetryOn::RateLimited,
        weir_crds::RetryOn::CredentialRejected => RetryOn::CredentialRejected,
        weir_crds::RetryOn::ModelUnavailable => RetryOn::ModelUnavailable,
    }
}

/// What becomes of a request that another dialect cannot carry whole.
pub(crate) fn on_loss(spec: Option<&weir_crds::Translation>) -> OnLoss {
    match spec.and_then(|translation| translation.on_loss) {
        None | Some(weir_crds::OnLoss::Report) => OnLoss::Report,
        Some(weir_crds::OnLoss::Refuse) => OnLoss::Refuse,
        Some(weir_crds::OnLoss::CountOnly) => OnLoss::CountOnly,
    }
}

/// A duration in milliseconds; what is none becomes a finding.
pub(crate) fn millis(text: Option<&GoDuration>, path: &str, findings: &mut Findings) -> Option<u64> {
    let text = text?;
    let millis = text.millis();
    if millis.is_none() {
        let message = format!("{:?} is no duration; write it like 30s, 1m30s or 250ms", text.0);
        findings.add(Gravity::Invalid, "InvalidDuration", path, message);
    }
    millis
}

/// A number of the API as one that is never negative; the schema bounds it.
pub(crate) fn number<From, To: TryFrom<From>>(given: Option<From>) -> Option<To> {
    given.and_then(|given| given.try_into().ok())
}
