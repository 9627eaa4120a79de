//! A tier of service costs what its rates say, by what the answer says of its tier; one without rates is never charged
//! at the standard ones.

use serde_json::{Value, json};
use weir_tests::client::Reply;
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{aliased_route, budget, file};
use weir_tests::provider::Provider;
use weir_tests::sdk::{ALL, Credential};
use weir_tests::vendor::{self, Dialect};

/// A gateway before vendors, what it was asked so far, and what that must have cost.
struct Till {
    gateway: Gateway,
    _vendors: Vec<Provider>,
    requests: usize,
    /// Thousandths of a dollar.
    spent: u64,
}

/// A Provider whose answers cost a cent, half of it in the tier `flex`, three times as much in `priority`.
fn manifest(name: &str, dialect: Dialect, provider: &Provider) -> Value {
    let mut object = vendor::manifest(name, dialect, provider);
    object["spec"]["models"] = json!([{"name": "m", "maxOutput": 10, "pricing": {
        "currency": "USD", "input": "1000", "output": "1000", "serviceTiers": [
            {"name": "flex", "input": "500", "output": "500"},
            // An answer has more than six tokens of input.
            {"name": "priority", "input": "1", "output": "1", "tiers": [
                {"aboveInputTokens": 6, "input": "3000", "output": "3000"}]},
        ],
    }}]);
    object
}

