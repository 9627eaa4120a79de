//! `weir-operator run`: the operator in a cluster, put together and kept running.
//!
//! It decides nothing; a part that ends before it was told to ends the process.

use crate::admin;
use crate::authority::{Authority, Leaf};
use crate::brake::{Brake, Scene};
use crate::election::{Election, EpochFloor, Leadership};
use crate::events::Events;
use crate::key_sets::{self, KeySets};
use crate::ledger::{self, Ledger};
use crate::proof::Prover;
use crate::publish::{self, Listener, Pods, Shared};
use crate::reconcile::{Prices, Reconcile};
use crate::source;
use crate::source::cluster::{self, Cluster, Given};
use crate::status::{Reporter, Spending};
use crate::telemetry::Metrics;
use crate::webhook::Webhooks;
use ipnet::IpNet;
use kube::Client;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use weir_ledger::Store;
use weir_snapshot::{Name, Settings};

/// A connection to the API server; it is near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two reads of it; longer than a watch lasts, so that only a dead connection meets it.
const READ_TIMEOUT: Duration = Duration::from_secs(cluster::WATCH_SECONDS as u64 + 5);
/// The parts whose end is waited for.
const CONFIG_STREAM: &str = "config stream";
const LEDGER: &str = "ledger";
/// How long streams and the Lease may take to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// What `run` is given.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RunArgs {
    /// Address for the config stream of the pods
    #[arg(long, env = "WEIR_LISTEN", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Address for probes and metrics
    #[arg(long, env = "WEIR_ADMIN", default_value = "0.0.0.0:9090")]
    admin: SocketAddr,
    /// Namespace of the operator and of the data plane
    #[arg(long, env = "WEIR_NAMESPACE")]
    namespace: String,
    /// Name of this pod
    #[arg(long, env = "WEIR_POD_NAME")]
    pod_name: String,
    /// Where pods reach this operator, host:port
    #[arg(long, env = "WEIR_ADVERTISE", value_parser = bracketed)]
    advertise: String,
    /// Labels of the data plane's pods, key=value, separated by commas
    #[arg(long, env = "WEIR_DATAPLANE_SELECTOR")]
    dataplane_selector: String,
    /// Service of the gateway or of its operator, whose addresses no upstream may have; may be repeated
    #[arg(long = "gateway-service", env = "WEIR_GATEWAY_SERVICE", value_delimiter = ',')]
    gateway_services: Vec<String>,
    /// ServiceAccount of the data plane's pods
    #[arg(long, env = "WEIR_DATAPLANE_SERVICE_ACCOUNT")]
    dataplane_service_account: String,
    /// Namespace of shared Providers and of routes that serve every namespace; by default the operator's
    #[arg(long, env = "WEIR_PLATFORM_NAMESPACE")]
    platform_namespace: Option<String>,
    /// Private or loopback range that upstreams may be in; may be repeated
    #[arg(long = "allow-upstream-cidr", env = "WEIR_ALLOW_UPSTREAM_CIDR", value_delimiter = ',')]
    allow_upstream_cidrs: Vec<IpNet>,
    /// Namespace whose Providers may use plain http, or * for every one; may be repeated
    #[arg(long = "allow-plaintext-namespace", env = "WEIR_ALLOW_PLAINTEXT_NAMESPACE", value_delimiter = ',')]
    allow_plaintext_namespaces: Vec<String>,
    /// Namespace whose Secrets are watched although no object there needs one; may be repeated
    #[arg(long = "secret-namespace", env = "WEIR_SECRET_NAMESPACE", value_delimiter = ',')]
    secret_namespaces: Vec<String>,
    /// How often key sets of token issuers are read: so long a key that an issuer begins to sign by may be unknown
    #[arg(long, env = "WEIR_KEY_SET_REFRESH", default_value = "5m", value_parser = key_sets::refresh)]
    key_set_refresh: Duration,
    /// ConfigMap of the operator's namespace with prices that come before those of the catalogue
    #[arg(long, env = "WEIR_PRICES_CONFIG_MAP", default_value = source::PRICES)]
    prices_config_map: String,
    /// Redis that holds the ledger in the place of ConfigMaps: redis://, redis+sentinel:// or redis+cluster://, over TLS rediss
    #[arg(long, env = "WEIR_LEDGER_REDIS", hide_env_values = true)]
    ledger_redis: Option<String>,
    /// The operator's own Deployment, which owns its CA, and which is told of deletes that are held back
    #[arg(long, env = "WEIR_DEPLOYMENT")]
    deployment: Option<String>,
    /// The operator's own ServiceAccount, named in the command that grants it a namespace's Secrets
    #[arg(long, env = "WEIR_SERVICE_ACCOUNT", default_value = "weir-operator")]
    service_account: String,
    /// Address of the API server, which no upstream may have; the cluster sets it
    #[arg(long, env = "KUBERNETES_SERVICE_HOST", hide = true)]
    api_server: Option<IpAddr>,
}

