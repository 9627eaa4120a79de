//! Following the ledger's leader: from address to address, with pauses, for ever.

use super::door::{Door, Word};
use super::seek::newer;
use super::stream::{End, converse};
use crate::feed::Config;
use crate::gateway::Gateway;
use std::sync::Arc;
use std::time::Duration;

/// Longest pause between two tries.
const MAX_PAUSE_MS: u64 = 1_000;

/// Follows the leader of the ledger for ever.
pub async fn follow(gateway: Arc<Gateway>, config: Config) {
    let (mut pause_ms, mut turn, mut hint) = (50, 0, None::<String>);
    loop {
        let address = match hint.take() {
            Some(address) => address,
            None => match config.operator.get(turn % config.operator.len().max(1)) {
                Some(address) => address.clone(),
                None => return,
            },
        };
        turn += 1;
        match session(&gateway, &config, &address).await {
            End::Leader(address) => hint = Some(address),
            End::Closed { served: true, why } => {
                tracing::info!(%why, "the ledger's stream ended");
                pause_ms = 50;
            }
            End::Closed { served: false, why } => tracing::debug!(%address, %why, "no ledger from the operator"),
        }
        gateway.ledger.tidy();
        tokio::time::sleep(Duration::from_millis(pause_ms / 2 + fastrand::u64(..pause_ms))).await;
        pause_ms = if hint.is_some() { 50 } else { (pause_ms * 2).min(MAX_PAUSE_MS) };
    }
}

/// Speaks with the leader at that address and, from where it is adrift, with a newer one that is found.
async fn session(gateway: &Gateway, config: &Config, address: &str) -> End {
    let closed = |why: String| End::Closed { served: false, why };
    let mut door = match Door::open(config, address).await {
        Ok(Word::Leads(door)) => door,
        Ok(Word::Elsewhere(leader)) if leader.is_empty() => return closed("no operator leads at the moment".into()),
        Ok(Word::Elsewhere(leader)) => return End::Leader(leader),
        Err(why) => return closed(why),
    };
    let ledger = &gateway.ledger;
    loop {
        let Door { epoch, parts, token, outgoing, incoming } = *door;
        ledger.meet(epoch);
        tokio::select! {
            end = converse(ledger, (token, parts), outgoing, incoming) => return end,
            // Nothing more is read of the old stream before the hello on the new one.
            found = newer(config, ledger.adrift.subscribe()) => door = found,
        }
        tracing::info!(epoch = door.epoch, "the ledger's leader was adrift; a newer one is followed");
    }
}
