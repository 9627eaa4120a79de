//! An explanation says what the decisions say, in a header's room, and of callers that are only named.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use weir_dialect::{Dialect, InputSize, ServiceTier};
use weir_lease::Standing;
use weir_policy::{Asked, Caller, Explanation, Facts, Identity, Moment, Question, Table};
use weir_snapshot::{Access, ApiKey, Budget, Kind, Name, Resource, ResourceId, Resources, Settings, Target};

mod objects;

use objects::{provider, put, route, table, target};

fn budget(resources: &mut Resources) {
    let budget: Budget = serde_json::from_value(json!({
        "limits": [{"unit": "Requests", "amount": 100}], "window": "Total", "on_exceeded": {"Degrade": {"target": "q-1"}},
    }))
    .unwrap();
    put(resources, "platform", "team", budget);
}

/// What is said to that caller, who asks for `m`; of each pot forty of a hundred are spent.
fn explained(table: &Table, caller: &Caller) -> Explanation {
    let route = table.matching(&Facts { caller, hostname: None, model: "m" }).ok().unwrap();
    let tier = ServiceTier::default();
    let asked = Asked {
        caller,
        route,
        model: "m",
        only: None,
        input: InputSize::of_bytes(60),
        max_output: None,
        choices: 1,
        predicted: 0,
        service_tier: &tier,
        counts_only: false,
        dialect: Dialect::OpenAI,
        header: &|_| None,
    };
    let standing = Standing { limit: 100, spent: 40, remaining: 50, resets_in_ms: Some(90_000) };
    table.explain(&asked, Moment { now: 0, standing: &|_| Some(standing) })
}

#[test]
fn it_names_route_targets_and_each_limit_with_what_is_left_of_it() {
    let mut resources = Resources::new();
    provider(&mut resources, "p", &["key"]);
    provider(&mut resources, "q", &[]);
    route(&mut resources, "a", "r", "m", vec![target("p", 0), Target { weight: 0, ..target("q", 1) }]);
    budget(&mut resources);
    let caller = Caller { namespace: "a".into(), ..Caller::anonymous() };
    assert_eq!(
        serde_json::to_value(explained(&table(&resources), &caller)).unwrap(),
        json!({
            "caller": {"kind": "anonymous", "namespace": "a"},
            "route": "a/r", "because": "it is of the caller's own namespace", "model": "m",
            "targets": [
                {"name": "p-0", "provider": "shared/p", "model": "m", "priority": 0, "weight": 1, "state": "ready"},
                {"name": "q-1", "provider": "shared/q", "model": "m", "priority": 1, "weight": 0,
                    "state": "only where a Budget moves requests to it"},
            ],
            "limits": [{
                "of": "Budget platform/team", "mode": "Enforce", "limit": "100 requests", "estimate": "1 requests",
                "spent": "40 requests", "left": "50 requests", "resetsIn": "90 s", "exceeded": "Degrade to q-1",
            }],
        })
    );
}

#[test]
fn a_header_has_room_for_it_whatever_it_says() {
    let mut resources = Resources::new();
    provider(&mut resources, "p", &[]);
    let targets = (0..32).map(|n| Target { name: format!("{n}{}", "t".repeat(60)), ..target("p", n) });
    route(&mut resources, "a", "r", "m", targets.collect());
    budget(&mut resources);
    let caller = Caller { user: Some("Zoë 🎈".into()), ..Caller::anonymous() };
    let text = explained(&table(&resources), &caller).header();
    assert!(text.is_ascii() && (3_000..=4_096).contains(&text.len()), "{text}");
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["caller"]["user"], "Zoë 🎈");
    assert_eq!(read["limits"][0]["of"], "Budget platform/team");
    assert_eq!(read["targets"].as_array().unwrap().len() as u64 + read["omitted"].as_u64().unwrap(), 32);
}

/// What would become of a request for `m`.
fn answered(table: &Table, identity: &str) -> Result<Value, String> {
    answered_in(table, identity, None)
}

