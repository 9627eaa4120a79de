//! A new connection: resolve, check the address, connect, TLS. The address that was checked is the one
//! that is dialled.

use super::connection::{Sender, http1, http2};
use super::origin::{Network, Place};
use super::pool::Lease;
use crate::config::Limits;
use crate::open_files;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use weir_policy::{Failure, FailureKind};
use weir_snapshot::Settings;

impl Network {
    /// A connection for one request within that time: one at hand, else a new one.
    pub(super) async fn lease(&self, rules: &Settings, within: Duration, draw: u64) -> Result<Lease, Failure> {
        if let Some(lease) = self.pool.take() {
            return Ok(lease);
        }
        let dial = Box::pin(async {
            if self.tls.is_none() || self.pool.is_http1() {
                return Ok(self.pool.lend(self.connect(rules, draw).await?));
            }
            self.pool.in_turn(self.connect(rules, draw)).await
        });
        tokio::time::timeout(within, dial).await.unwrap_or_else(|_| {
            let why = format!("no connection to {} within {} ms", self.authority, within.as_millis());
            Err(Failure::local(FailureKind::Connect, why))
        })
    }

    /// A new connection for one request alone.
    pub(super) async fn dial(&self, rules: &Settings) -> Result<Lease, Failure> {
        Ok(self.pool.lend(self.connect(rules, 0).await?))
    }

    async fn connect(&self, rules: &Settings, draw: u64) -> Result<Sender, Failure> {
        let mut last = Failure::local(FailureKind::Connect, format!("{} has no address", self.authority));
        for address in self.addresses(rules, draw).await? {
            match tokio::time::timeout(Limits::CONNECT_ADDRESS, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return self.handshake(stream).await,
                Ok(Err(e)) if open_files::are_out(&e) => {
                    return Err(Failure::local(FailureKind::Unprocessed, format!("no socket is left: {e}")));
                }
                Ok(Err(e)) => last.message = format!("cannot connect to {} at {address}: {e}", self.authority),
                Err(_) => last.message = format!("cannot connect to {} at {address}: no answer", self.authority),
            }
        }
        Err(last)
    }

    /// The addresses that may be dialled, each pod's turn coming by `draw`.
    async fn addresses(&self, rules: &Settings, draw: u64) -> Result<Vec<SocketAddr>, Failure> {
        let (mut found, pods) = match &self.place {
            Place::Addresses(addresses) => (addresses.clone(), true),
            Place::Host(host, port) => {
                let why = |e| Failure::local(FailureKind::Connect, format!("cannot resolve {host}: {e}"));
                (self.resolver.resolve(host, *port).await.map_err(why)?, false)
            }
        };
        let mut forbidden = None;
        found.retain(|address: &SocketAddr| {
            let why = if pods { rules.forbids_pod(address.ip()) } else { rules.forbids(address.ip()) };
            forbidden = why
                .map(|why| format!("{} resolves to {}, which {why}", self.authority, address.ip()))
                .or(forbidden.take());
            why.is_none()
        });
        match forbidden {
            Some(why) if found.is_empty() => Err(Failure::local(FailureKind::Forbidden, why)),
            _ => {
                if pods && !found.is_empty() {
                    let turn = usize::try_from(draw % found.len() as u64).unwrap_or(0);
                    found.rotate_left(turn);
                }
                Ok(found)
            }
        }
    }

    async fn handshake(&self, stream: TcpStream) -> Result<Sender, Failure> {
        let failed = |e: &dyn std::fmt::Display| {
            Failure::local(FailureKind::Connect, format!("handshake with {}: {e}", self.authority))
        };
        stream.set_nodelay(true).map_err(|e| failed(&e))?;
        let Some((config, name)) = &self.tls else { return http1(stream).await.map_err(|e| failed(&e)) };
        let stream = TlsConnector::from(config.clone()).connect(name.clone(), stream).await.map_err(|e| {
            let kind = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match kind {
                Some(rustls::Error::InvalidCertificate(why)) => {
                    let message = format!("the certificate of {} is not valid: {why:?}", self.authority);
                    Failure::local(FailureKind::Certificate, message)
                }
                _ => failed(&e),
            }
        })?;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let sender = if h2 { http2(stream).await } else { http1(stream).await };
        sender.map_err(|e| failed(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::super::origin::Trust;
    use super::*;
    use weir_snapshot::{ProviderType, Upstream};

    #[tokio::test]
    async fn a_name_is_judged_at_every_dial_by_what_it_resolves_to_f65() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/v1", listener.local_addr().unwrap().port());
        let network =
            Network::of_url(&url, (ProviderType::OpenAI, Upstream::Url(url.clone()), None), "", &Trust::default())
                .unwrap();
        let refused = network.connect(&Settings::default(), 0).await.err().unwrap();
        assert_eq!(refused.kind, FailureKind::Forbidden);
        assert!(refused.message.contains("--allow-upstream-cidr"), "{}", refused.message);
        let loopback = vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()];
        let open = Settings { allow_upstream_cidrs: loopback, ..Settings::default() };
        let (dialled, accepted) = tokio::join!(network.connect(&open, 0), listener.accept());
        assert!(dialled.is_ok() && accepted.is_ok(), "nothing but the rules was in the way");
        assert!(network.connect(&Settings::default(), 0).await.is_err(), "no earlier verdict is remembered");
        // Waiting connections come first: there is none of a refused dial.
        let last = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(listener.accept().await.unwrap().1, last.local_addr().unwrap());
    }
}
