//! What a provider does with one request, as a list of steps, and the answers of the OpenAI dialect.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::watch;

use super::record::Record;

/// A list of steps.
#[derive(Clone, Default)]
pub struct Script {
    pub(super) steps: Vec<Step>,
    choice: Option<Choice>,
}

/// One step of an answer.
#[derive(Clone)]
pub enum Step {
    /// Status and headers; `content-length` is added where the rest of the script is known.
    Head(StatusCode, Vec<(HeaderName, HeaderValue)>),
    /// These bytes of the body, as one piece.
    Body(Bytes),
    /// These bytes on the wire, with no framing (HTTP/1.1 only).
    Wire(Bytes),
    /// These bytes of the body again and again, as fast as the client takes them.
    Endless(Bytes),
    /// Nothing until the test says so.
    Wait(Signal),
    /// Nothing until the client goes away.
    Stall,
    /// The connection is reset (HTTP/2: the stream).
    Reset,
    /// The connection is closed where it stands (HTTP/2: the stream is reset).
    Close,
}

/// Ends a pause of a script; cloned into it.
#[derive(Clone)]
pub struct Signal(Arc<watch::Sender<bool>>);

impl Default for Signal {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Signal {
    /// Lets every script go on that waits here, now or later.
    pub fn fire(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn fired(&self) {
        let _ = self.0.subscribe().wait_for(|fired| *fired).await;
    }
}

/// The usage block of an answer.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// `prompt_tokens`.
    pub input: u64,
    /// `completion_tokens`.
    pub output: u64,
    /// `prompt_tokens_details.cached_tokens`.
    pub cached: u64,
}

impl Usage {
    /// Input and output tokens, nothing cached.
    pub fn of(input: u64, output: u64) -> Self {
        Self { input, output, cached: 0 }
    }

    fn json(self) -> Value {
        json!({
            "prompt_tokens": self.input, "completion_tokens": self.output, "total_tokens": self.input + self.output,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        })
    }
}

/// An answer that is whole or streamed, as the request asks.
#[derive(Clone)]
struct Choice {
    message: Value,
    finish: &'static str,
    usage: Usage,
}

impl Script {
    /// An answer of these steps.
    pub fn new(steps: Vec<Step>) -> Self {
        Self { steps, choice: None }
    }

    /// A JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::whole(status, &[("content-type", "application/json")], body.to_string())
    }

    /// An answer of known length.
    pub fn whole(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        Self::default().head(status, headers).body(body)
    }

