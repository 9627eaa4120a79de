//! A provider's stream, decoded to deltas. It has one choice.

use super::answer::{Counts, finish};
use super::wire::{Block, Delta as WireDelta, Event};
use crate::chat::Delta;
use crate::peek::{NoEvent, Read};
use crate::{ErrorBody, ServiceTier, Text};
use serde_json::value::RawValue;

/// What was read so far.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    counts: Box<Counts>,
    /// Tool calls so far.
    calls: u64,
    open: Option<Open>,
}

/// The block that is being read.
#[derive(Debug)]
struct Open {
    index: u64,
    /// For a tool call, the arguments that its start held, as long as no fragment came.
    call: Option<(u64, Option<Text<'static>>)>,
}

impl Reader {
    /// Reads one event's data.
    pub(crate) fn read(&mut self, data: &[u8], tell: &mut impl FnMut(Delta<'_>)) -> Result<Read, NoEvent> {
        let event: Event<'_> = serde_json::from_slice(data).map_err(|e| NoEvent(e.to_string()))?;
        match event.kind {
            "error" => return Ok(Read::Error(ErrorBody::read(data))),
            "message_stop" => return Ok(Read::Done),
            "message_start" => {
                let Some(message) = event.message else { return Ok(Read::Deltas(ServiceTier::default())) };
                let service_tier = message.usage.and_then(|raw| tier(raw.get()));
                tell(Delta::Start { id: Text::filled(message.id), model: Text::filled(message.model), service_tier });
                let counted = message.usage.map(|raw| std::mem::take(&mut *self.counts).with(raw.get()).begun());
                *self.counts = counted.unwrap_or_default();
                return Ok(Read::Deltas(self.usage(Some(RawValue::NULL), tell)));
            }
            "content_block_start" => {
                self.close(tell);
                self.open = event.content_block.and_then(|block| self.start(event.index, &block, tell));
            }
            "content_block_delta" => {
                if let Some(delta) = &event.delta {
                    self.delta(event.index, delta, tell);
                }
            }
            "content_block_stop" => self.close(tell),
            "message_delta" => {
                self.close(tell);
                if let Some(delta) = event.delta
                    && let Some(reason) = Text::filled(delta.stop_reason)
                {
                    let (finish, stop_sequence) = (finish(&reason.plain()), Text::filled(delta.stop_sequence));
                    tell(Delta::Finish { choice: 0, finish, stop_sequence });
                }
                return Ok(Read::Deltas(self.usage(event.usage, tell)));
            }
            _ => {}
        }
        Ok(Read::Deltas(ServiceTier::default()))
    }

    /// Tells what was used so far, and gives the tier of service that is named beside it.
    fn usage(&mut self, raw: Option<&RawValue>, tell: &mut impl FnMut(Delta<'_>)) -> ServiceTier {
        let Some(raw) = raw else { return ServiceTier::default() };
        *self.counts = std::mem::take(&mut *self.counts).with(raw.get());
        if let Some(usage) = self.counts.usage() {
            tell(Delta::Usage(usage));
        }
        self.counts.service_tier()
    }

    fn start(&mut self, index: u64, block: &Block<'_>, tell: &mut impl FnMut(Delta<'_>)) -> Option<Open> {
        match block.kind {
            "text" => {
                if let Some(text) = Text::filled(block.text) {
                    tell(Delta::Text { choice: 0, text });
                }
            }
            "thinking" => {
                if let Some(text) = Text::filled(block.thinking) {
                    tell(Delta::Thinking { choice: 0, text });
                }
            }
            "redacted_thinking" => {
                if let Some(data) = Text::filled(block.data) {
                    tell(Delta::RedactedThinking { choice: 0, data });
                }
            }
            "tool_use" => {
                let (id, name) = (Text::filled(block.id)?, Text::filled(block.name)?);
                let call = self.calls;
                self.calls += 1;
                tell(Delta::ToolCall { choice: 0, call, id, name });
                let whole = block.input.map_or("{}", RawValue::get);
                return Some(Open { index, call: Some((call, Some(Text::of(whole)))) });
            }
            _ => {
                tell(Delta::Lost("content"));
                return None;
            }
        }
        Some(Open { index, call: None })
    }

    fn delta(&mut self, index: u64, delta: &WireDelta<'_>, tell: &mut impl FnMut(Delta<'_>)) {
        let Some(open) = self.open.as_mut().filter(|open| open.index == index) else { return };
        match delta.kind {
            "text_delta" => {
                if let Some(text) = Text::filled(delta.text) {
                    tell(Delta::Text { choice: 0, text });
                }
            }
            "thinking_delta" => {
                if let Some(text) = Text::filled(delta.thinking) {
                    tell(Delta::Thinking { choice: 0, text });
                }
            }
            "signature_delta" => {
                if let Some(signature) = Text::filled(delta.signature) {
                    tell(Delta::Signature { choice: 0, signature });
                }
            }
            "input_json_delta" => {
                if let (Some((call, whole)), Some(fragment)) = (&mut open.call, Text::filled(delta.partial_json)) {
                    *whole = None;
                    tell(Delta::Arguments { choice: 0, call: *call, fragment });
                }
            }
            "citations_delta" => tell(Delta::Lost("citations")),
            _ => tell(Delta::Lost("content")),
        }
    }

    /// A call without fragments has the arguments of its start: an empty object as a rule, never nothing.
    fn close(&mut self, tell: &mut impl FnMut(Delta<'_>)) {
        let Some(Open { index: _, call }) = self.open.take() else { return };
        if let Some((call, Some(fragment))) = call {
            tell(Delta::Arguments { choice: 0, call, fragment });
        }
        tell(Delta::BlockEnd { choice: 0 });
    }
}

fn tier(usage: &str) -> Option<Text<'static>> {
    let members = crate::json::Members::scan(usage).ok()?;
    members.raw("service_tier").and_then(Text::literal).map(Text::into_owned)
}
