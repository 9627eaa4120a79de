//! A data plane by itself: config applied, requests answered by the Mock provider.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use weir_dataplane::{Config, Gateway};
use weir_snapshot::{
    Access, Consent, Currency, Health, Kind, Mock, Model, ModelName, Name, Price, PriceSource, Pricing, Provider,
    ProviderType, Rates, Resource, ResourceId, Retry, Route, Rule, Settings, Snapshot, Target, Tariff, Upstream,
};

/// What is waited for that takes a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

fn gateway() -> Arc<Gateway> {
    Gateway::new(Config {
        listen: ([127, 0, 0, 1], 0).into(),
        admin: ([127, 0, 0, 1], 0).into(),
        tls_dir: None,
        trust_domain: "cluster.local".into(),
        drain_delay: Duration::ZERO,
        drain_timeout: Duration::from_secs(5),
        grace_period: None,
        hide_targets: false,
        max_body_bytes: 1024 * 1024,
        max_held_bytes: None,
        workers: None,
    })
}

fn snapshot(mock: Mock) -> Snapshot {
    let pricing = Pricing {
        currency: Currency::parse("USD").unwrap(),
        standard: Tariff {
            rates: Rates {
                input: Price::per_million("1").unwrap(),
                output: Price::per_million("2").unwrap(),
                ..Rates::default()
            },
            tiers: vec![],
        },
        service_tiers: BTreeMap::new(),
        per_request: None,
        source: PriceSource::Provider,
    };
    let provider = Provider {
        provider_type: ProviderType::Mock,
        upstream: Upstream::Mock(mock),
        ca_pem: None,
        credentials: vec![],
        models: BTreeMap::from([("demo".into(), Model { pricing: Some(pricing), ..Model::default() })]),
        any_model: false,
        headers: weir_snapshot::Headers::default(),
        timeouts: weir_snapshot::Timeouts::default(),
        health: Health::default(),
        limits: weir_snapshot::ProviderLimits::default(),
        allowed_request_members: vec![],
    };
    let target = Target {
        name: "mock".into(),
        provider: Name::new("a", "p"),
        model: None,
        weight: 1,
        priority: 0,
        defaults: weir_snapshot::Params::default(),
        overrides: weir_snapshot::Params::default(),
        caps: weir_snapshot::Caps::default(),
        remove: vec![],
    };
    let route = Route {
        created_at: 0,
        hostnames: vec![],
        models: vec![ModelName { pattern: "demo".into(), alias_of: None, listed: true }],
        rules: vec![Rule { targets: vec![target.into()], unavailable: None }],
        refusal: None,
        retry: Retry::default(),
        timeouts: weir_snapshot::RouteTimeouts::default(),
        on_loss: weir_snapshot::OnLoss::default(),
        rate_limits: Vec::new(),
        trusted_headers: weir_snapshot::TrustedHeaders::default(),
        explain: false,
    };
    let resources = [
        (ResourceId::new(Kind::Settings, "", ""), Resource::from(Settings::default())),
        (ResourceId::new(Kind::Provider, "a", "p"), Resource::from(provider)),
        (ResourceId::new(Kind::Consent, "a", "p"), Resource::from(Consent { all: true, ..Consent::default() })),
        (ResourceId::new(Kind::Route, "a", "r"), Resource::from(route)),
        (ResourceId::new(Kind::Access, "a", "r"), Resource::from(Access { anonymous: true, ..Access::default() })),
    ];
    resources.into_iter().collect()
}

fn mock() -> Mock {
    Mock {
        text: "one two three".into(),
        latency_ms: 0,
        token_interval_ms: 0,
        errors_per_mille: 0,
        error_status: 500,
        cut_after_tokens: None,
    }
}

async fn ask(gateway: &Arc<Gateway>, path: &str, body: &str) -> String {
    let (address, _, _serving) = gateway.start().expect("it starts");
    ask_at(address, path, body).await
}

async fn ask_at(address: SocketAddr, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it accepts");
    let method = if body.is_empty() { "GET" } else { "POST" };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer
}

