//! Which tier of service a provider is asked for, and which one its answer is of: passed on or translated, whole or streamed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use serde_json::{Value, json};
use weir_dialect::sse::Parser;
use weir_dialect::{
    Call, Chunk, Dialect, MAX_EVENT_BYTES, ServiceTier, Stream, Translation, UpstreamModel, Whole, encode_request,
};

const BOTH: [Dialect; 2] = [Dialect::OpenAI, Dialect::Anthropic];

/// The events of a provider that names this tier where its dialect does.
fn events(dialect: Dialect, tier: &Value) -> Vec<Value> {
    match dialect {
        Dialect::OpenAI => {
            let chunk = |delta: Value, finish: Value| json!({"id": "c", "model": "m", "service_tier": tier, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
            let usage = json!({"id": "c", "model": "m", "service_tier": tier, "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
            vec![
                chunk(json!({"role": "assistant", "content": ""}), Value::Null),
                chunk(json!({"content": "a"}), Value::Null),
                chunk(json!({"content": "b"}), Value::Null),
                chunk(json!({}), json!("stop")),
                usage,
            ]
        }
        Dialect::Anthropic => vec![
            json!({"type": "message_start", "message": {"id": "c", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 1, "service_tier": tier}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
        ],
    }
}

/// The last that parts of the stream say of its tier.
fn streamed(from: Dialect, to: Dialect, tier: &Value) -> ServiceTier {
    let translation = Translation { from, to, origin: "here", now_s: 7, wants_usage: true, seed: 7 };
    let (mut parser, mut stream) = (Parser::new(MAX_EVENT_BYTES), Stream::new(&translation));
    let (mut begun, mut last) = (false, ServiceTier::default());
    for event in events(from, tier) {
        parser.feed(Bytes::from(format!("data: {event}\n\n")));
        let (_, chunk) = stream.pass(parser.next_event().unwrap().unwrap(), begun).unwrap();
        let Chunk::Part(part) = chunk else { panic!("{event}") };
        begun |= part.content;
        last = part.service_tier.or(&last);
    }
    last
}

fn whole(dialect: Dialect, tier: &Value) -> ServiceTier {
    let body = match dialect {
        Dialect::OpenAI => {
            json!({"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 2}, "service_tier": tier})
        }
        Dialect::Anthropic => json!({"content": [], "usage": {"input_tokens": 3, "service_tier": tier}}),
    };
    match dialect.read_whole(body.to_string().as_bytes()) {
        Ok(Whole::Answer { usage, service_tier, .. }) => {
            assert_eq!(usage.map(|usage| usage.input), Some(3));
            service_tier
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answers_tier_is_read_on_every_way_through() {
    for (tier, expected) in [
        (json!("priority"), ServiceTier::of("priority")),
        (json!("default"), ServiceTier::of("default")),
        (json!("standard"), ServiceTier::of("standard")),
        (Value::Null, ServiceTier::default()),
    ] {
        for from in BOTH {
            assert_eq!(whole(from, &tier), expected, "{from:?} {tier}");
            for to in BOTH {
                assert_eq!(streamed(from, to, &tier), expected, "{from:?} to {to:?} {tier}");
            }
        }
    }
}

#[test]
fn a_request_names_to_its_provider_the_tier_that_it_is_reckoned_at() {
    for from in BOTH {
        for tier in ["priority", "flex", "auto", "default", "standard_only"] {
            let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "service_tier": tier}).to_string();
            let call = Call::read(from, body.as_bytes()).unwrap();
            for dialect in BOTH {
                let to = UpstreamModel { dialect, vendor: true, name: "up", max_output: Some(9), origin: "o" };
                let request = call.decode().unwrap();
                let (out, _) = encode_request(&request, &request.sampling, &to).unwrap();
                let sent: Value = serde_json::from_slice(&out).unwrap();
                let sent =
                    sent["service_tier"].as_str().filter(|name| !["auto", "default", "standard_only"].contains(name));
                let told = call.service_tier.told(from, dialect).name();
                assert_eq!(sent, told.as_deref(), "{from:?} to {dialect:?}: {tier}");
            }
        }
    }
}

#[test]
fn a_tier_that_is_no_name_is_left_to_the_provider() {
    for tier in [json!(7), json!({}), Value::Null, json!("")] {
        let body =
            json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "service_tier": tier}).to_string();
        assert_eq!(Call::read(Dialect::OpenAI, body.as_bytes()).unwrap().service_tier, ServiceTier::default());
    }
}

#[test]
fn speed_and_place_are_read_of_requests_and_answers_whole_and_streamed() {
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "speed": "fast", "inference_geo": "us"});
    let call = Call::read(Dialect::Anthropic, body.to_string().as_bytes()).unwrap().service_tier;
    assert_eq!(call.name().as_deref(), Some("fast-us"));
    let usage = json!({"input_tokens": 3, "output_tokens": 1, "speed": "fast", "inference_geo": "us"});
    let whole = Dialect::Anthropic.read_whole(json!({"content": [], "usage": usage}).to_string().as_bytes());
    assert!(matches!(whole, Ok(Whole::Answer { service_tier, .. }) if service_tier == call));
    for to in BOTH {
        let translation =
            Translation { from: Dialect::Anthropic, to, origin: "here", now_s: 7, wants_usage: true, seed: 7 };
        let (mut parser, mut stream) = (Parser::new(MAX_EVENT_BYTES), Stream::new(&translation));
        let start = json!({"type": "message_start", "message": {"id": "c", "model": "m", "usage": usage}});
        parser.feed(Bytes::from(format!("data: {start}\n\n")));
        let (_, chunk) = stream.pass(parser.next_event().unwrap().unwrap(), false).unwrap();
        assert!(matches!(chunk, Chunk::Part(part) if part.service_tier == call), "{to:?}");
    }
}
