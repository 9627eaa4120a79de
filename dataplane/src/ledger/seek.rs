//! Looking for a newer leader, while the one on the stream cannot prove that it still leads.

use super::door::{Door, Word};
use crate::feed::Config;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::watch;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// Addresses that one look dials at most.
const MOST: usize = 16;

/// Waits until the leader is adrift, and looks for a newer one for as long as it is.
pub(super) async fn newer(config: &Config, mut adrift: watch::Receiver<Option<u64>>) -> Box<Door> {
    loop {
        let epoch = adrift.wait_for(Option::is_some).await.ok().and_then(|epoch| *epoch);
        let Some(epoch) = epoch else { return std::future::pending().await };
        if let Some(door) = look(config, epoch).await {
            return door;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The first leader of a higher epoch, at all addresses of the operator and at those that standbys name.
async fn look(config: &Config, epoch: u64) -> Option<Box<Door>> {
    let mut addresses = Vec::new();
    for name in &config.operator {
        let found = tokio::net::lookup_host(name).await.ok();
        addresses.extend(found.into_iter().flatten().map(|address| address.to_string()));
    }
    let mut dialled = BTreeSet::new();
    while let Some(address) = addresses.pop().filter(|_| dialled.len() < MOST) {
        if !dialled.insert(address.clone()) {
            continue;
        }
        match Door::open(config, &address).await {
            Ok(Word::Leads(door)) if door.epoch > epoch => return Some(door),
            Ok(Word::Elsewhere(leader)) if !leader.is_empty() => addresses.push(leader),
            Ok(Word::Leads(_) | Word::Elsewhere(_)) | Err(_) => {}
        }
    }
    None
}
