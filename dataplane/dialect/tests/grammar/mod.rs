//! The grammars of both client dialects: each takes what a client got, refuses what no client expects, and
//! gives the answer that a client makes of it.

use serde_json::{Value, json};

/// How the text ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ending {
    /// With the dialect's last word.
    Orderly,
    /// Anywhere between two events.
    Broken,
}

/// Names and data of the events; every one is whole.
fn events(text: &str) -> Vec<(Option<&str>, &str)> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n").leak();
    assert!(text.is_empty() || text.ends_with("\n\n"), "half an event: {text:?}");
    let data = |event: &'static str| {
        let name = event.lines().find_map(|line| line.strip_prefix("event: "));
        event.lines().find_map(|line| line.strip_prefix("data: ")).map(|data| (name, data))
    };
    text.split("\n\n").filter_map(data).collect()
}

/// A chat completion stream.
pub(crate) fn openai(text: &str, ending: Ending) -> Value {
    let (mut head, mut message, mut finish, mut usage, mut done) = (None, json!({}), Value::Null, None, false);
    let mut calls: Vec<Value> = Vec::new();
    let mut details: Vec<Value> = Vec::new();
    for (_, data) in events(text) {
        assert!(!done, "an event after [DONE]");
        if data == "[DONE]" {
            done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).expect("JSON");
        let named = json!([chunk["id"], chunk["model"], chunk["created"]]);
        assert_eq!(*head.get_or_insert_with(|| named.clone()), named, "id, model and time stay");
        if let Some(counted) = chunk["usage"].as_object() {
            usage = Some(json!(counted));
        }
        for choice in chunk["choices"].as_array().expect("choices") {
            assert!(finish.is_null(), "a delta after the finish: {data}");
            let delta = &choice["delta"];
            assert!(delta["role"].is_null() || message["role"].is_null() || message["role"] == delta["role"]);
            for name in ["content", "reasoning_content", "refusal"] {
                append(&mut message, name, &delta[name]);
            }
            if delta["role"].is_string() {
                message["role"] = delta["role"].clone();
            }
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                let begun = json!({"id": call["id"], "type": "function", "function": {"name": call["function"]["name"], "arguments": ""}});
                let held = entry(&mut calls, call, &begun);
                assert!(held["id"].is_string() && held["function"]["name"].is_string(), "{call}");
                append(&mut held["function"], "arguments", &call["function"]["arguments"]);
            }
            for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
                let held = entry(&mut details, detail, &json!({"type": detail["type"], "index": detail["index"]}));
                assert_eq!(held["type"], detail["type"]);
                ["text", "signature", "data"].into_iter().for_each(|name| append(held, name, &detail[name]));
            }
            finish = choice["finish_reason"].clone();
        }
    }
    assert_eq!(done, ending == Ending::Orderly, "[DONE] at the orderly end alone: {text}");
    if ending == Ending::Broken {
        return message;
    }
    assert!(finish.is_string(), "an orderly end has a finish: {text}");
    for (name, list) in [("tool_calls", calls), ("reasoning_details", details)] {
        if !list.is_empty() {
            message[name] = json!(list);
        }
    }
    if message["content"] == "" {
        message["content"] = Value::Null;
    }
    let refusal = message.get("refusal").cloned().unwrap_or_default();
    message["refusal"] = refusal;
    let head = head.expect("a chunk");
    let service_tier = serde_json::from_str::<Value>(events(text)[0].1).unwrap()["service_tier"].clone();
    let mut whole = json!({"id": head[0], "object": "chat.completion", "created": head[2], "model": head[1],
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}], "usage": usage});
    if service_tier.is_string() {
        whole["service_tier"] = service_tier;
    }
    whole
}

/// The entry that a fragment belongs to; its index says which, or that it is the next.
fn entry<'l>(list: &'l mut Vec<Value>, fragment: &Value, begun: &Value) -> &'l mut Value {
    let index = usize::try_from(fragment["index"].as_u64().expect("an index")).unwrap();
    if index == list.len() {
        list.push(begun.clone());
    }
    list.get_mut(index).expect("indexes are dense")
}

fn append(object: &mut Value, name: &str, more: &Value) {
    if let Some(more) = more.as_str() {
        let held = object.get(name).and_then(Value::as_str).unwrap_or_default();
        object[name] = json!(format!("{held}{more}"));
    }
}

/// A Messages stream.
pub(crate) fn anthropic(text: &str, ending: Ending) -> Value {
    let mut message = Value::Null;
    let mut content: Vec<Value> = Vec::new();
    let (mut open, mut arguments, mut stopped, mut ended) = (false, String::new(), false, false);
    for (name, data) in events(text) {
        let event: Value = serde_json::from_str(data).expect("JSON");
        let kind = event["type"].as_str().expect("a type");
        if let Some(name) = name {
            assert_eq!(name, kind, "the event's name is its type");
        }
        assert!(!ended, "an event after message_stop: {data}");
        assert!(kind == "ping" || message.is_null() == (kind == "message_start"), "one start, and first: {data}");
        match kind {
            "message_start" => message = event["message"].clone(),
            "content_block_start" => {
                assert!(!open && !stopped, "blocks do not overlap: {data}");
                assert_eq!(event["index"], content.len(), "indexes ascend");
                content.push(event["content_block"].clone());
                (open, arguments) = (true, String::new());
            }
            "content_block_delta" => {
                assert!(open, "a delta outside a block: {data}");
                assert_eq!(event["index"], content.len() - 1);
                let (block, delta) = (content.last_mut().unwrap(), &event["delta"]);
                match (block["type"].as_str().unwrap(), delta["type"].as_str().unwrap()) {
                    ("text", "text_delta") => append(block, "text", &delta["text"]),
                    ("thinking", "thinking_delta") => append(block, "thinking", &delta["thinking"]),
                    ("thinking", "signature_delta") => block["signature"] = delta["signature"].clone(),
                    ("tool_use", "input_json_delta") => arguments.push_str(delta["partial_json"].as_str().unwrap()),
                    other => panic!("{other:?} do not go together"),
                }
            }
            "content_block_stop" => {
                assert!(open, "a stop outside a block");
                assert_eq!(event["index"], content.len() - 1);
                open = false;
                if !arguments.is_empty() {
                    let input: Value = serde_json::from_str(&arguments).expect("the fragments are an object together");
                    content.last_mut().unwrap()["input"] = input;
                }
            }
            "message_delta" => {
                assert!(!open && !stopped, "every block is closed: {data}");
                stopped = true;
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                message["stop_sequence"] = event["delta"]["stop_sequence"].clone();
                for (name, count) in event["usage"].as_object().expect("usage") {
                    message["usage"][name] = count.clone();
                }
            }
            "message_stop" => {
                assert!(stopped, "a stop without a reason");
                ended = true;
            }
            "ping" => {}
            other => panic!("no event of the dialect: {other}"),
        }
    }
    assert_eq!(ended, ending == Ending::Orderly, "message_stop at the orderly end alone: {text}");
    if !message.is_null() {
        message["content"] = json!(content);
    }
    message
}
