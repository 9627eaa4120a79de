//! The addresses of a provider's name. A slow name server costs the provider's own namespace, and no other.
//!
//! The system's resolver blocks a thread and cannot be stopped. Each origin has one lookup at a time, whose result all who
//! wait for it share; all lookups together take half of the runtime's threads for such work, and no namespace takes more of
//! them than are free.

use crate::shares::{Holder, Shares};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Lookups of the process at once; the runtime has 512 threads for work that blocks.
const LOOKUPS: u64 = 256;

static RUNNING: LazyLock<Arc<Shares>> = LazyLock::new(|| Arc::new(Shares::of(LOOKUPS)));

type Found = Result<Vec<SocketAddr>, String>;

/// Looks up one name.
pub(super) struct Resolver {
    /// Of its provider.
    namespace: Holder,
    running: Arc<Shares>,
    turn: Arc<Semaphore>,
    /// What was found last, and when.
    last: Arc<Mutex<Option<(Instant, Found)>>>,
}

impl Resolver {
    pub(super) fn new(namespace: &str) -> Self {
        Self::within(&RUNNING, namespace)
    }

    fn within(running: &Arc<Shares>, namespace: &str) -> Self {
        let (turn, last) = (Arc::new(Semaphore::new(1)), Arc::default());
        Self { namespace: Holder::of(namespace), running: Arc::clone(running), turn, last }
    }

    /// The addresses of a name now; the caller bounds the wait.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> Found {
        let host = host.to_owned();
        self.resolve_by(move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect)).await
    }

    async fn resolve_by(&self, lookup: impl FnOnce() -> std::io::Result<Vec<SocketAddr>> + Send + 'static) -> Found {
        let since = Instant::now();
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|e| e.to_string())?;
        let found_by_another = lock(&self.last).clone().filter(|(at, _)| *at > since);
        if let Some((_, found)) = found_by_another {
            return found;
        }
        let Some(place) = Shares::place(&self.running, self.namespace) else {
            return Err("too many names of its namespace are being looked up".to_owned());
        };
        let last = Arc::clone(&self.last);
        // The thread keeps its turn and its place, whoever still waits for it.
        let looked_up = tokio::task::spawn_blocking(move || {
            let found = lookup().map_err(|e| e.to_string());
            *lock(&last) = Some((Instant::now(), found.clone()));
            drop((turn, place));
            found
        });
        looked_up.await.unwrap_or_else(|e| Err(e.to_string()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;

    /// A lookup that ends when the sender is dropped.
    fn silent() -> (mpsc::Sender<()>, impl FnOnce() -> std::io::Result<Vec<SocketAddr>> + Send) {
        let (answer, silence) = mpsc::channel::<()>();
        let lookup = move || {
            let _ = silence.recv();
            Ok(Vec::new())
        };
        (answer, lookup)
    }

    #[tokio::test]
    async fn many_who_need_a_name_at_once_share_one_lookup() {
        let (resolver, lookups) = (Resolver::new("a"), Arc::new(AtomicU32::new(0)));
        let address: SocketAddr = "192.0.2.1:443".parse().unwrap();
        let lookup = || {
            let lookups = Arc::clone(&lookups);
            move || {
                lookups.fetch_add(1, Ordering::Relaxed);
                Ok(vec![address])
            }
        };
        let found = join_all((0..100).map(|_| resolver.resolve_by(lookup()))).await;
        assert!(found.iter().all(|found| found.as_deref() == Ok(&[address][..])));
        assert_eq!(lookups.load(Ordering::Relaxed), 1);
        assert!(resolver.resolve_by(lookup()).await.is_ok());
        assert_eq!(lookups.load(Ordering::Relaxed), 2, "nothing is remembered");
    }

    #[tokio::test]
    async fn a_namespace_whose_name_server_is_silent_leaves_room_for_others() {
        let running = Arc::new(Shares::of(16));
        let (answers, slow): (Vec<_>, Vec<_>) = (0..32)
            .map(|_| {
                let ((answer, lookup), origin) = (silent(), Resolver::within(&running, "slow"));
                (answer, tokio::spawn(async move { origin.resolve_by(lookup).await }))
            })
            .unzip();
        while slow.iter().filter(|lookup| lookup.is_finished()).count() < 24 {
            tokio::task::yield_now().await;
        }
        assert_eq!(running.held(), 8, "half of all lookups is the most that one namespace has");
        let found = Resolver::within(&running, "quick").resolve("127.0.0.1", 80).await;
        assert_eq!(found, Ok(vec!["127.0.0.1:80".parse().unwrap()]));
        drop(answers);
        let refused = join_all(slow).await.into_iter().filter(|found| found.as_ref().unwrap().is_err()).count();
        assert_eq!((refused, running.held()), (24, 0));
    }
}
