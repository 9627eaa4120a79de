//! Deltas, written as a chat completion stream.

use super::answer::{finish_reason, id, write_usage};
use super::content;
use crate::chat::{Delta, Finish};
use crate::ids::Ids;
use crate::seal::seal;
use crate::translate::Translation;
use crate::write::{Object, object};
use crate::{Loss, Text, Usage};

/// What of a stream was written so far.
#[derive(Debug)]
pub(crate) struct Writer {
    origin: String,
    created_s: u64,
    wants_usage: bool,
    ids: Ids,
    /// Every chunk up to its choices; empty before the start.
    prefix: Vec<u8>,
    /// Choices whose role was told.
    roles: u64,
    /// Reasoning blocks that are complete.
    thoughts: u64,
    /// The text of the one that is not, still escaped, for the detail that ends it. Some clients put the
    /// fragments of a detail together and others keep the last: it comes whole, so that both send it back.
    thinking: String,
    /// Why choices ended, told at the end, since some servers say it more than once.
    finishes: Vec<(u64, Finish)>,
    usage: Option<Usage>,
}

impl Writer {
    pub(crate) fn new(translation: &Translation<'_>) -> Self {
        Self {
            origin: translation.origin.to_owned(),
            created_s: translation.now_s,
            wants_usage: translation.wants_usage,
            ids: Ids(translation.seed),
            prefix: Vec::new(),
            roles: 0,
            thoughts: 0,
            thinking: String::new(),
            finishes: Vec::new(),
            usage: None,
        }
    }

    /// Writes a delta's events. What the dialect has no place for is in the loss.
    pub(crate) fn write(&mut self, delta: &Delta<'_>, out: &mut Vec<u8>, loss: &mut Loss) {
        match delta {
            Delta::Start { id, model, service_tier } => self.start(id.as_ref(), model.as_ref(), service_tier.as_ref()),
            Delta::Usage(usage) => self.usage = Some(*usage),
            Delta::Lost(_) => {}
            Delta::BlockEnd { choice } if !self.thinking.is_empty() => self.thought(*choice, None, out),
            Delta::BlockEnd { .. } => {}
            Delta::Begin { choice } => self.role(*choice, out),
            Delta::Text { choice, text } => self.chunk(*choice, out, |o| o.text("content", text)),
            Delta::Refusal { choice, text } => self.chunk(*choice, out, |o| o.text("refusal", text)),
            Delta::Thinking { choice, text } => {
                self.thinking.push_str(text.escaped());
                self.chunk(*choice, out, |o| o.text("reasoning_content", text));
            }
            Delta::Signature { choice, signature } => self.thought(*choice, Some(signature), out),
            Delta::RedactedThinking { choice, data } => {
                let (sealed, index) = (seal(&self.origin, Some(data)), self.thoughts);
                self.thoughts += 1;
                self.chunk(*choice, out, |o| {
                    detail(o, index, |o| content::reasoning_encrypted(o, &sealed));
                });
            }
            Delta::ToolCall { choice, call, id, name, extra } => {
                let extra = extra.as_ref().map(Text::plain);
                self.chunk(*choice, out, |o| {
                    tool_call(o, *call, |o| {
                        o.text("id", id);
                        o.str("type", "function");
                        o.object("function", |o| {
                            o.text("name", name);
                            o.str("arguments", "");
                        });
                        o.members_of(extra.as_deref());
                    });
                });
            }
            Delta::Arguments { choice, call, fragment } => self.chunk(*choice, out, |o| {
                tool_call(o, *call, |o| o.object("function", |o| o.text("arguments", fragment)));
            }),
            Delta::Finish { choice, finish, stop_sequence: _ } => {
                if *finish == Finish::Paused {
                    loss.add("stop_reason.pause_turn");
                }
                self.finishes.retain(|(other, _)| other != choice);
                self.finishes.push((*choice, *finish));
            }
        }
    }

    /// Bytes that are held for the end of a reasoning block.
    pub(crate) const fn held(&self) -> usize {
        self.thinking.len()
    }

    /// The detail that ends a reasoning block.
    fn thought(&mut self, choice: u64, signature: Option<&Text<'_>>, out: &mut Vec<u8>) {
        let text = Text::of_escaped(&std::mem::take(&mut self.thinking));
        let (sealed, index) = (seal(&self.origin, signature), self.thoughts);
        self.thoughts += 1;
        self.chunk(choice, out, |o| detail(o, index, |o| content::reasoning_text(o, &text, Some(&sealed))));
    }

    /// Writes the end: why each choice ended, the usage, if it was asked for, and `[DONE]`.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        if !self.thinking.is_empty() {
            self.thought(0, None, out);
        }
        for (choice, finish) in std::mem::take(&mut self.finishes) {
            self.role(choice, out);
            self.event(choice, out, finish_reason(finish), |_| {});
        }
        if let Some(usage) = self.usage.take().filter(|_| self.wants_usage) {
            self.begin(out);
            out.extend_from_slice(b"],");
            let mut rest = Vec::new();
            object(&mut rest, |o| write_usage(o, &usage));
            out.extend_from_slice(rest.get(1..).unwrap_or_default());
            out.extend_from_slice(b"\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn start(&mut self, given: Option<&Text<'_>>, model: Option<&Text<'_>>, service_tier: Option<&Text<'_>>) {
        let mut head = Vec::with_capacity(192);
        object(&mut head, |o| {
            o.text("id", &id(given, self.ids));
            o.str("object", "chat.completion.chunk");
            o.value("created", self.created_s);
            o.text("model", model.unwrap_or(&Text::of("unknown")));
            match service_tier.map(Text::plain).as_deref() {
                Some("standard") => o.str("service_tier", "default"),
                _ => o.text_if("service_tier", service_tier),
            }
        });
        head.pop();
        self.prefix = [b"data: ", &head[..], b",\"choices\":["].concat();
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.prefix.is_empty() {
            self.start(None, None, None);
        }
        out.extend_from_slice(&self.prefix);
    }

    /// The first chunk of a choice tells the role.
    fn role(&mut self, choice: u64, out: &mut Vec<u8>) {
        let bit = 1 << choice.min(63);
        if self.roles & bit == 0 {
            self.roles |= bit;
            self.event(choice, out, "", |o| {
                o.str("role", "assistant");
                o.str("content", "");
            });
        }
    }

    fn chunk(&mut self, choice: u64, out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
        self.role(choice, out);
        self.event(choice, out, "", fill);
    }

    fn event(&mut self, choice: u64, out: &mut Vec<u8>, finish: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.begin(out);
        object(out, |o| {
            o.value("index", choice);
            o.object("delta", fill);
            if finish.is_empty() { o.raw("finish_reason", "null") } else { o.str("finish_reason", finish) }
        });
        out.extend_from_slice(b"]}\n\n");
    }
}

fn tool_call(o: &mut Object<'_>, index: u64, fill: impl FnOnce(&mut Object<'_>)) {
    o.array("tool_calls", |list| {
        list.object(|o| {
            o.value("index", index);
            fill(o);
        });
    });
}

/// One entry of `reasoning_details`.
fn detail(o: &mut Object<'_>, index: u64, fill: impl FnOnce(&mut Object<'_>)) {
    o.array("reasoning_details", |list| {
        list.object(|o| {
            fill(o);
            o.value("index", index);
        });
    });
}
