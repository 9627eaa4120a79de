//! The kinds install on a real API server, which refuses each bad manifest with a message that says why.

use kube::api::{Api, DynamicObject, PostParams};
use kube::discovery::ApiResource;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::sync::OnceCell;
use weir_tests::apiserver::ApiServer;
use weir_tests::schema::{self, Kind};
use weir_tests::workspace::files;
use weir_tests::{helm, kubectl, repository};

/// An API server with the kinds and the namespaces of the examples.
async fn api() -> &'static ApiServer {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let api = ApiServer::shared().await;
    let install = || async {
        kubectl::apply_objects(api, &helm::render("weir-crds", &json!({})).expect("the chart renders"));
        kubectl::run(api, &["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"], "")
            .expect("installed");
    };
    INSTALLED.get_or_init(install).await;
    api
}

/// What the API server says to an object; nothing is stored.
async fn offered(api: &ApiServer, object: &Value) -> Result<(), String> {
    let mut object = object.clone();
    object["metadata"]["namespace"] = json!("default");
    let kind = object["kind"].as_str().expect("an object has a kind");
    let resource = ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("weir.dev", "v1alpha1", kind));
    let objects: Api<DynamicObject> = Api::namespaced_with(api.admin().await, "default", &resource);
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    let dry = PostParams { dry_run: true, field_manager: None };
    objects.create(&dry, &object).await.map(|_| ()).map_err(|error| error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "callers write the spec in place")]
fn provider(spec: Value) -> Value {
    json!({"apiVersion": "weir.dev/v1alpha1", "kind": "Provider", "metadata": {"name": "p"}, "spec": spec})
}

fn headers(change: &Value) -> Value {
    provider(json!({"type": "OpenAI", "headers": change}))
}

fn limits(change: &Value) -> Value {
    provider(json!({"type": "OpenAI", "limits": change}))
}

/// A good route, with `change` at this place of its spec.
fn route(place: &str, change: Value) -> Value {
    let target = json!({"name": "t", "providerRef": {"name": "p"}});
    let mut route = json!({
        "apiVersion": "weir.dev/v1alpha1", "kind": "LLMRoute", "metadata": {"name": "r"},
        "spec": {"models": [{"name": "m"}], "rules": [{"name": "all", "targets": [target]}]},
    });
    let (parent, name) = place.rsplit_once('/').expect("a place has a parent");
    let parent = route["spec"].pointer_mut(parent).expect("the place is there");
    match name.parse::<usize>() {
        Ok(at) => parent[at] = change,
        Err(_) => parent[name] = change,
    }
    route
}

/// Bad Providers, and the beginning of what is said of each.
fn bad_providers() -> Vec<(&'static str, Value)> {
    let url = json!({"url": "https://llm.example/v1"});
    let service = json!({"service": {"name": "llm", "port": 8000}});
    let ca = json!({"caConfigMapRef": {"name": "ca"}});
    vec![
        ("type OpenAICompatible has no public address", provider(json!({"type": "OpenAICompatible"}))),
        ("type Mock answers from the gateway itself", provider(json!({"type": "Mock", "endpoint": url}))),
        (
            "type Mock takes no credential",
            provider(json!({"type": "Mock", "credentials": [{"name": "c", "secretRef": {"name": "s"}}]})),
        ),
        ("mock goes with type Mock only", provider(json!({"type": "OpenAI", "mock": {"text": "hi"}}))),
        (
            "tls goes with an https endpoint.url only",
            provider(json!({"type": "OpenAI", "endpoint": service, "tls": ca})),
        ),
        ("give exactly one of url and service", provider(json!({"type": "OpenAI", "endpoint": {}}))),
        (
            "url must start with https://",
            provider(json!({"type": "OpenAI", "endpoint": {"url": "http://llm.example/v1"}})),
        ),
        (
            "allowPlaintext goes with url only",
            provider(
                json!({"type": "OpenAI", "endpoint": {"service": {"name": "llm", "port": 80}, "allowPlaintext": true}}),
            ),
        ),
        (
            "a time limit must be longer than 0s and at most 24h",
            provider(json!({"type": "OpenAI", "timeouts": {"connect": "0s"}})),
        ),
        (
            "0s < minEjection (10s when absent) <= maxEjection",
            provider(json!({"type": "OpenAI", "health": {"minEjection": "10m"}})),
        ),
        (
            "selector goes with from: Selector, and only with it",
            provider(json!({"type": "OpenAI", "allowedNamespaces": {"from": "All", "selector": {}}})),
        ),
        (
            "operators In and NotIn need values",
            provider(json!({"type": "OpenAI", "allowedNamespaces": {
                "from": "Selector", "selector": {"matchExpressions": [{"key": "team", "operator": "In"}]}}})),
        ),
        ("latency and tokenInterval must be at most 1h", provider(json!({"type": "Mock", "mock": {"latency": "2h"}}))),
        ("errorStatus says how a request fails", provider(json!({"type": "Mock", "mock": {"errorStatus": 503}}))),
        ("the base URL of type Anthropic has no /v1", provider(json!({"type": "Anthropic", "endpoint": url}))),
        (
            "name is one of the standard tier",
            provider(json!({"type": "OpenAI", "models": [{"name": "m", "pricing": {
                "currency": "USD", "input": "1", "output": "2",
                "serviceTiers": [{"name": "default", "input": "1", "output": "2"}]}}]})),
        ),
        ("set names a header that carries a credential", headers(&json!({"set": [{"name": "cookie", "value": "a"}]}))),
        ("remove names a header that the provider needs", headers(&json!({"remove": ["anthropic-version"]}))),
        ("a header is both set and removed", headers(&json!({"set": [{"name": "a", "value": "b"}], "remove": ["a"]}))),
        ("a queue waits for room under a limit", limits(&json!({"queue": {"maxLength": 1, "maxWait": "1s"}}))),
        (
            "maxWait must be longer than 0s and at most 5m",
            limits(&json!({"maxConcurrent": 1, "queue": {"maxLength": 1, "maxWait": "0s"}})),
        ),
    ]
}

