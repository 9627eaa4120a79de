//! A provider's answer, whole or a chunk, decoded to deltas. Order and repetition are taken as servers send them.

use super::answer::{read_usage, tier};
use super::calls::Calls;
use super::forms::{Piece, pieces};
use super::stream::{error, trouble};
use super::wire::{Choice, Delta as WireDelta, Wire};
use crate::Text;
use crate::chat::{Delta, Finish};
use crate::finish::{Ended, ended, reason, unsaid};
use crate::ids::Ids;
use crate::peek::{NoEvent, Read};
use crate::wire::{Maybe, is_done, is_something, label, something, unmarked};

/// Most choices.
const MAX_CHOICES: u64 = 128;

/// Where a choice holds its message.
type Held<'a> = for<'c> fn(&'c Choice<'a>) -> Option<&'c WireDelta<'a>>;

/// What was read so far.
#[derive(Debug)]
pub(crate) struct Reader {
    started: bool,
    ids: Ids,
    choices: Vec<State>,
}

/// What was read of one choice.
#[derive(Debug, Default)]
struct State {
    calls: Calls,
    /// Whether its reasoning comes as plain text.
    thinks: bool,
    begun: bool,
    finished: bool,
}

impl Reader {
    /// For one answer; ids that the server leaves out are made up of `seed`.
    pub(crate) const fn new(seed: u64) -> Self {
        Self { started: false, ids: Ids(seed), choices: Vec::new() }
    }

    /// Bytes that wait for what they belong to.
    pub(crate) fn held(&self) -> usize {
        self.choices.iter().map(|state| state.calls.held()).sum()
    }

    /// Reads one event's data.
    pub(crate) fn read<'a>(&mut self, data: &'a [u8], tell: &mut impl FnMut(Delta<'a>)) -> Result<Read, NoEvent> {
        if is_done(data) { Ok(Read::Done) } else { self.json(data, Choice::piece, tell) }
    }

    /// Reads a whole answer.
    pub(crate) fn read_whole<'a>(&mut self, body: &'a [u8], tell: &mut impl FnMut(Delta<'a>)) -> Result<Read, NoEvent> {
        self.json(body, Choice::all, tell)
    }

    /// Reads a chunk or a whole answer; `held` gives what a choice holds of its message.
    fn json<'a>(&mut self, data: &'a [u8], held: Held<'a>, tell: &mut impl FnMut(Delta<'a>)) -> Result<Read, NoEvent> {
        let Maybe(wire) = serde_json::from_slice(unmarked(data)).map_err(|e| NoEvent(e.to_string()))?;
        if let Some(error) = error(data, wire.as_ref()) {
            return Ok(Read::Error(error));
        }
        let Some(wire): Option<Wire<'a>> = wire else { return Err(NoEvent("it is no JSON object".to_owned())) };
        // Azure's first chunk has neither choices nor an id.
        if !self.started && (!wire.choices.0.is_empty() || wire.usage.is_some()) {
            self.started = true;
            let service_tier = wire.service_tier.and_then(|raw| Text::filled(Some(raw)));
            tell(Delta::Start { id: label(wire.id), model: label(wire.model), service_tier });
        }
        for (name, _) in &wire.others {
            tell(Delta::Lost(name.clone()));
        }
        for choice in &wire.choices.0 {
            if let Some(error) = trouble(choice) {
                return Ok(Read::Error(error));
            }
            self.choice(choice, held(choice), tell)?;
        }
        if let Some(usage) = wire.usage.and_then(|raw| read_usage(raw.get())) {
            tell(Delta::Usage(usage));
        }
        Ok(Read::Deltas(tier(wire.service_tier)))
    }

    /// The answer is over: tells what waits, and why each choice ended that did not say so.
    pub(crate) fn end<'a>(&mut self, tell: &mut impl FnMut(Delta<'a>)) -> Result<(), NoEvent> {
        for (choice, state) in (0..).zip(&mut self.choices) {
            state.calls.end(choice, &self.ids, tell)?;
            if !state.finished && (state.begun || choice == 0) {
                let finish = unsaid(state.calls.len() > 0, Finish::Stop);
                tell(Delta::Finish { choice, finish, stop_sequence: None });
            }
        }
        Ok(())
    }

    fn choice<'a>(
        &mut self,
        wire: &Choice<'a>,
        delta: Option<&WireDelta<'a>>,
        tell: &mut impl FnMut(Delta<'a>),
    ) -> Result<(), NoEvent> {
        let choice = wire.index.0.unwrap_or(0);
        if choice >= MAX_CHOICES {
            return Err(NoEvent("a choice's index is too large".to_owned()));
        }
        let at = usize::try_from(choice).unwrap_or(0);
        if self.choices.len() <= at {
            self.choices.resize_with(at + 1, State::default);
        }
        let Some(state) = self.choices.get_mut(at) else { return Ok(()) };
        state.begun = true;
        if let Some(delta) = delta {
            if delta.begins_to_think() {
                tell(Delta::Begin { choice });
            }
            let mut thinks = state.thinks;
            pieces(delta, &mut thinks, &mut |piece| {
                tell(match piece {
                    Piece::Text(text) => Delta::Text { choice, text },
                    Piece::Refusal(text) => Delta::Refusal { choice, text },
                    Piece::Thinking(text) => Delta::Thinking { choice, text },
                    Piece::Signature(signature) => Delta::Signature { choice, signature },
                    Piece::Redacted(data) => Delta::RedactedThinking { choice, data },
                    Piece::Lost(name) => Delta::Lost(name.into()),
                });
            })?;
            state.thinks = thinks;
            for (name, _) in &delta.others {
                tell(Delta::Lost(name.clone()));
            }
            state.calls.take(choice, &delta.tool_calls.0, &self.ids, tell)?;
            if let Some(function) = &delta.function_call.0 {
                state.calls.take_function(choice, function, &self.ids, tell)?;
            }
        }
        for (name, _) in wire.others.iter().filter(|(_, raw)| is_something(raw)) {
            tell(Delta::Lost(name.clone()));
        }
        if something(wire.logprobs).is_some() {
            tell(Delta::Lost("logprobs".into()));
        }
        if let Some(reason) = reason(wire.finish_reason) {
            state.calls.end(choice, &self.ids, tell)?;
            state.finished = true;
            let stop_sequence = Text::filled(wire.stop_reason).or_else(|| Text::filled(wire.matched_stop));
            // What means trouble was looked for before.
            let Ok(Ended { finish, unknown }) = ended(&reason, state.calls.len() > 0) else { return Ok(()) };
            let at_sequence = finish == Finish::Stop && stop_sequence.is_some();
            let finish = if at_sequence { Finish::StopSequence } else { finish };
            if unknown {
                tell(Delta::Lost("finish_reason".into()));
            }
            tell(Delta::Finish { choice, finish, stop_sequence });
        }
        Ok(())
    }
}
