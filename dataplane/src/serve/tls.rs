//! The certificate of the listener and the authorities of its clients, read from a mounted Secret and read again when
//! its files change.

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// Between two looks at the files; kubelet itself needs about a minute to bring a changed Secret.
const RELOAD: Duration = Duration::from_secs(10);

/// Authorities of clients' certificates.
const CLIENT_CA: &str = "client-ca.crt";

/// An acceptor that follows its files.
pub(crate) struct Reloading {
    current: ArcSwap<ServerConfig>,
}

impl Reloading {
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

/// Reads the files of a folder now, and from now on. Files that cannot be used leave the last good ones in force.
pub(super) fn acceptor(folder: &Path) -> Result<Arc<Reloading>, String> {
    let (mut held, config) = read(folder)?;
    let reloading = Arc::new(Reloading { current: ArcSwap::from_pointee(config) });
    let (weak, folder): (_, PathBuf) = (Arc::downgrade(&reloading), folder.to_path_buf());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(RELOAD).await;
            let Some(reloading) = weak.upgrade() else { return };
            match read(&folder) {
                Ok((files, config)) if files != held => {
                    held = files;
                    reloading.current.store(Arc::new(config));
                    tracing::info!("the listener's certificate was renewed");
                }
                Ok(_) => {}
                Err(why) => tracing::error!(%why, "the listener's certificate cannot be renewed; the last one stays"),
            }
        }
    });
    Ok(reloading)
}

/// Asks clients for a certificate of these authorities, and lets in those without one.
fn verifier(authorities: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities) {
        let certificate = certificate.map_err(|e| format!("{CLIENT_CA} is not PEM: {e}"))?;
        roots.add(certificate).map_err(|e| format!("{CLIENT_CA} holds what is no certificate: {e}"))?;
    }
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build();
    verifier.map_err(|e| format!("{CLIENT_CA} cannot be used: {e}"))
}

/// The files' digest and what is made of them.
fn read(folder: &Path) -> Result<(blake3::Hash, ServerConfig), String> {
    let file = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))
    };
    let (certificate, key) = (file("tls.crt")?, file("tls.key")?);
    let authorities = if folder.join(CLIENT_CA).exists() { Some(file(CLIENT_CA)?) } else { None };
    let mut hasher = blake3::Hasher::new();
    hasher.update(&certificate).update(&key).update(authorities.as_deref().unwrap_or_default());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificate)
        .collect::<Result<_, _>>()
        .map_err(|e| format!("tls.crt is not PEM: {e}"))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| format!("tls.key is not PEM: {e}"))?;
    let config = ServerConfig::builder();
    let config = match authorities {
        Some(authorities) => config.with_client_cert_verifier(verifier(&authorities)?),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_single_cert(chain, key).map_err(|e| format!("tls.crt and tls.key do not fit: {e}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((hasher.finalize(), config))
}
