//! Who has spent a Budget or met a rate limit is told so by the class that SDKs have for it and in words that a user
//! reads; and no SDK hammers the gateway meanwhile.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::task::block_in_place;
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{budget, cent, file, open_route};
use weir_tests::sdk::{Library, library};
use weir_tests::vendor::Dialect;

const LIBRARIES: [Library; 7] = [
    library::OPENAI_PYTHON,
    library::OPENAI_NODE,
    library::ANTHROPIC_PYTHON,
    library::ANTHROPIC_NODE,
    library::LANGCHAIN_OPENAI,
    library::LANGCHAIN_ANTHROPIC,
    library::LITELLM,
];

/// A route for each library, whose model has the number of it, with one more thing to say of it.
fn routes(rate: &Value) -> impl Iterator<Item = Value> {
    (0..LIBRARIES.len()).map(move |number| {
        let mut route = open_route("default", &name(number), &name(number), &["cent"]);
        route["spec"]["rules"][0]["targets"][0]["model"] = json!("m");
        route["spec"]["rateLimits"] = rate.clone();
        route
    })
}

fn name(number: usize) -> String {
    format!("m-{number}")
}

async fn gateway(rate: &Value, budget: Option<Value>) -> Gateway {
    let objects: Vec<_> = std::iter::once(cent("default", "cent")).chain(routes(rate)).chain(budget).collect();
    Gateway::up(&file(&objects)).await
}

/// The statuses that each model's requests got, in their order.
async fn statuses(gateway: &Gateway, at_least: usize) -> BTreeMap<String, Vec<u64>> {
    let mut seen = BTreeMap::<String, Vec<u64>>::new();
    for line in gateway.access_log(at_least).await {
        let model = line["request_model"].as_str().expect("a model").to_owned();
        seen.entry(model).or_default().push(line["status"].as_u64().expect("a status"));
    }
    seen
}

/// Asks with every library at once, whole and then streamed; what each raised.
fn ask_all(gateway: &Gateway, streams: [bool; 2]) -> Vec<(Library, Value)> {
    let ask = |(number, library): (usize, Library)| {
        let mut talk = library.start(gateway.url().trim_end_matches("/v1"), "unused");
        streams.map(|stream| {
            let case = json!({"case": "text", "model": name(number), "stream": stream, "told": true});
            (library, talk.ask(&case))
        })
    };
    block_in_place(|| {
        std::thread::scope(|scope| {
            let talks = LIBRARIES.into_iter().enumerate().map(|one| scope.spawn(move || ask(one)));
            let talks: Vec<_> = talks.collect();
            talks.into_iter().flat_map(|talk| talk.join().expect("it talks")).collect()
        })
    })
}

/// Checks that it is what a refusal for now looks like, and says these words.
fn assert_limited(library: Library, seen: &Value, words: &str) {
    // LangChain has a class of its own that is one of the SDK's.
    let raised = seen["raised"].as_str().is_some_and(|class| class.ends_with("RateLimitError"));
    assert!(raised && seen["status"] == 429, "{library:?}: {seen}");
    let message = seen["message"].as_str().unwrap_or_default();
    assert!(message.contains(words), "{library:?}: {seen}");
    assert!(library.1 == Dialect::OpenAI || message.contains("rate_limit_error"), "{library:?}: {seen}");
    let seconds = seen["retry_after"].as_str().and_then(|text| text.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "{library:?} hears when to come back: {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_is_a_rate_limit_error_in_its_own_words_and_each_call_is_one_request() {
    let gateway = gateway(&json!([]), Some(budget("weir-system", "team", "0.03"))).await;
    for _ in 0..3 {
        assert_eq!(gateway.client().chat("m-0").await.status, 200);
    }
    for (library, seen) in ask_all(&gateway, [false, true]) {
        assert_limited(library, &seen, "the Budget weir-system/team does not cover this request: 0.03 USD of 0.03 USD");
    }
    let calls = 2 * LIBRARIES.len();
    let seen = statuses(&gateway, 3 + calls).await;
    let refused = seen.values().flatten().filter(|status| **status == 429).count();
    assert_eq!(refused, calls, "one request a call: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_that_is_back_soon_is_waited_for_as_long_as_it_says() {
    let gateway = gateway(&json!([{"name": "brisk", "requests": 1, "per": "4s"}]), None).await;
    for (library, seen) in ask_all(&gateway, [false, false]) {
        assert_eq!(seen["text"], "ok", "{library:?}: {seen}");
    }
    for (model, seen) in statuses(&gateway, 3 * LIBRARIES.len()).await {
        assert_eq!(seen, [200, 429, 200], "{model}: one wait of four seconds, not several of less");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_that_is_not_back_soon_is_a_rate_limit_error_at_once() {
    let gateway = gateway(&json!([{"name": "slow", "requests": 1, "per": "1h"}]), None).await;
    for (place, (library, seen)) in ask_all(&gateway, [true, false]).into_iter().enumerate() {
        match place % 2 {
            0 => assert_eq!(seen["text"], "ok", "{library:?}: {seen}"),
            _ => assert_limited(library, &seen, "is reached: 1 requests in 1 h"),
        }
    }
    for (model, seen) in statuses(&gateway, 2 * LIBRARIES.len()).await {
        assert_eq!(seen, [200, 429], "{model}: one request a call");
    }
}
