//! A way to a server over a bad network: what passes is late, and now and then very late, as TCP shows the loss
//! and reordering of packets to those who use it.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Bytes of a packet.
const PACKET: usize = 1_400;

/// How bad it is.
#[derive(Debug, Clone, Copy)]
pub struct Badness {
    /// Most that a packet is late by; how late is even chance.
    pub jitter: Duration,
    /// Packets of a hundred that are lost, and come once they are sent again.
    pub loss_percent: u64,
    /// How long that takes.
    pub resent_after: Duration,
}

/// A relay before a server; it ends when it is dropped.
pub struct Delay {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Delay {
    /// Relays to `server`.
    pub async fn before(server: SocketAddr, badness: Badness) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let task = tokio::spawn(async move {
            let mut seed = 1;
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else { return };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(relay(from_client, to_server, badness, seed));
                tokio::spawn(relay(from_server, to_client, badness, seed + 1));
                seed += 2;
            }
        });
        Self { address, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Passes bytes on in order, each packet when it is due and all that came before it have passed.
async fn relay(
    mut from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin + Send + 'static,
    badness: Badness,
    seed: u64,
) {
    let (sender, receiver) = mpsc::channel(1_024);
    tokio::spawn(pass(receiver, to));
    let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = move || {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        chance
    };
    let mut packet = vec![0; PACKET];
    while let Ok(read @ 1..) = from.read(&mut packet).await {
        let jitter = badness.jitter.as_micros() as u64;
        let lost = draw() % 100 < badness.loss_percent;
        let late =
            Duration::from_micros(draw() % jitter.max(1)) + if lost { badness.resent_after } else { Duration::ZERO };
        if sender.send((Instant::now() + late, packet[..read].to_vec())).await.is_err() {
            return;
        }
    }
}

async fn pass(mut receiver: mpsc::Receiver<(Instant, Vec<u8>)>, mut to: impl AsyncWrite + Unpin) {
    while let Some((due, packet)) = receiver.recv().await {
        tokio::time::sleep_until(due).await;
        if to.write_all(&packet).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
