//! Following the operator: from address to address, with pauses, for ever.

use super::config::Config;
use super::holding::Holding;
use super::session::{self, End};
use super::store::Store;
use crate::gateway::Gateway;
use std::sync::Arc;
use std::time::Duration;

/// Longest pause between two tries to reach the operator: a new leader waits for its pods, and they are few.
const MAX_PAUSE_MS: u64 = 2_000;
/// Longest pause before a redial that a standby asked for.
const REDIAL_JITTER_MS: u64 = 1_000;

/// Follows the operator for ever. A config kept from before the restart is applied first.
pub async fn follow(gateway: Arc<Gateway>, config: Config) {
    let mut holding = Holding::default();
    let mut store = config.state_dir.as_deref().map(Store::of);
    if let Some(store) = &store {
        match store.load() {
            Ok(kept) if kept.len() == 0 => {}
            Ok(kept) => {
                holding = kept;
                let rejected = gateway.apply_resources(holding.resources());
                tracing::info!(
                    resources = holding.len(),
                    rejected = rejected.len(),
                    "serving the config kept from before"
                );
            }
            Err(why) => tracing::warn!(%why, "the config kept from before cannot be used"),
        }
    }
    let incarnation = format!("{:032x}", fastrand::u128(..));
    let (mut pause_ms, mut turn, mut hint) = (100, 0, None::<String>);
    loop {
        let address = match hint.take() {
            Some(address) => address,
            None => match config.operator.get(turn % config.operator.len().max(1)) {
                Some(address) => address.clone(),
                None => return,
            },
        };
        turn += 1;
        match session::run(&gateway, &config, &address, &incarnation, &mut holding, &mut store).await {
            End::Leader(address) => {
                hint = Some(address);
                tokio::time::sleep(Duration::from_millis(fastrand::u64(..REDIAL_JITTER_MS))).await;
                continue;
            }
            End::Closed { served: true, why } => {
                tracing::info!(%why, "the operator's stream ended");
                pause_ms = 100;
            }
            End::Closed { served: false, why } => tracing::warn!(%address, %why, "no config from the operator"),
        }
        tokio::time::sleep(Duration::from_millis(pause_ms / 2 + fastrand::u64(..pause_ms))).await;
        pause_ms = (pause_ms * 2).min(MAX_PAUSE_MS);
    }
}