#[tokio::test]
async fn a_whole_answer_a_stream_and_the_models_list() {
    let gateway = gateway();
    assert!(gateway.apply(snapshot(mock())).is_empty());
    let whole = ask(&gateway, "/v1/chat/completions", r#"{"model":"demo","messages":[]}"#).await;
    assert!(whole.starts_with("HTTP/1.1 200") && whole.contains("one two three"), "{whole}");
    assert!(whole.contains("x-weir-route: a/r") && whole.contains("x-weir-target: a/p"), "{whole}");
    let stream = ask(&gateway, "/v1/chat/completions", r#"{"model":"demo","messages":[],"stream":true}"#).await;
    assert!(stream.contains("\"content\":\"three\"") && stream.contains("data: [DONE]"), "{stream}");
    assert!(!stream.contains("\"usage\":{"), "usage was not asked for: {stream}");
    let asked = ask(
        &gateway,
        "/v1/chat/completions",
        r#"{"model":"demo","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#,
    )
    .await;
    assert!(asked.contains("\"completion_tokens\":3"), "{asked}");
    let models = ask(&gateway, "/v1/models", "").await;
    assert!(models.contains("\"id\":\"demo\""), "{models}");
}

#[tokio::test]
async fn an_anthropic_client_is_served_in_its_own_dialect() {
    let gateway = gateway();
    gateway.apply(snapshot(mock()));
    let body = r#"{"model":"demo","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#;
    let whole = ask(&gateway, "/v1/messages", body).await;
    assert!(
        whole.contains(r#""content":[{"type":"text","text":"one two three"}],"stop_reason":"end_turn""#),
        "{whole}"
    );
    assert!(whole.contains("request-id: req_") && !whole.contains("x-weir-loss"), "{whole}");
    let stream = ask(&gateway, "/v1/messages", &body.replace("\"max", "\"stream\":true,\"max")).await;
    for expected in
        ["event: message_start", "\"text\":\"three\"", "\"stop_reason\":\"end_turn\"", "event: message_stop"]
    {
        assert!(stream.contains(expected), "{expected}: {stream}");
    }
    let lossy = ask(&gateway, "/v1/messages", &body.replace("\"max", "\"top_k\":4,\"max")).await;
    assert!(lossy.contains("x-weir-loss: top_k"), "{lossy}");
    let count = ask(&gateway, "/v1/messages/count_tokens", body).await;
    assert!(count.contains("{\"input_tokens\":") && count.contains("x-weir-usage-source: estimated"), "{count}");
    let wrong = ask(&gateway, "/v1/messages", r#"{"model":"nope","messages":[]}"#).await;
    assert!(wrong.contains(r#"{"error":{"message":"#) && wrong.contains(r#""type":"not_found_error""#), "{wrong}");
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_with_an_error_event_and_no_done() {
    let gateway = gateway();
    gateway.apply(snapshot(Mock { cut_after_tokens: Some(2), ..mock() }));
    let cut = ask(&gateway, "/v1/chat/completions", r#"{"model":"demo","messages":[],"stream":true}"#).await;
    assert!(cut.contains("\"content\":\"two \"") && cut.contains("data: {\"error\":{"), "{cut}");
    assert!(!cut.contains("[DONE]") && !cut.contains("\"finish_reason\":\"stop\""), "{cut}");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let gateway = gateway();
    gateway.apply(snapshot(mock()));
    for (path, body, expected) in [
        ("/v1/chat/completions", r#"{"model":"nope","messages":[]}"#, "GET /v1/models lists"),
        ("/v1/chat/completions", r#"{"model":"demo"}"#, "`messages` must be"),
        ("/v1/chat/completions", "{", "not valid JSON"),
        ("/v2/x", "", "POST /v1/chat/completions"),
        ("/v1/chat/completions", "", "it answers POST"),
    ] {
        let answer = ask(&gateway, path, body).await;
        assert!(answer.contains(expected), "{path} {body}: {answer}");
        assert!(answer.contains("\"error\":{") && answer.contains("\"code\":"), "{answer}");
        assert!(answer.contains("x-weir-request-id: req_") && answer.contains("x-request-id: req_"), "{answer}");
    }
}

#[tokio::test]
async fn a_process_that_cannot_keep_up_turns_requests_away_until_it_can() {
    let gateway = gateway();
    gateway.apply(snapshot(mock()));
    let (address, _, _serving) = gateway.start().expect("it starts");
    let one = || ask_at(address, "/v1/chat/completions", r#"{"model":"demo","messages":[]}"#);
    let work = tokio::spawn(async {
        loop {
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(120) {
                std::hint::spin_loop();
            }
            tokio::task::yield_now().await;
        }
    });
    let refused = async {
        loop {
            let answer = one().await;
            if !answer.starts_with("HTTP/1.1 200") {
                return answer;
            }
        }
    };
    let refused = timeout(PATIENCE, refused).await.expect("it turns some away");
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("\"code\":\"gateway_overloaded\""), "{refused}");
    assert!(refused.contains("retry-after: "), "{refused}");
    work.abort();
    let all_again = async {
        let mut served = 0;
        while served < 20 {
            served = if one().await.starts_with("HTTP/1.1 200") { served + 1 } else { 0 };
        }
    };
    timeout(PATIENCE, all_again).await.expect("it serves all again");
}
