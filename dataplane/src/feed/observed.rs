//! What real answers said of providers and credentials, for the operator to put into status.

use crate::gateway::Gateway;
use weir_policy::{CredentialState, Provider};
use weir_snapshot::Upstream;
use weir_snapshot::envelope::credential_state::Verdict;
use weir_snapshot::envelope::{self, ProviderState, Trouble};

/// Of every provider.
pub(super) fn observe(gateway: &Gateway) -> Vec<ProviderState> {
    let live = gateway.live.load();
    let now = gateway.clock.now();
    let providers = live.table.providers().map(|provider| {
        let targets = || live.table.health().filter(|(id, _)| id.provider == provider.id).map(|(_, health)| health);
        let trouble = targets().find_map(|health| health.trouble());
        let all_out = targets().next().is_some() && targets().all(|health| health.is_out(now));
        let total = match &provider.data.upstream {
            Upstream::Addresses { host: _, addresses } => u32::try_from(addresses.len()).unwrap_or(u32::MAX),
            Upstream::Url(_) | Upstream::Mock(_) => 1,
        };
        ProviderState {
            namespace: provider.id.namespace.clone(),
            name: provider.id.name.clone(),
            trouble: trouble.map(|trouble| Trouble { reason: trouble.reason.to_owned(), message: trouble.message }),
            credentials: credentials(provider),
            endpoints_healthy: if all_out { 0 } else { total },
            endpoints_total: total,
        }
    });
    providers.collect()
}

fn credentials(provider: &Provider) -> Vec<envelope::CredentialState> {
    let state = |credential: &weir_policy::Credential| {
        let (state, message) = credential.health.state();
        let verdict = match state {
            CredentialState::Untried => Verdict::Untried,
            CredentialState::Accepted => Verdict::Accepted,
            CredentialState::Rejected => Verdict::Rejected,
            CredentialState::Exhausted => Verdict::Exhausted,
        };
        envelope::CredentialState { name: credential.name.clone(), verdict: verdict.into(), message }
    };
    provider.credentials.iter().map(state).collect()
}
