//! Chat completions as OpenAI takes and gives them.

use serde_json::{Value, json};

use super::words::{Asked, Reply, SECRET, TOKENS, header, list, read, text, tier};
use crate::provider::{Record, Script};

const KNOWN: [&str; 16] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "stop",
    "reasoning_effort",
    "user",
    "store",
    "service_tier",
];
const CALL: &str = "call_";

pub(super) fn understood(record: &Record) -> Result<Asked, String> {
    header(record, "authorization", Some(&format!("Bearer {SECRET}")))?;
    header(record, "x-api-key", None)?;
    let body = read(record, "/v1/chat/completions", &KNOWN)?;
    let mut asked = Asked { streamed: body["stream"] == true, tier: tier(&body), ..Asked::default() };
    let mut open: Vec<String> = Vec::new();
    for message in list(&body["messages"], "messages")? {
        if message["role"] == "tool" {
            let id = text(&message["tool_call_id"], "tool_call_id")?;
            let at = open.iter().position(|call| *call == id);
            open.remove(at.ok_or_else(|| format!("tool_call_id {id} answers no call before it"))?);
        } else if !open.is_empty() {
            return Err(format!("the calls {open:?} are not answered"));
        }
        open.extend(say(message, &mut asked.lines)?);
    }
    for tool in body["tools"].as_array().into_iter().flatten() {
        text(&tool["function"]["name"], "a tool's name")?;
        if tool["function"]["parameters"]["properties"]["city"]["type"] != "string" {
            return Err(format!("the tool has lost its schema: {tool}"));
        }
    }
    asked.thinks = body.get("reasoning_effort").is_some();
    let format = &body["response_format"];
    asked.schema = match format["type"].as_str() {
        None => None,
        Some("json_schema") if format["json_schema"]["name"].is_string() => {
            Some(format["json_schema"]["schema"].clone())
        }
        Some(_) => return Err(format!("response_format is {format}")),
    };
    Ok(asked)
}

/// Tells what a message says, and gives the ids of its calls.
fn say(message: &Value, lines: &mut Vec<String>) -> Result<Vec<String>, String> {
    let (role, content) = (text(&message["role"], "role")?, &message["content"]);
    let word = match role.as_str() {
        "system" | "developer" => "system",
        "tool" => "result",
        "user" | "assistant" => role.as_str(),
        _ => return Err(format!("nobody has the role {role}")),
    };
    if content.is_string() {
        lines.push(format!("{word}: {}", text(content, "content")?));
    } else if !(content.is_null() && message["tool_calls"].is_array()) {
        for part in list(content, "content")? {
            lines.push(match part["type"].as_str() {
                Some("text") => format!("{word}: {}", text(&part["text"], "text")?),
                Some("image_url") if role == "user" => format!("image: {}", source(&part["image_url"]["url"])?),
                Some("file") if role == "user" => format!("document: {}", source(&part["file"]["file_data"])?),
                _ => return Err(format!("{role} cannot say {part}")),
            });
        }
    }
    let mut ids = Vec::new();
    for call in message["tool_calls"].as_array().into_iter().flatten() {
        let function = &call["function"];
        let arguments: Value = serde_json::from_str(&text(&function["arguments"], "arguments")?)
            .map_err(|error| format!("arguments are no JSON: {error}"))?;
        lines.push(format!("call: {} {arguments}", text(&function["name"], "name")?));
        ids.push(text(&call["id"], "id")?);
    }
    Ok(ids)
}

/// Where an image or file is: its type and bytes, or its address.
fn source(url: &Value) -> Result<String, String> {
    let url = text(url, "url")?;
    match url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((kind, bytes)) => Ok(format!("{kind} {bytes}")),
        None if url.starts_with("https://") => Ok(url),
        None => Err(format!("{url} is no place")),
    }
}

fn usage() -> Value {
    let (input, output) = TOKENS;
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}})
}

fn served(reply: &Reply) -> &str {
    reply.tier.as_deref().unwrap_or("default")
}

pub(super) fn script(reply: &Reply, streamed: bool) -> Script {
    let finish = if reply.cities.is_empty() { "stop" } else { "tool_calls" };
    let call = |(at, city): (usize, &&str)| {
        json!({"id": format!("{CALL}{city}"), "type": "function", "index": at,
            "function": {"name": "weather", "arguments": json!({"city": city}).to_string()}})
    };
    let calls: Vec<Value> = reply.cities.iter().enumerate().map(call).collect();
    if streamed { stream(reply, &calls, finish) } else { whole(reply, calls, finish) }
}

fn whole(reply: &Reply, mut calls: Vec<Value>, finish: &str) -> Script {
    let mut message = json!({"role": "assistant", "content": null, "refusal": null});
    if calls.is_empty() {
        message["content"] = json!(reply.text);
    } else {
        calls.iter_mut().filter_map(Value::as_object_mut).for_each(|call| drop(call.remove("index")));
        message["tool_calls"] = json!(calls);
    }
    if let Some((thinking, _)) = &reply.thinking {
        message["reasoning_content"] = json!(thinking);
    }
    let choice = json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish});
    Script::json(
        200,
        &json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-1",
            "choices": [choice], "usage": usage(), "service_tier": served(reply)}),
    )
}

fn stream(reply: &Reply, calls: &[Value], finish: &str) -> Script {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-1",
            "choices": choices, "usage": usage, "service_tier": served(reply)});
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value| chunk(json!([{"index": 0, "delta": delta, "finish_reason": null}]), Value::Null);
    let start = if calls.is_empty() { json!("") } else { Value::Null };
    let mut events = vec![delta(json!({"role": "assistant", "content": start}))];
    events.extend(reply.thinking.iter().map(|(thinking, _)| delta(json!({"reasoning_content": thinking}))));
    events.extend(reply.pieces().into_iter().map(|piece| delta(json!({"content": piece}))));
    for call in calls {
        let mut start = call.clone();
        start["function"]["arguments"] = json!("");
        events.push(delta(json!({"tool_calls": [start]})));
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        for half in [&arguments[..5], &arguments[5..]] {
            events.push(delta(json!({"tool_calls": [{"index": call["index"], "function": {"arguments": half}}]})));
        }
    }
    events.push(chunk(json!([{"index": 0, "delta": {}, "finish_reason": finish}]), Value::Null));
    events.push(chunk(json!([]), usage()));
    events.push("data: [DONE]\n\n".to_owned());
    Script::stream(events)
}