/// A route with a rate limit of these fields.
fn rate(fields: &Value) -> Value {
    let mut limit = json!({"name": "l", "per": "1m"});
    for (name, value) in fields.as_object().expect("fields") {
        limit[name] = value.clone();
    }
    route("/rateLimits", json!([limit]))
}

fn params(change: &Value) -> Value {
    route("/rules/0/targets/0", json!({"name": "t", "providerRef": {"name": "p"}, "params": change}))
}

/// A route that takes the tokens of an issuer, whose definition has these members besides.
fn issuer(more: &Value) -> Value {
    let mut issuer = json!({"issuer": "https://id.example", "audiences": ["weir"]});
    issuer.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    route("/access", json!({"jwt": [issuer]}))
}

/// Bad routes, and the beginning of what is said of each.
fn bad_routes() -> Vec<(&'static str, Value)> {
    let account = json!([{"namespace": "team-a", "name": "*"}]);
    let idle = json!([{"name": "t", "providerRef": {"name": "p"}, "weight": 0}]);
    let unmatched = json!({"matchExpressions": [{"key": "team", "operator": "Exists", "values": ["a"]}]});
    vec![
        ("this version takes exactly one rule", route("/rules", json!([]))),
        ("a name that ends in * takes no aliases", route("/models/0", json!({"name": "gpt-*", "aliases": ["g"]}))),
        ("a name that ends in * is never listed", route("/models/0", json!({"name": "gpt-*", "listed": true}))),
        ("anonymous can only be true", route("/access", json!({"anonymous": false}))),
        (
            "anonymous: true lets everybody in and stands alone",
            route("/access", json!({"anonymous": true, "serviceAccounts": account})),
        ),
        ("access lets nobody in", route("/access", json!({}))),
        ("the keys of an issuer come from one place", issuer(&json!({}))),
        (
            "caConfigMapRef goes with jwksUrl",
            issuer(&json!({"jwksConfigMapRef": {"name": "keys"}, "caConfigMapRef": {"name": "ca"}})),
        ),
        (
            "groups needs claims.groups",
            issuer(&json!({"jwksConfigMapRef": {"name": "keys"}, "groups": [{"name": "staff"}]})),
        ),
        ("trustedHeaders names no header", route("/trustedHeaders", json!({}))),
        ("trustedHeaders names a header that carries", route("/trustedHeaders", json!({"team": "cookie"}))),
        ("no target of the lowest priority has a weight over 0", route("/rules/0/targets", idle)),
        ("base (100ms when absent) <= max (2s when absent) <= 1m", route("/retry", json!({"backoff": {"base": "3s"}}))),
        ("a time limit must be longer than 0s and at most 24h", route("/timeouts", json!({"request": "25h"}))),
        ("operators In and NotIn need values", route("/access", json!({"apiKeys": {"selector": unmatched}}))),
        (
            "a parameter that is removed is not sent",
            params(&json!({"overrides": {"seed": 1, "topP": 0.1}, "remove": ["temperature", "seed"]})),
        ),
        (
            "a default or override is over the cap of its parameter",
            params(&json!({"defaults": {"temperature": 1}, "caps": {"temperature": 0.5}})),
        ),
        ("a rate limit counts one thing", rate(&json!({"requests": 1, "tokens": 1}))),
        ("per must be from 1s to 24h", rate(&json!({"requests": 1, "per": "0s"}))),
        ("burst counts requests or tokens", rate(&json!({"cost": {"amount": "1", "currency": "USD"}, "burst": 1}))),
        ("header names the header of partitionBy Header", rate(&json!({"requests": 1, "partitionBy": ["Header"]}))),
        (
            "the header carries a credential",
            rate(&json!({"requests": 1, "partitionBy": ["Header"], "header": "x-api-key"})),
        ),
    ]
}

