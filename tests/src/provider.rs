//! A scripted provider on real sockets: what it answers, byte by byte, is the test's to say.
//!
//! It never sleeps: a pause lasts until the test ends it. What was asked of it is recorded.

mod accept;
mod h1;
mod h2;
mod record;
mod script;
mod socket;
mod state;

pub use record::{Gone, Record};
pub use script::{Script, Signal, Step, Usage, chunk};
pub use state::Accept;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use state::State;

use crate::tls::Authority;
use crate::wait;

/// What a provider with TLS speaks.
pub const PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

/// A provider that listens; its connections end when it is dropped.
pub struct Provider {
    address: SocketAddr,
    tls: bool,
    state: Arc<State>,
    listening: Mutex<Option<JoinHandle<()>>>,
    stop: watch::Sender<bool>,
}

impl Provider {
    /// Listens in plain text, HTTP/1.1 and HTTP/2, and answers `Hello` until told otherwise.
    pub async fn start() -> Self {
        Self::start_at(IpAddr::from([127, 0, 0, 1])).await
    }

    /// The same at an address other than 127.0.0.1.
    pub async fn start_at(address: IpAddr) -> Self {
        Self::listen(address, None).await
    }

    /// Listens with a certificate of `authority` for `names`.
    pub async fn start_tls(authority: &Authority, names: &[&str]) -> Self {
        Self::start_with(authority.acceptor(names, PROTOCOLS)).await
    }

    /// Listens with TLS as this acceptor has it.
    pub async fn start_with(acceptor: tokio_rustls::TlsAcceptor) -> Self {
        Self::listen(IpAddr::from([127, 0, 0, 1]), Some(acceptor)).await
    }

    async fn listen(address: IpAddr, tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State::new(Script::chat("Hello", Usage::of(7, 3))));
        let (stop, stopped) = watch::channel(false);
        let is_tls = tls.is_some();
        let task = tokio::spawn(accept::accept_all(listener, tls, Arc::clone(&state), stopped));
        Self { address, tls: is_tls, state, listening: Mutex::new(Some(task)), stop }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL that a Provider's `endpoint.url` takes.
    pub fn url(&self) -> String {
        format!("{}://{}/v1", if self.tls { "https" } else { "http" }, self.address)
    }

    /// Answers the next request that no earlier script takes.
    pub fn next(&self, script: Script) -> &Self {
        self.state.queue(script);
        self
    }

    /// Answers every request that no script was queued for.
    pub fn always(&self, script: Script) -> &Self {
        self.respond(move |_| script.clone())
    }

    /// Answers every request that no script was queued for, by what it asks.
    pub fn respond(&self, respond: impl Fn(&Record) -> Script + Send + Sync + 'static) -> &Self {
        self.state.otherwise(Arc::new(respond));
        self
    }

    /// What becomes of the next connection.
    pub fn next_connection(&self, accept: Accept) -> &Self {
        self.state.queue_accept(accept);
        self
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Arc<Record>> {
        self.state.records()
    }

    /// The request of this number, from 0, past or to come.
    pub async fn request(&self, number: usize) -> Arc<Record> {
        wait::until("the provider is asked", || async { self.requests().get(number).cloned() }).await
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.state.connections()
    }

    /// Connections whose TLS handshake came to its end.
    pub fn handshakes(&self) -> u64 {
        self.state.handshakes()
    }

    /// Closes the port and every connection, so that connecting is refused from now on.
    pub async fn refuse(&self) {
        self.stop.send_replace(true);
        let listening = self.listening.lock().expect("no holder panics").take();
        if let Some(task) = listening {
            let _ = task.await;
        }
    }

    /// Opens the same port again.
    pub async fn heal(&self) {
        assert!(!self.tls, "a provider with TLS is not reopened");
        let listener = TcpListener::bind(self.address).await.expect("the port is still free");
        self.stop.send_replace(false);
        let task = tokio::spawn(accept::accept_all(listener, None, Arc::clone(&self.state), self.stop.subscribe()));
        *self.listening.lock().expect("no holder panics") = Some(task);
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
