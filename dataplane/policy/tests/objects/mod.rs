//! Objects as the tests of the policy need them; each is as small as it can be.

use std::collections::BTreeMap;
use std::sync::Arc;
use weir_policy::Table;
use weir_snapshot::{
    Access, Caps, Consent, Credential, CredentialRef, Headers, Health, Kind, Model, ModelName, Name, OnLoss, Params,
    Provider, ProviderType, Resource, ResourceId, Retry, Route, RouteTimeouts, Rule, Secret, Target, Timeouts,
    TrustedHeaders, Upstream,
};

/// What a table is built of.
pub(super) type Resources = BTreeMap<ResourceId, Arc<Resource>>;

/// Adds one object.
pub(super) fn put(resources: &mut Resources, kind: Kind, namespace: &str, name: &str, resource: Resource) {
    resources.insert(ResourceId::new(kind, namespace, name), Arc::new(resource));
}

/// Adds a Provider with these credentials, for everybody.
pub(super) fn provider(resources: &mut Resources, name: &str, credentials: &[&str]) {
    let provider = Provider {
        provider_type: ProviderType::OpenAI,
        upstream: Upstream::Url("https://example.com/v1".into()),
        ca_pem: None,
        credentials: credentials.iter().map(|name| CredentialRef { name: (*name).into(), weight: 1 }).collect(),
        models: BTreeMap::from([(
            "m".into(),
            Model { max_output: Some(100), context_window: Some(1_000), ..Model::default() },
        )]),
        any_model: false,
        headers: Headers::default(),
        timeouts: Timeouts::default(),
        health: Health::default(),
        limits: weir_snapshot::ProviderLimits::default(),
    };
    put(resources, Kind::Provider, "shared", name, Resource::Provider(provider));
    put(resources, Kind::Consent, "shared", name, Resource::Consent(Consent { all: true, namespaces: vec![] }));
    for credential in credentials {
        let secret = Resource::Credential(Credential { secret: Secret::new(format!("sk-{credential}")) });
        put(resources, Kind::Credential, "shared", &format!("{name}/{credential}"), secret);
    }
}

/// A target at a Provider.
pub(super) fn target(provider: &str, priority: u32) -> Target {
    Target {
        name: format!("{provider}-{priority}"),
        provider: Name::new("shared", provider),
        model: Some("m".into()),
        weight: 1,
        priority,
        defaults: Params::default(),
        overrides: Params::default(),
        caps: Caps::default(),
        remove: vec![],
    }
}

/// Adds a route for everybody.
pub(super) fn route(resources: &mut Resources, namespace: &str, name: &str, pattern: &str, targets: Vec<Target>) {
    let route = Route {
        created_at: 0,
        hostnames: vec![],
        models: vec![ModelName { pattern: pattern.into(), alias_of: None, listed: true }],
        rules: vec![Rule { targets, unavailable: None }],
        refusal: None,
        retry: Retry::default(),
        timeouts: RouteTimeouts::default(),
        on_loss: OnLoss::default(),
        rate_limits: Vec::new(),
        trusted_headers: TrustedHeaders::default(),
        explain: false,
    };
    put(resources, Kind::Route, namespace, name, Resource::Route(route));
    put(resources, Kind::Access, namespace, name, Resource::Access(Access { anonymous: true, ..Access::default() }));
}

/// The table of these objects, all of which it must take.
pub(super) fn table(resources: &Resources) -> Table {
    let (table, rejected) = Table::build(resources, &Table::default());
    assert_eq!(rejected, []);
    table
}
