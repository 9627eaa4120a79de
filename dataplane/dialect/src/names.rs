//! Names of members within a prompt: under which of them there is no text, and which no other may resemble.

use std::borrow::Cow;

/// Members under which images, documents and recordings stand, in either dialect, quoted.
pub(crate) const MEDIA: [&[u8]; 20] = [
    b"\"audio\"",
    b"\"audio_url\"",
    b"\"document\"",
    b"\"document_url\"",
    b"\"file\"",
    b"\"file_data\"",
    b"\"file_id\"",
    b"\"file_url\"",
    b"\"image\"",
    b"\"image_embeds\"",
    b"\"image_url\"",
    b"\"input_audio\"",
    b"\"input_image\"",
    b"\"input_video\"",
    b"\"media\"",
    b"\"source\"",
    b"\"uri\"",
    b"\"url\"",
    b"\"video\"",
    b"\"video_url\"",
];

/// Members of messages, of their parts and calls, and of tools, in either dialect.
const PARTS: [&str; 25] = [
    "arguments",
    "cache_control",
    "content",
    "data",
    "description",
    "file",
    "function",
    "id",
    "image_url",
    "input",
    "input_audio",
    "input_schema",
    "is_error",
    "name",
    "parameters",
    "reasoning_content",
    "role",
    "signature",
    "source",
    "strict",
    "text",
    "thinking",
    "tool_call_id",
    "tool_calls",
    "type",
];

/// A byte of a name that is written in another case, or by a letter that Go's JSON takes for an ASCII one.
pub(crate) const fn is_odd(byte: u8) -> bool {
    byte.is_ascii_uppercase() || !byte.is_ascii() || byte == b'\\'
}

/// A name in the one case in which servers compare it.
pub(crate) fn folded(name: &str) -> String {
    // The long s and the sign of the kelvin are letters of no other case than these.
    name.replace('\u{17f}', "s").replace('\u{212a}', "k").to_lowercase()
}

/// The member of a part from which a quoted name differs by case alone.
#[cold]
pub(crate) fn resembled(quoted: &[u8]) -> Option<&'static str> {
    let name: Cow<'_, str> = serde_json::from_slice(quoted).ok()?;
    let folded = folded(&name);
    PARTS.into_iter().find(|held| *held == folded && *held != name)
}
