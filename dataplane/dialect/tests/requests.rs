//! Requests keep their meaning: in their own dialect all of it, in the other one all but what is named.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "each test file uses its share")]
mod translated;

use serde_json::{Value, json};
use translated::{CLAUDE, GPT, anthropic, openai, translated};
use weir_dialect::{Dialect, UpstreamModel};

/// Everything that each dialect can say, in its own words.
fn openai_fixtures() -> Vec<Value> {
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}});
    vec![
        openai(json!({})),
        openai(json!({"messages": [
            {"role": "system", "content": "be brief"}, {"role": "developer", "content": [{"type": "text", "text": "a"}]},
            {"role": "user", "name": "ann", "content": [{"type": "text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit"}}]},
            {"role": "assistant", "content": "c"}, {"role": "system", "content": "in between"}, {"role": "user", "content": "d"}]})),
        openai(json!({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "high"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}},
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]}]})),
        openai(json!({"messages": [
            {"role": "user", "content": "x"}, {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "ok"}, {"role": "assistant", "content": "y", "refusal": "no"},
            {"role": "user", "content": "z"}],
            "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true}},
                {"type": "custom", "custom": {"name": "c"}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false})),
        openai(json!({"tools": [{"type": "function", "function": {"name": "f"}}],
            "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}}})),
        openai(
            json!({"max_completion_tokens": 9, "temperature": 0.5, "top_p": 0.25, "frequency_penalty": -1.5, "presence_penalty": 2,
            "seed": -7, "reasoning_effort": "high", "stop": ["a", "b"], "n": 2, "logprobs": true, "top_logprobs": 3, "logit_bias": {"5": 1},
            "service_tier": "flex", "user": "u", "safety_identifier": "s", "metadata": {"k": "v"}, "store": true, "verbosity": "low",
            "prediction": {"type": "content", "content": "p"}, "modalities": ["text"], "prompt_cache_key": "k", "top_k": 4}),
        ),
        openai(
            json!({"stop": "one", "response_format": {"type": "json_object"}, "tool_choice": "none", "tools": [{"type": "function", "function": {"name": "f"}}]}),
        ),
        openai(
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": {"type": "object"}, "strict": false}}}),
        ),
        openai(json!({"stream": true, "stream_options": {"include_usage": true}, "web_search_options": {}})),
        openai(
            json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": "hm"}, {"role": "user", "content": "c"}]}),
        ),
    ]
}

fn anthropic_fixtures() -> Vec<Value> {
    let cache = json!({"type": "ephemeral", "ttl": "1h"});
    vec![
        anthropic(json!({})),
        anthropic(
            json!({"system": "be brief", "metadata": {"user_id": "u"}, "service_tier": "standard_only", "stop_sequences": ["a"], "temperature": 0.5, "top_p": 0.9, "top_k": 4}),
        ),
        anthropic(
            json!({"system": [{"type": "text", "text": "a", "cache_control": cache}, {"type": "text", "text": "b"}],
            "cache_control": {"type": "ephemeral"}, "container": "c", "inference_geo": "eu"}),
        ),
        anthropic(json!({"messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}},
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}, "cache_control": {"type": "ephemeral"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}, "title": "t", "context": "c", "citations": {"enabled": true}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
            {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}},
            {"type": "document", "source": {"type": "content", "content": "c"}},
            {"type": "image", "source": {"type": "file", "file_id": "f"}},
            {"type": "search_result", "source": "s", "title": "t", "content": []}]}]})),
        anthropic(json!({"messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig=="}, {"type": "text", "text": ""},
                {"type": "redacted_thinking", "data": "xx"}, {"type": "text", "text": "so"},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"z": 1, "a": [2]}, "cache_control": {"type": "ephemeral"}},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "r"}, {"type": "image", "source": {"type": "url", "url": "https://x"}}], "is_error": true, "cache_control": {"type": "ephemeral"}},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "plain"}, {"type": "text", "text": "go on"}]},
            {"role": "system", "content": "in between"}],
            "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true, "cache_control": {"type": "ephemeral"}, "defer_loading": true},
                {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}})),
        anthropic(
            json!({"thinking": {"type": "enabled", "budget_tokens": 2048, "display": "summarized"}, "tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "tool", "name": "f"}}),
        ),
        anthropic(
            json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh", "format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}, "task_budget": {"type": "tokens"}}, "stream": true}),
        ),
        anthropic(
            json!({"thinking": {"type": "disabled"}, "mcp_servers": [{"url": "https://x"}], "context_management": {"edits": []}}),
        ),
    ]
}

