//! Images and documents of another dialect, as the Anthropic dialect takes them: normalised, as what they are, or
//! refused by the name of their member.

use crate::base64::{decoded, standard};
use crate::chat::Source;
use crate::media_type::{IMAGES, PDF, is_text, kind};
use crate::upstream::untranslatable;
use crate::{Refusal, Text};

/// The member that an image or document came under, which refusals name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    ImageUrl,
    File,
}

/// What a part turns out to be.
pub(super) struct Media<'a> {
    /// Its type: `image` or `document`.
    pub(super) block: &'static str,
    pub(super) source: Source<'a>,
}

impl Member {
    const fn name(self) -> &'static str {
        match self {
            Self::ImageUrl => "image_url",
            Self::File => "file",
        }
    }

    /// The type of its blocks.
    pub(super) const fn block(self) -> &'static str {
        match self {
            Self::ImageUrl => "image",
            Self::File => "document",
        }
    }

    fn refuse(self, why: &str) -> Refusal {
        untranslatable(self.name(), why)
    }

    /// A source as the provider takes it.
    pub(super) fn taken<'a>(self, source: &Source<'a>, file: Option<&Text<'_>>) -> Result<Media<'a>, Refusal> {
        match source {
            Source::Base64 { media_type, data } => self.data(&data.plain(), &media_type.plain(), file),
            Source::Url(url) => {
                let plain = url.plain();
                let begins =
                    |scheme: &str| plain.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
                if begins("https://") || begins("http://") {
                    return Ok(Media { block: self.block(), source: source.clone() });
                }
                if begins("data:") {
                    return self.percent_encoded(&plain);
                }
                if plain.contains(':') {
                    return Err(self.refuse("it takes `https` URLs and data URLs, no other scheme"));
                }
                // Some clients leave out what stands before the data.
                self.data(&plain, "", file)
            }
            Source::Text(_) => Ok(Media { block: self.block(), source: source.clone() }),
            Source::FileId(_) => {
                Err(untranslatable("file.file_id", "an uploaded file is known to its own provider alone"))
            }
        }
    }

    fn data(self, data: &str, label: &str, file: Option<&Text<'_>>) -> Result<Media<'static>, Refusal> {
        let data = standard(data).ok_or_else(|| self.refuse("its data is no base64"))?;
        let kind = kind(&data, label, file.map(Text::plain).as_deref());
        let base64 = || Source::Base64 { media_type: Text::of(&kind), data: Text::of(&data) };
        match &*kind {
            kind if IMAGES.contains(&kind) => Ok(Media { block: "image", source: base64() }),
            PDF => Ok(Media { block: "document", source: base64() }),
            kind if is_text(kind) => self.text(decoded(&data)),
            other => Err(self.not_taken(other)),
        }
    }

    /// A data URL without base64.
    fn percent_encoded(self, url: &str) -> Result<Media<'static>, Refusal> {
        let (label, data) = url.split_at_checked(5).and_then(|(_, rest)| rest.split_once(',')).unwrap_or_default();
        let kind = kind("", label, None);
        if is_text(if kind.is_empty() { "text/plain" } else { &kind }) {
            return self.text(unescaped(data));
        }
        Err(if IMAGES.contains(&&*kind) || kind == PDF {
            self.refuse("it takes the data of a data URL as base64")
        } else {
            self.not_taken(&kind)
        })
    }

    fn text(self, bytes: Vec<u8>) -> Result<Media<'static>, Refusal> {
        let text = String::from_utf8(bytes).map_err(|_| self.refuse("it takes text as UTF-8"))?;
        Ok(Media { block: "document", source: Source::Text(Text::of(&text)) })
    }

    fn not_taken(self, kind: &str) -> Refusal {
        let kind: String = if kind.is_empty() { "an unknown type".to_owned() } else { kind.chars().take(64).collect() };
        let why = "it takes images as JPEG, PNG, GIF and WebP, and documents as PDF and text";
        self.refuse(&format!("{why}, not {kind}"))
    }
}

/// The bytes of a percent-encoded text.
fn unescaped(text: &str) -> Vec<u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let escape = hex(bytes.get(at + 1)).zip(hex(bytes.get(at + 2))).filter(|_| *byte == b'%');
        let escaped = escape.and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
        out.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    out
}
