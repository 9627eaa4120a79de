//! A real kube-apiserver over a real etcd, on loopback and in a folder of its own.
//!
//! Nothing else of a cluster runs: no garbage collector, no kubelet, no controllers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Config, ResourceExt};
use rcgen::SigningKey as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::OnceCell;

use crate::front::Front;
use crate::process::Process;
use crate::wait;

/// Issuer of ServiceAccount tokens.
pub const ISSUER: &str = "https://kubernetes.default.svc";
const ADMIN_TOKEN: &str = "admintoken";
/// Not where the scripted providers are: nothing may be sent to the API server's own address.
const ADDRESS: &str = "127.0.0.2";

/// A running API server; stopped on drop.
pub struct ApiServer {
    folder: tempfile::TempDir,
    port: u16,
    etcd_port: u16,
    server: Mutex<Option<Process>>,
    _etcd: Process,
}

impl ApiServer {
    /// One for all tests of a file; each test keeps to namespaces of its own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<ApiServer> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Starts one and waits until it is ready.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_keys(folder.path());
        let etcd_port = free_address().port();
        let etcd = start_etcd(folder.path(), etcd_port);
        let this = Self { folder, port: free_port_at(ADDRESS), etcd_port, server: Mutex::new(None), _etcd: etcd };
        this.resume().await;
        this
    }

    /// Stops the API server at once; etcd keeps what was stored.
    pub fn stop(&self) {
        drop(self.server.lock().expect("no holder panics").take());
    }

    /// Starts the API server again, at the same address, and waits until it is ready.
    pub async fn resume(&self) {
        let process = start_apiserver(self.folder.path(), self.port, self.etcd_port);
        *self.server.lock().expect("no holder panics") = Some(process);
        let ca = self.ca();
        wait::until_true("the API server is ready", || async {
            ca.exists() && self.admin().await.request_text(get("/readyz")).await.is_ok()
        })
        .await;
        let namespaces: Api<Namespace> = Api::all(self.admin().await);
        wait::until_true("the API server has its own namespaces", || async {
            namespaces.get_opt("default").await.is_ok_and(|found| found.is_some())
        })
        .await;
    }

    /// A client with every right, for the caller's own runtime.
    pub async fn admin(&self) -> Client {
        self.client(ADMIN_TOKEN).await
    }

    /// A client that presents `token`.
    pub async fn client(&self, token: &str) -> Client {
        let text = kubeconfig(&self.url(), &self.ca(), token);
        let kubeconfig = kube::config::Kubeconfig::from_yaml(&text).expect("own kubeconfig reads");
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.expect("own kubeconfig is whole");
        Client::try_from(config).expect("a client can be made")
    }

    /// Writes a kubeconfig that presents `token`, named `name`, and says where it is.
    pub fn kubeconfig(&self, name: &str, token: &str) -> PathBuf {
        self.write_kubeconfig(name, &kubeconfig(&self.url(), &self.ca(), token))
    }

    /// The same by way of a front.
    pub fn kubeconfig_by(&self, front: &Front, name: &str, token: &str) -> PathBuf {
        let ca = self.folder.path().join("front.crt");
        std::fs::write(&ca, front.ca()).expect("a certificate can be written");
        self.write_kubeconfig(name, &kubeconfig(&front.url(), &ca, token))
    }

    fn write_kubeconfig(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(format!("{name}.kubeconfig"));
        std::fs::write(&path, text).expect("the kubeconfig can be written");
        path
    }

    /// A front before it, which lists in pages of that many objects.
    pub async fn front(&self, page: usize) -> Front {
        let address = format!("{ADDRESS}:{}", self.port).parse().expect("an address");
        Front::before(address, &self.ca(), page).await
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("certs/apiserver.crt")
    }

    /// `https://127.0.0.2:PORT`.
    pub fn url(&self) -> String {
        format!("https://{ADDRESS}:{}", self.port)
    }

    /// A folder that lives as long as the API server.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `kubectl` as administrator.
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(crate::tool("WEIR_TESTS_KUBECTL"));
        command.arg("--kubeconfig").arg(self.kubeconfig("kubectl", ADMIN_TOKEN));
        command
    }

    /// Makes a namespace.
    pub async fn namespace(&self, name: &str) {
        let namespace = Namespace {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
            ..Default::default()
        };
        Api::all(self.admin().await).create(&PostParams::default(), &namespace).await.expect("a namespace can be made");
    }

    /// A token of a ServiceAccount by TokenRequest, as kubelet projects it; bound to `pod` where one is given.
    pub async fn token(&self, namespace: &str, account: &str, audience: &str, pod: Option<&Pod>) -> String {
        let bound = pod.map(|pod| BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: pod.metadata.name.clone(),
            uid: pod.metadata.uid.clone(),
        });
        let spec = TokenRequestSpec {
            audiences: vec![audience.to_owned()],
            bound_object_ref: bound,
            expiration_seconds: Some(3600),
        };
        let request = TokenRequest { spec, ..Default::default() };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin().await, namespace);
        let answer = accounts.create_token_request(account, &PostParams::default(), &request).await;
        answer
            .unwrap_or_else(|error| panic!("no token of {namespace}/{account}: {error}"))
            .status
            .expect("a token was issued")
            .token
    }

    /// The same token with other claims, signed with the API server's own key.
    pub fn resign(&self, token: &str, change: impl FnOnce(&mut serde_json::Value)) -> String {
        let key = std::fs::read_to_string(self.folder.path().join("sa.key")).expect("the key was written");
        let key = rcgen::KeyPair::from_pem_and_sign_algo(&key, &rcgen::PKCS_RSA_SHA256).expect("the key reads back");
        let mut parts = token.split('.');
        let (head, body) = (parts.next().expect("a head"), parts.next().expect("claims"));
        let mut claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).expect("base64")).expect("JSON");
        change(&mut claims);
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = key.sign(signed.as_bytes()).expect("an RSA key signs");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Makes a ServiceAccount and says its UID.
    pub async fn service_account(&self, namespace: &str, name: &str) -> String {
        let account = ServiceAccount {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
            ..Default::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin().await, namespace);
        let made = accounts.create(&PostParams::default(), &account).await.expect("a ServiceAccount can be made");
        made.uid().expect("the API server gives a UID")
    }
}