impl Till {
    /// Vendors of both dialects who serve what is asked for, and such as serve one tier alone. The name of a model is
    /// that of its vendor.
    async fn open() -> Self {
        let served: [(&str, Dialect, Option<Option<&'static str>>); 6] = [
            ("openai", Dialect::OpenAI, None),
            ("anthropic", Dialect::Anthropic, None),
            ("openai-standard", Dialect::OpenAI, Some(None)),
            ("openai-priority", Dialect::OpenAI, Some(Some("priority"))),
            ("anthropic-priority", Dialect::Anthropic, Some(Some("priority"))),
            ("openai-batch", Dialect::OpenAI, Some(Some("batch"))),
        ];
        let (mut vendors, mut objects) = (Vec::new(), vec![vendor::secret(), budget("weir-system", "team", "100")]);
        for (name, dialect, tier) in served {
            let provider = Provider::start().await;
            match tier {
                None => vendor::be(&provider, dialect, "signature"),
                Some(tier) => vendor::be_of_tier(&provider, dialect, tier),
            }
            objects.push(manifest(name, dialect, &provider));
            let mut route = aliased_route("default", name, name, "m");
            route["spec"]["explain"] = json!(true);
            objects.push(route);
            vendors.push(provider);
        }
        Self { gateway: Gateway::up(&file(&objects)).await, _vendors: vendors, requests: 0, spent: 0 }
    }

    /// Asks, in that tier if one is named, and gives the answer and its line of the access log. Before, the Budget has
    /// spent exactly what all answers until then were to cost.
    async fn ask(&mut self, client: Dialect, model: &str, stream: bool, tier: Option<&str>) -> (Reply, Value) {
        let (path, limit) = match client {
            Dialect::OpenAI => ("/v1/chat/completions", "max_completion_tokens"),
            Dialect::Anthropic => ("/v1/messages", "max_tokens"),
        };
        let messages = json!([{"role": "user", "content": "Hi."}]);
        let mut body = json!({"model": model, limit: 10, "messages": messages, "stream": stream});
        if let Some(tier) = tier {
            body["service_tier"] = json!(tier);
        }
        let reply = self.gateway.client().with_header("x-weir-explain", "1").post(path, &body).await;
        self.requests += 1;
        let line = self.gateway.access_log(self.requests).await.swap_remove(self.requests - 1);
        if reply.status == 200 {
            assert_eq!(team(&reply)["spent"], dollars(self.spent), "before {body}");
        }
        (reply, line)
    }

    /// The same of an answer that must cost so many thousandths of a dollar, in that tier.
    async fn costs(&mut self, ask: (Dialect, &str, bool, Option<&str>), milli: u64, tier: Option<&str>) {
        let (reply, line) = self.ask(ask.0, ask.1, ask.2, ask.3).await;
        assert_eq!(reply.status, 200, "{ask:?}: {:?}", reply.body);
        self.spent += milli;
        assert_eq!(line["service_tier"].as_str(), tier, "{ask:?}: {line}");
        assert_eq!(format!("{} USD", line["cost"]["amount"].as_str().unwrap_or_default()), dollars(milli), "{ask:?}");
    }
}

fn dollars(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1_000, milli % 1_000);
    format!("{} USD", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What the answer's explanation says of the Budget.
fn team(reply: &Reply) -> Value {
    let said: Value = serde_json::from_str(reply.header("x-weir-explain")).expect("it is JSON");
    said["limits"][0].clone()
}

#[tokio::test]
async fn a_request_costs_what_the_tier_of_its_answer_does_on_every_way_through() {
    use Dialect::{Anthropic, OpenAI};
    let mut till = Till::open().await;
    for stream in [false, true] {
        let costs = [
            ((OpenAI, "openai", None), 10, None),
            ((OpenAI, "openai", Some("default")), 10, None),
            ((OpenAI, "openai", Some("flex")), 5, Some("flex")),
            ((OpenAI, "openai", Some("priority")), 30, Some("priority")),
            ((Anthropic, "openai", Some("flex")), 5, Some("flex")),
            ((Anthropic, "anthropic", Some("auto")), 10, None),
            // Anthropic has no such tier to ask for: it is lost on the way.
            ((OpenAI, "anthropic", Some("flex")), 10, None),
            // What was asked for is not what was served.
            ((OpenAI, "openai-standard", Some("priority")), 10, None),
            ((Anthropic, "openai-standard", Some("priority")), 10, None),
            ((OpenAI, "openai-priority", None), 30, Some("priority")),
            ((Anthropic, "openai-priority", None), 30, Some("priority")),
            ((OpenAI, "anthropic-priority", None), 30, Some("priority")),
            ((Anthropic, "anthropic-priority", Some("auto")), 30, Some("priority")),
        ];
        for ((client, model, asked), milli, tier) in costs {
            till.costs((client, model, stream, asked), milli, tier).await;
        }
    }
}

#[tokio::test]
async fn a_tier_without_rates_is_refused_by_a_hard_budget_and_unpriced_where_it_comes_unasked() {
    let mut till = Till::open().await;
    let (refusal, line) = till.ask(Dialect::OpenAI, "openai", false, Some("scale")).await;
    let error = serde_json::from_slice::<Value>(&refusal.body).expect("JSON")["error"].clone();
    assert_eq!((refusal.status.as_u16(), &error["code"]), (403, &json!("service_tier_unpriced")), "{line}");
    assert_eq!((&error["param"], refusal.header("x-should-retry")), (&json!("service_tier"), "false"));
    let message = error["message"].as_str().expect("a message");
    for part in ["\"scale\"", "weir-system/team", "pricing.serviceTiers of the Provider's model"] {
        assert!(message.contains(part), "{message}");
    }

    till.costs((Dialect::OpenAI, "openai", false, None), 10, None).await;
    let (unasked, line) = till.ask(Dialect::OpenAI, "openai-batch", false, None).await;
    assert_eq!((unasked.status.as_u16(), &line["unpriced"], &line["cost"]), (200, &json!(true), &Value::Null));
    assert_eq!(line["service_tier"], "batch");
    let metrics = String::from_utf8(till.gateway.admin().get("/metrics").await.body.to_vec()).expect("text");
    let unpriced = metrics.lines().find(|line| line.starts_with("weir_unpriced_requests_total{"));
    assert!(unpriced.is_some_and(|line| line.ends_with("} 1")), "{unpriced:?}");
    let reserved = team(&unasked)["estimate"].clone();
    let milli = (1..1_000).find(|milli| reserved == dollars(*milli)).expect("less than a dollar");
    assert!(milli > 10, "the Budget keeps what was reserved, which is more than the standard tier costs");
    till.spent += milli;
    till.costs((Dialect::OpenAI, "openai", false, None), 10, None).await;
}

#[tokio::test]
async fn an_official_sdk_asks_for_a_tier_and_is_charged_for_it() {
    let mut till = Till::open().await;
    for sdk in ALL {
        let answer = sdk.call("priority", "openai", &till.gateway.url(), Credential::Key("none")).await;
        assert_eq!(answer, json!({"tier": "priority"}));
        (till.requests, till.spent) = (till.requests + 1, till.spent + 30);
    }
    till.gateway.access_log(till.requests).await;
    till.costs((Dialect::OpenAI, "openai", false, None), 10, None).await;
}
