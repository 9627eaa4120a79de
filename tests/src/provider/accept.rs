//! Accepts a provider's connections, and speaks the HTTP version that each client begins with.

use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::socket::Socket;
use super::state::{Accept, State};
use super::{h1, h2};

/// Accepts until `stopped`; then the port and all connections are closed.
pub(super) async fn accept_all(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    state: Arc<State>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let Ok((socket, _)) = accepted else { break };
        connections.spawn(connection(socket, tls.clone(), Arc::clone(&state)));
    }
    connections.shutdown().await;
}

async fn connection(socket: TcpStream, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let (number, accept) = state.accept();
    match accept {
        Accept::Serve => {}
        Accept::Reset => return socket.reset_on_drop(),
        Accept::Silent => return std::future::pending().await,
        Accept::HalfShaken => return half_shaken(socket, &tls.expect("a provider with TLS")).await,
    }
    let _ = socket.set_nodelay(true);
    let Some(tls) = tls else {
        return if speaks_h2(&socket).await {
            h2::serve(socket, number, state).await
        } else {
            h1::serve(socket, number, state).await
        };
    };
    let Ok(socket) = tls.accept(socket).await else { return };
    state.shook_hands();
    if socket.get_ref().1.alpn_protocol() == Some(b"h2") {
        h2::serve(socket, number, state).await;
    } else {
        h1::serve(socket, number, state).await;
    }
}

/// Takes the client's hello, and of what TLS answers sends so little that no record is whole.
async fn half_shaken(mut socket: TcpStream, tls: &TlsAcceptor) {
    let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
    let mut hello = vec![0; 16 * 1024];
    let shaken = async {
        let read = socket.read(&mut hello).await?;
        theirs.write_all(&hello[..read]).await?;
        let mut begun = [0; 64];
        theirs.read_exact(&mut begun).await?;
        socket.write_all(&begun).await?;
        std::future::pending::<std::io::Result<()>>().await
    };
    let _ = tokio::join!(tls.accept(ours), shaken);
}

/// Whether the client begins with the preface of HTTP/2.
async fn speaks_h2(socket: &TcpStream) -> bool {
    let mut start = [0u8; 3];
    loop {
        match socket.peek(&mut start).await {
            Ok(3) => return &start == b"PRI",
            Ok(read @ 1..=2) if start[..read] == b"PRI"[..read] => tokio::task::yield_now().await,
            Ok(_) | Err(_) => return false,
        }
    }
}
