//! Where a provider has no room for all, who goes first: by the caller's namespace, never by what a client says.

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use weir_tests::client::{Client, Reply, chat};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{api_key, file, provider, route};
use weir_tests::provider::{Provider, Script, Signal, Usage};
use weir_tests::wait;

const MODEL: &str = "gpt-test";
/// Namespaces and their labels.
const CLASSES: [(&str, Option<&str>); 3] = [("batch", Some("low")), ("apps", None), ("desk", Some("high"))];

/// A provider with limits, and a gateway with a caller of each class.
struct Scene {
    upstream: Provider,
    gateway: Gateway,
    batch: Client,
    apps: Client,
    desk: Client,
}

impl Scene {
    async fn start(limits: Value) -> Self {
        let upstream = Provider::start().await;
        let mut limited = provider("weir-system", "upstream", &upstream.url(), MODEL);
        limited["spec"]["limits"] = limits;
        limited["spec"]["allowedNamespaces"] = json!({"from": "All"});
        let mut objects = vec![limited];
        let keys = CLASSES.map(|(namespace, class)| {
            let labels = class.map_or_else(|| json!({}), |class| json!({"weir.dev/priority": class}));
            let metadata = json!({"name": namespace, "labels": labels});
            objects.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}));
            let mut chat = route(namespace, "chat", MODEL, &["upstream"]);
            chat["spec"]["rules"][0]["targets"][0]["providerRef"]["namespace"] = json!("weir-system");
            let (token, key) = api_key(namespace, namespace, &json!({}));
            objects.extend([chat, key]);
            token
        });
        let gateway = Gateway::up(&file(&objects)).await;
        let [batch, apps, desk] = keys.map(|key| gateway.client().with_credential(&key));
        Self { upstream, gateway, batch, apps, desk }
    }

    /// Waits until so many requests of a class are in line.
    async fn in_line(&self, class: &str, wanted: usize) {
        let name = format!("weir_queued_requests{{priority=\"{class}\",provider=\"weir-system/upstream\"}}");
        let admin = self.gateway.admin();
        wait::until_true("they wait", || async { admin.metric(&name).await == wanted as f64 }).await;
    }
}

/// Sends a request that says `text`, and that it is urgent, which nobody believes.
fn ask(client: &Client, text: &str) -> JoinHandle<Reply> {
    let client = client.with_header("x-weir-priority", "high").with_header("priority", "u=0");
    let mut body = chat(MODEL);
    body["messages"] = json!([{"role": "user", "content": text}]);
    tokio::spawn(async move { client.post("/v1/chat/completions", &body).await })
}

fn held(signal: &Signal) -> Script {
    let answer = json!({"id": "1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
    Script::default().wait(signal).head(200, &[("content-type", "application/json")]).body(answer.to_string())
}

#[tokio::test]
async fn who_waits_goes_by_class_then_by_coming_and_a_full_line_drops_the_newest_of_the_lowest() {
    let scene = Scene::start(json!({"maxConcurrent": 1, "queue": {"maxLength": 4, "maxWait": "2m"}})).await;
    let signals: [Signal; 5] = std::array::from_fn(|_| Signal::default());
    for signal in &signals {
        scene.upstream.next(held(signal));
    }
    let first = ask(&scene.batch, "first");
    scene.upstream.request(0).await;
    let (mut asked, mut dropped) = (vec![first], None);
    for (client, text, class, waiting) in [
        (&scene.batch, "batch 1", "low", 1),
        (&scene.batch, "batch 2", "low", 2),
        (&scene.apps, "app 1", "normal", 1),
        (&scene.apps, "app 2", "normal", 2),
        (&scene.desk, "desk", "high", 1),
    ] {
        let request = ask(client, text);
        scene.in_line(class, waiting).await;
        if text == "batch 2" { dropped = Some(request) } else { asked.push(request) }
    }
    let refusal = dropped.expect("it was sent").await.expect("it ends");
    assert_eq!((refusal.status.as_u16(), &refusal.json()["error"]["code"]), (429, &json!("provider_limit")));
    let full = ask(&scene.batch, "batch 3").await.expect("it ends");
    assert_eq!(full.status, 429, "no place for one more of the lowest");
    let mut order = Vec::new();
    for (place, signal) in signals.iter().enumerate() {
        let request = scene.upstream.request(place).await;
        order.push(request.json()["messages"][0]["content"].as_str().expect("a text").to_owned());
        assert_eq!(scene.upstream.requests().len(), place + 1, "one at a time");
        signal.fire();
    }
    assert_eq!(order, ["first", "desk", "app 1", "app 2", "batch 1"]);
    for request in asked {
        assert_eq!(request.await.expect("it ends").status, 200);
    }
}

#[tokio::test]
async fn a_flood_of_batch_leaves_room_for_those_somebody_waits_for() {
    const MOST: usize = 10;
    let scene = Scene::start(json!({"maxConcurrent": MOST, "queue": {"maxLength": 100, "maxWait": "2m"}})).await;
    scene.upstream.next(Script::chat("Hello", Usage::of(7, 3)));
    assert_eq!(ask(&scene.desk, "hello").await.expect("it ends").status, 200);
    let signal = Signal::default();
    scene.upstream.always(held(&signal));
    let asked: Vec<_> = (0..40).map(|_| ask(&scene.batch, "batch")).collect();
    scene.in_line("low", 40 - (MOST - 1)).await;
    scene.upstream.request(MOST - 1).await;
    for place in 0..5 {
        scene.upstream.next(Script::chat("Hello", Usage::of(7, 3)));
        assert_eq!(ask(&scene.desk, "hello").await.expect("it ends").status, 200, "desk {place} is served at once");
    }
    assert_eq!(scene.upstream.requests().len(), MOST + 5, "while every batch that was let through still runs");
    signal.fire();
    for request in asked {
        assert_eq!(request.await.expect("it ends").status, 200);
    }
}
