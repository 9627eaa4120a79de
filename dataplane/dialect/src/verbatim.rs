//! A provider's error body as it came, for a client of the same dialect.

use serde_json::Value;

/// Longest body that is kept, in bytes. Errors are short; one that quotes a whole request is told in other words.
const MOST_BYTES: usize = 64 * 1024;

/// A provider's own error body: an object with the object `error`, which clients of both dialects read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verbatim {
    /// The status that it came with; `None` where it came inside an answer.
    pub status: Option<u16>,
    /// As it came.
    pub body: Box<str>,
    /// Every text in it without escapes, names of members too, a line each.
    pub texts: Box<str>,
    /// Names of its members that have a value.
    pub names: Box<[String]>,
}

impl Verbatim {
    /// Keeps a body, if it is an error and nothing else, and not too long.
    pub(crate) fn of(body: &[u8], value: &Value) -> Option<Box<Self>> {
        let is_error = value.get("error").is_some_and(Value::is_object) && value.get("choices").is_none();
        if !is_error || body.len() > MOST_BYTES {
            return None;
        }
        let body = std::str::from_utf8(body).ok()?;
        let (mut texts, mut names) = (String::new(), Vec::new());
        gather(value, &mut texts, &mut names);
        Some(Box::new(Self { status: None, body: body.into(), texts: texts.into(), names: names.into() }))
    }
}

fn gather(value: &Value, texts: &mut String, names: &mut Vec<String>) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => *texts += &[text, "\n"].concat(),
        Value::Array(list) => list.iter().for_each(|item| gather(item, texts, names)),
        Value::Object(members) => {
            for (name, held) in members {
                *texts += &[name, "\n"].concat();
                if !held.is_null() {
                    names.push(name.clone());
                }
                gather(held, texts, names);
            }
        }
    }
}
