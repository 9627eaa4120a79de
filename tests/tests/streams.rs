//! A stream that has begun passes as it came, and an end that is none is told as an error, once.

use serde_json::{Value, json};
use std::time::Duration;
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route, provider};
use weir_tests::provider::{Provider, Script, Signal, Step, Usage, chunk};
use weir_tests::wait;

const MODEL: &str = "gpt-test";

async fn gateway(upstream: &Provider, edit: impl Fn(&mut Value), variables: &[(&str, &str)]) -> Gateway {
    let mut object = provider("default", "upstream", &upstream.url(), MODEL);
    edit(&mut object);
    Gateway::up_with(&file(&[object, open_route("default", "chat", MODEL, &["upstream"])]), variables).await
}

fn text_event(text: &str) -> String {
    chunk(MODEL, &json!([{"index": 0, "delta": {"content": text}, "finish_reason": null}]), &Value::Null)
}

fn finish_event() -> String {
    chunk(MODEL, &json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]), &Value::Null)
}

#[tokio::test]
async fn events_pass_byte_for_byte_and_unasked_usage_is_taken_out() {
    let upstream = Provider::start().await;
    let gateway = gateway(&upstream, |_| {}, &[]).await;
    let odd = "event: x\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"é\"}}],\"new_field\":1.50}\n\n";
    let usage = chunk(MODEL, &json!([]), &json!({"prompt_tokens": 7, "completion_tokens": 3}));
    upstream.next(Script::stream([odd, ": hello\n\n", &finish_event(), &usage, "data: [DONE]\n\n"]));
    let (events, _) = gateway.client().chat_stream(MODEL).await.events().await;
    assert_eq!(events[0], odd.trim_end());
    assert_eq!(events[1], ": hello");
    assert_eq!(events.len(), 4, "{events:?}");
    let asked = upstream.request(0).await.json();
    assert_eq!(asked["stream_options"]["include_usage"], true, "usage is asked for all the same");
    let line = &gateway.access_log(1).await[0];
    assert_eq!(
        (&line["input_tokens"], &line["output_tokens"], &line["usage_source"]),
        (&json!(7), &json!(3), &json!("reported"))
    );
}

#[tokio::test]
async fn f11_a_stream_that_stands_still_ends_with_an_error_and_costs_what_was_relayed() {
    let upstream = Provider::start().await;
    let gateway = gateway(&upstream, |object| object["spec"]["timeouts"] = json!({"streamIdle": "200ms"}), &[]).await;
    upstream.next(Script::stream((0..50).map(|n| text_event(&format!("w{n} ")))).step(Step::Stall));
    let (events, cut) = gateway.client().chat_stream(MODEL).await.events().await;
    assert!(cut.is_none(), "the transport ends in order");
    assert_eq!(events.len(), 51);
    let error: Value = serde_json::from_str(events[50].strip_prefix("data: ").expect("data")).expect("JSON");
    assert_eq!(error["error"]["code"], "upstream_timeout");
    let line = &gateway.access_log(1).await[0];
    assert_eq!((&line["output_tokens"], &line["usage_source"]), (&json!(50), &json!("estimated")));
    assert_eq!(line["error_in_stream"], true);
}

/// Streams as providers send them, of several shapes.
fn recorded() -> Vec<String> {
    let call = |delta: Value| chunk(MODEL, &json!([{"index": 0, "delta": delta, "finish_reason": null}]), &Value::Null);
    let usage = chunk(MODEL, &json!([]), &json!({"prompt_tokens": 7, "completion_tokens": 3}));
    let done = "data: [DONE]\n\n";
    vec![
        [&call(json!({"role": "assistant", "content": ""})), &text_event("Hé"), &finish_event(), &usage, done].concat(),
        [
            &call(json!({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]})),
            &call(json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"a\":1}"}}]})),
            &finish_event(),
            done,
        ]
        .concat(),
        [": ping\r\n\r\n", &text_event("a").replace("\n\n", "\r\n\r\n"), &finish_event().replace("data: ", "data:"), done].concat(),
    ]
}

#[tokio::test]
async fn f13_a_stream_cut_at_any_byte_never_looks_whole_and_never_shows_half_an_event() {
    let upstream = Provider::start().await;
    // The same upstream fails thousands of times on purpose: it comes back at once, and no try is repeated.
    let mut object = provider("default", "upstream", &upstream.url(), MODEL);
    object["spec"]["health"] = json!({"consecutiveFailures": 1000, "minEjection": "1ms", "maxEjection": "1ms"});
    let mut route = open_route("default", "chat", MODEL, &["upstream"]);
    route["spec"]["retry"] = json!({"maxAttempts": 1});
    let gateway = Gateway::up(&file(&[object, route])).await;
    let mut asked = 0;
    for stream in recorded() {
        let finished_at = stream.find("\"finish_reason\":\"stop\"").expect("a finish");
        for cut in 0..stream.len() {
            upstream.always(Script::stream([stream.clone()]).cut(cut, Step::Close));
            let reply = gateway.client().chat_stream(MODEL).await;
            asked += 1;
            if reply.status != 200 {
                assert!(matches!(reply.status.as_u16(), 502 | 503), "cut at {cut}: {}", reply.status);
                continue;
            }
            let (events, _) = reply.events().await;
            for event in events.iter().filter_map(|event| event.trim_end().strip_prefix("data:")) {
                let event = event.trim_start();
                assert!(
                    event == "[DONE]" || serde_json::from_str::<Value>(event).is_ok(),
                    "half an event at {cut}: {event}"
                );
            }
            let whole = events.last().is_some_and(|event| event.contains("[DONE]"));
            let error = events.last().is_some_and(|event| event.contains("\"error\""));
            assert!(whole != error, "cut at {cut}: {events:?}");
            assert!(!whole || cut > finished_at, "cut at {cut} looks whole: {events:?}");
        }
    }
    assert_eq!(gateway.access_log(asked).await.len(), asked, "each request is settled once");
}

