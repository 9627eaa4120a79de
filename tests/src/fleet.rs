//! Two operators and two data planes as processes against a real API server, as the chart would run them.
//!
//! What a cluster's controllers and kubelets would do, the harness does: it makes the Pods, projects
//! their tokens and the operator's CA, and patches readiness. Rights, arguments and mount paths are the chart's.

mod args;
mod dataplane;
mod operator;

pub use dataplane::DataPlane;
pub use operator::Operator;

use serde_json::{Value, json};

use crate::apiserver::ApiServer;
use crate::helm::{self, NAMESPACE};
use crate::kubectl;

/// A namespace for the tests' own objects, whose Secrets the operator may read and which may use plain http.
pub const TEAM: &str = "team-a";
/// Another such namespace.
pub const OTHER_TEAM: &str = "team-b";

/// The whole installation; stopped on drop.
pub struct Fleet {
    /// Data planes, in the order of their names.
    pub dataplanes: Vec<DataPlane>,
    /// Operators, in the order of their names.
    pub operators: Vec<Operator>,
    /// The API server.
    pub api: ApiServer,
    release: Vec<Value>,
}

impl Fleet {
    /// Installs both charts and starts two of each.
    pub async fn start() -> Self {
        let mut fleet = Self::install().await;
        for number in 0..2 {
            fleet.start_operator(number).await;
        }
        for number in 0..2 {
            fleet.start_dataplane(number).await;
        }
        fleet
    }

    /// Installs both charts and starts nothing.
    pub async fn install() -> Self {
        let api = ApiServer::start().await;
        for namespace in [NAMESPACE, TEAM, OTHER_TEAM] {
            api.namespace(namespace).await;
        }
        kubectl::apply_objects(&api, &helm::render("weir-crds", &json!({})).expect("the chart renders"));
        kubectl::run(&api, &["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "")
            .expect("the kinds are established");
        let values = json!({
            "image": {"repository": "registry.example/weir"},
            "secretNamespaces": [TEAM, OTHER_TEAM],
            "allowPlaintextNamespaces": [TEAM, OTHER_TEAM],
            "allowUpstreamCIDRs": ["127.0.0.0/8"],
        });
        let release = helm::render("weir", &values).expect("the chart renders");
        kubectl::apply_objects(&api, &release);
        Self { dataplanes: Vec::new(), operators: Vec::new(), api, release }
    }

    /// Starts one more operator, or the one of this number again.
    pub async fn start_operator(&mut self, number: usize) {
        let operator = Operator::start(&self.api, self.deployment("weir-operator"), number).await;
        put(&mut self.operators, number, operator);
    }

    /// Starts one more data plane, or the one of this number again, and waits until it is ready.
    pub async fn start_dataplane(&mut self, number: usize) {
        let operators: Vec<_> = self.operators.iter().map(Operator::address).collect();
        let dataplane = DataPlane::start(&self.api, self.deployment("weir-dataplane"), number, &operators).await;
        put(&mut self.dataplanes, number, dataplane);
    }

    /// Number of the operator that leads, by its Lease.
    pub async fn leader(&self) -> usize {
        operator::leader(&self.api, &self.operators).await
    }

    fn deployment(&self, name: &str) -> &Value {
        let found =
            self.release.iter().find(|object| object["kind"] == "Deployment" && object["metadata"]["name"] == name);
        found.expect("the chart has this Deployment")
    }
}

fn put<T>(all: &mut Vec<T>, number: usize, one: T) {
    if number < all.len() {
        all[number] = one;
    } else {
        all.push(one);
    }
}
