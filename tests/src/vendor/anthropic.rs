//! Messages as Anthropic takes and gives them.

use serde_json::{Value, json};

use super::words::{Asked, Reply, SECRET, TOKENS, header, list, read, text, tier};
use crate::provider::{Record, Script};

const KNOWN: [&str; 15] = [
    "model",
    "messages",
    "max_tokens",
    "system",
    "stream",
    "tools",
    "tool_choice",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "thinking",
    "output_config",
    "metadata",
    "service_tier",
];
const CALL: &str = "toolu_";

pub(super) fn understood(record: &Record) -> Result<Asked, String> {
    header(record, "x-api-key", Some(SECRET))?;
    header(record, "authorization", None)?;
    // Clients of the dialect say one themselves, and SDKs of its vendor newer ones.
    let version = record.headers.get("anthropic-version").and_then(|version| version.to_str().ok()).unwrap_or_default();
    if version.len() != "2023-06-01".len() || !version.starts_with("20") {
        return Err(format!("there is no version {version:?}"));
    }
    let body = read(record, "/v1/messages", &KNOWN)?;
    if body["max_tokens"].as_u64().is_none_or(|most| most == 0) {
        return Err("max_tokens: field required".to_owned());
    }
    let mut asked = Asked { streamed: body["stream"] == true, tier: tier(&body), ..Asked::default() };
    if !body["system"].is_null() {
        asked.lines.extend(texts(&body["system"], "system")?.into_iter().map(|text| format!("system: {text}")));
    }
    let (mut open, mut last): (Vec<String>, &str) = (Vec::new(), "assistant");
    for message in list(&body["messages"], "messages")? {
        let role = message["role"].as_str().unwrap_or_default();
        if role == last || !matches!(role, "user" | "assistant") {
            return Err(format!("messages: a turn of {role} follows one of {last}"));
        }
        last = role;
        open = say(role, &message["content"], open, &mut asked.lines)?;
    }
    for tool in body["tools"].as_array().into_iter().flatten() {
        text(&tool["name"], "a tool's name")?;
        if tool["input_schema"]["properties"]["city"]["type"] != "string" {
            return Err(format!("the tool has lost its schema: {tool}"));
        }
    }
    asked.thinks = matches!(body["thinking"]["type"].as_str(), Some("enabled" | "adaptive"));
    let format = &body["output_config"]["format"];
    asked.schema = match format["type"].as_str() {
        None => None,
        Some("json_schema") if format["schema"]["additionalProperties"] == false => Some(format["schema"].clone()),
        Some(_) => return Err(format!("output_config.format is {format}")),
    };
    Ok(asked)
}

/// Tells what a turn says; `open` are the calls that it must answer, and it gives those that it makes.
fn say(role: &str, content: &Value, mut open: Vec<String>, lines: &mut Vec<String>) -> Result<Vec<String>, String> {
    let mut calls = Vec::new();
    if content.is_string() {
        lines.push(format!("{role}: {}", text(content, "content")?));
    } else {
        for (at, block) in list(content, "content")?.iter().enumerate() {
            let word = |word: &str| text(&block[word], word);
            lines.push(match (role, block["type"].as_str().unwrap_or_default()) {
                (_, "text") => format!("{role}: {}", word("text")?),
                ("user", "image") => format!("image: {}", source(&block["source"])?),
                ("user", "document") => format!("document: {}", source(&block["source"])?),
                ("user", "tool_result") => {
                    let id = word("tool_use_id")?;
                    let found = open.iter().position(|call| *call == id);
                    open.remove(found.ok_or_else(|| format!("tool_use_id {id} answers no call of the turn before"))?);
                    format!("result: {}", texts(&block["content"], "content")?.join(""))
                }
                ("assistant", "tool_use") if block["input"].is_object() => {
                    calls.push(word("id")?);
                    format!("call: {} {}", word("name")?, block["input"])
                }
                ("assistant", "thinking") if at == 0 && word("signature")?.starts_with("signature-") => {
                    // The vendor reads its signature; the text may be left out.
                    let thinking = block["thinking"].as_str().ok_or("thinking is no text")?;
                    format!("thinking: {thinking} {}", word("signature")?)
                }
                _ => return Err(format!("{role} cannot say {block}")),
            });
        }
    }
    if open.is_empty() { Ok(calls) } else { Err(format!("the calls {open:?} are not answered")) }
}

