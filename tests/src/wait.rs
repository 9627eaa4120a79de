//! Waiting for what a process makes visible only when asked: polled, with a deadline, never slept through.

use std::time::{Duration, Instant};

/// How long anything may take that a test waits for; generous, for two busy cores.
pub const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Asks until there is an answer, or `None` once `limit` has passed.
pub async fn until_within<T, F: Future<Output = Option<T>>>(limit: Duration, mut ask: impl FnMut() -> F) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return Some(answer);
        }
        if Instant::now() > deadline {
            return None;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Asks until there is an answer; panics with `what` after [`PATIENCE`].
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, ask: impl FnMut() -> F) -> T {
    let limit = PATIENCE;
    until_within(limit, ask).await.unwrap_or_else(|| panic!("not within {limit:?}: {what}"))
}

/// Asks until the answer is yes; panics with `what` after [`PATIENCE`].
pub async fn until_true<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    until(what, || {
        let asked = ask();
        async { asked.await.then_some(()) }
    })
    .await;
}
