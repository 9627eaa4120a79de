//! Two operators and some data planes, two where nothing is said, as processes against a real API server, as the chart would run them.
//!
//! What a cluster's controllers and kubelets would do, the harness does: it makes the Pods, projects
//! their tokens and the operator's CA, and patches readiness. Rights, arguments and mount paths are the chart's.

mod args;
mod dataplane;
mod operator;

pub use dataplane::DataPlane;
pub use operator::Operator;

use serde_json::{Value, json};
use std::net::SocketAddr;

use crate::apiserver::{ApiServer, free_address};
use crate::client::Client;
use crate::front::Front;
use crate::helm::{self, NAMESPACE};
use crate::kubectl;
use crate::process::Process;
use crate::wait;

/// A namespace for the tests' own objects, whose Secrets the operator may read and which may use plain http.
pub const TEAM: &str = "team-a";
/// Another such namespace.
pub const OTHER_TEAM: &str = "team-b";

/// One of an object's `status.conditions`; empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// CamelCase.
    pub reason: String,
    /// What to do about it.
    pub message: String,
}

/// The whole installation; stopped on drop.
pub struct Fleet {
    /// Data planes, in the order of their names.
    pub dataplanes: Vec<DataPlane>,
    /// Operators, in the order of their names.
    pub operators: Vec<Operator>,
    /// The API server.
    pub api: ApiServer,
    fronts: Vec<Front>,
    release: Vec<Value>,
}

impl Fleet {
    /// Installs both charts and starts two of each.
    pub async fn start() -> Self {
        Self::of(2).await
    }

    /// The same with so many data planes.
    pub async fn of(dataplanes: usize) -> Self {
        Self::install().await.run(dataplanes).await
    }

    /// The same, where the operators reach the API server by a front that lists in pages of that many objects.
    pub async fn start_behind_front(page: usize) -> Self {
        let mut fleet = Self::install().await;
        fleet.fronts.push(fleet.api.front(page).await);
        fleet.run(2).await
    }

    /// The same, where each operator has a front of its own.
    pub async fn start_behind_fronts() -> Self {
        let mut fleet = Self::install().await;
        for _ in 0..2 {
            fleet.fronts.push(fleet.api.front(500).await);
        }
        fleet.run(2).await
    }

    /// Starts two operators and so many data planes.
    pub async fn run(mut self, dataplanes: usize) -> Self {
        for number in 0..2 {
            self.start_operator(number).await;
        }
        for number in 0..dataplanes {
            self.start_dataplane(number).await;
        }
        self
    }

    /// The same, where providers may be in these ranges besides public ones.
    pub async fn start_with_upstreams(cidrs: &[&str]) -> Self {
        Self::start_with(&json!({"allowUpstreamCIDRs": cidrs})).await
    }

    /// The same with these values of the chart besides the usual.
    pub async fn start_with(values: &Value) -> Self {
        Self::install_with(values).await.run(2).await
    }

    /// Installs both charts and starts nothing.
    pub async fn install() -> Self {
        Self::install_with(&json!({})).await
    }

