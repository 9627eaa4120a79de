//! The traps that other gateways fell into, each by its number in the list of them, and what else a request's
//! translation promises.

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
use translated::{
    CLAUDE, COMPATIBLE, GPT, NEW_CLAUDE, OLD_CLAUDE, anthropic, openai, to_claude, to_gpt, translated, with,
};
use weir_dialect::chat::{Effort, Sampling};
use weir_dialect::{Call, Dialect, UpstreamModel, encode_request};

#[test]
fn t24_results_of_one_turn_become_one_turn_in_the_order_of_the_calls() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": ""}});
    let out = to_claude(json!({"messages": [
        {"role": "user", "content": "q"}, {"role": "assistant", "content": "", "tool_calls": [call("c:1"), call("c2")]},
        {"role": "tool", "tool_call_id": "c2", "content": "2"}, {"role": "tool", "tool_call_id": "c:1", "content": "1"}, {"role": "user", "content": "go"}]}));
    let turns = out["messages"].as_array().unwrap();
    assert_eq!(turns.len(), 3, "{out}");
    assert_eq!(turns[1]["content"][0], json!({"type": "tool_use", "id": "c_1", "name": "f", "input": {}}), "T20, T64");
    let ids: Vec<_> = turns[2]["content"].as_array().unwrap().iter().map(|block| block.get("tool_use_id")).collect();
    assert_eq!(ids, [Some(&json!("c_1")), Some(&json!("c2")), None]);
}

