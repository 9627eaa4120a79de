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
    pub(super) async fn start(api: &ApiServer, deployment: &Value, number: usize, operators: &[SocketAddr]) -> Self {
        let name = format!("weir-dataplane-{number}");
        kubectl::apply_objects(api, &[args::pod(deployment, &name)]);
        let folder = api.folder().join(&name);
        project(api, &name, &folder).await;
        let operators: Vec<_> = operators.iter().map(ToString::to_string).collect();
        let replace = [("--listen", "127.0.0.1:0"), ("--admin", "127.0.0.1:0"), ("--operator", &operators.join(","))];
        let mut command = binary("weir-dataplane");
        command.args(args::of(deployment, &folder, &replace));
        let process = Process::spawn(&name, &mut command);
        let addresses = gateway::addresses(&process).await;
        gateway::ready(&process, addresses.admin).await;
        let this = Self { name, process, folder, addresses };
        this.set_ready(api, true).await;
        this
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

/// Makes what the Pod would mount: its own token, the CA that the operator publishes, an empty state folder.
async fn project(api: &ApiServer, name: &str, folder: &Path) {
    let pods: Api<Pod> = Api::namespaced(api.admin().await, NAMESPACE);
    let pod = pods.get(name).await.expect("the Pod was made");
    let token = api.token(NAMESPACE, "weir-dataplane", "weir-operator", Some(&pod)).await;
    let maps: Api<ConfigMap> = Api::namespaced(api.admin().await, NAMESPACE);
    let published = wait::until("the operator publishes its CA", || async { maps.get_opt(CA).await.ok()??.data });
    let write = |mount: &str, file: &str, text: &str| {
        let path = args::at(folder, mount);
        std::fs::create_dir_all(&path)
            .and_then(|()| std::fs::write(path.join(file), text))
            .expect("a volume can be written");
    };
    write("/var/run/weir/token", "token", &token);
    for (file, text) in published.await {
        write("/var/run/weir/operator-ca", &file, &text);
    }
    std::fs::create_dir_all(args::at(folder, "/var/run/weir/state")).expect("a volume can be made");
}
