//! Who calls and what that opens, as promises.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use std::sync::Arc;
use weir_policy::{Caller, CallerKind, Claims, Facts, Statement, Table, Token};
use weir_snapshot::{
    Access, AccountRef, AdmittedAccount, AdmittedGroup, ApiKey, ClaimPaths, KeyHash, Kind, ModelName, Name, Namespace,
    Resource, ResourceId, Resources, Route, TokenIssuer, TrustedHeaders, api_key,
};

mod objects;

use objects::{put, route, table};

const ID: &str = "abcdef012345";

fn namespace(resources: &mut Resources, name: &str, data: Namespace) {
    put(resources, "", name, data);
}

fn by_key(table: &Table) -> Caller {
    Caller::of_key(table, &api_key::token(ID, &[1; 32]), 0).expect("the key is good")
}

/// Replaces the access of a route that serves two models and all that begins so.
fn admit(resources: &mut Resources, access: Access) {
    route(resources, "a", "r", "m", vec![]);
    let id = ResourceId::new(Kind::Route, "a", "r");
    let Resource::Route(held) = &resources[&id] else { return };
    let models = ["m", "n", "wide-*"].map(|pattern| ModelName {
        pattern: pattern.into(),
        alias_of: None,
        listed: !pattern.ends_with('*'),
    });
    let with_models = Route { models: models.to_vec(), ..Route::clone(held) };
    put(resources, "a", "r", with_models);
    put(resources, "a", "r", access);
}

