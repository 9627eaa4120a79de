//! The tool calls of a choice, put together from what servers send of them.

use super::wire::{Function, ToolCall};
use crate::Text;
use crate::chat::Delta;
use crate::ids::Ids;
use crate::peek::NoEvent;
use crate::wire::{MAX_ELEMENTS, label, something};
use crate::write::{Object, object};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// The tool calls of one choice so far.
#[derive(Debug, Default)]
pub(super) struct Calls {
    list: Vec<Call>,
    /// Bytes of fragments that wait for the call that they are of to be told.
    held: usize,
    /// Events so far that held calls.
    events: u64,
}

/// A tool call that has begun on the wire.
#[derive(Debug)]
struct Call {
    /// Its `index` on the wire.
    index: Option<u64>,
    id: Option<Text<'static>>,
    /// Whether the server did not say the id.
    made_up: bool,
    name: Option<Text<'static>>,
    /// Its further members, as one object.
    extra: Option<Text<'static>>,
    /// Fragments that came before it was told.
    waiting: Vec<Text<'static>>,
    /// Whether its arguments came as an object, so that none follow.
    whole: bool,
    told: bool,
    /// The last event that held a part of it.
    event: u64,
}

/// A fragment of a call, whatever form it came in.
struct Fragment<'a> {
    index: Option<u64>,
    id: Option<Text<'a>>,
    name: Option<Text<'a>>,
    arguments: Option<Text<'a>>,
    /// Whether its arguments came as an object.
    whole: bool,
    extra: Option<Text<'static>>,
}

impl Calls {
    /// How many have begun.
    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    /// Bytes that wait.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Takes the calls of one event.
    pub(super) fn take<'a>(
        &mut self,
        choice: u64,
        calls: &[ToolCall<'a>],
        ids: &Ids,
        tell: &mut impl FnMut(Delta<'a>),
    ) -> Result<(), NoEvent> {
        self.events += 1;
        for (nth, wire) in calls.iter().enumerate() {
            self.fragment(choice, Fragment::of(wire, tell), (nth, calls.len()), ids, tell)?;
        }
        Ok(())
    }

    /// Takes the one call of the older form, which has no id.
    pub(super) fn take_function<'a>(
        &mut self,
        choice: u64,
        function: &Function<'a>,
        ids: &Ids,
        tell: &mut impl FnMut(Delta<'a>),
    ) -> Result<(), NoEvent> {
        self.events += 1;
        let name = label(function.name);
        let (arguments, whole) = arguments(function.arguments);
        // It has a place of its own.
        let fragment = Fragment { index: Some(u64::MAX), id: None, name, arguments, whole, extra: None };
        self.fragment(choice, fragment, (0, 1), ids, tell)
    }

    /// Tells of every call; the error says which one cannot be told.
    pub(super) fn end<'a>(&mut self, choice: u64, ids: &Ids, tell: &mut impl FnMut(Delta<'a>)) -> Result<(), NoEvent> {
        (0..self.list.len()).try_for_each(|at| self.tell(choice, at, ids, tell))
    }

    fn fragment<'a>(
        &mut self,
        choice: u64,
        fragment: Fragment<'a>,
        place: (usize, usize),
        ids: &Ids,
        tell: &mut impl FnMut(Delta<'a>),
    ) -> Result<(), NoEvent> {
        let at = match self.place(&fragment, place) {
            Some(at) => at,
            // Some servers send what holds nothing.
            None if fragment.is_empty() => return Ok(()),
            None if self.list.len() == MAX_ELEMENTS => {
                return Err(NoEvent(format!("more than {MAX_ELEMENTS} tool calls")));
            }
            None => {
                self.close(choice, ids, tell)?;
                self.list.push(Call {
                    index: fragment.index,
                    id: None,
                    made_up: false,
                    name: None,
                    extra: None,
                    waiting: Vec::new(),
                    whole: false,
                    told: false,
                    event: 0,
                });
                self.list.len() - 1
            }
        };
        let taken = |id: &Text<'_>| {
            self.list.iter().enumerate().any(|(other, call)| other != at && call.id.as_ref() == Some(id))
        };
        let id = fragment.id.filter(|id| !taken(id));
        let Some(call) = self.list.get_mut(at) else { return Ok(()) };
        call.event = self.events;
        call.whole |= fragment.whole;
        if call.told {
            if fragment.extra.is_some() {
                tell(Delta::Lost("tool_calls".into()));
            }
        } else {
            call.id = call.id.take().or_else(|| id.map(Text::into_owned));
            call.name = call.name.take().or_else(|| fragment.name.map(Text::into_owned));
            call.extra = call.extra.take().or(fragment.extra);
            if call.name.is_some() && call.id.is_some() {
                self.tell(choice, at, ids, tell)?;
            }
        }
        let (Some(call), Some(fragment)) = (self.list.get_mut(at), fragment.arguments) else { return Ok(()) };
        if call.told {
            tell(Delta::Arguments { choice, call: at as u64, fragment });
        } else {
            self.held += fragment.escaped().len();
            call.waiting.push(fragment.into_owned());
        }
        Ok(())
    }

    /// Tells of the calls so far where another begins, so that they stay in order: ids that were not said of them are made
    /// up.
    fn close<'a>(&mut self, choice: u64, ids: &Ids, tell: &mut impl FnMut(Delta<'a>)) -> Result<(), NoEvent> {
        for at in 0..self.list.len() {
            if self.list.get(at).is_some_and(|call| call.name.is_some()) {
                self.tell(choice, at, ids, tell)?;
            }
        }
        Ok(())
    }

    /// The call that a fragment belongs to; `None` where it begins another. `place` = its place in the event's list, and
    /// the length of that list.
    fn place(&self, fragment: &Fragment<'_>, (nth, of): (usize, usize)) -> Option<usize> {
        let Fragment { index, id, name, .. } = fragment;
        let same_place = |call: &Call| index.is_none() || call.index.is_none() || call.index == *index;
        if let Some(id) = id {
            let repeated = |call: &Call| call.id.as_ref() == Some(id) && (same_place(call) || name.is_none());
            if let Some(at) = self.list.iter().rposition(repeated) {
                return Some(at);
            }
        }
        let at = match index {
            Some(_) => self.list.iter().rposition(|call| call.index == *index)?,
            // Several that say nothing of themselves go on with as many calls, in order.
            None if of > 1 && id.is_none() && name.is_none() => (self.list.len() + nth).checked_sub(of)?,
            None => self.list.len().checked_sub(1)?,
        };
        self.list.get(at).filter(|call| !self.is_another(call, fragment)).map(|_| at)
    }

    /// Whether a fragment begins another call than the one at its place.
    fn is_another(&self, call: &Call, fragment: &Fragment<'_>) -> bool {
        let Fragment { index, id, name, .. } = fragment;
        if id.is_some() && call.id.is_some() {
            // One that was made up may be said after all.
            return !call.made_up || name.is_some();
        }
        let (Some(name), Some(held)) = (name, &call.name) else { return false };
        if index.is_none() && (call.event == self.events || call.told) {
            return true;
        }
        name != held || (!call.told && call.has_all())
    }

    /// Tells of a call once. An id that the server never said is made up.
    fn tell<'a>(&mut self, choice: u64, at: usize, ids: &Ids, tell: &mut impl FnMut(Delta<'a>)) -> Result<(), NoEvent> {
        let Some(call) = self.list.get_mut(at).filter(|call| !call.told) else { return Ok(()) };
        let Some(name) = call.name.clone() else { return Err(NoEvent("a tool call has no name".to_owned())) };
        call.told = true;
        let (call_at, extra) = (at as u64, call.extra.take());
        call.made_up = call.id.is_none();
        let id = call.id.get_or_insert_with(|| ids.call(choice, call_at)).clone();
        tell(Delta::ToolCall { choice, call: call_at, id, name, extra });
        for fragment in std::mem::take(&mut call.waiting) {
            self.held = self.held.saturating_sub(fragment.escaped().len());
            tell(Delta::Arguments { choice, call: call_at, fragment });
        }
        Ok(())
    }
}

