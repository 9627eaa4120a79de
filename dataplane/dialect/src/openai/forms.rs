//! The forms in which servers write texts and reasoning: a string, a number, an object, a list of any of these.

use super::wire::{Delta, Part};
use crate::json::Elements;
use crate::wire::{is_something, label, object, something};
use crate::{NoEvent, Text};
use serde_json::value::RawValue;

/// Lists within lists that are read; providers write two.
const MAX_DEPTH: u32 = 4;
/// Most parts of one message, so that no answer grows in memory to many times its size.
const MAX_PARTS: u32 = 16_384;

/// What a member turns out to hold.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    Text(Text<'a>),
    Refusal(Text<'a>),
    Thinking(Text<'a>),
    /// The signature of the reasoning before it.
    Signature(Text<'a>),
    /// Reasoning that only its provider can read.
    Redacted(Text<'a>),
    /// Something that the model does not hold, by its kind.
    Lost(String),
}

/// What a text is taken for that says nothing of its kind.
#[derive(Clone, Copy)]
enum Sort {
    Text,
    Refusal,
    Thinking,
}

impl Sort {
    const fn of(self, text: Text<'_>) -> Piece<'_> {
        match self {
            Self::Text => Piece::Text(text),
            Self::Refusal => Piece::Refusal(text),
            Self::Thinking => Piece::Thinking(text),
        }
    }
}

/// Tells what a message holds, reasoning first. `said` = its reasoning comes as plain text, so that details repeat it. The
/// error says that it holds too much.
pub(super) fn pieces<'a>(delta: &Delta<'a>, said: &mut bool, tell: &mut impl FnMut(Piece<'a>)) -> Result<(), NoEvent> {
    let mut left = MAX_PARTS;
    let mut read =
        |raw, sort, tell: &mut dyn FnMut(Piece<'a>)| read(raw, sort, Bounds { depth: 0, left: &mut left }, tell);
    let plain = something(delta.reasoning_content).or_else(|| something(delta.reasoning));
    let mut detailed = false;
    read(delta.reasoning_details, Sort::Thinking, &mut |piece| {
        let thinks = matches!(piece, Piece::Thinking(_));
        if !(thinks && *said) {
            detailed |= thinks;
            tell(piece);
        }
    });
    if !detailed {
        *said |= plain.is_some();
        read(plain, Sort::Thinking, tell);
    }
    read(delta.content, Sort::Text, tell);
    read(delta.refusal, Sort::Refusal, tell);
    if left == 0 { Err(NoEvent(format!("a message has {MAX_PARTS} parts or more"))) } else { Ok(()) }
}

/// How deep a value lies, and how many more are read.
struct Bounds<'l> {
    depth: u32,
    left: &'l mut u32,
}

impl Bounds<'_> {
    const fn within(&mut self) -> Bounds<'_> {
        Bounds { depth: self.depth + 1, left: self.left }
    }
}

/// Reads a member in any of its forms.
fn read<'a>(raw: Option<&'a RawValue>, sort: Sort, mut bounds: Bounds<'_>, tell: &mut dyn FnMut(Piece<'a>)) {
    let Some(raw) = something(raw) else { return };
    *bounds.left = bounds.left.saturating_sub(1);
    if *bounds.left == 0 {
        return;
    }
    if let Some(text) = label(Some(raw)).or_else(|| Text::filled(Some(raw))) {
        return tell(sort.of(text));
    }
    if bounds.depth == MAX_DEPTH {
        return tell(Piece::Lost("content".to_owned()));
    }
    let json = raw.get();
    if let Ok(list) = Elements::of(json) {
        let elements = list.map_while(Result::ok).filter_map(|json| serde_json::from_str::<&RawValue>(json).ok());
        return elements.for_each(|element| read(Some(element), sort, bounds.within(), tell));
    }
    match object::<Part<'_>>(json) {
        Some(held) => part(&held, sort, bounds, tell),
        None => tell(Piece::Lost("content".to_owned())),
    }
}

