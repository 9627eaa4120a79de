//! A JSON string as it stands on the wire, quotes and escapes included.
//!
//! Both sides of a translation are JSON, so text goes over without being unescaped and escaped again.

use serde_json::value::RawValue;
use std::borrow::Cow;

/// A JSON string literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// The literal of a plain text.
    pub fn of(plain: &str) -> Text<'static> {
        let mut literal = Vec::with_capacity(plain.len() + 2);
        string(&mut literal, plain);
        // What was written of a str is one.
        Text(Cow::Owned(String::from_utf8(literal).unwrap_or_default()))
    }

    /// A literal that was cut out of JSON; `None` where it is no string.
    pub fn literal(raw: &'a str) -> Option<Self> {
        (raw.len() >= 2 && raw.starts_with('"') && raw.ends_with('"')).then_some(Self(Cow::Borrowed(raw)))
    }

    /// The literal of a text whose escapes are already there.
    pub(crate) fn of_escaped(escaped: &str) -> Text<'static> {
        Text(Cow::Owned(format!("\"{escaped}\"")))
    }

    /// With quotes and escapes.
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// Between the quotes, still escaped.
    pub fn escaped(&self) -> &str {
        self.0.get(1..self.0.len().saturating_sub(1)).unwrap_or_default()
    }

    /// The text itself; an escape that is none becomes U+FFFD.
    pub fn plain(&self) -> Cow<'_, str> {
        let escaped = self.escaped();
        if !escaped.contains('\\') {
            return Cow::Borrowed(escaped);
        }
        serde_json::from_str(&self.0).map_or_else(|_| Cow::Owned(escaped.replace('\\', "\u{fffd}")), Cow::Owned)
    }

    /// The text itself where the literal is nobody else's.
    pub fn into_plain(self) -> Cow<'a, str> {
        if let Cow::Borrowed(literal) = &self.0
            && !literal.contains('\\')
        {
            return Cow::Borrowed(literal.get(1..literal.len().saturating_sub(1)).unwrap_or_default());
        }
        Cow::Owned(self.plain().into_owned())
    }

    /// A string of a wire struct that is there and not empty.
    pub(crate) fn filled(raw: Option<&'a RawValue>) -> Option<Self> {
        Self::literal(raw?.get()).filter(|text| !text.is_empty())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.escaped().is_empty()
    }

    /// Whether there is nothing in it but blanks.
    pub(crate) fn is_blank(&self) -> bool {
        let mut rest = self.escaped().trim_start();
        while let Some(after) = ["\\n", "\\r", "\\t"].iter().find_map(|blank| rest.strip_prefix(blank)) {
            rest = after.trim_start();
        }
        rest.is_empty()
    }

    /// Several as one, with `between` put between them.
    pub fn joined(parts: &[Self], between: &str) -> Text<'static> {
        let between = Text::of(between);
        let bytes = parts.iter().map(|part| part.as_json().len() + between.as_json().len()).sum();
        let mut literal = String::with_capacity(bytes);
        literal.push('"');
        for (at, part) in parts.iter().enumerate() {
            literal.push_str(if at == 0 { "" } else { between.escaped() });
            literal.push_str(part.escaped());
        }
        literal.push('"');
        Text(Cow::Owned(literal))
    }

    /// The same that borrows nothing.
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }
}

/// Writes a plain text as a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, plain: &str) {
    let escapes = |found, byte: &u8| found | (*byte < b' ') | (*byte == b'"') | (*byte == b'\\');
    if plain.as_bytes().iter().fold(false, escapes) {
        // Writing to a Vec cannot fail, nor can a str be no JSON string.
        let _ = serde_json::to_writer(out, plain);
    } else {
        out.push(b'"');
        out.extend_from_slice(plain.as_bytes());
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_keeps_its_escapes_and_reads_as_its_text() {
        let text = Text::literal(r#""a\n\"é\"""#).unwrap();
        assert_eq!(text.as_json(), r#""a\n\"é\"""#);
        assert_eq!(text.plain(), "a\n\"é\"");
        assert_eq!(Text::of("a\n\"é\""), text);
        assert_eq!(Text::joined(&[Text::of("a"), Text::of("b")], "\n").plain(), "a\nb");
        assert!([r#""""#, r#"" ""#, r#""\n \t\r\n""#].iter().all(|raw| Text::literal(raw).unwrap().is_blank()));
        assert!([r#""a""#, r#"" \n.""#, r#""\\n""#].iter().all(|raw| !Text::literal(raw).unwrap().is_blank()));
        assert_eq!(Text::literal("12"), None);
        assert_eq!(Text::literal("\""), None);
        assert_eq!(Text::literal(r#""\ud800""#).unwrap().plain(), "\u{fffd}ud800");
    }
}