#[test]
fn t27_arguments_that_are_no_object_do_not_fail_history() {
    let out = to_claude(json!({"messages": [{"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "not json"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "r"}]}));
    assert_eq!(out["messages"][1]["content"][0]["input"], json!({"_unparsed": "not json"}));
}

#[test]
fn the_place_that_an_sdk_leaves_in_a_call_is_no_loss() {
    let call = json!({"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let messages = json!({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "r"}]});
    let (_, loss) = translated(Dialect::OpenAI, &openai(messages), &CLAUDE).unwrap();
    assert!(loss.is_empty(), "{loss:?}");
}

#[test]
fn t31_a_tool_type_is_never_dropped_in_silence() {
    let refusal =
        translated(Dialect::OpenAI, &openai(json!({"tools": [{"type": "custom", "custom": {"name": "c"}}]})), &CLAUDE)
            .unwrap_err();
    assert!(refusal.message.contains("\"custom\""), "{}", refusal.message);
}

#[test]
fn t33_parallel_tool_calls_without_tools_is_not_sent() {
    assert!(to_claude(json!({"parallel_tool_calls": false})).get("tool_choice").is_none());
    let choice = json!({"tool_choice": {"type": "auto", "disable_parallel_tool_use": true}});
    let sent = to_gpt(choice);
    assert_eq!((sent.get("parallel_tool_calls"), sent.get("tool_choice")), (None, None));
}

#[test]
fn t36_content_is_null_beside_tool_calls_alone() {
    let out = to_gpt(json!({"messages": [{"role": "user", "content": "q"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "r"}]}]}));
    assert_eq!(out["messages"][1]["content"], Value::Null);
    assert_eq!(out["messages"][1]["tool_calls"][0]["function"]["arguments"], "{}", "T20");
    assert_eq!(out["messages"][2], json!({"role": "tool", "tool_call_id": "t", "content": "r"}));
}

#[test]
fn a_failed_tool_says_so_where_there_is_no_member_for_it() {
    let out = to_gpt(json!({"messages": [{"role": "user", "content": "q"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "boom", "is_error": true}]}]}));
    assert_eq!(out["messages"][2]["content"], "Error: boom");
}

#[test]
fn t39_thinking_goes_before_the_tool_use_and_back_to_its_own_provider_alone() {
    let body = |sealed: &str| {
        openai(json!({"reasoning_effort": "low", "messages": [{"role": "user", "content": "q"},
            {"role": "assistant", "content": null, "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": sealed, "index": 0}, {"type": "reasoning.encrypted", "data": sealed, "index": 1}],
             "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"}]}))
    };
    let (out, lost) = translated(Dialect::OpenAI, &body("weir1.an.sig=="), &CLAUDE).unwrap();
    assert!(lost.is_empty(), "{lost:?}");
    let kinds: Vec<_> = out["messages"][1]["content"].as_array().unwrap().iter().map(|b| b["type"].clone()).collect();
    assert_eq!(kinds, ["thinking", "redacted_thinking", "tool_use"]);
    assert_eq!(out["messages"][1]["content"][0]["signature"], "sig==");
    assert_eq!(out["messages"][1]["content"][1]["data"], "sig==", "T45");
    for to in [&CLAUDE, &GPT] {
        let (out, lost) = translated(Dialect::OpenAI, &body("weir1.other.sig=="), to).unwrap();
        assert_eq!(lost, ["thinking"], "T43");
        assert!(!out.to_string().contains("sig=="), "{out}");
    }
    let (out, lost) = translated(Dialect::OpenAI, &body("weir1.other.sig=="), &OLD_CLAUDE).unwrap();
    assert_eq!(lost, ["thinking", "reasoning_effort"], "an older model must show the thinking that led to its calls");
    assert!(out.get("thinking").is_none());
}

#[test]
fn t40_t44_what_an_anthropic_turn_holds_stays_as_it_was() {
    let turn = json!([{"type": "thinking", "thinking": "", "signature": "only"}, {"type": "text", "text": ""}, {"type": "thinking", "thinking": "b", "signature": "weir1.an.mine"}, {"type": "text", "text": "t"}]);
    let body = anthropic(
        json!({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": turn}, {"role": "user", "content": "r"}]}),
    );
    let (out, lost) = translated(Dialect::Anthropic, &body, &CLAUDE).unwrap();
    assert!(lost.is_empty());
    let mut expected = turn;
    expected[2]["signature"] = json!("mine");
    assert_eq!(out["messages"][1]["content"], expected);
}

#[test]
fn t47_effort_becomes_what_each_model_takes() {
    let effort = |effort: &str, to: &UpstreamModel<'_>, more: Value| {
        let body = with(openai(json!({"reasoning_effort": effort})), more);
        translated(Dialect::OpenAI, &body, to).unwrap()
    };
    let (out, _) = effort("medium", &CLAUDE, json!({}));
    assert_eq!((&out["thinking"], &out["output_config"]), (&json!({"type": "adaptive"}), &json!({"effort": "medium"})));
    let (out, _) = effort("xhigh", &CLAUDE, json!({}));
    assert_eq!(out["output_config"]["effort"], "high", "this model knows no more");
    let (out, _) = effort("none", &CLAUDE, json!({}));
    assert_eq!(out["thinking"], json!({"type": "disabled"}));
    let (out, lost) = effort("high", &OLD_CLAUDE, json!({"max_tokens": 3_000, "temperature": 0.3}));
    assert_eq!(out["thinking"], json!({"type": "enabled", "budget_tokens": 2_999}), "below what may be written");
    assert_eq!((out.get("temperature"), lost), (None, vec!["temperature".to_owned()]));
    let (out, lost) = effort("high", &OLD_CLAUDE, json!({"max_tokens": 500}));
    assert_eq!((out.get("thinking"), lost), (None, vec!["reasoning_effort".to_owned()]));
    let text = anthropic(json!({"max_tokens": 10_000})).to_string();
    let request = Call::read(Dialect::Anthropic, text.as_bytes()).unwrap().decode().unwrap();
    let set = Sampling { effort: Some(Effort::Low), ..request.sampling };
    let (out, _) = encode_request(&request, &set, &OLD_CLAUDE).unwrap();
    let out: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(out["thinking"], json!({"type": "enabled", "budget_tokens": 2_048}), "an effort that the route set");
    assert!(out.get("output_config").is_none(), "{out}");
    assert_eq!(to_gpt(json!({"thinking": {"type": "enabled", "budget_tokens": 5_000}}))["reasoning_effort"], "medium");
    assert_eq!(to_gpt(json!({"output_config": {"effort": "max"}}))["reasoning_effort"], "max");
}

#[test]
fn t62_a_schema_is_carried_both_ways() {
    let schema = json!({"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "integer", "minimum": 1}}, "required": ["z"]});
    let out = to_claude(
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}}}),
    );
    let sent = &out["output_config"]["format"]["schema"];
    assert_eq!(
        (&sent["additionalProperties"], &sent["properties"]["a"]["description"]),
        (&json!(false), &json!("minimum: 1"))
    );
    let out = to_gpt(json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}));
    assert_eq!(out["response_format"]["json_schema"], json!({"name": "answer", "schema": schema}));
    let old = UpstreamModel { name: "claude-3-5-haiku-20241022", ..CLAUDE };
    let body = openai(json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}}));
    assert_eq!(translated(Dialect::OpenAI, &body, &old).unwrap_err().param.as_deref(), Some("response_format"));
}

#[test]
fn t64_what_is_empty_is_left_out() {
    let out = to_claude(
        json!({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}, {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "b"}]}]}),
    );
    assert_eq!(
        out["messages"],
        json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])
    );
}