    /// An error in the dialect's form.
    pub fn error(status: u16, kind: &str, code: Option<&str>, message: &str) -> Self {
        Self::json(status, &json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
    }

    /// A chat answer, whole or streamed word by word as the request asks, with usage where it is asked for.
    pub fn chat(text: &str, usage: Usage) -> Self {
        let message = json!({"role": "assistant", "content": text});
        Self { steps: Vec::new(), choice: Some(Choice { message, finish: "stop", usage }) }
    }

    /// A chat answer that calls one tool, whole or streamed as the request asks.
    pub fn tool_call(id: &str, name: &str, arguments: &str, usage: Usage) -> Self {
        let call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
        let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
        Self { steps: Vec::new(), choice: Some(Choice { message, finish: "tool_calls", usage }) }
    }

    /// A stream of exactly these pieces; whatever ends it is the next step.
    pub fn stream<I: IntoIterator<Item = B>, B: AsRef<[u8]>>(pieces: I) -> Self {
        let start = Self::default().head(200, &[("content-type", "text/event-stream")]);
        pieces.into_iter().fold(start, Self::body)
    }

    /// Adds status and headers.
    #[must_use]
    pub fn head(self, status: u16, headers: &[(&str, &str)]) -> Self {
        let pairs = headers.iter().map(|(name, value)| {
            (name.parse().expect("a header name"), HeaderValue::from_str(value).expect("a header value"))
        });
        self.step(Step::Head(StatusCode::from_u16(status).expect("a status"), pairs.collect()))
    }

    /// Adds a piece of the body.
    #[must_use]
    pub fn body(self, piece: impl AsRef<[u8]>) -> Self {
        self.step(Step::Body(Bytes::copy_from_slice(piece.as_ref())))
    }

    /// Adds a piece of the body that has no end.
    #[must_use]
    pub fn endless(self, piece: impl AsRef<[u8]>) -> Self {
        self.step(Step::Endless(Bytes::copy_from_slice(piece.as_ref())))
    }

    /// Adds a pause that the test ends.
    #[must_use]
    pub fn wait(self, signal: &Signal) -> Self {
        self.step(Step::Wait(signal.clone()))
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Keeps the first `bytes` of the body and puts `end` in place of the rest.
    #[must_use]
    pub fn cut(mut self, bytes: usize, end: Step) -> Self {
        let mut left = bytes;
        let mut kept = Vec::new();
        for step in self.steps.drain(..) {
            match step {
                Step::Body(ref piece) if piece.len() > left => {
                    if left > 0 {
                        kept.push(Step::Body(piece.slice(..left)));
                    }
                    break;
                }
                Step::Body(ref piece) => {
                    left -= piece.len();
                    kept.push(step);
                }
                Step::Head(..)
                | Step::Wire(_)
                | Step::Endless(_)
                | Step::Wait(_)
                | Step::Stall
                | Step::Reset
                | Step::Close => kept.push(step),
            }
        }
        kept.push(end);
        self.steps = kept;
        self
    }

    /// The steps for this request.
    pub(super) fn for_request(mut self, record: &Record) -> Self {
        let Some(choice) = self.choice.take() else { return self };
        let asked = record.json();
        let model = asked["model"].as_str().unwrap_or_default();
        if asked["stream"] == json!(true) {
            Self::stream(choice.events(model, asked["stream_options"]["include_usage"] == json!(true)))
        } else {
            Self::json(200, &choice.answer(model))
        }
    }
}

impl Choice {
    fn answer(&self, model: &str) -> Value {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": model,
            "choices": [{"index": 0, "message": self.message, "finish_reason": self.finish, "logprobs": null}],
            "usage": self.usage.json(),
        })
    }

    fn events(&self, model: &str, with_usage: bool) -> Vec<String> {
        let mut deltas = vec![(json!({"role": "assistant", "content": ""}), Value::Null)];
        if let Some(text) = self.message["content"].as_str() {
            deltas.extend(text.split_inclusive(' ').map(|word| (json!({"content": word}), Value::Null)));
        }
        for call in self.message["tool_calls"].as_array().into_iter().flatten() {
            let start = json!({"index": 0, "id": call["id"], "type": "function",
                "function": {"name": call["function"]["name"], "arguments": ""}});
            deltas.push((json!({"tool_calls": [start]}), Value::Null));
            let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
            let (first, second) = arguments.split_at(arguments.len() / 2);
            for part in [first, second] {
                deltas.push((json!({"tool_calls": [{"index": 0, "function": {"arguments": part}}]}), Value::Null));
            }
        }
        deltas.push((json!({}), json!(self.finish)));
        let mut events: Vec<_> = deltas
            .into_iter()
            .map(|(delta, finish)| {
                chunk(model, &json!([{"index": 0, "delta": delta, "finish_reason": finish}]), &Value::Null)
            })
            .collect();
        if with_usage {
            events.push(chunk(model, &json!([]), &self.usage.json()));
        }
        events.push("data: [DONE]\n\n".to_owned());
        events
    }
}

/// One event of a chat stream; `usage` may be null.
pub fn chunk(model: &str, choices: &Value, usage: &Value) -> String {
    let event = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": model,
        "choices": choices, "usage": usage,
    });
    format!("data: {event}\n\n")
}
