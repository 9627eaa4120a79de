//! How the process is told to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Resolves at SIGTERM or SIGINT.
pub async fn told_to_end() {
    tokio::select! {
        () = received(SignalKind::terminate()) => {}
        () = received(SignalKind::interrupt()) => {}
    }
}

/// Resolves at SIGINT: whoever presses Ctrl-C during a drain does not want to wait for it.
pub async fn interrupted() {
    received(SignalKind::interrupt()).await;
}

async fn received(kind: SignalKind) {
    match signal(kind).as_mut().map(Signal::recv) {
        Ok(next) => drop(next.await),
        Err(e) => {
            tracing::error!(error = %e, "signals cannot be received");
            std::future::pending().await
        }
    }
}
