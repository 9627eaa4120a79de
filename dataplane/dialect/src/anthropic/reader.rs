//! A provider's answer, whole or event by event, decoded to deltas. It has one choice.

use super::answer::Counts;
use super::stream::{error, no_message};
use super::wire::{Block, Delta as WireDelta, Event, Message};
use crate::chat::{Delta, Finish};
use crate::finish::{ended, reason, unsaid};
use crate::ids::Ids;
use crate::json::Elements;
use crate::peek::{NoEvent, Read};
use crate::wire::{Maybe, Other, is_done, label, object, something, unmarked};
use crate::{ErrorBody, ServiceTier, Text};
use serde_json::value::RawValue;

/// Most blocks of an answer, and most that are open at once.
const MAX_BLOCKS: usize = 16_384;
const MAX_OPEN: usize = 128;

/// What was read so far.
#[derive(Debug)]
pub(crate) struct Reader {
    counts: Box<Counts>,
    ids: Ids,
    /// Tool calls so far.
    calls: u64,
    /// Blocks that have begun and not ended; some servers send the pieces of several in turn.
    open: Vec<Open>,
    finished: bool,
}

/// A block that is being read.
#[derive(Debug)]
struct Open {
    index: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    Thinking,
    /// The arguments that its start held, as long as no fragment came.
    Call {
        call: u64,
        whole: Option<Text<'static>>,
    },
    /// One that the model does not hold.
    Lost,
}

