//! Objects as the tests of the policy need them; each is as small as it can be.

#![allow(dead_code, reason = "each test file uses some of them")]

use std::collections::BTreeMap;
use std::sync::Arc;
use weir_dialect::Refusal;
use weir_policy::{Caller, Facts, Table};
use weir_snapshot::{
    Access, Budget, BudgetMode, BudgetSelector, Caps, Consent, Credential, CredentialRef, FailureMode, Headers, Health,
    Limit, Model, ModelName, Name, OnExceeded, OnLoss, OnUnpriced, Params, Provider, ProviderType, Reservation,
    Resource, ResourceId, Resources, Retry, Route, RouteTimeouts, Rule, Secret, Target, Timeouts, TrustedHeaders, Unit,
    Upstream, Window,
};

/// A caller of that namespace.
pub(super) fn in_namespace(namespace: &str) -> Caller {
    Caller { namespace: namespace.into(), ..Caller::anonymous() }
}

/// Which route serves a model to a caller at `api.example.com`.
pub(super) fn served_by<'t>(table: &'t Table, caller: &Caller, model: &str) -> Result<&'t Name, Refusal> {
    table.matching(&Facts { caller, hostname: Some("api.example.com"), model }).map(|route| &route.id)
}

/// A Budget that enforces so much of each unit, for ever.
pub(super) fn budget(selector: BudgetSelector, units: &[Unit], amount: u64) -> Budget {
    Budget {
        limits: units.iter().map(|unit| Limit { unit: *unit, amount }).collect(),
        window: Window::Total,
        selector,
        partition_by: vec![],
        ancestors: vec![],
        mode: BudgetMode::Enforce,
        on_exceeded: OnExceeded::Reject,
        thrift: None,
        reservation: Reservation::UpperBound,
        failure_mode: FailureMode::LeasedOnly,
        on_unpriced: OnUnpriced::Refuse,
        overrides: vec![],
    }
}

/// Adds one object.
pub(super) fn put(resources: &mut Resources, namespace: &str, name: &str, resource: impl Into<Resource>) {
    let resource = resource.into();
    resources.insert(Arc::new(ResourceId::new(resource.kind(), namespace, name)), resource);
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
        allowed_request_members: vec![],
    };
    put(resources, "shared", name, provider);
    put(resources, "shared", name, Consent { all: true, namespaces: vec![] });
    for credential in credentials {
        let secret = Credential { secret: Secret::new(format!("sk-{credential}")) };
        put(resources, "shared", &format!("{name}/{credential}"), secret);
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
        rules: vec![Rule { targets: targets.into_iter().map(Arc::new).collect(), unavailable: None }],
        refusal: None,
        retry: Retry::default(),
        timeouts: RouteTimeouts::default(),
        on_loss: OnLoss::default(),
        rate_limits: Vec::new(),
        trusted_headers: TrustedHeaders::default(),
        explain: false,
    };
    put(resources, namespace, name, route);
    put(resources, namespace, name, Access { anonymous: true, ..Access::default() });
}

/// The table of these objects.
pub(super) fn table(resources: &Resources) -> Table {
    Table::build(resources, &Table::default())
}