/// Why the operator cannot run.
#[derive(Debug)]
pub(crate) enum Error {
    /// There is no usable kubeconfig.
    Kubeconfig(String),
    /// A port cannot be bound.
    Listen(SocketAddr, std::io::Error),
    /// Something of the process itself.
    Process(String),
    /// A part ended that should not.
    Ended(&'static str),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kubeconfig(error) => write!(f, "no way to the API server: {error}"),
            Self::Listen(address, error) => write!(f, "{address} cannot be listened on: {error}"),
            Self::Process(error) => write!(f, "{error}"),
            Self::Ended(part) => write!(f, "the {part} ended; see the log"),
        }
    }
}

impl std::error::Error for Error {}

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn run(args: RunArgs) -> Result<(), Error> {
    let mut parts = Parts::default();
    let metrics = Arc::new(Metrics::new().map_err(|error| Error::Process(error.to_string()))?);
    let client = client().await?;
    let leaf = Arc::new(Leaf::default());
    let streams = Listener::bind(args.listen, Arc::clone(&leaf)).await.map_err(|e| Error::Listen(args.listen, e))?;
    let admin = TcpListener::bind(args.admin).await.map_err(|error| Error::Listen(args.admin, error))?;
    log_addresses(&streams, &admin);

    let (stop, stopped) = watch::channel(false);
    let (lead, leadership) = watch::channel(Leadership::Standby(String::new()));
    let (publish, desired) = watch::channel(None);
    let namespace = args.namespace.as_str();
    let brake = Arc::new(Brake::new(Arc::clone(&metrics)));
    let cluster = Cluster::watch(&client, args.given(), &brake, &metrics);
    let floor = Arc::new(EpochFloor::default());
    let pods = Arc::new(Pods::new(Arc::clone(&metrics)));
    let (events, telling) = Events::new(client.clone(), args.pod_name.clone(), Arc::clone(&metrics));
    let (webhooks, sending) = Webhooks::new(events.clone(), Arc::clone(&metrics));
    let (tell_spending, spending) = watch::channel(Arc::new(Spending::default()));
    let owner = args.deployment.clone();

    let authority = Authority::new(&client, namespace, owner.clone(), Arc::clone(&leaf), Arc::clone(&metrics));
    parts.add("certificate authority", authority.run(stopped.clone()));
    parts.add("admin port", admin::serve(admin, Arc::clone(&metrics), readiness(&leaf, &cluster, &leadership)));
    parts.add("events", telling);
    parts.add("webhooks", sending);
    let (me, at) = (args.pod_name.as_str(), args.advertise.as_str());
    let election = Election::new(client.clone(), namespace, me, at, Arc::clone(&floor), Arc::clone(&metrics));
    parts.add("election", election.run(lead, stopped.clone()));
    let prover = Prover::new(
        client.clone(),
        namespace,
        &args.dataplane_service_account,
        Arc::clone(&cluster.pods),
        cluster.issuer(),
    );
    let shared = Shared {
        leadership: leadership.clone(),
        desired: desired.clone(),
        pods: Arc::clone(&pods),
        prover,
        floor,
        brake: Arc::clone(&brake),
        metrics: Arc::clone(&metrics),
    };
    let ledger =
        Ledger::new(args.store(&client)?, &shared, Arc::clone(&cluster.pods), tell_spending, metrics.ledger.clone());
    let desk = ledger.desk();
    parts.add(LEDGER, ledger.run(stopped.clone()));
    parts.add(CONFIG_STREAM, publish::serve(streams, Arc::new(shared), desk, stopped.clone()));
    let (scene, told) = (Scene::new(&client, namespace, owner, events.clone()), stopped.clone());
    parts.add("brake", async move { brake.run(scene, told).await });
    let prices = Prices::new(args.prices(), events.clone(), Arc::clone(&metrics));
    let reconcile = Reconcile {
        cluster: Arc::clone(&cluster),
        leadership: leadership.clone(),
        desired: publish.clone(),
        metrics: Arc::clone(&metrics),
        key_sets: KeySets::new(args.key_set_refresh, Some(Arc::clone(&metrics))),
        compiler: weir_compile::Compiler::default(),
        prices,
    };
    parts.add("reconciler", reconcile.run(stopped.clone()));
    let reporter = Reporter { client, cluster, pods, desired, leadership, spending, events, webhooks, metrics };
    parts.add("status reporter", reporter.run(stopped));
    // Held to the end: streams end because the Lease was given up, not because nothing is published any more.
    let _publish = publish;
    parts.until_told(stop).await
}

