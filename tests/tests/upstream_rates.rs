//! What a provider says of its own rates is believed: what it would refuse is not sent to it.

use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route, provider};
use weir_tests::provider::{Provider, Script};

const MODEL: &str = "gpt-test";

fn answer(left: usize, reset: &str) -> Script {
    let body = json!({"id": "1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
    let left = left.to_string();
    let headers = [
        ("content-type", "application/json"),
        ("x-ratelimit-remaining-requests", &*left),
        ("x-ratelimit-reset-requests", reset),
    ];
    Script::default().head(200, &headers).body(body.to_string())
}

/// Takes so many requests in each window and says so; any more it refuses.
async fn limited(most: usize, window: Duration) -> Provider {
    let upstream = Provider::start().await;
    let state = Arc::new(Mutex::new((Instant::now(), 0)));
    upstream.respond(move |_| {
        let mut held = state.lock().expect("no holder panics");
        if held.0.elapsed() >= window || held.1 == 0 {
            *held = (Instant::now(), 0);
        }
        held.1 += 1;
        if held.1 > most {
            return Script::error(429, "rate_limit_exceeded", None, "too many requests");
        }
        let reset = window.saturating_sub(held.0.elapsed()).as_millis() + 1;
        answer(most - held.1, &format!("{reset}ms"))
    });
    upstream
}

fn error(body: &[u8]) -> Value {
    serde_json::from_slice::<Value>(body).expect("JSON")["error"].clone()
}

#[tokio::test]
async fn a_target_whose_rate_is_used_up_is_passed_over_and_refuses_nobody() {
    let first = limited(3, Duration::from_secs(60)).await;
    let second = Provider::start().await;
    second.always(answer(1_000, "1s"));
    let objects = [
        provider("default", "first", &first.url(), MODEL),
        provider("default", "second", &second.url(), MODEL),
        open_route("default", "chat", MODEL, &["first", "second"]),
    ];
    let gateway = Gateway::up(&file(&objects)).await;
    for _ in 0..8 {
        let reply = gateway.client().chat(MODEL).await;
        assert_eq!((reply.status.as_u16(), &reply.headers["x-weir-attempts"]), (200, &"1".parse().unwrap()));
    }
    assert_eq!((first.requests().len(), second.requests().len()), (3, 5));
    let name =
        "weir_upstream_rate_left{credential=\"\",model=\"gpt-test\",provider=\"default/first\",unit=\"requests\"}";
    assert_eq!(gateway.admin().metric(name).await, 0.0);
}

#[tokio::test]
async fn the_only_target_is_waited_for_as_long_as_that_is_short() {
    let upstream = limited(2, Duration::from_millis(300)).await;
    let objects =
        [provider("default", "only", &upstream.url(), MODEL), open_route("default", "chat", MODEL, &["only"])];
    let gateway = Gateway::up(&file(&objects)).await;
    for _ in 0..7 {
        assert_eq!(gateway.client().chat(MODEL).await.status, 200);
    }
    assert_eq!(upstream.requests().len(), 7, "each was asked once and none was refused");
}

#[tokio::test]
async fn what_comes_back_too_late_is_refused_here_with_the_time_to_come_back() {
    let upstream = limited(1, Duration::from_secs(60)).await;
    let objects =
        [provider("default", "only", &upstream.url(), MODEL), open_route("default", "chat", MODEL, &["only"])];
    let gateway = Gateway::up(&file(&objects)).await;
    assert_eq!(gateway.client().chat(MODEL).await.status, 200);
    let refusal = gateway.client().chat(MODEL).await;
    assert_eq!((refusal.status.as_u16(), &error(&refusal.body)["code"]), (429, &json!("upstream_rate_limited")));
    let wait: u64 = refusal.headers["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((50..=60).contains(&wait), "{wait}");
    assert_eq!(upstream.requests().len(), 1);
}
