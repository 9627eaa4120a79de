//! The listener of the config stream: TLS with the current leaf, gRPC, bounded everywhere.
//!
//! It knows no pod; whoever passes the handshake still has to prove itself in its stream.

use super::connection::{Connection, Proof};
use super::service::config_server::{Config, ConfigServer};
use super::session::{self, Shared};
use crate::authority::Leaf;
use crate::ledger::{self, Desk, LedgerServer};
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use weir_dataplane::{Holder, Shares};
use weir_snapshot::envelope::{FromPod, ToPod};

/// Connections at once, in their handshake or after it; a pod has two, or more while it redials. No address has more of
/// them than are free.
const CONNECTIONS: u64 = 8192;
/// Connections that wait to be served.
const BACKLOG: usize = 64;
/// A handshake takes one round trip.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages that wait for a pod to read; with the largest body, 8 MiB.
const QUEUE: usize = 8;
/// Largest message of a pod: what grows with what it holds comes in parts, of 3 MiB on the config stream and of 256 KiB on
/// the ledger's. Whoever has not proven itself yet can say so much.
const DECODE_BYTES: usize = 4 * 1024 * 1024;
/// Streams of one connection: a pod has one, and another while it redials.
const STREAMS: u32 = 4;
/// A pod that vanished without a word is noticed within the sum.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// What a handshake leads to.
type Accepted = Connection<TlsStream<TcpStream>>;

/// A bound port.
pub(crate) struct Listener {
    socket: TcpListener,
    tls: TlsAcceptor,
}

impl Listener {
    /// Binds it.
    pub(crate) async fn bind(address: SocketAddr, leaf: Arc<Leaf>) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(leaf);
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { socket: TcpListener::bind(address).await?, tls: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Hands over connections that passed the handshake.
    async fn accept(self, ready: mpsc::Sender<io::Result<Accepted>>) {
        let connections = Arc::new(Shares::of(CONNECTIONS));
        loop {
            let socket = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = ready.closed() => return,
            };
            let (socket, peer) = match socket {
                Ok((socket, peer)) => (socket, peer.ip()),
                Err(error) => {
                    // Descriptors ran out, or the peer is gone already.
                    tracing::warn!(%error, "a config connection cannot be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(counted) = Shares::place(&connections, Holder::of(&peer)) else { continue };
            let (tls, ready) = (self.tls.clone(), ready.clone());
            tokio::spawn(async move {
                let _ = socket.set_nodelay(true);
                match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(socket)).await {
                    Ok(Ok(stream)) => drop(ready.send(Ok(Connection::new(stream, counted))).await),
                    Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
                    Err(_) => tracing::debug!("a handshake took too long"),
                }
            });
        }
    }
}

/// Serves streams until `stop` turns true.
pub(crate) async fn serve(listener: Listener, shared: Arc<Shared>, desk: Arc<Desk>, mut stop: watch::Receiver<bool>) {
    let (ready, connections) = mpsc::channel(BACKLOG);
    let accepting = tokio::spawn(listener.accept(ready));
    let leases = ledger::Service::new(Arc::clone(&shared), desk);
    let leases = LedgerServer::new(leases).max_decoding_message_size(DECODE_BYTES);
    let service = ConfigServer::new(Service { shared }).max_decoding_message_size(DECODE_BYTES);
    let ended = tonic::transport::Server::builder()
        .max_concurrent_streams(STREAMS)
        .http2_keepalive_interval(Some(PING.0))
        .http2_keepalive_timeout(Some(PING.1))
        .add_service(service)
        .add_service(leases)
        .serve_with_incoming_shutdown(ReceiverStream::new(connections), async move {
            let _ = stop.wait_for(|stop| *stop).await;
        })
        .await;
    accepting.abort();
    if let Err(error) = ended {
        tracing::error!(%error, "the config stream cannot be served");
    }
}

struct Service {
    shared: Arc<Shared>,
}

#[tonic::async_trait]
impl Config for Service {
    type SubscribeStream = ReceiverStream<Result<ToPod, Status>>;

    async fn subscribe(&self, request: Request<Streaming<FromPod>>) -> Result<Response<Self::SubscribeStream>, Status> {
        let (outgoing, messages) = mpsc::channel(QUEUE);
        let proof = Proof::of(&request);
        tokio::spawn(session::run(Arc::clone(&self.shared), proof, request.into_inner(), outgoing));
        Ok(Response::new(ReceiverStream::new(messages)))
    }
}