#[tokio::test]
async fn f34_a_stream_that_outlasts_the_drain_is_told_before_the_end() {
    let upstream = Provider::start().await;
    let variables = [("WEIR_DRAIN_DELAY", "0s"), ("WEIR_DRAIN_TIMEOUT", "6s")];
    let gateway = gateway(&upstream, |_| {}, &variables).await;
    upstream.next(Script::stream([text_event("Hello ")]).step(Step::Stall));
    upstream.next(Script::chat("short and whole", Usage::of(7, 3)));
    let mut stream = gateway.client().chat_stream(MODEL).await;
    assert!(stream.event().await.expect("not cut").expect("not ended").contains("Hello"));
    gateway.process().signal("TERM");
    let (events, cut) = stream.events().await;
    assert!(cut.is_none(), "the stream ends in order");
    assert!(events.last().expect("an event").contains("gateway_draining"), "{events:?}");
    assert!(gateway.process().exit().await.success());
    let lines = gateway.access_log(1).await;
    assert_eq!(lines[0]["error_type"], "gateway_draining", "the log is flushed: {lines:?}");
}

#[tokio::test]
async fn f35_every_stream_is_told_before_a_kill_that_comes_long_before_the_end_of_the_drain() {
    const STREAMS: usize = 20;
    const GRACE: Duration = Duration::from_secs(7);
    let upstream = Provider::start().await;
    let variables = [("WEIR_DRAIN_DELAY", "15s"), ("WEIR_DRAIN_TIMEOUT", "600s"), ("WEIR_GRACE_PERIOD", "7s")];
    let gateway = gateway(&upstream, |_| {}, &variables).await;
    upstream.always(Script::stream([text_event("Hello ")]).step(Step::Stall));
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = gateway.client().chat_stream(MODEL).await;
        assert!(stream.event().await.expect("not cut").expect("not ended").contains("Hello"));
        streams.push(stream);
    }
    gateway.process().signal("TERM");
    let kubelet = async {
        let ended = tokio::time::timeout(GRACE, gateway.process().exit()).await;
        gateway.process().kill();
        ended
    };
    let told = futures_util::future::join_all(streams.into_iter().map(|stream| stream.events()));
    let (ended, told) = tokio::join!(kubelet, told);
    for (events, cut) in told {
        assert!(cut.is_none(), "the stream ends in order");
        assert!(events.last().expect("an event").contains("gateway_draining"), "{events:?}");
    }
    assert!(ended.is_ok_and(|status| status.success()), "nothing was left to kill");
    assert_eq!(gateway.access_log(STREAMS).await.len(), STREAMS, "the log is flushed");
}

#[tokio::test]
async fn a_process_of_one_core_passes_streams_while_it_reads_its_folder_anew_and_ends_in_order() {
    const STREAMS: usize = 20;
    let upstream = Provider::start().await;
    let mut object = provider("default", "upstream", &upstream.url(), MODEL);
    object["spec"]["models"] = json!([{"name": MODEL}, {"name": "gpt-more"}]);
    let route = open_route("default", "chat", MODEL, &["upstream"]);
    let gateway = Gateway::up_on_one_core(&file(&[object, route])).await;
    let go_on = Signal::default();
    let held = Script::stream([text_event("Hello ")]).wait(&go_on);
    upstream.always(held.body(text_event("world")).body(finish_event()).body("data: [DONE]\n\n"));
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = gateway.client().chat_stream(MODEL).await;
        assert!(stream.event().await.expect("not cut").expect("not ended").contains("Hello"));
        streams.push(stream);
    }
    gateway.write("more.yaml", &file(&[open_route("default", "more", "gpt-more", &["upstream"])]));
    wait::until_true("the new route is served", || async { gateway.admin().metric("weir_config_routes").await == 2.0 })
        .await;
    gateway.process().signal("TERM");
    go_on.fire();
    for (events, cut) in futures_util::future::join_all(streams.into_iter().map(|stream| stream.events())).await {
        assert!(cut.is_none() && events.iter().any(|event| event.contains("world")), "{events:?}");
    }
    assert!(gateway.process().exit().await.success());
}