/// The same of one that names a tier of service.
fn answered_in(table: &Table, identity: &str, service_tier: Option<&str>) -> Result<Value, String> {
    let question = Question {
        identity: identity.parse()?,
        model: "m".into(),
        hostname: None,
        prompt_bytes: 60,
        max_output: None,
        service_tier: service_tier.map(str::to_owned),
    };
    table.answer(&question).map(|answer| serde_json::to_value(answer).unwrap())
}

#[test]
fn each_route_that_has_the_model_says_why_it_serves_the_request_or_does_not() {
    let mut resources = Resources::new();
    provider(&mut resources, "p", &[]);
    for namespace in ["closed", "platform", "tenant"] {
        route(&mut resources, namespace, "r", "m", vec![target("p", 0)]);
    }
    put(&mut resources, "closed", "r", Access::default());
    let settings = Settings { platform_namespace: "platform".into(), ..Settings::default() };
    put(&mut resources, "", "", settings);
    let key = ApiKey { id: "k".into(), team: Some("reds".into()), ..ApiKey::default() };
    put(&mut resources, "b", "web", key);
    let held = table(&resources);
    let answer = answered(&held, "serviceaccount:b/app").unwrap();
    let not_accepted =
        "is of a namespace that the caller's does not accept; weir.dev/accept-routes-from says which it does";
    assert_eq!(
        answer["routes"],
        json!([
            {"route": "closed/r", "why": "does not admit this caller"},
            {"route": "platform/r", "why": "serves it"},
            {"route": "tenant/r", "why": not_accepted},
        ])
    );
    assert_eq!(answer["request"]["route"], "platform/r");
    assert_eq!(answer["request"]["caller"], json!({"kind": "service_account", "namespace": "b", "name": "app"}));
    assert_eq!(answered(&held, "apikey:b/web").unwrap()["request"]["caller"]["team"], "reds");
    assert!(answered(&held, "apikey:b/gone").unwrap_err().contains("b/gone"));
    resources.clear();
    let nothing = answered(&table(&resources), "anonymous").unwrap();
    assert_eq!((&nothing["routes"], &nothing["request"]), (&json!([]), &Value::Null));
    assert!(nothing["refused"].as_str().unwrap().contains("does not exist here"));
}

#[test]
fn an_identity_is_written_in_one_of_three_ways() {
    assert_eq!("serviceaccount:a/b".parse(), Ok(Identity::ServiceAccount(Name::new("a", "b"))));
    assert_eq!("apikey:a/b".parse(), Ok(Identity::ApiKey(Name::new("a", "b"))));
    assert_eq!("anonymous".parse(), Ok(Identity::Anonymous));
    for wrong in ["", "app", "serviceaccount:app", "apikey:/b", "user:a/b"] {
        assert!(wrong.parse::<Identity>().unwrap_err().contains("serviceaccount:NAMESPACE/NAME"), "{wrong}");
    }
}

#[test]
fn the_price_shown_is_that_of_the_tier_of_service_that_the_request_names() {
    let mut resources = Resources::new();
    provider(&mut resources, "p", &[]);
    route(&mut resources, "a", "r", "m", vec![target("p", 0)]);
    let id = ResourceId::new(Kind::Provider, "shared", "p");
    let Resource::Provider(held) = &resources[&id] else { unreachable!() };
    let mut held = weir_snapshot::Provider::clone(held);
    held.models.get_mut("m").unwrap().pricing = serde_json::from_value(json!({
        "currency": "USD", "input": 2_000_000, "output": 8_000_000,
        "service_tiers": {"flex": {"input": 1_000_000, "output": 4_000_000}},
    }))
    .unwrap();
    put(&mut resources, "shared", "p", held);
    let held = table(&resources);
    let price = |tier| answered_in(&held, "anonymous", tier).unwrap()["request"]["targets"][0]["price"].clone();
    let standard = json!({"source": "Provider", "currency": "USD", "input": "2", "output": "8"});
    assert_eq!(price(None), standard);
    assert_eq!(price(Some("default")), standard);
    let flex = json!({"source": "Provider", "serviceTier": "flex", "currency": "USD", "input": "1", "output": "4"});
    assert_eq!(price(Some("flex")), flex);
    assert_eq!(price(Some("priority")), Value::Null, "nobody knows it");
}
