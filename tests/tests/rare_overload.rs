//! What fails now and then is hidden from clients, and so is a target that is down while a sibling is well.

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use weir_tests::client::{Client, Reply, chat};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route, provider};
use weir_tests::provider::{Provider, Script, Step, Usage};
use weir_tests::sdk::{self, Credential};
use weir_tests::vendor::Dialect;

const MODEL: &str = "gpt-test";

/// A request of a client of that dialect.
async fn ask(client: &Client, dialect: Dialect, streamed: bool) -> Reply {
    let mut body = chat(MODEL);
    body["stream"] = json!(streamed);
    body["max_tokens"] = json!(9);
    match dialect {
        Dialect::OpenAI => client.post("/v1/chat/completions", &body).await,
        Dialect::Anthropic => client.post("/v1/messages", &body).await,
    }
}

/// So many requests, eight at a time, half of them streamed; those that were not answered with `text`.
async fn crowd(gateway: &Gateway, dialect: Dialect, requests: usize, text: &'static str) -> Vec<String> {
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let client = gateway.client();
            tokio::spawn(async move {
                let mut wrong = Vec::new();
                for n in 0..requests / 8 {
                    let reply = ask(&client, dialect, (task + n) % 2 == 0).await;
                    let body = String::from_utf8_lossy(&reply.body).into_owned();
                    if reply.status != 200 || !body.contains(text) || body.contains("\"error\"") {
                        wrong.push(format!("{} {body}", reply.status));
                    }
                }
                wrong
            })
        })
        .collect();
    let mut wrong = Vec::new();
    for task in tasks {
        wrong.extend(task.await.expect("each request is answered or refused"));
    }
    wrong
}

/// Answers, but each fiftieth request one after the other with these.
fn rarely(upstream: &Provider, failures: Vec<Script>) {
    let asked = AtomicUsize::new(0);
    upstream.respond(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        n if n % 50 == 49 => failures[n / 50 % failures.len()].clone(),
        _ => Script::chat("Hello", Usage::of(7, 3)),
    });
}

fn overloaded() -> Script {
    Script::error(529, "overloaded_error", None, "Overloaded")
}

fn limited() -> Script {
    Script::error(429, "rate_limit_error", Some("rate_limit_exceeded"), "slow down")
}

fn unavailable() -> Script {
    Script::error(503, "server_error", None, "down")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_only_targets_rare_refusals_clients_hear_hardly_anything() {
    for dialect in Dialect::ALL {
        for failures in [vec![overloaded()], vec![limited()], vec![overloaded(), limited(), unavailable()]] {
            let upstream = Provider::start().await;
            rarely(&upstream, failures);
            let objects =
                [provider("default", "only", &upstream.url(), MODEL), open_route("default", "chat", MODEL, &["only"])];
            let gateway = Gateway::up(&file(&objects)).await;
            let wrong = crowd(&gateway, dialect, 400, "Hello").await;
            assert!(wrong.len() * 50 <= 400, "{dialect:?}: over 2 % were refused: {wrong:?}");
            assert!(upstream.requests().len() > 400, "each refusal was repeated");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sdk_hears_nothing_of_one_refusal_either() {
    for sdk in sdk::ALL {
        for failure in [overloaded(), limited(), unavailable()] {
            let upstream = Provider::start().await;
            upstream.next(failure);
            let objects =
                [provider("default", "only", &upstream.url(), MODEL), open_route("default", "chat", MODEL, &["only"])];
            let gateway = Gateway::up(&file(&objects)).await;
            let answer = sdk.call("chat", MODEL, &gateway.url(), Credential::Key("unused")).await;
            assert_eq!(answer, json!({"text": "Hello", "tokens": 10}), "{sdk:?}");
        }
    }
}

/// A gateway before targets of these Providers, each after the one before, with little time for an attempt.
async fn before(targets: &[(&str, &Provider)]) -> Gateway {
    let mut objects: Vec<Value> =
        targets.iter().map(|(name, upstream)| provider("default", name, &upstream.url(), MODEL)).collect();
    for object in &mut objects {
        object["spec"]["timeouts"] = json!({"firstToken": "300ms", "attempt": "10s"});
    }
    objects[0]["spec"]["timeouts"]["attempt"] = json!("300ms");
    let names: Vec<_> = targets.iter().map(|(name, _)| *name).collect();
    objects.push(open_route("default", "chat", MODEL, &names));
    Gateway::up(&file(&objects)).await
}

/// Every way of being down, but for refused connections.
fn ways() -> Vec<(&'static str, Script)> {
    vec![
        ("503", unavailable()),
        ("529", overloaded()),
        ("429", limited()),
        ("401", Script::error(401, "authentication_error", Some("invalid_api_key"), "bad key")),
        ("402", Script::error(402, "billing_error", None, "no money")),
        ("403", Script::error(403, "permission_error", None, "no")),
        ("reset", Script::new(vec![Step::Reset])),
        ("hang", Script::new(vec![Step::Stall])),
        ("garbage", Script::whole(200, &[("content-type", "text/html")], "<html>")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_sibling_is_well_every_request_is_answered_from_the_first_failure_on() {
    for dialect in Dialect::ALL {
        for (way, script) in ways() {
            let (first, second) = (Provider::start().await, Provider::start().await);
            first.always(script);
            second.always(Script::chat("second", Usage::of(7, 3)));
            let gateway = before(&[("first", &first), ("second", &second)]).await;
            assert_eq!(crowd(&gateway, dialect, 200, "second").await, [""; 0], "{dialect:?}: {way}");
        }
        let (first, second) = (Provider::start().await, Provider::start().await);
        second.always(Script::chat("second", Usage::of(7, 3)));
        let gateway = before(&[("first", &first), ("second", &second)]).await;
        first.refuse().await;
        assert_eq!(crowd(&gateway, dialect, 200, "second").await, [""; 0], "{dialect:?}: refused connections");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_targets_one_that_is_well_is_enough() {
    for (way, script) in ways() {
        let (first, second, third) = (Provider::start().await, Provider::start().await, Provider::start().await);
        first.always(unavailable());
        second.always(script);
        third.always(Script::chat("third", Usage::of(7, 3)));
        let gateway = before(&[("first", &first), ("second", &second), ("third", &third)]).await;
        assert_eq!(crowd(&gateway, Dialect::OpenAI, 80, "third").await, [""; 0], "{way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_target_fails_the_load_on_each_stays_bounded() {
    let targets = [Provider::start().await, Provider::start().await, Provider::start().await];
    for upstream in &targets {
        upstream.always(overloaded());
    }
    let gateway = before(&[("first", &targets[0]), ("second", &targets[1]), ("third", &targets[2])]).await;
    let most = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        assert_eq!(crowd(&gateway, Dialect::OpenAI, 200, "Hello").await.len(), 200);
    }
    for line in gateway.access_log(400).await {
        most.fetch_max(
            usize::try_from(line["attempts"].as_u64().expect("a number")).expect("small"),
            Ordering::Relaxed,
        );
    }
    let attempts: usize = targets.iter().map(|upstream| upstream.requests().len()).sum();
    println!("400 requests, {attempts} attempts, {most:?} at most for one");
    assert!(attempts <= 200, "{attempts} attempts of 400 requests");
    assert!(most.load(Ordering::Relaxed) <= 3);
}