#[test]
fn t65_leading_system_texts_go_to_the_front_as_blocks_of_their_own_t67() {
    let out = to_claude(
        json!({"messages": [{"role": "system", "content": "a"}, {"role": "developer", "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]}, {"role": "user", "content": "q"}]}),
    );
    assert_eq!(out["system"].as_array().unwrap().len(), 3);
    assert_eq!(out["messages"], json!([{"role": "user", "content": "q"}]));
    let out = to_gpt(json!({"system": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}));
    assert_eq!(
        out["messages"][0],
        json!({"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})
    );
}

#[test]
fn t68_sampling_is_left_out_where_the_model_refuses_it() {
    let (out, lost) =
        translated(Dialect::OpenAI, &openai(json!({"temperature": 0.2, "top_p": 0.9})), &NEW_CLAUDE).unwrap();
    assert_eq!((out.get("temperature"), out.get("top_p")), (None, None));
    assert_eq!(lost, ["temperature", "top_p"]);
}

#[test]
fn t69_the_order_of_keys_stays() {
    let body = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"q"}],"tools":[{"name":"f","input_schema":{"type":"object","properties":{"z":{},"a":{"y":2,"b":3}}}}]}"#;
    let call = Call::read(Dialect::Anthropic, body.as_bytes()).unwrap();
    let request = call.decode().unwrap();
    let (out, _) = encode_request(&request, &request.sampling, &GPT).unwrap();
    assert!(
        String::from_utf8_lossy(&out)
            .contains(r#""parameters":{"type":"object","properties":{"z":{},"a":{"y":2,"b":3}}}"#)
    );
}

#[test]
fn t37_cache_marks_are_carried_where_the_provider_has_a_word_for_them() {
    let cached = json!({"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]});
    let part = json!({"type": "text", "text": "s", "prompt_cache_breakpoint": {"mode": "explicit"}});
    assert_eq!(to_gpt(cached.clone())["messages"][0]["content"], json!([part]));
    let (out, lost) = translated(Dialect::Anthropic, &anthropic(cached), &COMPATIBLE).unwrap();
    assert_eq!((&out["messages"][0]["content"], lost), (&json!("s"), vec!["cache_control".to_owned()]));
    let back = to_claude(json!({"messages": [{"role": "user", "content": [part]}]}));
    assert_eq!(back["messages"][0]["content"][0]["cache_control"], json!({"type": "ephemeral"}));
}

#[test]
fn the_output_limit_is_the_callers_or_the_models_never_a_small_constant() {
    assert_eq!(to_claude(json!({"max_tokens": 7}))["max_tokens"], 7);
    assert_eq!(to_claude(json!({}))["max_tokens"], 4_096);
    let unknown = UpstreamModel { max_output: None, ..CLAUDE };
    assert_eq!(translated(Dialect::OpenAI, &openai(json!({})), &unknown).unwrap().0["max_tokens"], 128_000);
    assert_eq!(to_gpt(json!({}))["max_completion_tokens"], 100);
    let (out, _) =
        translated(Dialect::Anthropic, &anthropic(json!({"metadata": {"user_id": "u"}, "top_k": 3})), &COMPATIBLE)
            .unwrap();
    assert_eq!((&out["max_tokens"], &out["user"], &out["top_k"]), (&json!(100), &json!("u"), &json!(3)));
}

#[test]
fn what_is_wrong_in_a_request_is_named_with_its_place() {
    for (from, body, param) in [
        (Dialect::OpenAI, openai(json!({"messages": [{"role": "robot", "content": "x"}]})), "messages[0].role"),
        (
            Dialect::OpenAI,
            openai(json!({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})),
            "messages[0].content[0].image_url",
        ),
        (Dialect::OpenAI, openai(json!({"functions": [{"name": "f"}]})), "functions"),
        (Dialect::OpenAI, openai(json!({"reasoning_effort": "enormous"})), "reasoning_effort"),
        (
            Dialect::Anthropic,
            anthropic(json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]})),
            "messages[0].content[0].text",
        ),
        (Dialect::Anthropic, anthropic(json!({"tool_choice": {"type": "perhaps"}})), "tool_choice.type"),
        (Dialect::Anthropic, anthropic(json!({"thinking": {"type": "enabled"}})), "thinking.budget_tokens"),
    ] {
        let to = if from == Dialect::OpenAI { &CLAUDE } else { &GPT };
        let refusal = translated(from, &body, to).unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some(param), "{body}");
        assert!(refusal.message.contains(param), "{}", refusal.message);
    }
}