    /// The same with these values of the chart besides the usual.
    pub async fn install_with(more: &Value) -> Self {
        let api = ApiServer::start().await;
        for namespace in [NAMESPACE, TEAM, OTHER_TEAM] {
            api.namespace(namespace).await;
        }
        kubectl::apply_objects(&api, &helm::render("weir-crds", &json!({})).expect("the chart renders"));
        kubectl::run(&api, &["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "")
            .expect("the kinds are established");
        let mut values = json!({
            "image": {"repository": "registry.example/weir"},
            "secretNamespaces": [TEAM, OTHER_TEAM],
            "allowPlaintextNamespaces": [TEAM, OTHER_TEAM],
            "allowUpstreamCIDRs": ["127.0.0.0/8"],
        });
        values.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let release = helm::render("weir", &values).expect("the chart renders");
        kubectl::apply_objects(&api, &release);
        Self { dataplanes: Vec::new(), operators: Vec::new(), api, fronts: Vec::new(), release }
    }

    /// Starts one more operator, or the one of this number again at its address.
    pub async fn start_operator(&mut self, number: usize) {
        self.spawn_operator(number).await;
        self.operators[number].ready().await;
    }

    /// The same, without waiting until it is ready.
    pub async fn spawn_operator(&mut self, number: usize) {
        let address = self.operators.get(number).map_or_else(free_address, Operator::address);
        let front = self.fronts.get(number).or(self.fronts.first());
        let deployment = self.deployment("weir-operator");
        let operator = Operator::spawn(&self.api, front, deployment, number, address).await;
        put(&mut self.operators, number, operator);
    }

    /// The front that the operators reach the API server by.
    pub fn front(&self) -> &Front {
        self.front_of(0)
    }

    /// The front that the operator of this number has for itself.
    pub fn front_of(&self, number: usize) -> &Front {
        self.fronts.get(number).expect("the fleet was started behind a front")
    }

    /// Starts one more data plane and waits until it is ready.
    pub async fn start_dataplane(&mut self, number: usize) {
        let dataplane = DataPlane::start(&self.api, self.deployment("weir-dataplane"), number, &self.addresses()).await;
        put(&mut self.dataplanes, number, dataplane);
    }

    /// Starts the process of a data plane again, in the same Pod, and waits until it is ready.
    pub async fn restart_dataplane(&mut self, number: usize) {
        let dataplane = self.dataplanes[number].restart(self.deployment("weir-dataplane"), &self.addresses()).await;
        self.dataplanes[number] = dataplane;
    }

    /// Starts a process as if it were a data plane, under another account of the same namespace.
    pub async fn stranger(&self, account: &str) -> Process {
        dataplane::stranger(&self.api, self.deployment("weir-dataplane"), account, &self.addresses()).await
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.operators.iter().map(Operator::address).collect()
    }

    /// Applies objects of the tests' own; they must be accepted.
    pub fn apply(&self, objects: &[Value]) {
        kubectl::apply_objects(&self.api, objects);
    }

    /// Waits as a person would until an object such as `llmroute/chat` is ready.
    pub fn wait_ready(&self, object: &str, namespace: &str) {
        kubectl::wait_for(&self.api, object, namespace, "Ready").expect("it gets ready");
    }

    /// An object's condition as it is now: status, reason, message.
    pub fn condition(&self, object: &str, namespace: &str, condition: &str) -> Condition {
        let object = self.stored(object, namespace);
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|found| found["type"] == condition).unwrap_or_default();
        let field = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        Condition { status: field("status"), reason: field("reason"), message: field("message") }
    }

    /// Waits until a condition is what `is` asks for.
    pub async fn until(
        &self,
        object: &str,
        namespace: &str,
        condition: &str,
        is: impl Fn(&Condition) -> bool,
    ) -> Condition {
        let mut last = Condition::default();
        let limit = wait::PATIENCE;
        let deadline = std::time::Instant::now() + limit;
        while std::time::Instant::now() < deadline {
            last = self.condition(object, namespace, condition);
            if is(&last) {
                return last;
            }
            tokio::task::yield_now().await;
        }
        panic!("{object} in {namespace}: {condition} is still {last:?} after {limit:?}")
    }

    /// A caller of each data plane, without a credential.
    pub fn clients(&self) -> Vec<Client> {
        self.dataplanes.iter().map(DataPlane::client).collect()
    }

    /// What each data plane holds, by its own dump.
    pub async fn configs(&self) -> Vec<Value> {
        let mut configs = Vec::new();
        for dataplane in &self.dataplanes {
            configs.push(dataplane.admin().get("/config").await.json());
        }
        configs
    }

    /// An object as it is stored.
    pub fn stored(&self, object: &str, namespace: &str) -> Value {
        let text = kubectl::run(&self.api, &["get", object, "-n", namespace, "-o", "json"], "").expect("it is there");
        serde_json::from_str(&text).expect("kubectl prints JSON")
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

/// Waits until each of them is answered with this status.
pub async fn until_status(clients: &[Client], model: &str, status: u16) {
    for client in clients {
        wait::until_true(&format!("{status} for {model}"), || async { client.chat(model).await.status == status })
            .await;
    }
}
