//! Deltas, written as a Messages stream: one block at a time, each begun and ended, indexes without gaps.
//!
//! Calls whose fragments come interleaved are written one after the other; later ones wait for the end.

use super::answer::{id, stop_reason, write_usage};
use crate::chat::{Delta, Finish};
use crate::seal::seal;
use crate::write::{Object, object};
use crate::{Text, Usage};

/// What of a stream was written so far.
#[derive(Debug)]
pub(crate) struct Writer {
    origin: String,
    started: bool,
    /// Index of the next block.
    index: u64,
    open: Option<Open>,
    waiting: Vec<Waiting>,
    finish: Option<(Finish, Option<Text<'static>>)>,
    refused: bool,
    usage: Usage,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Open {
    Text,
    Thinking { signed: bool },
    Call(u64),
}

/// A block that came while a call was open, its text still escaped.
#[derive(Debug)]
enum Waiting {
    Text(String),
    Thinking(String),
    Call { call: u64, id: Text<'static>, name: Text<'static>, arguments: String },
}

impl Writer {
    pub(crate) fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            started: false,
            index: 0,
            open: None,
            waiting: Vec::new(),
            finish: None,
            refused: false,
            usage: Usage::default(),
        }
    }

    /// Bytes that wait.
    pub(crate) fn held(&self) -> usize {
        let size = |waiting: &Waiting| match waiting {
            Waiting::Text(text) | Waiting::Thinking(text) | Waiting::Call { arguments: text, .. } => text.len(),
        };
        self.waiting.iter().map(size).sum()
    }

    /// Writes a delta's events.
    pub(crate) fn write(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>) {
        match delta {
            Delta::Start { id, model, service_tier } => {
                self.start(id.as_ref(), model.as_ref(), service_tier.as_ref(), out);
            }
            Delta::Usage(usage) => self.usage = *usage,
            Delta::Lost(_) => {}
            Delta::Finish { choice: 0, finish, stop_sequence } => {
                self.finish = Some((*finish, stop_sequence.clone().map(Text::into_owned)));
            }
            Delta::BlockEnd { choice: 0 } => self.close(out),
            Delta::Text { choice: 0, text } => self.text(text, out),
            Delta::Refusal { choice: 0, text } => {
                self.refused = true;
                self.text(text, out);
            }
            Delta::Thinking { choice: 0, text } => self.thinking(text, out),
            Delta::Signature { choice: 0, signature } => self.signature(Some(signature), out),
            Delta::RedactedThinking { choice: 0, data } => {
                let sealed = seal(&self.origin, Some(data));
                self.close(out);
                self.begin(out, |o| {
                    o.str("type", "redacted_thinking");
                    o.text("data", &sealed);
                });
                self.end_block(out);
            }
            Delta::ToolCall { choice: 0, call, id, name } => self.call(*call, id, name, out),
            Delta::Arguments { choice: 0, call, fragment } => self.arguments(*call, fragment, out),
            // There is room for one choice.
            Delta::Text { .. }
            | Delta::Refusal { .. }
            | Delta::Thinking { .. }
            | Delta::Signature { .. }
            | Delta::RedactedThinking { .. }
            | Delta::ToolCall { .. }
            | Delta::Arguments { .. }
            | Delta::BlockEnd { .. }
            | Delta::Finish { .. } => {}
        }
    }

