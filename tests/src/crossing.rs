//! A gateway between clients and providers of both dialects.

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::manifests::{api_key, file};
use crate::provider::Provider;
use crate::sdk::{Library, Running};
use crate::vendor::{self, Dialect};

/// Two providers of each dialect, the second for when the first fails, and a gateway before them.
pub struct World {
    providers: [[Provider; 2]; 2],
    /// The gateway.
    pub gateway: Gateway,
    /// A key that may use all of it.
    pub key: String,
    /// A key that may name another model only.
    pub restricted: String,
}

impl World {
    /// Starts all of it.
    pub async fn start() -> Self {
        let (key, stored) = api_key("default", "app", &json!({}));
        let (restricted, limited) = api_key("default", "restricted", &json!({"weir.dev/models": "other"}));
        let mut objects = vec![stored, limited, vendor::secret()];
        let mut providers = Vec::new();
        for dialect in Dialect::ALL {
            let pair = [Provider::start().await, Provider::start().await];
            vendor::be(&pair[0], dialect, "signature-first");
            vendor::be(&pair[1], dialect, "signature-second");
            objects.extend(manifests(dialect, &pair));
            providers.push(pair);
        }
        let providers = providers.try_into().unwrap_or_else(|_| panic!("there are two dialects"));
        Self { providers, gateway: Gateway::up(&file(&objects)).await, key, restricted }
    }

    /// The first provider of that dialect.
    pub fn first(&self, dialect: Dialect) -> &Provider {
        &self.providers[dialect as usize][0]
    }

    /// The one for when the first fails.
    pub fn second(&self, dialect: Dialect) -> &Provider {
        &self.providers[dialect as usize][1]
    }

    /// Starts a library that talks to the gateway.
    pub fn talk(&self, library: Library) -> Running {
        library.start(&self.url(), &self.key)
    }

    /// The base URL without a path.
    pub fn url(&self) -> String {
        self.gateway.url().trim_end_matches("/v1").to_owned()
    }
}

/// The name of a model that each library knows as one of its own vendor, whoever serves it.
pub fn model(client: Dialect, upstream: Dialect) -> String {
    let family = match client {
        Dialect::OpenAI => "gpt-5-mini",
        Dialect::Anthropic => "claude-sonnet-4-5",
    };
    format!("{family}-at-{upstream:?}").to_lowercase()
}

fn manifests(dialect: Dialect, pair: &[Provider; 2]) -> Vec<Value> {
    let name = format!("{dialect:?}").to_lowercase();
    let target = |at| json!({"name": format!("t{at}"), "providerRef": {"name": format!("{name}-{at}")}, "model": "m", "priority": at});
    let (models, targets) = (Dialect::ALL.map(|client| json!({"name": model(client, dialect)})), [0, 1].map(target));
    let mut objects = vec![json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "LLMRoute", "metadata": {"name": name, "namespace": "default"},
        "spec": {"models": models, "rules": [{"targets": targets}]},
    })];
    for (at, provider) in pair.iter().enumerate() {
        objects.push(vendor::manifest(&format!("{name}-{at}"), dialect, provider));
    }
    objects
}
