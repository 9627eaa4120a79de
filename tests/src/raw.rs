//! A client that is no HTTP client: it sends what a test says, byte for byte, and reads what comes.

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wait::PATIENCE;

/// One connection.
pub struct Raw(TcpStream);

impl From<TcpStream> for Raw {
    fn from(stream: TcpStream) -> Self {
        Self(stream)
    }
}

impl Raw {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.expect("the gateway accepts a connection"))
    }

    /// Sends these bytes.
    ///
    /// # Errors
    /// Where the other end has closed.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let sent = tokio::time::timeout(PATIENCE, self.0.write_all(bytes.as_ref()));
        sent.await.expect("what is sent is taken or refused in time")
    }

    /// The next bytes, none at the end.
    ///
    /// # Errors
    /// Where the connection is reset.
    pub async fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 64 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.0.read(&mut bytes));
        let read = read.await.expect("something comes or the connection ends in time")?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// All bytes up to the end or a reset.
    pub async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        while let Ok(bytes) = self.read().await {
            if bytes.is_empty() {
                break;
            }
            all.extend_from_slice(&bytes);
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Sends these bytes and reads to the end; what could not be sent is no fault.
    pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
        let mut this = Self::connect(address).await;
        let _ = this.send(bytes).await;
        this.rest().await
    }

    /// The socket itself.
    pub fn into_inner(self) -> TcpStream {
        self.0
    }
}

/// How often an answer begins in what was read.
pub fn answers(read: &str) -> usize {
    read.matches("HTTP/1.1 ").count()
}

/// The status of the first answer, or 0.
pub fn status(read: &str) -> u16 {
    let status = read.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    status.and_then(|status| status.parse().ok()).unwrap_or_default()
}