    /// Writes what waited, why the answer ended, and the end.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Text(text) => self.text(&Text::of_escaped(&text), out),
                Waiting::Thinking(text) => self.thinking(&Text::of_escaped(&text), out),
                Waiting::Call { call, id, name, arguments } => {
                    self.call(call, &id, &name, out);
                    self.arguments(call, &Text::of_escaped(&arguments), out);
                }
            }
            self.close(out);
        }
        let (finish, stop_sequence) = self.finish.take().unwrap_or((Finish::Stop, None));
        let finish = if self.refused && finish == Finish::Stop { Finish::Filtered } else { finish };
        self.begun(out);
        event(out, "message_delta", |o| {
            o.object("delta", |o| {
                o.str("stop_reason", stop_reason(finish));
                match &stop_sequence {
                    Some(sequence) => o.text("stop_sequence", sequence),
                    None => o.raw("stop_sequence", "null"),
                }
            });
            o.object("usage", |o| write_usage(o, &self.usage));
        });
        stop(out);
    }

    fn begun(&mut self, out: &mut Vec<u8>) {
        if !self.started {
            self.start(None, None, None, out);
        }
    }

    fn start(
        &mut self,
        given: Option<&Text<'_>>,
        model: Option<&Text<'_>>,
        tier: Option<&Text<'_>>,
        out: &mut Vec<u8>,
    ) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        event(out, "message_start", |o| {
            o.object("message", |o| {
                o.text("id", &id(given));
                o.str("type", "message");
                o.str("role", "assistant");
                o.text("model", model.unwrap_or(&Text::of("unknown")));
                o.raw("content", "[]");
                o.raw("stop_reason", "null");
                o.raw("stop_sequence", "null");
                o.object("usage", |o| {
                    write_usage(o, &self.usage);
                    match tier.map(Text::plain).as_deref() {
                        Some("default" | "auto") => o.str("service_tier", "standard"),
                        Some("standard" | "priority" | "batch") => o.text_if("service_tier", tier),
                        _ => {}
                    }
                });
            });
        });
    }

    fn text(&mut self, text: &Text<'_>, out: &mut Vec<u8>) {
        if matches!(self.open, Some(Open::Call(_))) {
            match self.waiting.last_mut() {
                Some(Waiting::Text(held)) => held.push_str(text.escaped()),
                _ => self.waiting.push(Waiting::Text(text.escaped().to_owned())),
            }
            return;
        }
        if self.open != Some(Open::Text) {
            self.close(out);
            self.begin(out, |o| {
                o.str("type", "text");
                o.str("text", "");
            });
            self.open = Some(Open::Text);
        }
        self.delta(out, "text_delta", "text", text);
    }

    fn thinking(&mut self, text: &Text<'_>, out: &mut Vec<u8>) {
        if matches!(self.open, Some(Open::Call(_))) {
            match self.waiting.last_mut() {
                Some(Waiting::Thinking(held)) => held.push_str(text.escaped()),
                _ => self.waiting.push(Waiting::Thinking(text.escaped().to_owned())),
            }
            return;
        }
        if !matches!(self.open, Some(Open::Thinking { .. })) {
            self.close(out);
            self.begin_thinking(out);
        }
        self.delta(out, "thinking_delta", "thinking", text);
    }

    fn begin_thinking(&mut self, out: &mut Vec<u8>) {
        self.begin(out, |o| {
            o.str("type", "thinking");
            o.str("thinking", "");
            o.str("signature", "");
        });
        self.open = Some(Open::Thinking { signed: false });
    }

    fn signature(&mut self, signature: Option<&Text<'_>>, out: &mut Vec<u8>) {
        match self.open {
            Some(Open::Thinking { signed: true } | Open::Call(_)) => return,
            Some(Open::Thinking { signed: false }) => {}
            // Reasoning whose text the provider keeps to itself has a signature all the same.
            Some(Open::Text) | None => {
                self.close(out);
                self.begin_thinking(out);
            }
        }
        let sealed = seal(&self.origin, signature);
        self.open = Some(Open::Thinking { signed: true });
        self.delta(out, "signature_delta", "signature", &sealed);
    }

    fn call(&mut self, call: u64, id: &Text<'_>, name: &Text<'_>, out: &mut Vec<u8>) {
        if matches!(self.open, Some(Open::Call(_))) {
            let (id, name) = (id.clone().into_owned(), name.clone().into_owned());
            return self.waiting.push(Waiting::Call { call, id, name, arguments: String::new() });
        }
        self.close(out);
        self.begin(out, |o| {
            o.str("type", "tool_use");
            o.text("id", id);
            o.text("name", name);
            o.raw("input", "{}");
        });
        self.open = Some(Open::Call(call));
    }

    fn arguments(&mut self, of: u64, fragment: &Text<'_>, out: &mut Vec<u8>) {
        if self.open == Some(Open::Call(of)) {
            return self.delta(out, "input_json_delta", "partial_json", fragment);
        }
        for waiting in &mut self.waiting {
            if let Waiting::Call { call, arguments, .. } = waiting
                && *call == of
            {
                arguments.push_str(fragment.escaped());
            }
        }
    }

    fn begin(&mut self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
        self.begun(out);
        event(out, "content_block_start", |o| {
            o.value("index", self.index);
            o.object("content_block", fill);
        });
    }

    fn delta(&mut self, out: &mut Vec<u8>, kind: &str, name: &str, value: &Text<'_>) {
        event(out, "content_block_delta", |o| {
            o.value("index", self.index);
            o.object("delta", |o| {
                o.str("type", kind);
                o.text(name, value);
            });
        });
    }

    /// Ends the open block; reasoning is never left without a signature.
    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open == Some(Open::Thinking { signed: false }) {
            self.signature(None, out);
        }
        if self.open.take().is_some() {
            self.end_block(out);
        }
    }

    fn end_block(&mut self, out: &mut Vec<u8>) {
        event(out, "content_block_stop", |o| o.value("index", self.index));
        self.index += 1;
    }
}

/// The last event of a stream.
pub(crate) fn stop(out: &mut Vec<u8>) {
    event(out, "message_stop", |_| {});
}

fn event(out: &mut Vec<u8>, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    object(out, |o| {
        o.str("type", name);
        fill(o);
    });
    out.extend_from_slice(b"\n\n");
}
