//! Client certificates: of a mesh's ServiceAccounts, and of others by their names.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use std::sync::Arc;
use weir_tests::client::Reply;
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{api_key, file, provider, route};
use weir_tests::provider::Provider;
use weir_tests::tls::{Authority, Named};

const MODEL: &str = "gpt-test";

/// A gateway behind TLS whose clients may have certificates of an authority.
struct Guarded {
    gateway: Gateway,
    server: Authority,
    clients: Authority,
    _folder: tempfile::TempDir,
}

impl Guarded {
    async fn up(manifests: &str) -> Self {
        let (server, clients) = (Authority::default(), Authority::default());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (certificate, key) = server.certificate(&["localhost"]);
        for (name, text) in [("tls.crt", certificate), ("tls.key", key), ("client-ca.crt", clients.pem())] {
            std::fs::write(folder.path().join(name), text).expect("a file can be written");
        }
        let path = folder.path().display().to_string();
        let gateway = Gateway::up_with(manifests, &[("WEIR_TLS_DIR", path.as_str())]).await;
        Self { gateway, server, clients, _folder: folder }
    }

    /// A chat by a client with that certificate; nothing where the handshake fails.
    async fn chat(&self, certificate: Option<(String, String)>, key: Option<&str>) -> Option<Reply> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.server.pem().as_bytes()).expect("PEM")).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("the provider has TLS 1.3").with_root_certificates(roots);
        let config = match certificate {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => config
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM"),
                )
                .expect("the key fits"),
        };
        let mut client = self.gateway.client();
        if let Some(key) = key {
            client = client.with_credential(key);
        }
        let sender = client.connect_tls(config, ServerName::try_from("localhost").expect("a name")).await;
        client.chat_over(sender.ok()?, MODEL).await
    }

    async fn status(&self, certificate: Option<(String, String)>) -> Option<u16> {
        self.chat(certificate, None).await.map(|reply| reply.status.as_u16())
    }
}

fn manifests(upstream: &Provider, access: &Value, more: &[Value]) -> String {
    let mut chat = route("default", "chat", MODEL, &["upstream"]);
    chat["spec"]["access"] = access.clone();
    file(&[&[provider("default", "upstream", &upstream.url(), MODEL), chat], more].concat())
}

#[tokio::test]
async fn a_certificate_opens_what_its_name_opens_and_a_key_comes_before_it() {
    let upstream = Provider::start().await;
    let (token, secret) = api_key("default", "app-key", &json!({}));
    let access = json!({"certificates": [{"subject": "batch.example"}, {"subject": "by-name"}], "apiKeys": {}});
    let guarded = Guarded::up(&manifests(&upstream, &access, &[secret])).await;
    let by = |named: Named<'_>| Some(guarded.clients.client_certificate(&named));
    assert_eq!(guarded.status(by(Named { dns: Some("batch.example"), ..Named::default() })).await, Some(200));
    assert_eq!(guarded.status(by(Named { common_name: Some("by-name"), ..Named::default() })).await, Some(200));
    assert_eq!(guarded.status(by(Named { dns: Some("other.example"), ..Named::default() })).await, Some(404));
    assert_eq!(guarded.status(None).await, Some(401), "a client without a certificate may still bring a key");
    let with_key = guarded.chat(by(Named { dns: Some("batch.example"), ..Named::default() }), Some(&token)).await;
    assert_eq!(with_key.expect("an answer").status, 200);
    let kinds: Vec<_> = guarded.gateway.access_log(5).await.iter().map(|line| line["caller"]["kind"].clone()).collect();
    assert_eq!(kinds[0], "certificate");
    assert_eq!(kinds[4], "api_key");
    let stranger = Authority::default().client_certificate(&Named { dns: Some("batch.example"), ..Named::default() });
    assert_eq!(guarded.status(Some(stranger)).await, None, "of an authority that nobody named");
}

#[tokio::test]
async fn a_meshs_certificate_is_its_service_account() {
    let upstream = Provider::start().await;
    let access = json!({"serviceAccounts": [{"namespace": "default", "name": "app"}]});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"namespace": "default", "name": "app", "uid": "u-1"}});
    let guarded = Guarded::up(&manifests(&upstream, &access, &[account])).await;
    let by = |uri| Some(guarded.clients.client_certificate(&Named { uri: Some(uri), ..Named::default() }));
    assert_eq!(guarded.status(by("spiffe://cluster.local/ns/default/sa/app")).await, Some(200));
    let line = guarded.gateway.access_log(1).await.pop().expect("a line");
    assert_eq!(line["caller"], json!({"kind": "service_account", "namespace": "default", "name": "app"}));
    assert_eq!(guarded.status(by("spiffe://cluster.local/ns/default/sa/gone")).await, Some(404));
    assert_eq!(guarded.status(by("spiffe://elsewhere/ns/default/sa/app")).await, Some(404), "another trust domain");
}