impl Reader {
    /// For one answer; ids that the server leaves out are made up of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { counts: Box::default(), ids: Ids(seed), calls: 0, open: Vec::new(), finished: false }
    }

    /// Bytes that wait for the end of their block.
    pub(crate) fn held(&self) -> usize {
        let held = |open: &Open| match &open.kind {
            Kind::Call { whole: Some(whole), .. } => whole.escaped().len(),
            Kind::Call { .. } | Kind::Text | Kind::Thinking | Kind::Lost => 0,
        };
        self.open.iter().map(held).sum()
    }

    /// Reads one event's data.
    pub(crate) fn read<'a>(&mut self, data: &'a [u8], tell: &mut impl FnMut(Delta<'a>)) -> Result<Read, NoEvent> {
        if is_done(data) {
            return Ok(Read::Done);
        }
        let Maybe(event) = serde_json::from_slice(unmarked(data)).map_err(|e| NoEvent(e.to_string()))?;
        let Some(event): Option<Event<'a>> = event else { return Err(NoEvent("it is no JSON object".to_owned())) };
        if let Some(error) = error(data, &event) {
            return Ok(Read::Error(error));
        }
        match event.kind.0 {
            "message_stop" => return Ok(Read::Done),
            "message_start" => {
                let Some(message) = event.message.0 else { return Ok(Read::Deltas(ServiceTier::default())) };
                self.begin(&message, tell);
                if let Some(content) = message.content {
                    self.content(content, tell)?;
                }
                *self.counts = std::mem::take(&mut *self.counts).begun();
                return Ok(Read::Deltas(self.usage(Some(RawValue::NULL), tell)));
            }
            "content_block_start" => {
                let index = event.index.0.unwrap_or(0);
                self.close(|open| open.index == index, tell);
                if let Some(block) = event.content_block.0 {
                    self.start(index, &block, tell)?;
                }
            }
            "content_block_delta" => {
                if let Some(delta) = &event.delta.0 {
                    self.delta(event.index.0.unwrap_or(0), delta, tell)?;
                }
            }
            "content_block_stop" => {
                let index = event.index.0.unwrap_or(0);
                self.close(|open| open.index == index, tell);
            }
            "message_delta" => {
                self.close(|_| true, tell);
                others(&event.others, tell);
                if let Some(delta) = event.delta.0 {
                    others(&delta.others, tell);
                    if let Some(error) = self.finish(delta.stop_reason, delta.stop_sequence, tell) {
                        return Ok(Read::Error(error));
                    }
                }
                return Ok(Read::Deltas(self.usage(event.usage, tell)));
            }
            _ => {}
        }
        Ok(Read::Deltas(ServiceTier::default()))
    }

    /// Reads a whole message.
    pub(crate) fn read_whole<'a>(&mut self, body: &'a [u8], tell: &mut impl FnMut(Delta<'a>)) -> Result<(), NoEvent> {
        let Maybe(message) = serde_json::from_slice(body).map_err(|e| NoEvent(e.to_string()))?;
        let Some(message): Option<Message<'a>> = message else { return Err(no_message()) };
        self.begin(&message, tell);
        if let Some(content) = message.content {
            self.content(content, tell)?;
        }
        others(&message.others, tell);
        if self.finish(message.stop_reason, message.stop_sequence, tell).is_some() {
            return Err(NoEvent("its stop reason says that it broke off".to_owned()));
        }
        self.usage(Some(RawValue::NULL), tell);
        Ok(())
    }

    /// The answer is over: tells what waits, and why it ended if it did not say so.
    pub(crate) fn end<'a>(&mut self, tell: &mut impl FnMut(Delta<'a>)) -> Result<(), NoEvent> {
        self.close(|_| true, tell);
        if !self.finished {
            tell(Delta::Finish { choice: 0, finish: unsaid(self.calls > 0, Finish::Stop), stop_sequence: None });
        }
        Ok(())
    }

    fn begin<'a>(&mut self, message: &Message<'a>, tell: &mut impl FnMut(Delta<'a>)) {
        let service_tier = message.usage.and_then(|raw| tier(raw.get()));
        tell(Delta::Start { id: label(message.id), model: label(message.model), service_tier });
        if let Some(raw) = message.usage {
            *self.counts = std::mem::take(&mut *self.counts).with(raw.get());
        }
    }

    /// A list of blocks; some servers send a string.
    fn content<'a>(&mut self, raw: &'a RawValue, tell: &mut impl FnMut(Delta<'a>)) -> Result<(), NoEvent> {
        if let Some(text) = Text::filled(Some(raw)) {
            tell(Delta::Text { choice: 0, text });
            tell(Delta::BlockEnd { choice: 0 });
        }
        let Ok(list) = Elements::of(raw.get()) else { return Ok(()) };
        for (at, element) in list.map_while(Result::ok).enumerate() {
            if at == MAX_BLOCKS {
                return Err(NoEvent(format!("the message has more than {MAX_BLOCKS} blocks")));
            }
            let Some(block) = object::<Block<'a>>(element) else { continue };
            self.start(at as u64, &block, tell)?;
            self.close(|_| true, tell);
        }
        Ok(())
    }

    /// Why the answer ended; gives the error that this means.
    fn finish<'a>(
        &mut self,
        stop_reason: Option<&'a RawValue>,
        stop_sequence: Option<&'a RawValue>,
        tell: &mut impl FnMut(Delta<'a>),
    ) -> Option<ErrorBody> {
        let reason = reason(stop_reason)?;
        let ended = match ended(&reason, self.calls > 0) {
            Ok(ended) => ended,
            Err(broken) => return Some(broken.into()),
        };
        if ended.unknown {
            tell(Delta::Lost("stop_reason".into()));
        }
        self.finished = true;
        tell(Delta::Finish { choice: 0, finish: ended.finish, stop_sequence: Text::filled(stop_sequence) });
        None
    }

    /// Tells what was used so far, and gives the tier of service that is named beside it.
    fn usage<'a>(&mut self, raw: Option<&RawValue>, tell: &mut impl FnMut(Delta<'a>)) -> ServiceTier {
        let Some(raw) = raw else { return ServiceTier::default() };
        *self.counts = std::mem::take(&mut *self.counts).with(raw.get());
        if let Some(usage) = self.counts.usage() {
            tell(Delta::Usage(usage));
        }
        self.counts.service_tier()
    }

    fn start<'a>(&mut self, index: u64, block: &Block<'a>, tell: &mut impl FnMut(Delta<'a>)) -> Result<(), NoEvent> {
        if self.open.len() == MAX_OPEN {
            return Err(NoEvent(format!("more than {MAX_OPEN} blocks are open at once")));
        }
        let kind = match block.kind.0 {
            "text" => {
                if let Some(text) = Text::filled(block.text) {
                    tell(Delta::Text { choice: 0, text });
                }
                Kind::Text
            }
            "thinking" => {
                // As a rule its text comes later, or never.
                tell(match Text::filled(block.thinking) {
                    Some(text) => Delta::Thinking { choice: 0, text },
                    None => Delta::Begin { choice: 0 },
                });
                if let Some(signature) = Text::filled(block.signature) {
                    tell(Delta::Signature { choice: 0, signature });
                }
                Kind::Thinking
            }
            "redacted_thinking" => {
                if let Some(data) = Text::filled(block.data) {
                    tell(Delta::RedactedThinking { choice: 0, data });
                }
                Kind::Text
            }
            "tool_use" => {
                let call = self.calls;
                let id = label(block.id).unwrap_or_else(|| self.ids.call(0, call));
                let name = label(block.name).ok_or_else(|| NoEvent("a tool call has no name".to_owned()))?;
                self.calls += 1;
                tell(Delta::ToolCall { choice: 0, call, id, name, extra: None });
                Kind::Call { call, whole: Some(input(block.input).into_owned()) }
            }
            kind => {
                tell(Delta::Begin { choice: 0 });
                tell(Delta::Lost(format!("content.{kind}").into()));
                Kind::Lost
            }
        };
        if !matches!(kind, Kind::Lost) {
            others(&block.others, tell);
        }
        self.open.push(Open { index, kind });
        Ok(())
    }

    fn delta<'a>(
        &mut self,
        index: u64,
        delta: &WireDelta<'a>,
        tell: &mut impl FnMut(Delta<'a>),
    ) -> Result<(), NoEvent> {
        let open = self.open.iter_mut().find(|open| open.index == index);
        if matches!(open, Some(Open { kind: Kind::Lost, .. })) {
            return Ok(());
        }
        let mut known = false;
        if let Some(text) = delta.text {
            known = true;
            Text::filled(Some(text)).into_iter().for_each(|text| tell(Delta::Text { choice: 0, text }));
        }
        if let Some(text) = delta.thinking {
            known = true;
            Text::filled(Some(text)).into_iter().for_each(|text| tell(Delta::Thinking { choice: 0, text }));
        }
        if let Some(signature) = delta.signature {
            known = true;
            let signature = Text::filled(Some(signature));
            signature.into_iter().for_each(|signature| tell(Delta::Signature { choice: 0, signature }));
        }
        if let Some(fragment) = delta.partial_json {
            known = true;
            if let Some(fragment) = Text::filled(Some(fragment)) {
                let Some(Open { kind: Kind::Call { call, whole }, .. }) = open else {
                    return Err(NoEvent("arguments come before the tool call that they are of".to_owned()));
                };
                *whole = None;
                tell(Delta::Arguments { choice: 0, call: *call, fragment });
            }
        }
        if delta.kind.0 == "citations_delta" {
            tell(Delta::Lost("citations".into()));
        } else if !known {
            tell(Delta::Lost(format!("content.{}", delta.kind.0).into()));
        }
        Ok(())
    }

    /// Ends blocks. A call without fragments has the arguments of its start: an empty object as a rule, never nothing.
    fn close<'a>(&mut self, which: impl Fn(&Open) -> bool, tell: &mut impl FnMut(Delta<'a>)) {
        let mut at = 0;
        while let Some(open) = self.open.get(at) {
            if !which(open) {
                at += 1;
                continue;
            }
            let Open { index: _, kind } = self.open.remove(at);
            if let Kind::Call { call, whole: Some(fragment) } = kind {
                tell(Delta::Arguments { choice: 0, call, fragment });
                tell(Delta::BlockEnd { choice: 0 });
            } else if matches!(kind, Kind::Thinking) || self.open.is_empty() {
                tell(Delta::BlockEnd { choice: 0 });
            }
        }
    }
}

/// The arguments that a block holds: an object, as a string; some servers send them as one.
fn input(raw: Option<&RawValue>) -> Text<'_> {
    let raw = something(raw);
    Text::filled(raw).unwrap_or_else(|| Text::of(raw.map_or("{}", RawValue::get)))
}

fn others<'a>(others: &[Other<'a>], tell: &mut impl FnMut(Delta<'a>)) {
    others.iter().for_each(|(name, _)| tell(Delta::Lost(name.clone())));
}

fn tier(usage: &str) -> Option<Text<'static>> {
    let members = crate::json::Members::scan(usage).ok()?;
    members.raw("service_tier").and_then(Text::literal).map(Text::into_owned)
}
