//! Splicing: a body with some parts replaced, every other byte shared with the original.

use crate::identity::{IdentityForm, SAFETY_IDENTIFIER, USER, USER_ID};
use crate::json::Members;
use crate::{Dialect, Text, UpstreamModel};
use bytes::Bytes;
use std::ops::Range;

/// A part of a body and what stands there instead; an empty range inserts.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Bytes of the original.
    pub at: Range<usize>,
    /// Their replacement.
    pub text: Bytes,
}

/// The edited body in pieces. Edits must not overlap; they may come in any order.
pub fn splice(body: &Bytes, mut edits: Vec<Edit>) -> Vec<Bytes> {
    // What is inserted stands before what is cut from the same place on.
    edits.sort_by_key(|edit| (edit.at.start, edit.at.end));
    let mut pieces = Vec::with_capacity(edits.len() * 2 + 1);
    let mut from = 0;
    for Edit { at, text } in edits {
        if at.start > from {
            pieces.push(body.slice(from..at.start));
        }
        if !text.is_empty() {
            pieces.push(text);
        }
        from = at.end;
    }
    if from < body.len() {
        pieces.push(body.slice(from..));
    }
    pieces
}

/// Changes to a body's members.
pub(crate) struct Patch<'m, 'a> {
    members: &'m Members<'a>,
    edits: Vec<Edit>,
    /// Members to insert, each with its comma.
    front: Vec<u8>,
    gone: Vec<&'static str>,
}

impl<'m, 'a> Patch<'m, 'a> {
    /// No change yet.
    pub(crate) const fn of(members: &'m Members<'a>) -> Self {
        Self { members, edits: Vec::new(), front: Vec::new(), gone: Vec::new() }
    }

    /// Puts something in the place of some bytes.
    pub(crate) fn replace(&mut self, at: Range<usize>, text: impl Into<Bytes>) {
        self.edits.push(Edit { at, text: text.into() });
    }

    /// Gives or takes a member, which may stand under one of several names.
    pub(crate) fn set(&mut self, names: &'static [&'static str], value: Option<String>) {
        let held = names.iter().find_map(|name| self.members.get(name));
        match (held, value) {
            (Some(member), Some(value)) => self.replace(member.value.clone(), value),
            (None, Some(value)) => names.iter().take(1).for_each(|name| insert(&mut self.front, name, &value)),
            (_, None) => self.gone.extend(names),
        }
    }

    /// Puts a value under the first of several names alone; it takes the place of one that is there.
    pub(crate) fn rename(&mut self, names: &'static [&'static str], value: Option<u64>) {
        self.gone.extend(names);
        if let (Some(value), [first, ..]) = (value, names) {
            insert(&mut self.front, first, &value.to_string());
        }
    }

    /// Sets a member of an object that is a member.
    pub(crate) fn merge(&mut self, name: &'static str, inner: &str, value: &str) {
        let alone = format!("{{\"{inner}\":{value}}}");
        let Some(member) = self.members.get(name) else { return insert(&mut self.front, name, &alone) };
        let held = self.members.raw(name).and_then(|raw| Some((raw, Members::scan(raw).ok()?)));
        let Some((raw, held)) = held else {
            return self.replace(member.value.clone(), alone);
        };
        let edit = match held.get(inner) {
            Some(member_of) => {
                let from = member.value.start + member_of.value.start;
                Edit { at: from..from + member_of.value.len(), text: value.to_owned().into() }
            }
            None => {
                let comma = if held.front().1 { "," } else { "" };
                let at = member.value.start + raw.find('{').map_or(0, |at| at + 1);
                Edit { at: at..at, text: format!("\"{inner}\":{value}{comma}").into() }
            }
        };
        self.edits.push(edit);
    }

    /// Puts identities that the provider is known to refuse into a form that it takes.
    pub(crate) fn identities(&mut self, to: &UpstreamModel<'_>) {
        match to.dialect {
            Dialect::OpenAI if to.vendor => {
                [SAFETY_IDENTIFIER, USER].into_iter().for_each(|form| self.identity(form, self.members, 0));
            }
            // Of a compatible server its own callers know the bound.
            Dialect::OpenAI => {}
            Dialect::Anthropic => {
                let Some(metadata) = self.members.get("metadata") else { return };
                if let Ok(held) = Members::scan(self.members.text_of(metadata)) {
                    self.identity(USER_ID, &held, metadata.value.start);
                }
            }
        }
    }

    fn identity(&mut self, form: IdentityForm, members: &Members<'_>, from: usize) {
        let Some(member) = members.get(form.name) else { return };
        let id = Text::literal(members.text_of(member));
        if let Some(instead) = id.and_then(|id| form.instead_of(&id)) {
            let Range { start, end } = member.value;
            self.replace(from + start..from + end, instead.as_json().to_owned());
        }
    }

    /// The edits.
    pub(crate) fn done(mut self) -> Vec<Edit> {
        if !self.gone.is_empty() {
            let cuts = self.members.without(|name| self.gone.contains(&name));
            self.edits.extend(cuts.into_iter().map(|at| Edit { at, text: Bytes::new() }));
        }
        if !self.front.is_empty() {
            let (at, _) = self.members.front();
            self.edits.push(Edit { at: at..at, text: self.front.into() });
        }
        self.edits
    }
}

fn insert(front: &mut Vec<u8>, name: &str, value: &str) {
    front.extend_from_slice(format!("\"{name}\":{value},").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_edited_parts_differ() {
        let body = Bytes::from_static(b"0123456789");
        let edits = vec![
            Edit { at: 8..10, text: "END".into() },
            Edit { at: 0..0, text: "<".into() },
            Edit { at: 3..5, text: Bytes::new() },
        ];
        assert_eq!(splice(&body, edits).concat(), b"<012567END");
        let both = vec![Edit { at: 1..4, text: Bytes::new() }, Edit { at: 1..1, text: "<".into() }];
        assert_eq!(splice(&body, both).concat(), b"0<456789");
        let whole = splice(&body, Vec::new());
        assert_eq!(whole.len(), 1);
        assert_eq!(whole[0].as_ptr(), body.as_ptr(), "an unedited body is not copied");
    }
}