#[test]
fn every_request_is_itself_after_decoding_and_encoding() {
    for body in openai_fixtures() {
        assert_eq!(translated(Dialect::OpenAI, &body, &GPT).unwrap(), (body.clone(), vec![]), "{body}");
    }
    for body in anthropic_fixtures() {
        let to = UpstreamModel { name: "up", ..CLAUDE };
        assert_eq!(translated(Dialect::Anthropic, &body, &to).unwrap(), (body.clone(), vec![]), "{body}");
    }
}

/// What each dialect can say that the other cannot: `losses.json` says of each what is lost or for which
/// member it is refused, and `LOSS.md` says it to readers.
#[test]
fn what_the_other_dialect_cannot_say_is_named_or_refused_and_nothing_else_is() {
    let rows: Vec<Value> = serde_json::from_str(include_str!("losses.json")).unwrap();
    let mut table = String::from(
        "# What is lost between dialects\n\nGenerated by `tests/requests.rs`; every row is a test. Lost = named in `x-weir-loss` and in the metric, or refused\nwhere the route says `translation.onLoss: Refuse`. Refused = 400, unless another target can be asked.\n\n| A client of | with | loses | or is refused for |\n|---|---|---|---|\n",
    );
    for row in rows {
        let (from, body, to) = match row["from"].as_str() {
            Some("OpenAI") => (Dialect::OpenAI, openai(row["fields"].clone()), &CLAUDE),
            _ => (Dialect::Anthropic, anthropic(row["fields"].clone()), &GPT),
        };
        let to = UpstreamModel { name: row["model"].as_str().unwrap_or(to.name), ..*to };
        let got = match translated(from, &body, &to) {
            Ok((_, lost)) => json!({"loses": lost}),
            Err(refusal) => json!({"refused": refusal.param, "status": refusal.status}),
        };
        let expected = match row.get("loses") {
            Some(names) => json!({"loses": names}),
            None => json!({"refused": row["refused"], "status": 400}),
        };
        assert_eq!(got, expected, "{body}");
        let lost: Vec<_> =
            row["loses"].as_array().into_iter().flatten().map(|name| format!("`{}`", text(name))).collect();
        let refused = row.get("refused").map(|name| format!("`{}`", text(name))).unwrap_or_default();
        table.push_str(&format!(
            "| {} | {} | {} | {refused} |\n",
            text(&row["from"]),
            text(&row["what"]),
            lost.join(", ")
        ));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/LOSS.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), table, "run with UPDATE=1");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn there_and_back_again_a_request_is_itself() {
    let parameters = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false});
    let tool = json!([{"type": "function", "function": {"name": "f", "description": "d", "parameters": parameters, "strict": true}}]);
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}});
    for body in [
        openai(
            json!({"max_completion_tokens": 9, "stop": ["a"], "safety_identifier": "u", "temperature": 0.5, "service_tier": "auto"}),
        ),
        openai(
            json!({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}}]}]}),
        ),
        openai(
            json!({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "t", "tool_calls": [call("c1"), call("c2")]},
            {"role": "tool", "tool_call_id": "c1", "content": "1"}, {"role": "tool", "tool_call_id": "c2", "content": "2"}, {"role": "user", "content": "go"}], "tools": tool, "tool_choice": "required", "parallel_tool_calls": false}),
        ),
        openai(json!({"stream": true, "stream_options": {"include_usage": true}, "reasoning_effort": "high"})),
    ] {
        let (there, lost) = translated(Dialect::OpenAI, &body, &CLAUDE).unwrap();
        assert!(lost.is_empty(), "{lost:?}");
        let (mut back, lost) = translated(Dialect::Anthropic, &there, &GPT).unwrap();
        assert!(lost.is_empty(), "{lost:?}");
        if body.get("max_completion_tokens").is_none() {
            assert_eq!(
                back.as_object_mut().unwrap().remove("max_completion_tokens"),
                Some(json!(4_096)),
                "the model's own"
            );
        }
        assert_eq!(back, body, "{there}");
    }
}
