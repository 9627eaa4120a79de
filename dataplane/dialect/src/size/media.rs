//! Images, documents and recordings in a prompt: which bytes they are, and what they come to instead.
//!
//! Text is left out of the weighing only where the structure says that it is the data of a part that its dialect
//! takes as such.

use super::image::{Base64, pixels};
use super::weight::Weight;
use crate::json::{Elements, Members};
use crate::media_type::{is_text as is_text_type, normal};
use crate::{Dialect, Text};
use std::borrow::Cow;
use std::ops::Range;

/// Deepest list of parts within parts: a document in a tool's result.
const MAX_NESTING: u32 = 4;

/// Tokens of an image whose size nobody can tell: likely and at most.
const IMAGE: (u64, u64) = (1_000, 5_000);
/// Of one that is asked for in low detail, where the provider knows of that.
const IMAGE_LOW: u64 = 85;
/// Anthropic counts a token for so many pixels and OpenAI a few more; both scale large images down.
const PIXELS: (u64, u64) = (750, 400);
const IMAGE_LIKELY: (u64, u64) = (85, 1_600);
const IMAGE_MOST: (u64, u64) = (1_200, 5_000);
/// Tokens of a document that is named and not sent.
const DOCUMENT: (u64, u64) = (5_000, 30_000);
/// Of one that is sent, bytes that make a token; a page of 50 kB has some 1,600 as an image and as many as text.
const DOCUMENT_BYTES: (u64, u64) = (32, 8);
const DOCUMENT_LEAST: (u64, u64) = (1_500, 3_000);
/// Of a recording. OpenAI counts ten tokens a second, of which a second has 1 to 96 kB.
const AUDIO_BYTES: (u64, u64) = (1_000, 50);
const AUDIO_LEAST: (u64, u64) = (10, 100);

/// What media come to, in tokens.
#[derive(Debug, Default)]
pub(super) struct Media {
    pub(super) likely: u64,
    pub(super) most: u64,
}

/// A walk through one member.
struct Walk<'w> {
    dialect: Dialect,
    raw: &'w str,
    media: &'w mut Media,
    /// What is no text of it, in order.
    data: Vec<Range<usize>>,
}

/// What a part of a prompt is.
#[derive(Clone, Copy)]
enum Kind {
    Image { low: bool },
    Document,
    Audio,
}

impl Media {
    /// What is left of a member to be weighed as text; its media are counted here.
    pub(super) fn weigh(&mut self, dialect: Dialect, name: &str, raw: &str) -> Weight {
        let mut walk = Walk { dialect, raw, media: self, data: Vec::new() };
        match name {
            "messages" => each(raw, |message| walk.content_of(message, 0)),
            "system" => walk.parts(raw, 0),
            _ => {}
        }
        let (mut weight, mut from) = (Weight::default(), 0);
        for data in walk.data {
            weight.add(&Weight::of(raw.get(from..data.start).unwrap_or_default()));
            from = data.end;
        }
        weight.add(&Weight::of(raw.get(from..).unwrap_or_default()));
        weight
    }

    fn count(&mut self, (likely, most): (u64, u64)) {
        self.likely = self.likely.saturating_add(likely);
        self.most = self.most.saturating_add(most);
    }
}

impl<'w> Walk<'w> {
    fn content_of(&mut self, object: &'w str, nesting: u32) {
        if let Some(content) = Members::scan(object).ok().and_then(|members| members.raw("content")) {
            self.parts(content, nesting);
        }
    }

    fn parts(&mut self, list: &'w str, nesting: u32) {
        if nesting < MAX_NESTING {
            each(list, |part| self.part(part, nesting));
        }
    }