fn part<'a>(part: &Part<'a>, sort: Sort, mut bounds: Bounds<'_>, tell: &mut dyn FnMut(Piece<'a>)) {
    let mut all = |members: &[Option<&'a RawValue>], sort| {
        let first = members.iter().find_map(|raw| something(*raw));
        read(first, sort, bounds.within(), tell);
    };
    match (part.kind.0, sort) {
        ("thinking" | "reasoning" | "reasoning.text" | "reasoning.summary" | "reasoning_text" | "summary_text", _)
        | ("text" | "", Sort::Thinking) => {
            let members = [part.thinking, part.reasoning, part.text, part.summary, part.content];
            all(&members, Sort::Thinking);
            if let Some(signature) = Text::filled(part.signature) {
                tell(Piece::Signature(signature));
            }
        }
        ("reasoning.encrypted" | "redacted_thinking", _) => {
            if let Some(data) = Text::filled(part.data) {
                tell(Piece::Redacted(data));
            }
        }
        ("refusal", _) => all(&[part.refusal, part.text], Sort::Refusal),
        ("text" | "output_text" | "", _) => {
            all(&[part.text, part.content], sort);
            all(&[part.thinking, part.reasoning], Sort::Thinking);
        }
        (kind, _) => tell(Piece::Lost(format!("content.{kind}"))),
    }
    for (name, _) in part.others.iter().filter(|(_, raw)| is_something(raw)) {
        tell(Piece::Lost(name.clone().into_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(json: &str) -> String {
        let (mut out, delta) = (Vec::new(), object::<Delta<'_>>(json).expect("an object"));
        let told = pieces(&delta, &mut false, &mut |piece| {
            out.push(match piece {
                Piece::Text(text) => format!("text {}", text.plain()),
                Piece::Refusal(text) => format!("refusal {}", text.plain()),
                Piece::Thinking(text) => format!("thinking {}", text.plain()),
                Piece::Signature(text) => format!("signature {}", text.plain()),
                Piece::Redacted(text) => format!("redacted {}", text.plain()),
                Piece::Lost(name) => format!("lost {name}"),
            });
        });
        told.map_or_else(|NoEvent(why)| why, |()| out.join(", "))
    }

    #[test]
    fn a_text_is_read_in_every_form_that_servers_write() {
        for (json, expected) in [
            (r#"{"content":"a"}"#, "text a"),
            (r#"{"content":"null"}"#, "text null"),
            (r#"{"content":7}"#, "text 7"),
            (r#"{"content":["a",{"type":"text","text":"b"},{"text":"c"}]}"#, "text a, text b, text c"),
            (r#"{"content":{"type":"text","text":"a"}}"#, "text a"),
            (
                r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"a"}]}"#,
                "thinking hm, text a",
            ),
            (r#"{"content":[{"type":"reference","reference_ids":[1]}]}"#, "lost content.reference, lost reference_ids"),
            (r#"{"refusal":false,"content":"a"}"#, "text a"),
            (r#"{"refusal":"no"}"#, "refusal no"),
            (r#"{"content":[{"type":"refusal","refusal":"no"}]}"#, "refusal no"),
            (r#"{"content":null,"reasoning":{},"reasoning_content":[]}"#, ""),
            (r#"{"reasoning":"hm","reasoning_content":"hm"}"#, "thinking hm"),
            (r#"{"reasoning":{"content":"hm"}}"#, "thinking hm"),
            (r#"{"reasoning":[{"type":"summary_text","text":"hm"}]}"#, "thinking hm"),
            (
                r#"{"reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","signature":"s"}]}"#,
                "thinking hm, signature s",
            ),
            (
                r#"{"reasoning":"hm","reasoning_details":[{"type":"reasoning.encrypted","data":"d"}]}"#,
                "redacted d, thinking hm",
            ),
        ] {
            assert_eq!(told(json), expected, "{json}");
        }
    }

    #[test]
    fn no_message_grows_without_a_bound() {
        let list = |parts: u32| format!(r#"{{"content":[{}]}}"#, vec!["\"a\""; parts as usize].join(","));
        assert!(told(&list(MAX_PARTS - 2)).starts_with("text a"));
        assert!(told(&list(MAX_PARTS)).contains("parts or more"));
        let deep = format!(r#"{{"content":{}"a"{}}}"#, "[".repeat(20), "]".repeat(20));
        assert_eq!(told(&deep), "lost content");
    }
}
