//! A provider's stream, decoded to deltas. Events alone give no error here; order and repetition are taken
//! as servers send them.

use super::answer::{finish, read_usage, tier};
use super::wire::{self, List, MAX_ELEMENTS, ToolCall, Wire};
use crate::chat::Delta;
use crate::peek::{NoEvent, Read};
use crate::{ErrorBody, Text};

/// Most tool calls of one choice.
const MAX_CALLS: usize = MAX_ELEMENTS;
/// Most choices.
const MAX_CHOICES: u64 = 128;

/// What was read so far.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    started: bool,
    choices: Vec<Vec<Call>>,
}

/// A tool call that has begun on the wire.
#[derive(Debug)]
struct Call {
    /// Its `index` on the wire.
    index: u64,
    id: Option<Text<'static>>,
    name: Option<Text<'static>>,
    /// Fragments that came before its name.
    held: Vec<Text<'static>>,
    told: bool,
}

impl Reader {
    /// Reads one event's data.
    pub(crate) fn read(&mut self, data: &[u8], tell: &mut impl FnMut(Delta<'_>)) -> Result<Read, NoEvent> {
        if data == b"[DONE]" {
            return Ok(Read::Done);
        }
        let wire: Wire<'_> = serde_json::from_slice(data).map_err(|e| NoEvent(e.to_string()))?;
        if wire.error.is_some_and(|raw| raw.get() != "null") {
            return Ok(Read::Error(ErrorBody::read(data)));
        }
        let choices = wire.choices.unwrap_or_default();
        // Azure's first chunk has neither choices nor an id.
        if !self.started && (!choices.is_empty() || wire.usage.is_some()) {
            self.started = true;
            let (id, model) = (Text::filled(wire.id), Text::filled(wire.model));
            tell(Delta::Start { id, model, service_tier: Text::filled(wire.service_tier) });
        }
        for choice in choices {
            self.choice(&choice, tell)?;
        }
        if let Some(usage) = wire.usage.and_then(|raw| read_usage(raw.get())) {
            tell(Delta::Usage(usage));
        }
        Ok(Read::Deltas(tier(wire.service_tier)))
    }

    fn choice(&mut self, wire: &wire::Choice<'_>, tell: &mut impl FnMut(Delta<'_>)) -> Result<(), NoEvent> {
        let choice = wire.index.unwrap_or(0);
        if choice >= MAX_CHOICES {
            return Err(NoEvent("a choice's index is too large".to_owned()));
        }
        let at = usize::try_from(choice).unwrap_or(0);
        if self.choices.len() <= at {
            self.choices.resize_with(at + 1, Vec::new);
        }
        let Some(calls) = self.choices.get_mut(at) else { return Ok(()) };
        if let Some(delta) = &wire.delta {
            if let Some(text) = Text::filled(delta.reasoning_content).or_else(|| Text::filled(delta.reasoning)) {
                tell(Delta::Thinking { choice, text });
            }
            if let Some(text) = Text::filled(delta.content) {
                tell(Delta::Text { choice, text });
            }
            if let Some(text) = Text::filled(delta.refusal) {
                tell(Delta::Refusal { choice, text });
            }
            for (name, raw) in [("audio", delta.audio), ("function_call", delta.function_call)] {
                if raw.is_some_and(|raw| raw.get() != "null") {
                    tell(Delta::Lost(name));
                }
            }
            if let Some(raw) = delta.tool_calls.filter(|raw| raw.get() != "null") {
                let List(list) =
                    serde_json::from_str::<List<ToolCall<'_>>>(raw.get()).map_err(|e| NoEvent(e.to_string()))?;
                for (nth, fragment) in list.iter().enumerate() {
                    tool_call(calls, choice, nth, fragment, tell)?;
                }
            }
        }
        if let Some(reason) = Text::filled(wire.finish_reason) {
            calls.iter_mut().enumerate().for_each(|(call, held)| held.tell(choice, call as u64, tell));
            let stop_sequence = Text::filled(wire.stop_reason);
            let finish = finish(&reason.plain(), !calls.is_empty(), stop_sequence.is_some());
            tell(Delta::Finish { choice, finish, stop_sequence });
        }
        Ok(())
    }
}

fn tool_call(
    calls: &mut Vec<Call>,
    choice: u64,
    nth: usize,
    fragment: &ToolCall<'_>,
    tell: &mut impl FnMut(Delta<'_>),
) -> Result<(), NoEvent> {
    let index = fragment.index.unwrap_or(nth as u64);
    let at = match calls.iter().position(|call| call.index == index) {
        Some(at) => at,
        None if calls.len() < MAX_CALLS => {
            calls.push(Call { index, id: None, name: None, held: Vec::new(), told: false });
            calls.len() - 1
        }
        None => return Err(NoEvent(format!("more than {MAX_CALLS} tool calls"))),
    };
    let Some(call) = calls.get_mut(at) else { return Ok(()) };
    let function = fragment.function.as_ref();
    if !call.told {
        call.id = call.id.take().or_else(|| Text::filled(fragment.id).map(Text::into_owned));
        call.name =
            call.name.take().or_else(|| function.and_then(|held| Text::filled(held.name)).map(Text::into_owned));
        if call.name.is_some() && call.id.is_some() {
            call.tell(choice, at as u64, tell);
        }
    }
    let Some(raw) = function.and_then(|held| held.arguments).filter(|raw| raw.get() != "null") else { return Ok(()) };
    let fragment = Text::literal(raw.get()).unwrap_or_else(|| Text::of(raw.get()));
    if fragment.is_empty() {
        return Ok(());
    }
    if call.told {
        tell(Delta::Arguments { choice, call: at as u64, fragment });
    } else {
        call.held.push(fragment.into_owned());
    }
    Ok(())
}

impl Call {
    /// Tells of the call once; what the server never said of it is made up.
    fn tell(&mut self, choice: u64, call: u64, tell: &mut impl FnMut(Delta<'_>)) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let id = self.id.take().unwrap_or_else(|| Text::of(&format!("call_{choice}_{call}")));
        let name = self.name.take().unwrap_or_else(|| Text::of("unnamed"));
        tell(Delta::ToolCall { choice, call, id, name });
        for fragment in std::mem::take(&mut self.held) {
            tell(Delta::Arguments { choice, call, fragment });
        }
    }
}
