//! A chat completion request: what routing must know of it, and how it is patched for a target.
//!
//! It does not decode messages; whatever is not named here goes upstream byte for byte.

use crate::json::Members;
use crate::{Edit, Refusal, splice};
use bytes::Bytes;
use std::borrow::Cow;

/// Most tools of one request (the bound of the API itself).
const MAX_TOOLS: usize = 128;
/// Most JSON values within `tools`.
const MAX_TOOL_VALUES: usize = 100_000;
/// Members by which a caller would redirect a request or bring its own credential.
const FORBIDDEN: &[&str] = &["api_base", "api_key", "base_url", "custom_llm_provider", "api_version", "extra_headers"];

/// The caller's request, scanned once.
#[derive(Debug)]
pub struct Call<'a> {
    members: Members<'a>,
    /// The model that the caller named.
    pub model: Cow<'a, str>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the caller asked for usage at the end of the stream.
    pub wants_usage: bool,
    /// Most output tokens that the caller asked for.
    pub max_output: Option<u64>,
    /// Bytes of messages and tools, which the input estimate goes by.
    pub prompt_bytes: usize,
}

/// A parameter that a target sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its names in a request; the first is the one to insert.
    pub names: &'static [&'static str],
    /// Its value, as JSON.
    pub value: Bytes,
}

impl<'a> Call<'a> {
    /// Scans a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(body).map_err(|e| {
            Refusal::invalid("invalid_json", None, format!("the body is not UTF-8 (at byte {})", e.valid_up_to()))
        })?;
        let members = Members::scan(text).map_err(|e| Refusal::invalid("invalid_json", None, e.to_string()))?;
        if let Some(name) = FORBIDDEN.iter().find(|name| members.get(name).is_some()) {
            return Err(Refusal::invalid(
                "unsupported_parameter",
                Some(name),
                format!(
                    "`{name}` is not accepted: where a request goes, and with which credential, is the gateway's to decide; remove it"
                ),
            ));
        }
        bound_tools(&members)?;
        let model = string(&members, "model")?.filter(|model| !model.is_empty()).ok_or_else(|| {
            Refusal::invalid(
                "missing_required_parameter",
                Some("model"),
                "`model` is missing: name one of those that GET /v1/models lists",
            )
        })?;
        if members.raw("messages").is_none_or(|raw| !raw.starts_with('[')) {
            return Err(Refusal::invalid(
                "missing_required_parameter",
                Some("messages"),
                "`messages` must be an array of messages",
            ));
        }
        let stream = boolean(&members, "stream")?.unwrap_or(false);
        let bytes_of = |name| members.raw(name).map_or(0, str::len);
        Ok(Self {
            model,
            stream,
            wants_usage: stream && wants_usage(&members)?,
            max_output: match integer(&members, "max_completion_tokens")? {
                None => integer(&members, "max_tokens")?,
                given => given,
            },
            prompt_bytes: bytes_of("messages") + bytes_of("tools"),
            members,
        })
    }

    /// The body for a target: its name of the model (as JSON), its parameters, and usage always asked for.
    pub fn patched(&self, body: &Bytes, model: &Bytes, defaults: &[Param], overrides: &[Param]) -> Vec<Bytes> {
        let mut edits = Vec::with_capacity(4);
        let mut front: Vec<u8> = Vec::new();
        if let Some(member) = self.members.get("model")
            && body.get(member.value.clone()) != Some(&model[..])
        {
            edits.push(Edit { at: member.value.clone(), text: model.clone() });
        }
        if self.stream && !self.wants_usage {
            self.ask_for_usage(&mut edits, &mut front);
        }
        for (params, force) in [(overrides, true), (defaults, false)] {
            for param in params {
                self.set(param, force, overrides, &mut edits, &mut front);
            }
        }
        if !front.is_empty() {
            let (at, others) = self.members.front();
            if !others {
                front.pop();
            }
            edits.push(Edit { at: at..at, text: front.into() });
        }
        splice(body, edits)
    }

    fn ask_for_usage(&self, edits: &mut Vec<Edit>, front: &mut Vec<u8>) {
        const ASK: &str = "{\"include_usage\":true}";
        let Some(member) = self.members.get("stream_options") else {
            return insert(front, "stream_options", ASK.as_bytes());
        };
        let held =
            self.members.raw("stream_options").and_then(|raw| serde_json::from_str::<serde_json::Map<_, _>>(raw).ok());
        let text = match held {
            Some(mut options) => {
                options.insert("include_usage".into(), true.into());
                serde_json::Value::Object(options).to_string().into()
            }
            None => Bytes::from_static(ASK.as_bytes()),
        };
        edits.push(Edit { at: member.value.clone(), text });
    }

    fn set(&self, param: &Param, force: bool, overrides: &[Param], edits: &mut Vec<Edit>, front: &mut Vec<u8>) {
        let mut given = param.names.iter().filter_map(|name| self.members.get(name)).peekable();
        if !force && overrides.iter().any(|other| other.names == param.names) {
            return;
        }
        match (given.peek(), param.names.first()) {
            (None, Some(name)) => insert(front, name, &param.value),
            (Some(_), _) if force => {
                edits.extend(given.map(|member| Edit { at: member.value.clone(), text: param.value.clone() }));
            }
            _ => {}
        }
    }
}

fn insert(front: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [b"\"", name.as_bytes(), b"\":", value, b","] {
        front.extend_from_slice(part);
    }
}

