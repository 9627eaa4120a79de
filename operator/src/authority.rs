//! The operator's own CA and the certificate of its config stream.
//!
//! Replicas agree through the Secret alone: whoever loses a write by create or resourceVersion reads again.

mod material;
mod plan;

use crate::telemetry::Metrics;
use arc_swap::ArcSwapOption;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Resource as _, ResourceExt as _};
use material::{CA_NAME, Material, MaterialError};
use plan::{LEAF_LIFE, LEAF_RENEWAL, Step, due};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Key of the bundle in the ConfigMap.
const BUNDLE_KEY: &str = "ca.crt";
/// How often the Secret is looked at; far below the overlap.
const CHECK: Duration = Duration::from_secs(600);
/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(3);
/// Writes that may be lost in a row to other replicas.
const ATTEMPTS: usize = 8;

/// The certificate that handshakes are answered with.
#[derive(Default)]
pub(crate) struct Leaf(ArcSwapOption<CertifiedKey>);

impl Leaf {
    /// Whether handshakes can be answered.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.load().is_some()
    }
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leaf")
    }
}

impl ResolvesServerCert for Leaf {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

/// Why the CA cannot be had.
#[derive(Debug)]
enum AuthorityError {
    Api(kube::Error),
    Material(MaterialError),
    Contended,
}

impl std::fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Api(error) => write!(f, "{error}"),
            Self::Material(error) => write!(f, "{error}"),
            Self::Contended => write!(f, "{CA_NAME} is written by others all the time"),
        }
    }
}

impl From<kube::Error> for AuthorityError {
    fn from(error: kube::Error) -> Self {
        Self::Api(error)
    }
}

impl From<MaterialError> for AuthorityError {
    fn from(error: MaterialError) -> Self {
        Self::Material(error)
    }
}

/// Keeps the CA, its bundle and this process's leaf.
pub(crate) struct Authority {
    secrets: Api<Secret>,
    bundles: Api<ConfigMap>,
    deployments: Api<Deployment>,
    owner: Option<String>,
    leaf: Arc<Leaf>,
    /// Bundle that the leaf was made under, and when (unix seconds).
    made: Option<(String, i64)>,
    metrics: Arc<Metrics>,
}

impl Authority {
    /// Works in `namespace`; what it makes belongs to the Deployment `owner`, where one is named.
    pub(crate) fn new(
        client: &Client,
        namespace: &str,
        owner: Option<String>,
        leaf: Arc<Leaf>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            bundles: Api::namespaced(client.clone(), namespace),
            deployments: Api::namespaced(client.clone(), namespace),
            owner,
            leaf,
            made: None,
            metrics,
        }
    }

    /// Keeps everything valid until `stop` turns true.
    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let pause = match self.keep(Timestamp::now().as_second()).await {
                Ok(()) => CHECK,
                Err(error) => {
                    self.metrics.failed("certificate");
                    tracing::warn!(%error, "the stream's certificate authority cannot be kept");
                    RETRY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    async fn keep(&mut self, now: i64) -> Result<(), AuthorityError> {
        let material = self.material(now).await?;
        let bundle = material.bundle();
        self.publish(&bundle).await?;
        let renewal = LEAF_RENEWAL.as_secs().cast_signed();
        let fresh = |(under, made): &(String, i64)| *under == bundle && now.saturating_sub(*made) < renewal;
        if !self.made.as_ref().is_some_and(fresh) {
            self.leaf.0.store(Some(Arc::new(material.leaf(now)?)));
            self.metrics.certificate_expiry.set((Duration::from_secs(now.unsigned_abs()) + LEAF_LIFE).as_secs_f64());
            self.made = Some((bundle, now));
        }
        Ok(())
    }

    /// Reads the Secret and takes what steps are due.
    async fn material(&self, now: i64) -> Result<Material, AuthorityError> {
        for _ in 0..ATTEMPTS {
            let stored = self.secrets.get_opt(CA_NAME).await?;
            let data = stored.as_ref().and_then(|secret| secret.data.as_ref());
            let material = data.map_or_else(|| Ok(Material::default()), Material::read)?;
            let step = due(material.slots(), now);
            if step == Step::Keep {
                return Ok(material);
            }
            tracing::info!(?step, "certificate authority");
            let data = Some(material.take(step, now)?.data());
            let written = match stored {
                Some(secret) => self.secrets.replace(CA_NAME, &PostParams::default(), &Secret { data, ..secret }).await,
                None => {
                    let secret = Secret { metadata: self.metadata().await?, data, ..Secret::default() };
                    self.secrets.create(&PostParams::default(), &secret).await
                }
            };
            unless_raced(written)?;
        }
        Err(AuthorityError::Contended)
    }

    async fn publish(&self, bundle: &str) -> Result<(), AuthorityError> {
        for _ in 0..ATTEMPTS {
            let stored = self.bundles.get_opt(CA_NAME).await?;
            let published = stored.as_ref().and_then(|map| map.data.as_ref()?.get(BUNDLE_KEY));
            if published.map(String::as_str) == Some(bundle) {
                return Ok(());
            }
            let data = Some(BTreeMap::from([(BUNDLE_KEY.to_owned(), bundle.to_owned())]));
            let written = match stored {
                Some(map) => self.bundles.replace(CA_NAME, &PostParams::default(), &ConfigMap { data, ..map }).await,
                None => {
                    let map = ConfigMap { metadata: self.metadata().await?, data, ..ConfigMap::default() };
                    self.bundles.create(&PostParams::default(), &map).await
                }
            };
            unless_raced(written)?;
        }
        Err(AuthorityError::Contended)
    }

    async fn metadata(&self) -> Result<ObjectMeta, kube::Error> {
        let owner = match &self.owner {
            Some(name) => self.deployments.get_opt(name).await?,
            None => None,
        };
        let reference = owner.map(|deployment| OwnerReference {
            api_version: Deployment::api_version(&()).into_owned(),
            kind: Deployment::kind(&()).into_owned(),
            name: deployment.name_any(),
            uid: deployment.uid().unwrap_or_default(),
            ..OwnerReference::default()
        });
        Ok(ObjectMeta {
            name: Some(CA_NAME.to_owned()),
            owner_references: reference.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        })
    }
}

/// A write that another replica won is no failure: the next reading tells.
fn unless_raced<K>(written: Result<K, kube::Error>) -> Result<(), kube::Error> {
    match written {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(()),
        Err(error) => Err(error),
    }
}