/// An address whose port was free a moment ago.
pub fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port_at("127.0.0.1")))
}

/// Below those that outgoing connections are given, one of which might take it meanwhile.
fn free_port_at(address: &str) -> u16 {
    static TURN: AtomicU32 = AtomicU32::new(0);
    let from = std::process::id().wrapping_mul(97);
    let next = || 20_000 + from.wrapping_add(TURN.fetch_add(1, Ordering::Relaxed)) % 12_000;
    let mut ports = std::iter::repeat_with(next).take(12_000).map(|port| u16::try_from(port).expect("below 32,000"));
    ports.find(|port| TcpListener::bind((address, *port)).is_ok()).expect("a port is free")
}

fn kubeconfig(server: &str, ca: &Path, token: &str) -> String {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    })
    .to_string()
}

fn get(path: &str) -> http::Request<Vec<u8>> {
    http::Request::get(path).body(Vec::new()).expect("a request")
}

/// The pair that signs ServiceAccount tokens (RSA, as kubeadm makes it), and the administrator's token.
fn write_keys(folder: &Path) {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key pair");
    std::fs::write(folder.join("sa.key"), pair.serialize_pem()).expect("the key can be written");
    std::fs::write(folder.join("sa.pub"), pair.public_key_pem()).expect("the key can be written");
    std::fs::write(folder.join("tokens.csv"), format!("{ADMIN_TOKEN},admin,admin-uid,\"system:masters\"\n"))
        .expect("the token can be written");
}

fn start_etcd(folder: &Path, port: u16) -> Process {
    let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://{}", free_address()));
    let mut command = Command::new(crate::tool("WEIR_TESTS_ETCD"));
    command
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--unsafe-no-fsync", "--log-level", "error"])
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", "http://127.0.0.1:0", "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")]);
    Process::spawn("etcd", &mut command)
}

fn start_apiserver(folder: &Path, port: u16, etcd_port: u16) -> Process {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut command = Command::new(crate::tool("WEIR_TESTS_KUBE_APISERVER"));
    command
        .arg(format!("--etcd-servers=http://127.0.0.1:{etcd_port}"))
        .arg(format!("--secure-port={port}"))
        .arg(format!("--bind-address={ADDRESS}"))
        .arg(format!("--advertise-address={ADDRESS}"))
        .arg(format!("--cert-dir={}", path("certs")))
        .arg(format!("--service-account-issuer={ISSUER}"))
        .arg(format!("--service-account-key-file={}", path("sa.pub")))
        .arg(format!("--service-account-signing-key-file={}", path("sa.key")))
        .arg(format!("--api-audiences={ISSUER}"))
        .arg(format!("--token-auth-file={}", path("tokens.csv")))
        .args(["--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24"])
        .args(["--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none"]);
    Process::spawn("kube-apiserver", &mut command)
}