fn bound_tools(members: &Members<'_>) -> Result<(), Refusal> {
    let Some(tools) = members.get("tools") else { return Ok(()) };
    if tools.elements > MAX_TOOLS {
        let message = format!("`tools` has {} entries, at most {MAX_TOOLS} are accepted", tools.elements);
        return Err(Refusal::invalid("array_above_max_length", Some("tools"), message));
    }
    if tools.values > MAX_TOOL_VALUES {
        let message = format!("the schemas in `tools` have over {MAX_TOOL_VALUES} values");
        return Err(Refusal::invalid("invalid_value", Some("tools"), message));
    }
    Ok(())
}

fn wants_usage(members: &Members<'_>) -> Result<bool, Refusal> {
    #[derive(serde::Deserialize)]
    struct Options {
        include_usage: Option<bool>,
    }
    let Some(raw) = members.raw("stream_options") else { return Ok(false) };
    let options: Options = typed("stream_options", "an object such as {\"include_usage\": true}", raw)?;
    Ok(options.include_usage == Some(true))
}

fn string<'a>(members: &Members<'a>, name: &'static str) -> Result<Option<Cow<'a, str>>, Refusal> {
    let Some(raw) = members.raw(name) else { return Ok(None) };
    match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(plain) if !plain.contains('\\') => Ok(Some(Cow::Borrowed(plain))),
        _ => typed(name, "a string", raw).map(|text: String| Some(Cow::Owned(text))),
    }
}

fn boolean(members: &Members<'_>, name: &'static str) -> Result<Option<bool>, Refusal> {
    members.raw(name).map(|raw| typed(name, "true or false", raw)).transpose()
}

fn integer(members: &Members<'_>, name: &'static str) -> Result<Option<u64>, Refusal> {
    members.raw(name).map(|raw| typed(name, "a whole number of tokens", raw)).transpose()
}

fn typed<'a, T: serde::Deserialize<'a>>(name: &'static str, form: &str, raw: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(raw)
        .map_err(|_| Refusal::invalid("invalid_type", Some(name), format!("`{name}` must be {form}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn patched(body: &Value, defaults: &[Param], overrides: &[Param]) -> Value {
        let bytes = Bytes::from(body.to_string());
        let call = Call::read(&bytes).expect("the request is good");
        let out = call.patched(&bytes, &Bytes::from_static(b"\"up\""), defaults, overrides).concat();
        serde_json::from_slice(&out).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out)))
    }

    fn param(names: &'static [&'static str], value: &'static str) -> Param {
        Param { names, value: Bytes::from_static(value.as_bytes()) }
    }

    #[test]
    fn only_the_model_changes_and_unknown_members_keep_their_bytes() {
        let body = Bytes::from_static(br#" {"messages" : [], "x":1.0e2, "model" : "a", "y":{"z":[true]} } "#);
        let call = Call::read(&body).expect("the request is good");
        let out = call.patched(&body, &Bytes::from_static(b"\"b\""), &[], &[]).concat();
        assert_eq!(out, br#" {"messages" : [], "x":1.0e2, "model" : "b", "y":{"z":[true]} } "#);
    }

    #[test]
    fn usage_is_always_asked_for_on_streams_t56() {
        for (options, expected) in [
            (None, json!({"include_usage": true})),
            (Some(json!(null)), json!({"include_usage": true})),
            (
                Some(json!({"include_usage": false, "include_obfuscation": false})),
                json!({"include_usage": true, "include_obfuscation": false}),
            ),
        ] {
            let mut body = json!({"model": "a", "messages": [], "stream": true});
            if let Some(options) = options {
                body["stream_options"] = options;
            }
            assert_eq!(patched(&body, &[], &[])["stream_options"], expected);
        }
        assert_eq!(patched(&json!({"model": "a", "messages": []}), &[], &[]).get("stream_options"), None);
    }

    #[test]
    fn defaults_fill_in_and_overrides_replace_under_either_name() {
        const MAX: &[&str] = &["max_completion_tokens", "max_tokens"];
        let (fill, force) = ([param(MAX, "7"), param(&["temperature"], "0.5")], [param(MAX, "9")]);
        let bare = json!({"model": "a", "messages": []});
        assert_eq!(patched(&bare, &fill, &[])["max_completion_tokens"], 7);
        assert_eq!(patched(&bare, &fill, &force)["max_completion_tokens"], 9);
        let given = json!({"model": "a", "messages": [], "max_tokens": 3, "temperature": 1});
        let out = patched(&given, &fill, &[]);
        assert_eq!(
            (&out["max_tokens"], &out["temperature"], out.get("max_completion_tokens")),
            (&json!(3), &json!(1), None)
        );
        assert_eq!(patched(&given, &[], &force)["max_tokens"], 9);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, param) in [
            (json!({"messages": []}), "model"),
            (json!({"model": 4, "messages": []}), "model"),
            (json!({"model": "a"}), "messages"),
            (json!({"model": "a", "messages": "hi"}), "messages"),
            (json!({"model": "a", "messages": [], "stream": "yes"}), "stream"),
            (json!({"model": "a", "messages": [], "max_tokens": -1}), "max_tokens"),
            (json!({"model": "a", "messages": [], "api_base": "http://evil"}), "api_base"),
            (json!({"model": "a", "messages": [], "tools": vec![json!({}); 129]}), "tools"),
            (json!({"model": "a", "messages": [], "stream": true, "stream_options": 3}), "stream_options"),
        ] {
            let text = body.to_string();
            let refusal = Call::read(text.as_bytes()).expect_err(&text);
            assert_eq!(refusal.param.as_deref(), Some(param), "{text}");
            assert!(refusal.message.contains(param), "{}", refusal.message);
        }
    }

    #[test]
    fn garbage_never_panics() {
        bolero::check!().with_max_len(4096).for_each(|bytes| drop(Call::read(bytes)));
    }
}
