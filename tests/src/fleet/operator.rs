//! One operator process, under the chart's own ServiceAccount.

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::Value;
use std::net::SocketAddr;

use super::args;
use crate::apiserver::{ApiServer, free_address};
use crate::front::Front;
use crate::gateway::{self, binary};
use crate::helm::NAMESPACE;
use crate::kubectl;
use crate::process::Process;
use crate::wait;

/// A running operator.
pub struct Operator {
    /// Name of its Pod.
    pub name: String,
    /// Its process.
    pub process: Process,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Operator {
    /// Makes the Pod and starts its process, until it listens; it reaches the API server by `front` if there is one.
    pub(super) async fn spawn(
        api: &ApiServer,
        front: Option<&Front>,
        deployment: &Value,
        number: usize,
        address: SocketAddr,
    ) -> Self {
        let name = format!("weir-operator-{number}");
        kubectl::apply_objects(api, &[args::pod(deployment, &name)]);
        let token = api.token(NAMESPACE, "weir-operator", crate::apiserver::ISSUER, None).await;
        let folder = api.folder().join(&name);
        let (listen, admin) = (address.to_string(), free_address());
        let replace = [
            ("--listen", listen.as_str()),
            ("--admin", &admin.to_string()),
            ("--pod-name", &name),
            ("--advertise", &listen),
        ];
        let mut command = binary("weir-operator");
        let kubeconfig = match front {
            Some(front) => api.kubeconfig_by(front, &name, &token),
            None => api.kubeconfig(&name, &token),
        };
        command.args(args::of(deployment, &folder, &replace)).env("KUBECONFIG", kubeconfig);
        command.envs(args::secret_variables(api, deployment));
        let process = Process::spawn(&name, &mut command);
        gateway::addresses(&process).await;
        Self { name, process, address, admin }
    }

    /// Waits until its probe says that it is ready.
    pub async fn ready(&self) {
        gateway::ready(&self.process, self.admin).await;
    }

    /// Whether its probe says so now.
    pub async fn is_ready(&self) -> bool {
        gateway::is_ready(self.admin).await
    }

    /// Where data planes dial it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its probes and metrics.
    pub fn admin(&self) -> crate::client::Client {
        crate::client::Client::new(self.admin)
    }
}

/// Waits until one of them leads and is alive, and says its number.
pub(super) async fn leader(api: &ApiServer, operators: &[Operator]) -> usize {
    let leases: Api<Lease> = Api::namespaced(api.admin().await, NAMESPACE);
    wait::until("one operator leads", || async {
        let lease = leases.list(&Default::default()).await.ok()?.items.into_iter().next()?;
        let holder = lease.spec?.holder_identity?;
        // The name of its Pod, and what tells two of its processes apart.
        let pod = holder.split('_').next()?;
        operators.iter().position(|operator| operator.name == pod && operator.process.exited().is_none())
    })
    .await
}