/// A good Budget, with `change` over its spec.
fn budget(change: &Value) -> Value {
    let mut spec = json!({"limits": [{"unit": "USD", "amount": "100"}], "window": {"calendar": {"every": "Month"}}});
    for (name, value) in change.as_object().expect("fields") {
        spec[name] = value.clone();
    }
    json!({"apiVersion": "weir.dev/v1alpha1", "kind": "Budget", "metadata": {"name": "b"}, "spec": spec})
}

/// Bad Budgets, and the beginning of what is said of each.
fn bad_budgets() -> Vec<(&'static str, Value)> {
    let over = |unit: &str| {
        json!([{"name": "o", "unit": unit, "operation": "Add", "amount": "1", "reason": "r",
        "until": "2026-12-31T00:00:00Z"}])
    };
    let queue = |wait: &str| json!({"onExceeded": {"action": "Queue", "queue": {"maxWait": wait}}});
    let unmatched = json!({"matchExpressions": [{"key": "team", "operator": "In"}]});
    vec![
        (
            "an amount of tokens or requests is a whole number",
            budget(&json!({"limits": [{"unit": "Tokens", "amount": "1.5"}]})),
        ),
        ("an override changes one of the limits", budget(&json!({"overrides": over("EUR")}))),
        ("give exactly one of calendar, rolling and total", budget(&json!({"window": {}}))),
        ("a rolling window is from 1m to 8784h", budget(&json!({"window": {"rolling": {"duration": "1s"}}}))),
        ("give exactly one of names and selector", budget(&json!({"selector": {"callerNamespaces": {}}}))),
        ("action: Degrade needs degrade.targetName", budget(&json!({"onExceeded": {"action": "Degrade"}}))),
        (
            "nothing goes to onExceeded.degrade",
            budget(&json!({"onExceeded": {"action": "Reject", "degrade": {"targetName": "small"}}})),
        ),
        ("queue goes with action: Queue", budget(&json!({"onExceeded": {"action": "Queue"}}))),
        ("maxWait must be longer than 0s and at most 5m", budget(&queue("6m"))),
        ("fixedAmount goes with estimate: Fixed", budget(&json!({"reservation": {"estimate": "Fixed"}}))),
        (
            "reservation.fixedAmount is of one unit",
            budget(&json!({"reservation": {"estimate": "Fixed", "fixedAmount": "1"},
                "limits": [{"unit": "USD", "amount": "1"}, {"unit": "EUR", "amount": "1"}]})),
        ),
        (
            "a threshold that degrades needs a target",
            budget(&json!({"thresholds": [{"percent": 80, "degrade": true}]})),
        ),
        (
            "selector goes with from: Selector, and only with it",
            budget(&json!({"allowedNamespaces": {"from": "Selector"}})),
        ),
        ("operators In and NotIn need values", budget(&json!({"selector": {"apiKeys": {"selector": unmatched}}}))),
    ]
}

#[tokio::test]
async fn every_rule_refuses_with_its_message() {
    let api = api().await;
    for kind in schema::kinds() {
        let mut said =
            BTreeSet::from(["type cannot be changed: create another Provider and point the routes to it".to_owned()]);
        let bad = match kind.name.as_str() {
            "Provider" => bad_providers(),
            "Budget" => bad_budgets(),
            _ => bad_routes(),
        };
        for (message, object) in bad {
            let refusal = offered(api, &object).await.expect_err(message);
            assert!(refusal.contains(message), "{message}: {refusal}");
            said.extend(kind.messages().into_iter().filter(|rule| refusal.contains(rule)));
        }
        let silent: Vec<_> = kind.messages().difference(&said).cloned().collect();
        assert!(silent.is_empty(), "no bad {} makes the API server say {silent:#?}", kind.name);
    }
}

#[tokio::test]
async fn the_type_of_a_provider_cannot_be_changed() {
    let api = api().await;
    let mut object = provider(json!({"type": "OpenAI"}));
    object["metadata"] = json!({"name": "changing", "namespace": "default"});
    kubectl::apply(api, &object.to_string()).expect("it is accepted");
    object["spec"] = json!({"type": "Mock"});
    let refusal = kubectl::apply(api, &object.to_string());
    assert!(!refusal.success && refusal.text.contains("type cannot be changed"), "{}", refusal.text);
}

