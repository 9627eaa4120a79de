//! One data-plane process, with its Pod, its projected token and the operator's CA.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::args;
use crate::apiserver::ApiServer;
use crate::client::Client;
use crate::gateway::{self, Addresses, binary};
use crate::helm::NAMESPACE;
use crate::kubectl;
use crate::process::Process;
use crate::wait;

const CA: &str = "weir-operator-ca";

/// A running data plane.
pub struct DataPlane {
    /// Name of its Pod.
    pub name: String,
    /// Its process.
    pub process: Process,
    folder: PathBuf,
    addresses: Addresses,
}

impl DataPlane {
    /// Makes the Pod and what it mounts, and starts its process.
    pub(super) async fn start(api: &ApiServer, deployment: &Value, number: usize, operators: &[SocketAddr]) -> Self {
        let name = format!("weir-dataplane-{number}");
        let folder = mount(api, deployment, &name, "weir-dataplane").await;
        let this = Self::run(deployment, name, folder, operators).await;
        this.set_ready(api, true).await;
        this
    }

    /// Starts a process again in the same Pod, as kubelet restarts a container.
    pub(super) async fn restart(&self, deployment: &Value, operators: &[SocketAddr]) -> Self {
        Self::run(deployment, self.name.clone(), self.folder.clone(), operators).await
    }

    async fn run(deployment: &Value, name: String, folder: PathBuf, operators: &[SocketAddr]) -> Self {
        let process = spawn(deployment, &name, &folder, operators);
        let addresses = gateway::addresses(&process).await;
        gateway::ready(&process, addresses.admin).await;
        Self { name, process, folder, addresses }
    }

    /// A caller without a credential.
    pub fn client(&self) -> Client {
        Client::new(self.addresses.listen)
    }

    /// Its probes, metrics and config dump.
    pub fn admin(&self) -> Client {
        Client::new(self.addresses.admin)
    }

    /// The base URL that an SDK takes.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.addresses.listen)
    }

    /// Its memory-backed folder.
    pub fn state(&self) -> PathBuf {
        args::at(&self.folder, "/var/run/weir/state")
    }

    /// Patches its Pod's readiness, as kubelet would.
    pub async fn set_ready(&self, api: &ApiServer, ready: bool) {
        let condition = json!({"type": "Ready", "status": if ready { "True" } else { "False" }});
        let status = json!({"status": {"phase": "Running", "conditions": [condition]}});
        let pods: Api<Pod> = Api::namespaced(api.admin().await, NAMESPACE);
        pods.patch_status(&self.name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .expect("a Pod can be patched");
    }
}

/// A process in a Pod like those of the data plane but under another account; it is not waited for.
pub(super) async fn stranger(api: &ApiServer, deployment: &Value, account: &str, operators: &[SocketAddr]) -> Process {
    let name = format!("{account}-pod");
    let folder = mount(api, deployment, &name, account).await;
    spawn(deployment, &name, &folder, operators)
}

fn spawn(deployment: &Value, name: &str, folder: &Path, operators: &[SocketAddr]) -> Process {
    let operators: Vec<_> = operators.iter().map(ToString::to_string).collect();
    let replace = [("--listen", "127.0.0.1:0"), ("--admin", "127.0.0.1:0"), ("--operator", &operators.join(","))];
    let mut command = binary("weir-dataplane");
    command.args(args::of(deployment, folder, &replace));
    Process::spawn(name, &mut command)
}

/// Makes a Pod and what it mounts: its own token, the CA that the operator publishes, an empty state folder.
async fn mount(api: &ApiServer, deployment: &Value, name: &str, account: &str) -> PathBuf {
    let mut pod = args::pod(deployment, name);
    pod["spec"]["serviceAccountName"] = json!(account);
    kubectl::apply_objects(api, &[pod]);
    let folder = api.folder().join(name);
    let pods: Api<Pod> = Api::namespaced(api.admin().await, NAMESPACE);
    let pod = pods.get(name).await.expect("the Pod was made");
    let token = api.token(NAMESPACE, account, "weir-operator", Some(&pod)).await;
    let maps: Api<ConfigMap> = Api::namespaced(api.admin().await, NAMESPACE);
    let published = wait::until("the operator publishes its CA", || async { maps.get_opt(CA).await.ok()??.data });
    let write = |mount: &str, file: &str, text: &str| {
        let path = args::at(&folder, mount);
        std::fs::create_dir_all(&path)
            .and_then(|()| std::fs::write(path.join(file), text))
            .expect("a volume can be written");
    };
    write("/var/run/weir/token", "token", &token);
    for (file, text) in published.await {
        write("/var/run/weir/operator-ca", &file, &text);
    }
    std::fs::create_dir_all(args::at(&folder, "/var/run/weir/state")).expect("a volume can be made");
    folder
}