impl Call {
    /// Whether its arguments are whole.
    fn has_all(&self) -> bool {
        let arguments = Text::joined(&self.waiting, "");
        self.whole || !arguments.is_empty() && serde_json::from_str::<IgnoredAny>(&arguments.plain()).is_ok()
    }
}

impl<'a> Fragment<'a> {
    const fn is_empty(&self) -> bool {
        self.id.is_none() && self.name.is_none() && self.arguments.is_none() && self.extra.is_none()
    }

    fn of(wire: &ToolCall<'a>, tell: &mut impl FnMut(Delta<'a>)) -> Self {
        let function = wire.function.0.as_ref();
        for (name, _) in function.into_iter().flat_map(|function| &function.others) {
            tell(Delta::Lost(name.clone()));
        }
        let of = |outer, inner: Option<_>| inner.flatten().or(outer);
        let (arguments, whole) = arguments(of(wire.arguments, function.map(|function| function.arguments)));
        Self {
            index: wire.index.0,
            id: label(wire.id),
            name: label(of(wire.name, function.map(|function| function.name))),
            arguments,
            whole,
            extra: (!wire.others.is_empty()).then(|| {
                let mut json = Vec::new();
                object(&mut json, |o: &mut Object<'_>| {
                    wire.others.iter().for_each(|(name, raw)| o.raw(name, raw.get()));
                });
                Text::of(&String::from_utf8_lossy(&json))
            }),
        }
    }
}

/// Arguments as a string that holds JSON, and whether they came as an object.
fn arguments(raw: Option<&RawValue>) -> (Option<Text<'_>>, bool) {
    let Some(raw) = raw else { return (None, false) };
    let text = Text::literal(raw.get()).or_else(|| something(Some(raw)).map(|raw| Text::of(raw.get())));
    (text.filter(|text| !text.is_empty()), raw.get().starts_with('{'))
}
