//! Nobody takes the prompts of another namespace's callers, nor of callers without a credential.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use weir_policy::{Caller, CallerKind, TokenClaims};
use weir_snapshot::{
    Access, Consent, Issuer, Kind, Name, Namespace, Resource, ResourceId, Resources, Route, ServiceAccount, Settings,
};

mod objects;

use objects::{in_namespace, provider, put, route, served_by, table, target};

#[test]
fn callers_without_a_credential_stay_with_the_oldest_namespace_whatever_a_newer_one_names() {
    let mut resources = Resources::new();
    let mut add = |namespace: &str, pattern: &str, created_at: i64, host: Option<&str>| {
        route(&mut resources, namespace, "r", pattern, vec![]);
        let id = ResourceId::new(Kind::Route, namespace, "r");
        let Resource::Route(made) = &resources[&id] else { panic!("a route") };
        let hostnames = host.into_iter().map(str::to_owned).collect();
        resources.insert(Arc::new(id), Route { created_at, hostnames, ..Route::clone(made) }.into());
        table(&resources)
    };
    let nobody = Caller::anonymous();
    add("victim", "gpt-*", 100, None);
    for (thief, pattern, host) in [
        ("exact-host", "gpt-*", Some("api.example.com")),
        ("exact-model", "gpt-4o", None),
        ("longer-prefix", "gpt-4*", None),
        ("both", "gpt-4o", Some("api.example.com")),
    ] {
        let held = add(thief, pattern, 200, host);
        assert_eq!(served_by(&held, &nobody, "gpt-4o"), Ok(&Name::new("victim", "r")), "{thief}");
        assert_eq!(served_by(&held, &in_namespace(thief), "gpt-4o"), Ok(&Name::new(thief, "r")), "its own callers");
        let listed = held.models(&nobody, Some("api.example.com"));
        assert!(listed.iter().all(|model| model.owned_by == "victim"), "{thief}: {listed:?}");
    }
    let held = add("other-model", "claude", 300, Some("api.example.com"));
    assert_eq!(served_by(&held, &nobody, "claude"), Ok(&Name::new("other-model", "r")), "nobody older has it");
    put(&mut resources, "", "", Settings { platform_namespace: "platform".into(), ..Settings::default() });
    route(&mut resources, "platform", "r", "*", vec![]);
    assert_eq!(
        served_by(&table(&resources), &nobody, "gpt-4o"),
        Ok(&Name::new("platform", "r")),
        "the platform's first"
    );
}

#[test]
fn whether_anybody_is_admitted_without_a_credential_is_known_by_the_host() {
    let mut resources = Resources::new();
    assert!(!table(&resources).admits_anonymous(Some("api.example.com")));
    route(&mut resources, "a", "open", "m", vec![]);
    let id = ResourceId::new(Kind::Route, "a", "open");
    let Resource::Route(open) = &resources[&id] else { panic!("a route") };
    let hosted = Route { hostnames: vec!["open.example.com".into()], ..Route::clone(open) };
    resources.insert(Arc::new(id), hosted.into());
    let held = table(&resources);
    assert!(held.admits_anonymous(Some("open.example.com")));
    assert!(!held.admits_anonymous(Some("api.example.com")) && !held.admits_anonymous(None));
    put(&mut resources, "a", "open", Access::default());
    assert!(!table(&resources).admits_anonymous(Some("open.example.com")));
}

#[test]
fn a_tenants_more_exact_route_captures_nobody_elses_traffic() {
    let mut resources = Resources::new();
    put(&mut resources, "", "", Settings { platform_namespace: "platform".into(), ..Settings::default() });
    put(
        &mut resources,
        "",
        "trusting",
        Namespace { accept_routes_from: vec!["tenant".into()], ..Namespace::default() },
    );
    route(&mut resources, "platform", "all", "gpt-*", vec![]);
    route(&mut resources, "tenant", "exact", "gpt-4o", vec![]);
    let table = table(&resources);
    assert_eq!(served_by(&table, &in_namespace("other"), "gpt-4o"), Ok(&Name::new("platform", "all")));
    assert_eq!(served_by(&table, &in_namespace("tenant"), "gpt-4o"), Ok(&Name::new("tenant", "exact")));
    assert_eq!(
        served_by(&table, &in_namespace("trusting"), "gpt-4o"),
        Ok(&Name::new("platform", "all")),
        "trust before precision"
    );
    assert_eq!(served_by(&table, &in_namespace("other"), "claude").unwrap_err().status, 404);
}

