//! Requests as providers get them, for models of each kind.

use serde_json::{Value, json};
use weir_dialect::{Call, Dialect, Refusal, UpstreamModel, encode_request};

pub(crate) const GPT: UpstreamModel<'static> =
    UpstreamModel { dialect: Dialect::OpenAI, vendor: true, name: "up", max_output: None, origin: "oa" };
pub(crate) const COMPATIBLE: UpstreamModel<'static> = UpstreamModel { vendor: false, ..GPT };
pub(crate) const CLAUDE: UpstreamModel<'static> = UpstreamModel {
    dialect: Dialect::Anthropic,
    vendor: true,
    name: "claude-opus-4-6",
    max_output: Some(4_096),
    origin: "an",
};
pub(crate) const OLD_CLAUDE: UpstreamModel<'static> = UpstreamModel { name: "claude-sonnet-4-20250514", ..CLAUDE };
pub(crate) const NEW_CLAUDE: UpstreamModel<'static> = UpstreamModel { name: "claude-sonnet-5", ..CLAUDE };

/// A request as a provider gets it, and what was lost.
pub(crate) fn translated(from: Dialect, body: &Value, to: &UpstreamModel<'_>) -> Result<(Value, Vec<String>), Refusal> {
    let text = body.to_string();
    let call = Call::read(from, text.as_bytes())?;
    let request = call.decode()?;
    let (out, loss) = encode_request(&request, &request.sampling, to)?;
    let value = serde_json::from_slice(&out).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out)));
    Ok((value, loss.names().map(str::to_owned).collect()))
}

pub(crate) fn to_claude(body: Value) -> Value {
    let (out, loss) = translated(Dialect::OpenAI, &openai(body), &CLAUDE).unwrap();
    assert_eq!(loss, Vec::<String>::new());
    out
}

pub(crate) fn to_gpt(body: Value) -> Value {
    let (out, loss) = translated(Dialect::Anthropic, &anthropic(body), &GPT).unwrap();
    assert_eq!(loss, Vec::<String>::new());
    out
}

/// The least of a request, and more.
pub(crate) fn openai(more: Value) -> Value {
    with(json!({"model": "up", "messages": [{"role": "user", "content": "hi"}]}), more)
}

pub(crate) fn anthropic(more: Value) -> Value {
    with(json!({"model": "up", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}), more)
}

pub(crate) fn with(mut body: Value, more: Value) -> Value {
    let Value::Object(more) = more else { panic!("an object") };
    body.as_object_mut().unwrap().extend(more);
    body
}