/// The status by which a model is refused, 200 where it is not, and the models that are listed.
fn served(table: &Table, caller: &Caller) -> ([u16; 4], Vec<String>) {
    let status = |model| {
        let served = table.matching(&Facts { caller, hostname: None, model });
        served.map_or_else(|refusal| refusal.status, |_| 200)
    };
    let listed = table.models(caller, None).into_iter().map(|model| model.id).collect();
    (["m", "n", "wide-1", "wide-2"].map(status), listed)
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_key_says_whom_it_is_for_and_its_namespace_says_the_rest() {
    let mut resources = Resources::new();
    let key = ApiKey {
        id: ID.into(),
        hashes: [KeyHash(api_key::hash(ID, &[1; 32]))].into(),
        team: text("reds"),
        ..ApiKey::default()
    };
    put(&mut resources, "a", "k", key);
    namespace(
        &mut resources,
        "a",
        Namespace { team: text("blues"), project: text("atlas"), cost_center: text("cc-7"), ..Namespace::default() },
    );
    let caller = by_key(&table(&resources));
    let own = caller.believed_by("a", "platform");
    let others = caller.believed_by("platform", "platform");
    assert_eq!(
        (own.team, others.team),
        (Some("reds"), Some("blues")),
        "a key speaks for Budgets of its namespace alone"
    );
    assert_eq!((caller.team, caller.project, caller.cost_center), (text("reds"), text("atlas"), text("cc-7")));
}

#[test]
fn only_headers_that_a_route_trusts_count_and_they_fill_in_nothing_else() {
    let sent = |name: &str| match name {
        "x-user" => text(" ann "),
        "x-team" => text(""),
        "x-project" => text(&"p".repeat(256)),
        "x-session" => text("s-1"),
        _ => None,
    };
    let learnt = |trusted: TrustedHeaders| {
        let mut resources = Resources::new();
        admit(&mut resources, Access { anonymous: true, ..Access::default() });
        let id = ResourceId::new(Kind::Route, "a", "r");
        let Resource::Route(held) = &resources[&id] else { return None };
        let trusting = Route { trusted_headers: trusted, ..Route::clone(held) };
        put(&mut resources, "a", "r", trusting);
        let held = table(&resources);
        let mut caller = Arc::new(Caller { team: text("reds"), namespace: "a".into(), ..Caller::anonymous() });
        held.routes().next()?.tell(&mut caller, sent).then(|| Arc::unwrap_or_clone(caller))
    };
    assert_eq!(learnt(TrustedHeaders::default()), None, "no header is trusted by itself");
    let trusted = TrustedHeaders {
        user: text("x-user"),
        team: text("x-team"),
        project: text("x-project"),
        cost_center: text("x-absent"),
        session: text("x-session"),
        agent: text("x-absent"),
    };
    let expected = Caller {
        user: text("ann"),
        team: text("reds"),
        project: Some("p".repeat(256)),
        session: text("s-1"),
        namespace: "a".into(),
        statements: vec![Statement { by: "a".into(), user: text("ann"), team: None }],
        ..Caller::anonymous()
    };
    assert_eq!(learnt(trusted), Some(expected), "an empty header says nothing");
}

#[test]
fn who_is_limited_to_models_may_name_those_and_sees_no_others() {
    let account = |name: &str, models: &[&str]| AdmittedAccount {
        account: AccountRef { namespace: "a".into(), name: name.into() },
        models: models.iter().map(|model| (*model).to_owned()).collect(),
    };
    let mut resources = Resources::new();
    let access = Access {
        service_accounts: vec![account("*", &["m"]), account("wide", &["wide-1"]), account("free", &[])],
        api_key_namespaces: vec!["a".into()],
        api_key_models: vec!["n".into(), "wide-*".into()],
        ..Access::default()
    };
    admit(&mut resources, access);
    let held = table(&resources);
    let of = |kind, name: &str| Caller { kind, namespace: "a".into(), name: name.into(), ..Caller::anonymous() };
    let account = |name| served(&held, &of(CallerKind::ServiceAccount, name));
    assert_eq!(account("app"), ([200, 403, 403, 403], vec!["m".to_owned()]));
    assert_eq!(account("wide"), ([200, 403, 200, 403], vec!["m".to_owned()]), "all that any entry lets it name");
    assert_eq!(account("free"), ([200; 4], vec!["m".to_owned(), "n".to_owned()]));
    let key = of(CallerKind::ApiKey, "k");
    assert_eq!(served(&held, &key), ([403, 200, 200, 200], vec!["n".to_owned()]));
    let narrower = Caller { models: vec!["wide-1".into()], ..key };
    assert_eq!(served(&held, &narrower), ([403, 403, 200, 403], vec![]), "the key's own list holds as well");
    let refusal = held.matching(&Facts { caller: &narrower, hostname: None, model: "n" }).err().unwrap();
    assert_eq!(refusal.code, "model_not_allowed");
}

/// A table whose route takes tokens of one issuer, and of its groups these.
fn with_issuer(groups: Vec<AdmittedGroup>) -> Table {
    let mut resources = Resources::new();
    let issuer = TokenIssuer {
        issuer: "https://id".into(),
        audiences: vec!["weir".into()],
        keys: "keys".into(),
        claims: ClaimPaths {
            user: text("email"),
            team: text("org.team"),
            groups: text("groups"),
            ..ClaimPaths::default()
        },
        groups,
    };
    namespace(&mut resources, "a", Namespace { team: text("blues"), project: text("atlas"), ..Namespace::default() });
    admit(&mut resources, Access { jwt: vec![issuer], ..Access::default() });
    table(&resources)
}

/// The caller of a token with these claims besides the usual, which that namespace's key set signed, at 100 s.
fn by_token(table: &Table, claims: &Value, signer: &str) -> Result<Caller, u16> {
    let mut all = json!({"iss": "https://id", "aud": ["other", "weir"], "sub": "u-1", "exp": 1_000});
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    let claims: Claims = serde_json::from_value(all).unwrap();
    let token = Token::new(Arc::new(claims), vec![Name::new(signer, "keys")]);
    Caller::of_issuer(table, token, 100).map_err(|refusal| refusal.status)
}

#[test]
fn a_token_says_whom_it_is_for_by_the_claims_that_the_route_names() {
    let held = with_issuer(vec![]);
    let claims = json!({"email": "ann@id", "org": {"team": "reds"}, "groups": ["g", "h"], "project": "theirs"});
    let mut caller = Arc::new(by_token(&held, &claims, "a").unwrap());
    assert_eq!((caller.kind, &*caller.namespace, &*caller.name), (CallerKind::Jwt, "a", "u-1"));
    assert_eq!(caller.user, text("u-1"), "until a route says which claim it is");
    let route = Arc::clone(held.matching(&Facts { caller: &caller, hostname: None, model: "m" }).ok().unwrap());
    assert!(route.tell(&mut caller, |_| None));
    assert_eq!((&caller.user, &caller.team), (&text("ann@id"), &text("reds")));
    assert_eq!(caller.project, text("atlas"), "a claim that the route does not name says nothing");
    assert_eq!(caller.groups, ["g", "h"]);
}

#[test]
fn a_token_is_good_in_its_time_for_its_audience_and_by_the_keys_of_the_route_that_it_is_for() {
    let held = with_issuer(vec![]);
    let status = |claims: &Value, signer: &str| by_token(&held, claims, signer).map(|caller| served(&held, &caller).0);
    assert_eq!(status(&json!({}), "a"), Ok([200; 4]));
    assert_eq!(status(&json!({"exp": 41, "nbf": 159.5}), "a"), Ok([200; 4]), "clocks differ by a minute");
    for wrong in [
        json!({"exp": 40}),
        json!({"nbf": 161}),
        json!({"exp": null}),
        json!({"exp": "9999999999"}),
        json!({"nbf": "1"}),
        json!({"nbf": null}),
        json!({"nbf": {"at": 1}}),
        json!({"iat": "yesterday"}),
        json!({"sub": ""}),
        json!({"sub": "s".repeat(256)}),
    ] {
        assert_eq!(status(&wrong, "a"), Err(401), "{wrong}");
    }
    for wrong in [json!({"iss": "https://evil"}), json!({"aud": "other"}), json!({"aud": 7})] {
        assert_eq!(status(&wrong, "a"), Ok([404; 4]), "{wrong}");
    }
    assert_eq!(status(&json!({}), "b"), Ok([404; 4]), "another namespace's keys open nothing here");
    let audiences = |audience: &str| vec!["x".to_owned(), audience.to_owned()];
    assert_eq!(held.key_sets("https://id", &audiences("weir")).collect::<Vec<_>>(), [&Name::new("a", "keys")]);
    assert_eq!(held.key_sets("https://id", &audiences("other")).count(), 0);
    assert_eq!(held.key_sets("https://evil", &audiences("weir")).count(), 0);
}

#[test]
fn of_groups_each_may_name_its_models_and_who_is_in_none_is_not_let_in() {
    let group = |name: &str, models: &[&str]| AdmittedGroup {
        name: name.into(),
        models: models.iter().map(|model| (*model).to_owned()).collect(),
    };
    let held = with_issuer(vec![group("staff", &["m"]), group("research", &["n", "wide-*"]), group("admins", &[])]);
    let of = |groups: Value| served(&held, &by_token(&held, &json!({"groups": groups}), "a").unwrap());
    assert_eq!(of(json!(["staff"])), ([200, 403, 403, 403], vec!["m".to_owned()]));
    assert_eq!(of(json!(["staff", "research"])), ([200; 4], vec!["m".to_owned(), "n".to_owned()]));
    assert_eq!(of(json!("admins")).0, [200; 4]);
    assert_eq!(of(json!(["others"])), ([404; 4], vec![]));
    assert_eq!(of(json!(null)), ([404; 4], vec![]));
    assert_eq!(of(json!({"staff": true})), ([404; 4], vec![]));
}