/// Everything that runs side by side.
#[derive(Default)]
struct Parts(JoinSet<&'static str>);

impl Parts {
    fn add(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(async move {
            part.await;
            name
        });
    }

    /// Waits for a signal, then for the parts to end; an end before is an error.
    async fn until_told(mut self, stop: watch::Sender<bool>) -> Result<(), Error> {
        let signal = signalled().map_err(|error| Error::Process(error.to_string()))?;
        tokio::select! {
            () = signal => tracing::info!("told to stop"),
            ended = self.0.join_next() => {
                let name = ended.and_then(Result::ok).unwrap_or("operator");
                stop.send_replace(true);
                return Err(Error::Ended(name));
            }
        }
        stop.send_replace(true);
        let essential = async {
            let mut left = vec![CONFIG_STREAM, LEDGER];
            while !left.is_empty() {
                let Some(ended) = self.0.join_next().await else { return };
                left.retain(|part| ended.as_ref().ok() != Some(part));
            }
        };
        if tokio::time::timeout(STOP_TIMEOUT, essential).await.is_err() {
            tracing::warn!("streams did not end in time and are cut");
        }
        Ok(())
    }
}

impl RunArgs {
    /// What outlives the ledger's leader.
    fn store(&self, client: &Client) -> Result<Store, Error> {
        match &self.ledger_redis {
            Some(url) => ledger::redis(url, &self.namespace).map_err(Error::Process),
            None => Ok(Store::cluster(client.clone(), &self.namespace)),
        }
    }

    fn prices(&self) -> Name {
        Name::new(&self.namespace, &self.prices_config_map)
    }

    fn given(&self) -> Given {
        Given {
            settings: Settings {
                platform_namespace: self.platform_namespace.clone().unwrap_or_else(|| self.namespace.clone()),
                allow_upstream_cidrs: self.allow_upstream_cidrs.iter().map(ToString::to_string).collect(),
                forbidden_addresses: self.api_server.into_iter().filter(|address| !address.is_loopback()).collect(),
                ..Settings::default()
            },
            allow_plaintext_namespaces: self.allow_plaintext_namespaces.iter().cloned().collect(),
            secret_namespaces: self.secret_namespaces.iter().cloned().collect(),
            prices: self.prices(),
            namespace: self.namespace.clone(),
            operator_account: format!("{}:{}", self.namespace, self.service_account),
            dataplane_selector: self.dataplane_selector.clone(),
            gateway_services: self.gateway_services.iter().cloned().collect(),
        }
    }
}

/// A pod's own IPv6 address comes without brackets, which no address with a port can do without.
fn bracketed(address: &str) -> Result<String, String> {
    let (host, port) = address.rsplit_once(':').ok_or("write it as host:port")?;
    let bare = host.contains(':') && !host.starts_with('[');
    Ok(if bare { format!("[{host}]:{port}") } else { address.to_owned() })
}

pub(crate) async fn client() -> Result<Client, Error> {
    let wrong = |error: &dyn std::fmt::Display| Error::Kubeconfig(error.to_string());
    let mut config = kube::Config::infer().await.map_err(|error| wrong(&error))?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    Client::try_from(config).map_err(|error| wrong(&error))
}

fn readiness(leaf: &Arc<Leaf>, cluster: &Arc<Cluster>, leadership: &watch::Receiver<Leadership>) -> admin::Readiness {
    let (leaf, cluster, leadership) = (Arc::clone(leaf), Arc::clone(cluster), leadership.clone());
    Arc::new(move || {
        let stands_by = matches!(&*leadership.borrow(), Leadership::Standby(leader) if !leader.is_empty());
        match (leaf.is_ready(), cluster.is_complete() || stands_by) {
            (false, _) => Err("the certificate of the config stream is not made yet"),
            (true, false) => Err("the objects of the cluster are not listed yet; are the kinds of weir.dev installed?"),
            (true, true) => Ok(()),
        }
    })
}

fn log_addresses(streams: &Listener, admin: &TcpListener) {
    if let (Ok(listen), Ok(admin)) = (streams.address(), admin.local_addr()) {
        tracing::info!(%listen, %admin, "the operator listens");
    }
}

fn signalled() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