    fn part(&mut self, part: &'w str, nesting: u32) {
        let Ok(members) = Members::scan(part) else { return };
        let Some(kind) = members.raw("type").and_then(Text::literal) else { return };
        let inner = |name| members.raw(name).and_then(|raw| Members::scan(raw).ok());
        match (self.dialect, &*kind.plain()) {
            (Dialect::OpenAI, "image_url") => {
                let image = inner("image_url");
                let of = |name| image.as_ref().and_then(|image| image.raw(name));
                let low = of("detail").and_then(Text::literal).is_some_and(|detail| detail.plain() == "low");
                // Some servers take the URL itself in the place of the object.
                self.url(of("url").or_else(|| members.raw("image_url")), Kind::Image { low });
            }
            (Dialect::OpenAI, "video_url") => {
                self.url(inner("video_url").and_then(|video| video.raw("url")), Kind::Document);
            }
            (Dialect::OpenAI, "input_audio") => match inner("input_audio").and_then(|audio| audio.raw("data")) {
                Some(data) if !data.contains(':') => {
                    self.data(data, &plain(data), Kind::Audio);
                }
                _ => self.media.count(DOCUMENT),
            },
            (Dialect::OpenAI, "file") => match inner("file").and_then(|file| file.raw("file_data")) {
                Some(data) if plain(data).get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) => {
                    self.url(Some(data), Kind::Document);
                }
                Some(data) => self.data(data, &plain(data), Kind::Document),
                None => self.media.count(DOCUMENT),
            },
            (Dialect::Anthropic, "image") => self.source(inner("source").as_ref(), Kind::Image { low: false }, nesting),
            (Dialect::Anthropic, "document") => self.source(inner("source").as_ref(), Kind::Document, nesting),
            (_, "tool_result") => self.content_of(part, nesting + 1),
            (_, kind) if is_text(kind) => {}
            // A server may know it, and fetch what it names.
            _ => self.media.count(DOCUMENT),
        }
    }

    /// Where the Anthropic dialect has the bytes of an image or a document.
    fn source(&mut self, source: Option<&Members<'w>>, kind: Kind, nesting: u32) {
        let Some(source) = source else { return };
        let form = source.raw("type").and_then(Text::literal);
        match form.as_ref().map(Text::plain).as_deref() {
            // A text counts as it stands, as one in a URL does: its base64 is a third longer.
            Some("base64") if source.raw("media_type").is_some_and(|label| is_text_type(&normal(&plain(label)))) => {}
            Some("base64") => {
                if let Some(data) = source.raw("data") {
                    self.data(data, &plain(data), kind);
                }
            }
            Some("content") => self.content_of(source.json(), nesting + 1),
            // It is weighed as the text that it is.
            Some("text") => {}
            _ => self.media.count(kind.unseen()),
        }
    }

    /// A URL that may hold the data itself; what it says of its type counts.
    fn url(&mut self, literal: Option<&'w str>, kind: Kind) {
        let Some(literal) = literal else { return };
        let url = plain(literal);
        let Some((head, data)) = url.split_once(',').filter(|(head, _)| is_base64(head)) else {
            return self.media.count(kind.unseen());
        };
        match head.get(5..).unwrap_or_default().split(['/', ';']).next().unwrap_or_default() {
            "image" if matches!(kind, Kind::Image { .. }) => self.data(literal, data, kind),
            "image" => self.data(literal, data, Kind::Image { low: false }),
            "audio" => self.data(literal, data, Kind::Audio),
            "video" => self.data(literal, data, Kind::Document),
            "application" => self.data(literal, data, Kind::Document),
            // Text, and what nobody knows: it is weighed as it stands.
            _ => {}
        }
    }

    /// Data that stands in that literal of the member.
    fn data(&mut self, literal: &'w str, data: &str, kind: Kind) {
        let data = Base64(data.as_bytes());
        let by = |(likely, most): (u64, u64)| (data.len() / likely, data.len() / most);
        let at_least = |(likely, most): (u64, u64), least: (u64, u64)| (likely.max(least.0), most.max(least.1));
        self.media.count(match kind {
            Kind::Image { low } => {
                let (likely, most) = pixels(data).map_or(IMAGE, |pixels| {
                    let within = |tokens: u64, (least, most): (u64, u64)| tokens.clamp(least, most);
                    (within(pixels / PIXELS.0, IMAGE_LIKELY), within(pixels / PIXELS.1, IMAGE_MOST))
                });
                (if low { IMAGE_LOW } else { likely }, most)
            }
            Kind::Document => at_least(by(DOCUMENT_BYTES), DOCUMENT_LEAST),
            Kind::Audio => at_least(by(AUDIO_BYTES), AUDIO_LEAST),
        });
        let start = (literal.as_ptr() as usize).saturating_sub(self.raw.as_ptr() as usize);
        self.data.push(start..start + literal.len());
    }
}

impl Kind {
    /// What comes to the provider by its name alone.
    const fn unseen(self) -> (u64, u64) {
        match self {
            Self::Image { low: true } => (IMAGE_LOW, IMAGE.1),
            Self::Image { low: false } => IMAGE,
            Self::Document | Self::Audio => DOCUMENT,
        }
    }
}

/// Whether a part of that type comes to no more than its own text.
fn is_text(kind: &str) -> bool {
    const TEXTS: &[&str] = &[
        "text",
        "input_text",
        "output_text",
        "refusal",
        "thinking",
        "redacted_thinking",
        "reasoning",
        "tool_reference",
    ];
    TEXTS.contains(&kind) || kind.ends_with("tool_use") || kind.ends_with("tool_result") || kind == "search_result"
}

/// Whether a URL's head is that of base64.
fn is_base64(head: &str) -> bool {
    let scheme = head.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    scheme && head.rsplit(';').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("base64"))
}

/// The text of a literal; of what is none, its JSON.
fn plain(literal: &str) -> Cow<'_, str> {
    Text::literal(literal).map_or(Cow::Borrowed(literal), Text::into_plain)
}

fn each<'a>(raw: &'a str, read: impl FnMut(&'a str)) {
    Elements::of(raw).into_iter().flatten().map_while(Result::ok).for_each(read);
}
