//! Status of a Provider. Pure.

use super::conditions::{Finding, compiled, conditions, summary};
use super::fleet::Fleet;
use k8s_openapi::jiff::Timestamp;
use weir_compile::{CredentialVerdict, ObjectId, Verdict};
use weir_crds::{CredentialState, CredentialStatus, Provider, ProviderStatus, ProviderType};
use weir_snapshot::envelope::credential_state::Verdict as Answer;
use weir_snapshot::envelope::{ProviderState, Trouble};

/// Lists in status are capped; totals stand beside them.
const MAX_LISTED: usize = 64;

/// What stands in status at `now`.
pub(crate) fn status(
    provider: &Provider,
    id: &ObjectId,
    verdict: &Verdict,
    fleet: &Fleet<'_>,
    now: Timestamp,
) -> ProviderStatus {
    let seen: Vec<&ProviderState> = fleet
        .pods
        .values()
        .flat_map(|pod| pod.observed.iter().flatten())
        .filter(|state| state.namespace == id.name.namespace && state.name == id.name.name)
        .collect();
    let credentials: Vec<_> =
        verdict.credentials.iter().map(|credential| credential_status(credential, &seen)).collect();
    let mut findings = compiled(verdict);
    findings.push(fleet.programmed(verdict).0);
    findings.extend(summary(&findings));
    findings.push(credentials_valid(&credentials, &seen));
    findings.push(healthy(provider.spec.type_, &seen));
    let stored = provider.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let worst = seen.iter().filter(|state| state.endpoints_total > 0).min_by_key(|state| state.endpoints_healthy);
    ProviderStatus {
        observed_generation: Some(verdict.generation),
        conditions: conditions(findings, stored, verdict.generation, now),
        credentials,
        models_total: Some(count(verdict.models)),
        unpriced_models: verdict.unpriced.iter().take(MAX_LISTED).cloned().collect(),
        routes_total: Some(count(verdict.routes)),
        endpoints_healthy: worst.map(|state| format!("{}/{}", state.endpoints_healthy, state.endpoints_total)),
    }
}

/// What all pods together know of a credential: the worst answer counts.
fn credential_status(credential: &CredentialVerdict, seen: &[&ProviderState]) -> CredentialStatus {
    let CredentialVerdict { name, fingerprint } = credential;
    let answers = || answers(name, seen).map(|(answer, _)| answer);
    let any = |wanted: Answer| answers().any(|answer| answer == wanted);
    let state = match fingerprint {
        None => CredentialState::Missing,
        Some(_) if any(Answer::Rejected) => CredentialState::Rejected,
        Some(_) if any(Answer::Exhausted) => CredentialState::Exhausted,
        Some(_) if any(Answer::Accepted) => CredentialState::Active,
        Some(_) => CredentialState::Untried,
    };
    CredentialStatus { name: name.clone(), fingerprint: fingerprint.clone(), state }
}

fn answers<'a>(name: &'a str, seen: &'a [&ProviderState]) -> impl Iterator<Item = (Answer, &'a str)> {
    let credentials = seen.iter().flat_map(|state| &state.credentials).filter(move |state| state.name == name);
    credentials.map(|state| (state.verdict(), state.message.as_str()))
}

fn credentials_valid(credentials: &[CredentialStatus], seen: &[&ProviderState]) -> Finding {
    let finding = |status, reason, message| Finding::new("CredentialsValid", status, reason, message);
    let of = |state| credentials.iter().find(|credential| credential.state == state);
    let said = |credential: &CredentialStatus, answer| {
        let message = answers(&credential.name, seen).find(|(other, _)| *other == answer).map_or("", |(_, text)| text);
        format!("credential {}: {message}", credential.name)
    };
    if credentials.is_empty() {
        return finding(Some(true), "NotNeeded", "no credential is sent".to_owned());
    }
    if let Some(missing) = of(CredentialState::Missing) {
        return finding(Some(false), "CredentialMissing", format!("credential {} has no secret", missing.name));
    }
    if let Some(rejected) = of(CredentialState::Rejected) {
        return finding(Some(false), "CredentialRejected", said(rejected, Answer::Rejected));
    }
    if let Some(exhausted) = of(CredentialState::Exhausted) {
        return finding(Some(false), "QuotaExhausted", said(exhausted, Answer::Exhausted));
    }
    match of(CredentialState::Active) {
        Some(_) => finding(Some(true), "CredentialAccepted", "the provider accepts what it was sent".to_owned()),
        None => finding(None, "Untried", "no request has used a credential yet".to_owned()),
    }
}

fn healthy(type_: ProviderType, seen: &[&ProviderState]) -> Finding {
    let finding = |status, reason: &str, message: String| Finding::new("Healthy", status, reason, message);
    let troubled: Vec<&Trouble> = seen.iter().filter_map(|state| state.trouble.as_ref()).collect();
    if type_ == ProviderType::Mock {
        let message = "answers come from the data plane itself: this is not a real provider";
        return finding(Some(true), "Mock", message.to_owned());
    }
    match (seen.len(), troubled.first()) {
        (0, _) => finding(None, "NotObserved", "no pod reports on it yet".to_owned()),
        (pods, Some(Trouble { reason, message })) if is_reason(reason) => {
            finding(Some(false), reason, format!("{} of {pods} pods: {message}", troubled.len()))
        }
        (pods, Some(Trouble { reason: _, message })) => {
            finding(Some(false), "Unhealthy", format!("{} of {pods} pods: {message}", troubled.len()))
        }
        (_, None) => finding(Some(true), "Healthy", "no pod has a complaint".to_owned()),
    }
}

/// What the API server takes as the reason of a condition.
fn is_reason(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
