//! What is asked and answered, in no dialect's words, and how a body is read.

use serde_json::{Value, json};

use crate::provider::Record;

/// The credential that every vendor asks for.
pub(super) const SECRET: &str = "sk-upstream";
/// Input and output tokens of every answer.
pub const TOKENS: (u64, u64) = (7, 3);

/// What a request says, in no dialect's words.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// `system: …`, `user: …`, `image: …`, `call: …` and so on, in their order.
    pub(super) lines: Vec<String>,
    /// The schema that the answer must have.
    pub(super) schema: Option<Value>,
    /// Whether reasoning is asked for.
    pub(super) thinks: bool,
    pub(super) streamed: bool,
    /// The tier of service that it names, where that is not the standard one.
    pub(super) tier: Option<String>,
}

/// An answer, in no dialect's words.
pub(super) struct Reply {
    /// Text and signature.
    pub(super) thinking: Option<(String, &'static str)>,
    pub(super) text: String,
    /// Cities that the tool `weather` is called with.
    pub(super) cities: Vec<&'static str>,
    /// The tier of service that it is of, where that is not the standard one.
    pub(super) tier: Option<String>,
}

impl Reply {
    pub(super) fn to(asked: &Asked, signature: &'static str) -> Self {
        let since = asked.lines.iter().rposition(|line| line.starts_with("user: ")).unwrap_or(0);
        let results = asked.lines[since..].iter().filter(|line| line.starts_with("result: ")).count();
        let cities = match (asked.lines[since].as_str(), results) {
            ("user: The weather in Bern, then in Basel?", 0) => vec!["Bern"],
            ("user: The weather in Bern, then in Basel?", 1) => vec!["Basel"],
            ("user: The weather in Bern and in Basel?", 0) => vec!["Bern", "Basel"],
            _ => Vec::new(),
        };
        let text = match &asked.schema {
            _ if !cities.is_empty() => String::new(),
            Some(schema) => {
                let names: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
                json!({"city": format!("{} of {}", asked.lines.join(" | "), names.len())}).to_string()
            }
            None => asked.lines.join(" | "),
        };
        let thinking = asked.thinks.then(|| ("Let me think.".to_owned(), signature));
        Self { thinking, text, cities, tier: asked.tier.clone() }
    }

    /// The text in pieces of a few characters.
    pub(super) fn pieces(&self) -> Vec<String> {
        let letters: Vec<char> = self.text.chars().collect();
        letters.chunks(7).map(|piece| piece.iter().collect()).collect()
    }
}

/// The tier of service that a body names, where that is not the standard one.
pub(super) fn tier(body: &Value) -> Option<String> {
    let name = body["service_tier"].as_str()?;
    (!["auto", "default", "standard_only"].contains(&name)).then(|| name.to_owned())
}

/// The body as JSON with members that the vendor knows, else what it says against it.
pub(super) fn read(record: &Record, path: &str, known: &[&str]) -> Result<Value, String> {
    if record.path != path {
        return Err(format!("there is nothing at {}", record.path));
    }
    let body = record.json();
    let members = body.as_object().ok_or("the body is no object")?;
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(format!("{unknown}: extra inputs are not permitted")),
        None => Ok(body),
    }
}

/// A header that must have that value.
pub(super) fn header(record: &Record, name: &str, value: Option<&str>) -> Result<(), String> {
    let held = record.headers.get(name).and_then(|held| held.to_str().ok());
    if held == value { Ok(()) } else { Err(format!("the header {name} is {held:?} and not {value:?}")) }
}

pub(super) fn text(value: &Value, what: &str) -> Result<String, String> {
    let text = value.as_str().ok_or_else(|| format!("{what} is no text: {value}"))?;
    if text.is_empty() { Err(format!("{what} is empty")) } else { Ok(text.to_owned()) }
}

pub(super) fn list<'a>(value: &'a Value, what: &str) -> Result<&'a Vec<Value>, String> {
    value.as_array().filter(|list| !list.is_empty()).ok_or_else(|| format!("{what} is no list: {value}"))
}