/// A text, or blocks of text.
fn texts(value: &Value, what: &str) -> Result<Vec<String>, String> {
    if value.is_string() {
        return text(value, what).map(|text| vec![text]);
    }
    list(value, what)?.iter().map(|block| text(&block["text"], "text")).collect()
}

/// Where an image or document is: its type and bytes, or its address.
fn source(source: &Value) -> Result<String, String> {
    let word = |word: &str| text(&source[word], word);
    match source["type"].as_str() {
        Some("base64") => Ok(format!("{} {}", word("media_type")?, word("data")?)),
        Some("url") => word("url"),
        _ => Err(format!("{source} is no place")),
    }
}

pub(super) fn script(reply: &Reply, streamed: bool) -> Script {
    let stop = if reply.cities.is_empty() { "end_turn" } else { "tool_use" };
    let thinking = reply.thinking.iter();
    let mut blocks: Vec<Value> = thinking
        .map(|(thinking, signature)| json!({"type": "thinking", "thinking": thinking, "signature": signature}))
        .collect();
    if !reply.text.is_empty() {
        blocks.push(json!({"type": "text", "text": reply.text}));
    }
    blocks.extend(reply.cities.iter().map(
        |city| json!({"type": "tool_use", "id": format!("{CALL}{city}"), "name": "weather", "input": {"city": city}}),
    ));
    let (input, output) = TOKENS;
    let served = reply.tier.as_deref().unwrap_or("standard");
    let usage = |output: u64| {
        json!({"input_tokens": input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "output_tokens": output, "service_tier": served})
    };
    let mut message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-1",
        "content": blocks, "stop_reason": stop, "stop_sequence": null, "usage": usage(output)});
    if !streamed {
        return Script::json(200, &message);
    }
    message["content"] = json!([]);
    message["stop_reason"] = Value::Null;
    message["usage"] = usage(1);
    let mut events = vec![event("message_start", json!({"message": message})), event("ping", json!({}))];
    for (index, block) in blocks.iter().enumerate() {
        events.extend(block_events(index, block, reply));
    }
    let delta = json!({"delta": {"stop_reason": stop, "stop_sequence": null}, "usage": usage(output)});
    events.push(event("message_delta", delta));
    events.push(event("message_stop", json!({})));
    Script::stream(events)
}

fn block_events(index: usize, block: &Value, reply: &Reply) -> Vec<String> {
    let (start, deltas) = match block["type"].as_str() {
        Some("thinking") => (
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            vec![
                json!({"type": "thinking_delta", "thinking": block["thinking"]}),
                json!({"type": "signature_delta", "signature": block["signature"]}),
            ],
        ),
        Some("tool_use") => {
            let mut start = block.clone();
            start["input"] = json!({});
            let input = block["input"].to_string();
            let part = |json: &str| json!({"type": "input_json_delta", "partial_json": json});
            (start, vec![part(""), part(&input[..5]), part(&input[5..])])
        }
        _ => {
            let pieces = reply.pieces().into_iter().map(|text| json!({"type": "text_delta", "text": text}));
            (json!({"type": "text", "text": ""}), pieces.collect())
        }
    };
    let mut events = vec![event("content_block_start", json!({"index": index, "content_block": start}))];
    events.extend(deltas.into_iter().map(|d| event("content_block_delta", json!({"index": index, "delta": d}))));
    events.push(event("content_block_stop", json!({"index": index})));
    events
}

fn event(name: &str, mut data: Value) -> String {
    data["type"] = json!(name);
    format!("event: {name}\ndata: {data}\n\n")
}
