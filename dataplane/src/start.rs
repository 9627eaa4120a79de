//! Listening: the two listeners of a data plane, begun together.

use crate::config::StartError;
use crate::gateway::Gateway;
use crate::upstream::IDLE;
use crate::{admin, overload, serve};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

impl Gateway {
    /// Listens on both addresses and serves until [`Gateway::drain`] is done. Returns the bound addresses at
    /// once and what to await for the end.
    pub fn start(self: &Arc<Self>) -> Result<(SocketAddr, SocketAddr, tokio::task::JoinHandle<()>), StartError> {
        let admin = admin::start(self)?;
        let (listen, serving) = serve::start(self)?;
        tokio::spawn(close_idle(Arc::downgrade(self)));
        tokio::spawn(overload::watch(Arc::downgrade(self)));
        tracing::info!(%listen, %admin, "serving");
        Ok((listen, admin, serving))
    }
}

/// Idle upstream connections have no task that would notice their end.
async fn close_idle(gateway: Weak<Gateway>) {
    loop {
        tokio::time::sleep(IDLE / 2).await;
        let Some(gateway) = gateway.upgrade() else { return };
        gateway.live.load().close_idle(IDLE);
    }
}
