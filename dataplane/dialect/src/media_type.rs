//! Which kind of media some data is: by its first bytes, by its label, or by the name of its file.

use crate::base64::digit;
use std::borrow::Cow;

/// Kinds of images that both vendors take.
pub(crate) const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];
/// The kind of documents that both vendors take.
pub(crate) const PDF: &str = "application/pdf";
const TEXT: &str = "text/plain";

/// Labels that stand for another one.
const SYNONYMS: &[(&str, &str)] = &[
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("image/jfif", "image/jpeg"),
    ("image/x-png", "image/png"),
    ("image/apng", "image/png"),
    ("application/x-pdf", PDF),
    ("application/acrobat", PDF),
    ("text/pdf", PDF),
];
/// Types that are text, though their names do not begin with `text/`.
const TEXTS: &[&str] = &[
    "application/json",
    "application/jsonl",
    "application/x-ndjson",
    "application/xml",
    "application/yaml",
    "application/x-yaml",
    "application/toml",
    "application/javascript",
    "application/typescript",
    "application/sql",
    "application/x-sh",
];
/// Endings of files whose kind can be told by them.
const ENDINGS: &[(&str, &[&str])] = &[
    ("image/jpeg", &["jpg", "jpeg"]),
    ("image/png", &["png"]),
    ("image/gif", &["gif"]),
    ("image/webp", &["webp"]),
    (PDF, &["pdf"]),
    (
        TEXT,
        &[
            "txt", "md", "csv", "tsv", "json", "jsonl", "xml", "html", "htm", "yaml", "yml", "toml", "log", "py", "rs",
            "js", "ts",
        ],
    ),
];
/// Labels that say nothing.
const NOTHING: &[&str] = &["", "application/octet-stream", "binary/octet-stream", "application/x-download", "*/*"];

/// The kind of some base64: its own first bytes win over its label, and a label over the name of its file. What
/// nobody can tell is empty.
pub(crate) fn kind<'l>(data: &str, label: &'l str, file: Option<&str>) -> Cow<'l, str> {
    let of_file = || file.and_then(by_ending).map_or(Cow::Borrowed(""), Cow::Borrowed);
    match by_bytes(data) {
        Some(found) => Cow::Borrowed(found),
        None => Some(normal(label)).filter(|label| !NOTHING.contains(&&**label)).unwrap_or_else(of_file),
    }
}

/// A label in lower case, without parameters, and by the name that providers know.
pub(crate) fn normal(label: &str) -> Cow<'_, str> {
    let bare = label.split(';').next().unwrap_or_default().trim();
    if bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(normal(&bare.to_ascii_lowercase()).into_owned());
    }
    let known = SYNONYMS.iter().find(|(synonym, _)| *synonym == bare);
    Cow::Borrowed(known.map_or(bare, |(_, name)| *name))
}

/// Whether data of a kind is text that a model can be shown as it is.
pub(crate) fn is_text(kind: &str) -> bool {
    let structured = kind.starts_with("application/") && (kind.ends_with("+json") || kind.ends_with("+xml"));
    kind.starts_with("text/") || TEXTS.contains(&kind) || structured
}

fn by_bytes(data: &str) -> Option<&'static str> {
    let data = data.as_bytes();
    let begins = |at: usize, with: &[u8]| data.get(at..).is_some_and(|rest| rest.starts_with(with));
    if begins(0, b"iVBORw0KGg") {
        Some("image/png")
    } else if begins(0, b"/9j/") {
        Some("image/jpeg")
    } else if begins(0, b"R0lGOD") {
        Some("image/gif")
    } else if begins(0, b"UklGR") && is_webp(data) {
        Some("image/webp")
    } else if begins(0, b"JVBERi0") {
        Some(PDF)
    } else {
        None
    }
}

/// Whether the last three of the bytes 8 to 11 are those of `WEBP`, and the first is a W.
fn is_webp(data: &[u8]) -> bool {
    data.get(12..16) == Some(b"RUJQ") && data.get(11).is_some_and(|letter| digit(*letter) == digit(b'X'))
}

fn by_ending(file: &str) -> Option<&'static str> {
    let (_, ending) = file.rsplit_once('.')?;
    let fits = |held: &&str| held.eq_ignore_ascii_case(ending);
    ENDINGS.iter().find(|(_, endings)| endings.iter().any(fits)).map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_win_over_labels_and_labels_over_names_of_files() {
        for (data, label, file, expected) in [
            ("QUJD", "image/jpg", None, "image/jpeg"),
            ("QUJD", "image/JPEG; charset=utf-8", None, "image/jpeg"),
            ("QUJD", " IMAGE/PNG ", None, "image/png"),
            ("iVBORw0KGgoAAA", "image/jpeg", None, "image/png"),
            ("/9j/4AAQ", "", None, "image/jpeg"),
            ("R0lGODlhAQ", "application/octet-stream", Some("a.png"), "image/gif"),
            ("UklGRiQAAABXRUJQVlA4", "image/png", None, "image/webp"),
            ("UklGRiQAAABXQVZFZm10", "audio/wav", None, "audio/wav"),
            ("JVBERi0xLjQ", "", None, PDF),
            ("QUJD", "", Some("report.PDF"), PDF),
            ("QUJD", "application/octet-stream", Some("a.md"), "text/plain"),
            ("QUJD", "image/svg+xml", Some("a.png"), "image/svg+xml"),
            ("QUJD", "", Some("noext"), ""),
            ("QUJD", "", None, ""),
        ] {
            assert_eq!(kind(data, label, file), expected, "{label} {file:?}");
        }
    }

    #[test]
    fn texts_are_told_from_the_rest() {
        assert!(
            ["text/csv", "application/json", "application/ld+json", "application/atom+xml"].iter().all(|k| is_text(k))
        );
        assert!(["image/svg+xml", PDF, "application/zip", ""].iter().all(|k| !is_text(k)));
    }
}