fn examples() -> Vec<Value> {
    let objects = files(&repository().join("crds/examples"), ".yaml").iter().flat_map(schema::read).collect::<Vec<_>>();
    objects.into_iter().filter(|object| object["apiVersion"] == "weir.dev/v1alpha1").collect()
}

/// Objects that have every part of the kinds, each part as empty as it may be.
fn sparse() -> Vec<Value> {
    let everywhere = json!({"from": "Selector", "selector": {}});
    let model = json!({"name": "m", "pricing": {"currency": "USD", "input": "1", "output": "2",
        "serviceTiers": [{"name": "flex", "input": "1", "output": "2"}]}});
    let credential = json!({"name": "c", "secretRef": {"name": "s"}});
    vec![
        provider(json!({"type": "OpenAI", "timeouts": {}, "health": {}, "allowedNamespaces": everywhere,
            "models": [model], "credentials": [credential]})),
        provider(json!({"type": "OpenAI", "endpoint": {"url": "https://llm.example/v1"},
            "tls": {"caConfigMapRef": {"name": "ca"}}, "allowedNamespaces": {"from": "Same"}})),
        provider(json!({"type": "OpenAICompatible", "endpoint": {"service": {"name": "llm", "port": "http"}}})),
        provider(json!({"type": "Mock", "mock": {}})),
        provider(json!({"type": "Anthropic", "endpoint": {"url": "https://llm.example/"}, "headers": {}})),
        headers(&json!({"set": [{"name": "x-team", "value": "a"}], "remove": ["user-agent"]})),
        params(&json!({"defaults": {}, "overrides": {}, "caps": {}})),
        params(&json!({"defaults": {"topP": 0.5}, "caps": {"topP": 0.5}, "remove": ["seed"]})),
        route("/translation", json!({})),
        route("/trustedHeaders", json!({"user": "x-user"})),
        route("/explain", json!(true)),
        route("/access", json!({"certificates": [{"subject": "batch.example"}]})),
        issuer(&json!({"jwksConfigMapRef": {"name": "keys"}, "claims": {}})),
        issuer(&json!({"jwksUrl": "https://id.example/keys", "caConfigMapRef": {"name": "ca"},
            "claims": {"groups": "groups"}, "groups": [{"name": "staff"}]})),
        route("/translation", json!({"onLoss": "CountOnly"})),
        route("/retry", json!({"backoff": {}})),
        route("/timeouts", json!({})),
        route("/access", json!({"apiKeys": {"selector": {}, "namespaces": {"selector": {}}}})),
        route("/access", json!({"serviceAccounts": [{"namespace": "team-a", "name": "*"}]})),
        route("/access", json!({"anonymous": true})),
        rate(&json!({"tokens": 5, "partitionBy": ["Header"], "header": "x-tenant"})),
        rate(&json!({"cost": {"amount": "0.5", "currency": "USD"}})),
        limits(&json!({})),
        limits(&json!({"maxConcurrent": 5, "queue": {"maxLength": 5, "maxWait": "1s"}})),
        budget(&json!({"window": {"total": {}}, "selector": {}})),
        budget(&json!({"window": {"rolling": {"duration": "24h"}}, "parentRef": {"name": "p"},
            "selector": {"callerNamespaces": {"selector": {}}, "apiKeys": {"selector": {}}, "routes": [{"name": "r"}]},
            "allowedNamespaces": {"from": "All"}, "onExceeded": {"action": "Reject"},
            "reservation": {"estimate": "UpperBound"}, "thresholds": [{"percent": 80}]})),
    ]
}

#[test]
fn each_kind_has_an_example() {
    let examples = examples();
    for kind in schema::kinds() {
        assert!(examples.iter().any(|object| object["kind"] == *kind.name), "{}", kind.name);
    }
}

#[tokio::test]
async fn good_objects_are_accepted_and_so_is_null_for_whatever_they_leave_out() {
    let api = api().await;
    let kinds = schema::kinds();
    let mut refused = Vec::new();
    for object in examples().into_iter().chain(sparse()) {
        assert_eq!(offered(api, &object).await, Ok(()), "{object:#}");
        let kind: &Kind = kinds.iter().find(|kind| kind.name == object["kind"]).expect("it is of our kinds");
        for (place, nulled) in kind.with_a_null(&object) {
            let answer = offered(api, &nulled).await;
            refused.extend(answer.err().map(|error| format!("null at {place} of {}: {error}", object["spec"])));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[tokio::test]
async fn columns_short_names_and_categories_are_served() {
    let api = api().await;
    for name in ["llmb", "llmp", "llmr", "llm", "ai"] {
        kubectl::run(api, &["get", name, "--all-namespaces"], "").expect("the name is known");
    }
}
