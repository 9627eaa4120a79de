//! A stream to an operator up to its first word, which tells who leads.

use super::service::ledger_client::LedgerClient;
use crate::feed::{Config, dial, read};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use weir_snapshot::ledger::{FromPod, Leads, ToPod, to_pod};

/// Messages that wait to be sent; beyond it requests are told that the leader does not answer.
const QUEUE: usize = 4_096;
/// Largest message of a leader. Its parts are of 256 KiB; one of the release before says in one message what it says of
/// all pots.
const DECODE_BYTES: usize = 64 * 1024 * 1024;
/// Longest wait for the first word: a new leader reads its store first.
const WORD: Duration = Duration::from_secs(3);

/// A stream to a leader, before the hello.
pub(super) struct Door {
    /// Of the leader.
    pub(super) epoch: u64,
    /// Whether it takes hellos in parts.
    pub(super) parts: bool,
    pub(super) token: String,
    pub(super) outgoing: mpsc::Sender<FromPod>,
    pub(super) incoming: Streaming<ToPod>,
}

/// What an operator says of who leads.
pub(super) enum Word {
    /// It does.
    Leads(Box<Door>),
    /// The one at that address does; empty where none does.
    Elsewhere(String),
}

impl Door {
    /// Dials that address and hears who leads.
    pub(super) async fn open(config: &Config, address: &str) -> Result<Word, String> {
        let token = read(&config.token_file)?;
        let channel = dial(config, address).await?;
        let (outgoing, messages) = mpsc::channel(QUEUE);
        let (told, incoming) = tokio::time::timeout(WORD, async {
            let mut client = LedgerClient::new(channel).max_decoding_message_size(DECODE_BYTES);
            let mut incoming = client.lease(ReceiverStream::new(messages)).await?.into_inner();
            Ok((incoming.message().await?, incoming))
        })
        .await
        .map_err(|_| "it does not say whether it leads".to_owned())?
        .map_err(|status: tonic::Status| format!("{}: {}", status.code(), status.message()))?;
        match told.and_then(|told| told.kind) {
            Some(to_pod::Kind::Leads(leads)) => {
                let Leads { epoch, parts } = leads;
                Ok(Word::Leads(Box::new(Self { epoch, parts, token, outgoing, incoming })))
            }
            Some(to_pod::Kind::NotLeader(leader)) => Ok(Word::Elsewhere(leader.address)),
            Some(
                to_pod::Kind::Round(_)
                | to_pod::Kind::Answer(_)
                | to_pod::Kind::Recall(_)
                | to_pod::Kind::Closed(_)
                | to_pod::Kind::CostsStored(_)
                | to_pod::Kind::Adrift(_),
            )
            | None => Err("it was closed".to_owned()),
        }
    }
}