#[test]
fn a_credential_that_no_route_admits_opens_what_is_open_to_everybody_and_nothing_else() {
    let mut resources = Resources::new();
    put(&mut resources, "", "", Settings { platform_namespace: "platform".into(), ..Settings::default() });
    put(&mut resources, "", "kubernetes", Issuer { issuer: "https://k".into(), jwks: String::new() });
    route(&mut resources, "first", "r", "m", vec![]);
    route(&mut resources, "own", "r", "mine", vec![]);
    put(&mut resources, "own", "r", Access { api_key_namespaces: vec!["own".into()], ..Access::default() });
    let key = |models: &[&str]| Caller {
        kind: CallerKind::ApiKey,
        key_id: Some("k".into()),
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        ..in_namespace("own")
    };
    let held = table(&resources);
    assert_eq!(served_by(&held, &key(&[]), "m"), Ok(&Name::new("first", "r")));
    assert_eq!(served_by(&held, &key(&[]), "mine"), Ok(&Name::new("own", "r")), "its own comes first");
    assert_eq!(served_by(&held, &key(&["mine"]), "m").unwrap_err().status, 403, "a key's own bounds stay");
    assert_eq!(served_by(&held, &in_namespace("stranger"), "mine").unwrap_err().status, 404);
    let listed: Vec<_> = held.models(&key(&[]), None).into_iter().map(|model| model.id).collect();
    assert_eq!(listed, ["m", "mine"], "the list says the same");
    // Where two namespaces are open to everybody, the oldest keeps the model, as for callers without a credential.
    route(&mut resources, "second", "r", "m", vec![]);
    let id = ResourceId::new(Kind::Route, "second", "r");
    let Resource::Route(made) = &resources[&id] else { panic!("a route") };
    resources.insert(Arc::new(id), Route { created_at: 9, ..Route::clone(made) }.into());
    assert_eq!(served_by(&table(&resources), &key(&[]), "m"), Ok(&Name::new("first", "r")));

    let claims: TokenClaims = serde_json::from_value(serde_json::json!({
        "iss": "https://k", "aud": ["weir"], "iat": 0, "exp": 3_600,
        "kubernetes.io": {"namespace": "own", "serviceaccount": {"name": "app", "uid": "u1"}}
    }))
    .unwrap();
    let unknown = Caller::of_token(&held, &claims, 10).expect("it counts as none");
    assert_eq!((unknown.kind, &*unknown.namespace), (CallerKind::Anonymous, ""));
    let mut closed = resources.clone();
    for namespace in ["first", "second"] {
        put(&mut closed, namespace, "r", Access::default());
    }
    assert_eq!(Caller::of_token(&table(&closed), &claims, 10).unwrap_err().status, 401, "nothing is open");
    put(&mut resources, "own", "app", ServiceAccount { uid: "u2".into() });
    assert_eq!(Caller::of_token(&table(&resources), &claims, 10).unwrap_err().status, 401, "another account's name");
}

#[test]
fn a_route_loses_its_target_when_the_owner_withdraws_consent() {
    let mut resources = Resources::new();
    provider(&mut resources, "p", &[]);
    route(&mut resources, "a", "r", "m", vec![target("p", 0)]);
    assert_eq!(table(&resources).routes().next().unwrap().targets.len(), 1);
    put(&mut resources, "shared", "p", Consent { all: false, namespaces: vec!["b".into()] });
    assert_eq!(table(&resources).routes().next().unwrap().targets.len(), 0);
}
