//! What a model costs comes from its Provider, the overlay or the catalogue; what nobody knows is unpriced, never free (F58).

use serde_json::{Value, json};
use weir_tests::fleet::{Fleet, TEAM};
use weir_tests::gateway::Gateway;
use weir_tests::helm::NAMESPACE;
use weir_tests::manifests::{file, open_route, provider};
use weir_tests::provider::{Provider, Script, Usage};
use weir_tests::{kubectl, wait};

fn prices(text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": NAMESPACE, "name": "weir-prices"},
        "data": {"prices.yaml": text}})
}

/// The price that the last of so many requests was charged, by the access log; empty = unpriced.
async fn charged(gateway: &Gateway, model: &str, requests: &mut usize) -> String {
    assert_eq!(gateway.client().chat(model).await.text(), "Hello");
    *requests += 1;
    let line = gateway.access_log(*requests).await.swap_remove(*requests - 1);
    assert_eq!((&line["input_tokens"], &line["output_tokens"]), (&json!(1_000), &json!(100)), "{line}");
    assert_eq!(line["unpriced"] == true, line["cost"].is_null(), "one of both: {line}");
    let text = |member: &str| line["cost"][member].as_str().unwrap_or_default().to_owned();
    format!("{} {}", text("amount"), text("currency")).trim().to_owned()
}

#[tokio::test]
async fn f58_a_folder_is_priced_by_provider_overlay_and_catalogue_and_a_malformed_table_changes_nothing() {
    let upstream = Provider::start().await;
    upstream.always(Script::chat("Hello", Usage::of(1_000, 100)));
    let mut openai = provider("default", "openai", &upstream.url(), "gpt-4o");
    openai["spec"]["type"] = json!("OpenAI");
    openai["spec"]["modelPolicy"] = json!("Any");
    let stated = json!({"currency": "USD", "input": "1", "output": "1", "tiers": [
        {"aboveInputTokens": 999, "input": "7", "output": "10"}]});
    openai["spec"]["models"] =
        json!([{"name": "gpt-4o"}, {"name": "house", "upstreamName": "gpt-4o", "pricing": stated}]);
    let mut route = open_route("default", "all", "*", &["openai"]);
    route["spec"]["rules"][0]["targets"][0].as_object_mut().unwrap().remove("model");
    let gateway = Gateway::up(&file(&[openai, route])).await;
    let requests = &mut 0;
    assert_eq!(charged(&gateway, "gpt-4o", requests).await, "0.0035 USD", "listed, by the catalogue");
    assert_eq!(charged(&gateway, "gpt-4o-mini", requests).await, "0.00021 USD", "passed on, by the catalogue");
    assert_eq!(charged(&gateway, "house", requests).await, "0.008 USD", "by its Provider, in a tier");
    assert_eq!(charged(&gateway, "unheard-of", requests).await, "");
    let metrics = String::from_utf8(gateway.admin().get("/metrics").await.body.to_vec()).unwrap();
    let unpriced = metrics.lines().find(|line| line.starts_with("weir_unpriced_requests_total{")).unwrap();
    assert!(unpriced.ends_with("} 1"), "{unpriced}");

    let entry = |name: &str, input: &str| {
        format!("{{names: [{name}], pricing: {{currency: EUR, input: {input}, output: \"10\"}}}}")
    };
    let overlay = format!("models: {{OpenAI: [{}, {}]}}", entry("gpt-4o", "\"2\""), entry("unheard-*", "\"1\""));
    gateway.write("prices.yaml", &file(&[prices(&overlay)]));
    let mut last = String::new();
    while last != "0.003 EUR" {
        last = charged(&gateway, "gpt-4o", requests).await;
        assert!(["0.0035 USD", "0.003 EUR"].contains(&&*last), "{last}");
    }
    assert_eq!(charged(&gateway, "unheard-of", requests).await, "0.002 EUR");
    assert_eq!(charged(&gateway, "house", requests).await, "0.008 USD", "the Provider comes first");

    gateway.write("prices.yaml", &file(&[prices(&format!("models: {{OpenAI: [{}]}}", entry("gpt-4o", "\"free\"")))]));
    let told = |line: &str| line.contains("models.OpenAI[0].pricing.input: the price \"free\"").then_some(());
    gateway.process().line("what is wrong with the prices", told).await;
    assert_eq!(charged(&gateway, "gpt-4o", requests).await, "0.003 EUR");
}

#[tokio::test]
async fn f58_a_cluster_shows_what_is_unpriced_and_keeps_the_last_good_prices() {
    let upstream = Provider::start().await;
    let fleet = Fleet::start().await;
    fleet.apply(&[provider(TEAM, "own", &upstream.url(), "llama"), open_route(TEAM, "chat", "llama", &["own"])]);
    let unpriced = || fleet.stored("provider.weir.dev/own", TEAM)["status"]["unpricedModels"].clone();
    wait::until_true("the model is shown as unpriced", || async { unpriced() == json!(["llama"]) }).await;
    let leader = &fleet.operators[fleet.leader().await];
    assert_eq!(leader.admin().metric("weir_operator_prices_refused").await, 0.0);

    let good =
        "models: {OpenAICompatible: [{names: ['llama*'], pricing: {currency: EUR, input: '0.11', output: '0.33'}}]}";
    fleet.apply(&[prices(good)]);
    wait::until_true("the model has a price", || async { unpriced().is_null() }).await;
    fleet.wait_ready("provider.weir.dev/own", TEAM);
    let priced = |config: &Value| config.to_string().contains("110000");
    assert!(fleet.configs().await.iter().all(priced), "each pod counts by it");

    fleet.apply(&[prices(&good.replace("0.33", "cheap"))]);
    wait::until_true("the table is refused", || async {
        leader.admin().metric("weir_operator_prices_refused").await == 1.0
    })
    .await;
    wait::until_true("an Event says why", || async {
        let events = kubectl::run(&fleet.api, &["get", "events", "-n", NAMESPACE, "-o", "json"], "").expect("a list");
        events.contains("PricesRefused") && events.contains("models.OpenAICompatible[0].pricing.output")
    })
    .await;
    assert!(unpriced().is_null() && fleet.configs().await.iter().all(priced), "the last good one stays");

    kubectl::run(&fleet.api, &["delete", "configmap/weir-prices", "-n", NAMESPACE], "").expect("it is deleted");
    wait::until_true("it is unpriced again", || async { unpriced() == json!(["llama"]) }).await;
    assert_eq!(leader.admin().metric("weir_operator_prices_refused").await, 0.0);
}
