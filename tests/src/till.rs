//! Counts what became of requests that cost money, over all who ask.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::client::Client;

/// The count so far; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Till {
    counts: Arc<Mutex<BTreeMap<u16, usize>>>,
}

impl Till {
    /// One chat with the model `m`: its status, or 0 where the connection broke.
    pub async fn ask(&self, client: &Client) -> u16 {
        let reply = match client.connect().await {
            Ok(connection) => client.chat_over(connection, "m").await,
            Err(_) => None,
        };
        let status = reply.map_or(0, |reply| reply.status.as_u16());
        *self.counts.lock().expect("no holder panics").entry(status).or_default() += 1;
        status
    }

    /// So many chats at once, in turn to each client.
    pub async fn race(&self, clients: &[Client], requests: usize) {
        let asks = clients.iter().cycle().take(requests).cloned().map(|client| {
            let till = self.clone();
            tokio::spawn(async move { till.ask(&client).await })
        });
        for ask in asks.collect::<Vec<_>>() {
            ask.await.expect("a client does not panic");
        }
    }

    /// How many were answered.
    pub fn answered(&self) -> usize {
        self.count(200)
    }

    /// How many had this status.
    pub fn count(&self, status: u16) -> usize {
        self.counts().get(&status).copied().unwrap_or_default()
    }

    /// How many had each status.
    pub fn counts(&self) -> BTreeMap<u16, usize> {
        self.counts.lock().expect("no holder panics").clone()
    }
}
