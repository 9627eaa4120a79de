//! The connections of one origin. HTTP/1.1 ones are lent to one request at a time; over HTTP/2 another
//! connection is opened before streams queue.

use super::connection::{Http1, Sender, Unsent, is_left_out};
use super::pieces::Pieces;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::{Request, Response};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use weir_policy::Failure;

/// An idle connection is closed before most servers would.
pub(crate) const IDLE: Duration = Duration::from_secs(55);
/// Idle HTTP/1.1 connections of one origin; more are closed on return.
const MAX_IDLE: usize = 1_024;

/// Connections at hand.
pub(super) struct Pool {
    /// The longest idle first.
    idle: Mutex<VecDeque<(Instant, Box<Http1>)>>,
    shared: Mutex<Vec<Arc<Shared>>>,
    /// Whether the origin was seen to speak HTTP/1.1, where each request needs a connection of its own.
    http1: AtomicBool,
    /// One dial at a time where a connection may serve many: whoever waits may find that it need not dial.
    turn: Semaphore,
    /// Why the last dial failed, and when.
    failed: Mutex<Option<(Instant, Failure)>>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            idle: Mutex::default(),
            shared: Mutex::default(),
            http1: AtomicBool::new(false),
            turn: Semaphore::new(1),
            failed: Mutex::default(),
        }
    }
}

struct Shared {
    sender: http2::SendRequest<Pieces>,
    streams: AtomicUsize,
    room: Arc<AtomicUsize>,
    /// The server takes no more streams, though those that it began go on.
    ending: AtomicBool,
}

/// A connection in use by one request. Dropped before [`Lease::give_back`], an HTTP/1.1 connection is closed
/// and an HTTP/2 stream reset with the answer's body.
pub(super) struct Lease(Held);

enum Held {
    H1(Box<Http1>),
    H2(Stream),
}

struct Stream(Arc<Shared>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// A connection at hand.
    pub(super) fn take(&self) -> Option<Lease> {
        self.stream().or_else(|| self.idle())
    }

    /// Whether each request needs a connection of its own.
    pub(super) fn is_http1(&self) -> bool {
        self.http1.load(Ordering::Relaxed)
    }

    /// A connection at hand or, one at a time, by this dial. Whoever waited for a dial that failed shares its
    /// failure: another would only add its time.
    pub(super) async fn in_turn(&self, dial: impl Future<Output = Result<Sender, Failure>>) -> Result<Lease, Failure> {
        let since = Instant::now();
        let _turn = self.turn.acquire().await;
        if let Some(lease) = self.take() {
            return Ok(lease);
        }
        if let Some((_, failure)) = lock(&self.failed).clone().filter(|(at, _)| *at > since) {
            return Err(failure);
        }
        let dialled = dial.await;
        if let Err(failure) = &dialled {
            *lock(&self.failed) = Some((Instant::now(), failure.clone()));
        }
        dialled.map(|sender| self.lend(sender))
    }

    /// A new connection, lent at once.
    pub(super) fn lend(&self, sender: Sender) -> Lease {
        match sender {
            Sender::H1(connection) => {
                self.http1.store(true, Ordering::Relaxed);
                Lease(Held::H1(connection))
            }
            Sender::H2(sender, room) => {
                let shared =
                    Arc::new(Shared { sender, streams: AtomicUsize::new(1), room, ending: AtomicBool::new(false) });
                lock(&self.shared).push(Arc::clone(&shared));
                Lease(Held::H2(Stream(shared)))
            }
        }
    }

    /// The least loaded HTTP/2 connection that has room.
    fn stream(&self) -> Option<Lease> {
        let mut shared = lock(&self.shared);
        shared.retain(|held| !held.sender.is_closed() && !held.ending.load(Ordering::Relaxed));
        let held = shared.iter().min_by_key(|held| held.streams.load(Ordering::Relaxed))?;
        if held.streams.load(Ordering::Relaxed) >= held.room.load(Ordering::Relaxed) {
            return None;
        }
        held.streams.fetch_add(1, Ordering::Relaxed);
        Some(Lease(Held::H2(Stream(Arc::clone(held)))))
    }

    /// The idle HTTP/1.1 connection that was used last.
    fn idle(&self) -> Option<Lease> {
        loop {
            let (since, mut connection) = lock(&self.idle).pop_back()?;
            if since.elapsed() < IDLE && connection.is_ready() {
                return Some(Lease(Held::H1(connection)));
            }
        }
    }

    /// Closes the HTTP/1.1 connections that have been idle for so long; the server may have done so already.
    pub(super) fn close_idle(&self, since_at_least: Duration) {
        let mut idle = lock(&self.idle);
        while idle.front().is_some_and(|(since, _)| since.elapsed() >= since_at_least) {
            idle.pop_front();
        }
    }

    fn put(&self, connection: Box<Http1>) {
        let mut idle = lock(&self.idle);
        if idle.len() >= MAX_IDLE {
            idle.pop_front();
        }
        idle.push_back((Instant::now(), connection));
    }
}

impl Lease {
    /// Whether it is HTTP/2.
    pub(super) const fn is_h2(&self) -> bool {
        matches!(self.0, Held::H2(_))
    }

    /// Sends the request and waits for the answer's head.
    pub(super) async fn send(&mut self, request: Request<Pieces>) -> Result<Response<Incoming>, Unsent> {
        match &mut self.0 {
            Held::H1(connection) => connection.send(request).await,
            Held::H2(stream) => {
                let sent = stream.0.sender.clone().try_send_request(request).await;
                if sent.as_ref().is_err_and(|e| e.message().is_some() || is_left_out(e.error())) {
                    stream.0.ending.store(true, Ordering::Relaxed);
                }
                sent
            }
        }
    }

    /// Reads and writes what can be, where the connection has no task of its own.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        match &mut self.0 {
            Held::H1(connection) => connection.drive(cx),
            Held::H2(_) => {}
        }
    }

    /// The answer was read whole: the connection may serve another request.
    pub(super) fn give_back(self, pool: &Pool) {
        if let Held::H1(connection) = self.0 {
            pool.put(connection);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::connection::http1;
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;
    use tokio::io::AsyncReadExt as _;
    use weir_policy::FailureKind;

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_when_its_time_is_over() {
        let (pool, (ours, mut theirs)) = (Pool::default(), tokio::io::duplex(64));
        pool.lend(http1(ours).await.unwrap()).give_back(&pool);
        tokio::time::advance(IDLE - Duration::from_secs(1)).await;
        pool.close_idle(IDLE);
        assert_eq!(lock(&pool.idle).len(), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        pool.close_idle(IDLE);
        assert_eq!(theirs.read(&mut [0; 8]).await.unwrap(), 0, "the server sees its end");
    }

    #[tokio::test(start_paused = true)]
    async fn f02_whoever_waits_for_a_dial_that_fails_waits_no_longer() {
        let (pool, dials) = (Pool::default(), AtomicU32::new(0));
        let dial = || async {
            dials.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(2)).await;
            Err(Failure::local(FailureKind::Connect, "no answer"))
        };
        let began = Instant::now();
        let failed = futures_util::future::join_all((0..10).map(|_| pool.in_turn(dial()))).await;
        assert!(failed.iter().all(Result::is_err));
        assert_eq!((began.elapsed(), dials.load(Ordering::Relaxed)), (Duration::from_secs(2), 1));
        assert!(pool.in_turn(dial()).await.is_err());
        assert_eq!(dials.load(Ordering::Relaxed), 2, "who comes later dials anew");
    }
}
