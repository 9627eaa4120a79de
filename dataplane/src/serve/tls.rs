//! The certificate of the listener, read from a mounted Secret and read again when its files change.

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// Between two looks at the files; kubelet itself needs about a minute to bring a changed Secret.
const RELOAD: Duration = Duration::from_secs(10);

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

/// The files' digest and what is made of them.
fn read(folder: &Path) -> Result<(blake3::Hash, ServerConfig), String> {
    let file = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))
    };
    let (certificate, key) = (file("tls.crt")?, file("tls.key")?);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&certificate).update(&key);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificate)
        .collect::<Result<_, _>>()
        .map_err(|e| format!("tls.crt is not PEM: {e}"))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| format!("tls.key is not PEM: {e}"))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    let mut config = config.map_err(|e| format!("tls.crt and tls.key do not fit: {e}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((hasher.finalize(), config))
}
