//! Who calls and what that opens, as promises.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use weir_policy::{Caller, CallerKind, Facts, Table};
use weir_snapshot::{
    Access, AccountRef, AdmittedAccount, ApiKey, Kind, ModelName, Namespace, Resource, Route, TrustedHeaders, api_key,
};

#[expect(dead_code, reason = "other tests need the rest")]
mod objects;

use objects::{Resources, put, route, table};

const ID: &str = "abcdef012345";

fn namespace(resources: &mut Resources, name: &str, data: Namespace) {
    put(resources, Kind::Namespace, "", name, Resource::Namespace(data));
}

fn by_key(table: &Table) -> Caller {
    Caller::of_key(table, &api_key::token(ID, &[1; 32]), 0).expect("the key is good")
}

/// Replaces the access of a route that serves two models and all that begins so.
fn admit(resources: &mut Resources, access: Access) {
    route(resources, "a", "r", "m", vec![]);
    let id = weir_snapshot::ResourceId::new(Kind::Route, "a", "r");
    let Resource::Route(held) = &**resources.get(&id).unwrap() else { return };
    let models = ["m", "n", "wide-*"].map(|pattern| ModelName {
        pattern: pattern.into(),
        alias_of: None,
        listed: !pattern.ends_with('*'),
    });
    let with_models = Route { models: models.to_vec(), ..held.clone() };
    put(resources, Kind::Route, "a", "r", Resource::Route(with_models));
    put(resources, Kind::Access, "a", "r", Resource::Access(access));
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
    let hash = api_key::hash(ID, &[1; 32]).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut resources = Resources::new();
    let key = ApiKey { id: ID.into(), hashes: vec![hash], team: text("reds"), ..ApiKey::default() };
    put(&mut resources, Kind::ApiKey, "a", "k", Resource::ApiKey(key));
    namespace(
        &mut resources,
        "a",
        Namespace { team: text("blues"), project: text("atlas"), cost_center: text("cc-7"), ..Namespace::default() },
    );
    let caller = by_key(&table(&resources));
    assert_eq!((caller.team, caller.project, caller.cost_center), (text("reds"), text("atlas"), text("cc-7")));
}

#[test]
fn only_headers_that_a_route_trusts_count_and_they_fill_in_nothing_else() {
    let sent = |name: &str| match name {
        "x-user" => text(" ann "),
        "x-team" => text(""),
        "x-project" => text(&"p".repeat(1_000)),
        _ => None,
    };
    let known = Caller { team: text("reds"), namespace: "a".into(), ..Caller::anonymous() };
    let mut caller = known.clone();
    caller.take_headers(&TrustedHeaders::default(), sent);
    assert_eq!(caller, known, "no header is trusted by itself");
    let trusted = TrustedHeaders {
        user: text("x-user"),
        team: text("x-team"),
        project: text("x-project"),
        cost_center: text("x-absent"),
    };
    caller.take_headers(&trusted, sent);
    let project = Some("p".repeat(256));
    assert_eq!(caller, Caller { user: text("ann"), project, ..known }, "an empty header says nothing");
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
