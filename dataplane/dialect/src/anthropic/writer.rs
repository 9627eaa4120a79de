//! Deltas, written as a Messages stream: one block at a time, each begun and ended, indexes without gaps.
//!
//! Calls whose fragments come interleaved are written one after the other; later ones wait for the end.

use super::answer::{id, stop_reason, write_tier, write_usage};
use crate::chat::{Delta, Finish};
use crate::ids::Ids;
use crate::seal::{of_call, seal};
use crate::translate::Translation;
use crate::write::{Object, object};
use crate::{Loss, Text, Usage};

/// What of a stream was written so far.
#[derive(Debug)]
pub(crate) struct Writer {
    origin: String,
    ids: Ids,
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
    Thinking { text: String, signature: Option<Text<'static>> },
    Redacted(Text<'static>),
    Call { call: u64, id: Text<'static>, name: Text<'static>, extra: Option<Text<'static>>, arguments: String },
}

impl Writer {
    pub(crate) fn new(translation: &Translation<'_>) -> Self {
        Self {
            origin: translation.origin.to_owned(),
            ids: Ids(translation.seed),
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
            Waiting::Text(text) | Waiting::Thinking { text, .. } | Waiting::Call { arguments: text, .. } => text.len(),
            Waiting::Redacted(data) => data.escaped().len(),
        };
        self.waiting.iter().map(size).sum()
    }

    /// Writes a delta's events. What the dialect has no place for is in the loss.
    pub(crate) fn write(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>, loss: &mut Loss) {
        match delta {
            Delta::Start { id, model, service_tier } => {
                self.start(id.as_ref(), model.as_ref(), service_tier.as_ref(), out, loss);
            }
            Delta::Usage(usage) => self.usage = *usage,
            Delta::Lost(_) => {}
            Delta::Finish { choice: 0, finish, stop_sequence } => {
                self.finish = Some((*finish, stop_sequence.clone().map(Text::into_owned)));
            }
            Delta::BlockEnd { choice: 0 } => self.close(out),
            Delta::Begin { choice: 0 } => self.begun(out),
            Delta::Text { choice: 0, text } => self.text(text, out),
            Delta::Refusal { choice: 0, text } => {
                self.refused = true;
                self.text(text, out);
            }
            Delta::Thinking { choice: 0, text } => self.thinking(text, out),
            Delta::Signature { choice: 0, signature } => self.signature(Some(signature), out),
            Delta::RedactedThinking { choice: 0, data } => {
                if matches!(self.open, Some(Open::Call(_))) {
                    return self.waiting.push(Waiting::Redacted(data.clone().into_owned()));
                }
                self.close(out);
                self.redacted(data, out);
            }
            Delta::ToolCall { choice: 0, call, id, name, extra } => self.call(*call, id, name, extra.as_ref(), out),
            Delta::Arguments { choice: 0, call, fragment } => self.arguments(*call, fragment, out),
            // There is room for one choice.
            Delta::Begin { .. }
            | Delta::Text { .. }
            | Delta::Refusal { .. }
            | Delta::Thinking { .. }
            | Delta::Signature { .. }
            | Delta::RedactedThinking { .. }
            | Delta::ToolCall { .. }
            | Delta::Arguments { .. }
            | Delta::BlockEnd { .. }
            | Delta::Finish { .. } => loss.add("choices"),
        }
    }

    /// Writes what waited, why the answer ended, and the end.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Text(text) => self.text(&Text::of_escaped(&text), out),
                Waiting::Thinking { text, signature } => {
                    if !text.is_empty() {
                        self.thinking(&Text::of_escaped(&text), out);
                    }
                    self.signature(signature.as_ref(), out);
                }
                Waiting::Redacted(data) => self.redacted(&data, out),
                Waiting::Call { call, id, name, extra, arguments } => {
                    self.call(call, &id, &name, extra.as_ref(), out);
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
            self.start(None, None, None, out, &mut Loss::default());
        }
    }

    fn start(
        &mut self,
        given: Option<&Text<'_>>,
        model: Option<&Text<'_>>,
        tier: Option<&Text<'_>>,
        out: &mut Vec<u8>,
        loss: &mut Loss,
    ) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        event(out, "message_start", |o| {
            o.object("message", |o| {
                o.text("id", &id(given, self.ids));
                o.str("type", "message");
                o.str("role", "assistant");
                o.text("model", model.unwrap_or(&Text::of("unknown")));
                o.raw("content", "[]");
                o.raw("stop_reason", "null");
                o.raw("stop_sequence", "null");
                o.object("usage", |o| {
                    write_usage(o, &self.usage);
                    write_tier(o, tier, loss);
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
                Some(Waiting::Thinking { text: held, signature: None }) => held.push_str(text.escaped()),
                _ => self.waiting.push(Waiting::Thinking { text: text.escaped().to_owned(), signature: None }),
            }
            return;
        }
        if self.open != Some(Open::Thinking { signed: false }) {
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
            Some(Open::Thinking { signed: true }) => return,
            Some(Open::Call(_)) => {
                let given = signature.cloned().map(Text::into_owned);
                return match self.waiting.last_mut() {
                    Some(Waiting::Thinking { signature: none @ None, .. }) => *none = given,
                    _ => self.waiting.push(Waiting::Thinking { text: String::new(), signature: given }),
                };
            }
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

    /// Reasoning that only its provider can read, as a block of its own.
    fn redacted(&mut self, data: &Text<'_>, out: &mut Vec<u8>) {
        let sealed = seal(&self.origin, Some(data));
        self.begin(out, |o| {
            o.str("type", "redacted_thinking");
            o.text("data", &sealed);
        });
        self.end_block(out);
    }

    /// A call, its further members before it.
    fn call(&mut self, call: u64, id: &Text<'_>, name: &Text<'_>, extra: Option<&Text<'_>>, out: &mut Vec<u8>) {
        if matches!(self.open, Some(Open::Call(_))) {
            let (id, name) = (id.clone().into_owned(), name.clone().into_owned());
            let extra = extra.cloned().map(Text::into_owned);
            return self.waiting.push(Waiting::Call { call, id, name, extra, arguments: String::new() });
        }
        self.close(out);
        if let Some(extra) = extra {
            self.redacted(&of_call(extra), out);
        }
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
