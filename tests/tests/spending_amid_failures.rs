//! Whatever upstreams do, a Budget is charged for the answers alone, and nothing stays reserved of what failed.

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use weir_tests::client::{Client, Reply};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{budget, file, open_route, provider, secret};
use weir_tests::provider::{Provider, Script, Usage};
use weir_tests::wait;

const MODEL: &str = "m";
/// The Budget in cents.
const BUDGET: usize = 200;

/// A provider at so many cents a request.
fn priced(name: &str, upstream: &Provider, cents: usize) -> Value {
    let mut object = provider("default", name, &upstream.url(), MODEL);
    let price = format!("0.0{cents}");
    object["spec"]["models"][0]["pricing"] =
        json!({"currency": "USD", "input": "0", "output": "0", "perRequest": price});
    object
}

fn limited() -> Script {
    Script::error(429, "rate_limit_error", Some("rate_limit_exceeded"), "slow down")
}

fn hello() -> Script {
    Script::chat("Hello", Usage::of(7, 3))
}

/// Two providers, the second twice as dear and for when the first fails, with a Budget over both.
struct Pair {
    first: Provider,
    second: Provider,
    gateway: Gateway,
}

impl Pair {
    async fn start() -> Self {
        let (first, second) = (Provider::start().await, Provider::start().await);
        let route = open_route("default", "chat", MODEL, &["first", "second"]);
        let mut keyed = priced("first", &first, 1);
        keyed["spec"]["credentials"] = json!([{"name": "main", "secretRef": {"name": "key"}}]);
        let key = secret("default", "key", "apiKey", "sk-ours");
        let objects = [keyed, key, priced("second", &second, 2), route, dollars()];
        let gateway = Gateway::up(&file(&objects)).await;
        Self { first, second, gateway }
    }
}

fn dollars() -> Value {
    budget("weir-system", "team", &(BUDGET / 100).to_string())
}

/// What answers cost, in cents.
#[derive(Clone, Default)]
struct Cost(Arc<AtomicUsize>);

impl Cost {
    /// Asks once, and adds what the answer cost.
    async fn ask(&self, client: &Client) -> Reply {
        let reply = client.chat(MODEL).await;
        if reply.status == 200 {
            let cents = if reply.header("x-weir-target") == "default/second" { 2 } else { 1 };
            self.0.fetch_add(cents, Ordering::Relaxed);
        }
        reply
    }

    /// So many requests, ten at once; how many were answered.
    async fn ask_many(&self, client: &Client, requests: usize) -> usize {
        let mut answered = 0;
        for _ in 0..requests / 10 {
            let asks = [(); 10].map(|()| {
                let (this, client) = (self.clone(), client.clone());
                tokio::spawn(async move { this.ask(&client).await.status == 200 })
            });
            for ask in asks {
                answered += usize::from(ask.await.expect("a client does not panic"));
            }
        }
        answered
    }

    /// Spends what is left; the refusal then says that exactly the answers were charged.
    async fn spend_all(self, client: &Client) {
        wait::until_true("the refusal tells what the answers cost", || async {
            let reply = self.ask(client).await;
            let spent = self.0.load(Ordering::Relaxed);
            let told = format!("{} USD of {} USD are spent", spent as f64 / 100.0, BUDGET / 100);
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            reply.status == 429 && text.contains("budget_exceeded") && text.contains(&told)
        })
        .await;
        let spent = self.0.load(Ordering::Relaxed);
        assert!((BUDGET - 1..=BUDGET).contains(&spent), "{spent} cents: less than the dearest target costs is left");
    }
}

#[tokio::test]
async fn f22_a_limited_credential_costs_nothing() {
    let upstream = Provider::start().await;
    upstream.respond(|request| if request.credential() == "sk-b" { limited() } else { hello() });
    let mut pooled = priced("first", &upstream, 1);
    let credential = |name: &str| json!({"name": name, "secretRef": {"name": "keys", "key": name}});
    pooled["spec"]["credentials"] = json!(["a", "b", "c"].map(credential));
    let mut keys = secret("default", "keys", "a", "sk-a");
    keys["stringData"] = json!({"a": "sk-a", "b": "sk-b", "c": "sk-c"});
    let route = open_route("default", "chat", MODEL, &["first"]);
    let gateway = Gateway::up(&file(&[pooled, keys, route, dollars()])).await;
    let (client, cost) = (gateway.client(), Cost::default());
    assert_eq!(cost.ask_many(&client, 100).await, 100);
    cost.spend_all(&client).await;
}

#[tokio::test]
async fn f23_a_spent_quota_of_the_first_is_paid_at_the_second_alone() {
    let Pair { first, second: _second, gateway } = Pair::start().await;
    first.always(Script::error(429, "insufficient_quota", Some("insufficient_quota"), "your quota is spent"));
    let (client, cost) = (gateway.client(), Cost::default());
    for _ in 0..50 {
        assert_eq!(cost.ask(&client).await.header("x-weir-target"), "default/second");
    }
    assert_eq!(first.requests().len(), 2, "its credential rests after two refusals");
    cost.spend_all(&client).await;
}

#[tokio::test]
async fn f25_an_outage_of_every_target_costs_nothing() {
    let Pair { first, second, gateway } = Pair::start().await;
    for upstream in [&first, &second] {
        upstream.always(Script::error(503, "server_error", None, "down"));
    }
    let (client, cost) = (gateway.client(), Cost::default());
    assert_eq!(cost.ask_many(&client, 500).await, 0);
    for upstream in [&first, &second] {
        upstream.always(hello());
    }
    wait::until_true("it answers again", || async { cost.ask(&client).await.status == 200 }).await;
    cost.spend_all(&client).await;
}

#[tokio::test]
async fn f26_a_first_target_that_flaps_is_charged_for_what_it_answered() {
    let Pair { first, second: _second, gateway } = Pair::start().await;
    let asked = AtomicUsize::new(0);
    first.respond(move |_| {
        let n = asked.fetch_add(1, Ordering::Relaxed);
        if (n / 20).is_multiple_of(2) && n.is_multiple_of(2) {
            Script::error(503, "server_error", None, "down")
        } else {
            hello()
        }
    });
    let (client, cost) = (gateway.client(), Cost::default());
    let answered = cost.ask_many(&client, 80).await;
    println!("{answered} of 80 are answered, for {} cents", cost.0.load(Ordering::Relaxed));
    assert!(answered >= 60, "the retry budget bounds how many move on at once: {answered}");
    cost.spend_all(&client).await;
}

#[tokio::test]
async fn answers_that_cost_more_than_was_reserved_are_known_before_more_is_granted() {
    let upstream = Provider::start().await;
    // 0.48 dollars each, of which a thousandth is reserved.
    upstream.always(Script::chat("Hello", Usage::of(480_000, 1)));
    let mut object = provider("default", "first", &upstream.url(), MODEL);
    object["spec"]["models"][0]["pricing"] = json!({"currency": "USD", "input": "1", "output": "10"});
    let objects = [object, open_route("default", "chat", MODEL, &["first"]), budget("weir-system", "team", "1")];
    let gateway = Gateway::up(&file(&objects)).await;
    let body = json!({"model": MODEL, "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]});
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(gateway.client().post("/v1/chat/completions", &body).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429, 429, 429, 429], "it is passed by what one answer cost, and no more");
}
