//! Following the ledger's leader: from address to address, with pauses, for ever.

use super::service::ledger_client::LedgerClient;
use super::stream::{End, converse};
use crate::feed::{Config, dial, read};
use crate::gateway::Gateway;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Messages that wait to be sent; beyond it requests are told that the leader does not answer.
const QUEUE: usize = 4_096;
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

async fn session(gateway: &Gateway, config: &Config, address: &str) -> End {
    let closed = |why: String| End::Closed { served: false, why };
    let token = match read(&config.token_file) {
        Ok(token) => token,
        Err(why) => return closed(why),
    };
    let channel = match dial(config, address).await {
        Ok(channel) => channel,
        Err(why) => return closed(why),
    };
    let (outgoing, messages) = mpsc::channel(QUEUE);
    let mut client = LedgerClient::new(channel);
    match client.lease(ReceiverStream::new(messages)).await {
        Ok(response) => converse(&gateway.ledger, token, outgoing, response.into_inner()).await,
        Err(status) => closed(format!("{}: {}", status.code(), status.message())),
    }
}
