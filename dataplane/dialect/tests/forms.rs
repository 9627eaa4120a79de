//! Forms of requests that clients send, each with what the provider gets of it, and what is named as lost or refused.
//!
//! An entry of `forms.json`: `form` and `sender` say what it is and who sends it; `from` is the client's dialect and
//! `body` what stands in the least request besides (or `bytes`, the whole body as it comes); `to` is the provider and
//! its model. `sent` compares members of what the provider gets by their JSON pointers, `absent` those that it must not
//! get (`hash of x` stands for the hash of x); `loses` is all that is named as lost. `refused` is the field of the refusal, and `says` a part of its text.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "each test file uses its share")]
mod translated;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use translated::{CLAUDE, COMPATIBLE, GPT, anthropic, openai};
use weir_dialect::{Call, Dialect, Refusal, UpstreamModel, encode_request};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    form: String,
    sender: String,
    from: String,
    #[serde(default)]
    body: Map<String, Value>,
    bytes: Option<String>,
    to: String,
    #[serde(default)]
    sent: BTreeMap<String, Value>,
    #[serde(default)]
    absent: Vec<String>,
    #[serde(default)]
    loses: Vec<String>,
    refused: Option<String>,
    says: Option<String>,
}

impl Entry {
    fn dialect(&self) -> Dialect {
        if self.from == "Anthropic" { Dialect::Anthropic } else { Dialect::OpenAI }
    }

    /// `Anthropic`, `OpenAI` or `Compatible`, and the model.
    fn target(&self) -> UpstreamModel<'_> {
        let (provider, name) = self.to.split_once(' ').unwrap();
        let of = match provider {
            "Anthropic" => CLAUDE,
            "OpenAI" => GPT,
            "Compatible" => COMPATIBLE,
            other => panic!("no provider is {other}"),
        };
        UpstreamModel { name, max_output: None, ..of }
    }

    fn text(&self) -> String {
        self.bytes.clone().unwrap_or_else(|| {
            let more = Value::Object(self.body.clone());
            if self.dialect() == Dialect::Anthropic { anthropic(more) } else { openai(more) }.to_string()
        })
    }

    /// What the provider gets, and what was lost.
    fn exchange(&self) -> Result<(Value, Vec<String>), Refusal> {
        let (body, to) = (Bytes::from(self.text()), self.target());
        let call = Call::read(self.dialect(), &body)?;
        call.check(&to, &[])?;
        let (sent, loss) = match call.patched(&body, &to, None) {
            Some(pieces) => (pieces.concat(), Vec::new()),
            None => {
                let request = call.decode()?;
                let (sent, loss) = encode_request(&request, &request.sampling, &to)?;
                (sent.to_vec(), loss.names().map(str::to_owned).collect())
            }
        };
        let value = serde_json::from_slice(&sent);
        Ok((value.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&sent))), loss))
    }

    fn complaint(&self) -> Option<String> {
        match (self.exchange(), &self.refused) {
            (Ok((sent, loss)), None) => {
                for (place, expected) in &self.sent {
                    let expected = hashed(expected);
                    if sent.pointer(place) != Some(&expected) {
                        return Some(format!("{place} is {:?}, not {expected}: {sent}", sent.pointer(place)));
                    }
                }
                let extra = self.absent.iter().find(|place| sent.pointer(place).is_some());
                if let Some(place) = extra {
                    return Some(format!("{place} is sent: {sent}"));
                }
                (loss != self.loses).then(|| format!("loses {loss:?}, not {:?}: {sent}", self.loses))
            }
            (Err(refusal), Some(param)) => {
                let says = self.says.as_deref().unwrap_or(param);
                let right = refusal.param.as_deref().unwrap_or_default() == param && refusal.message.contains(says);
                (!right || refusal.status != 400).then(|| format!("{refusal:?}"))
            }
            (Ok((sent, loss)), Some(param)) => Some(format!("is not refused for {param}, loses {loss:?}: {sent}")),
            (Err(refusal), None) => Some(format!("is refused: {refusal:?}")),
        }
    }
}

/// The hash of what stands after `hash of`.
fn hashed(expected: &Value) -> Value {
    if let Some(hashed) = expected.as_str().and_then(|text| text.strip_prefix("hash of ")) {
        return blake3::hash(hashed.as_bytes()).to_hex().as_str().into();
    }
    let members = expected.as_object().map(|held| held.iter().map(|(name, value)| (name.clone(), hashed(value))));
    members.map_or_else(|| expected.clone(), Iterator::collect)
}

#[test]
fn each_form_is_sent_as_its_provider_takes_it_or_what_is_not_is_named() {
    let entries: Vec<Entry> = serde_json::from_str(include_str!("forms.json")).unwrap();
    let complaint = |entry: &Entry| {
        assert!(entry.refused.is_some() || !entry.sent.is_empty() || !entry.absent.is_empty(), "{}", entry.form);
        entry.complaint().map(|complaint| format!("{} ({}) to {}: {complaint}", entry.form, entry.sender, entry.to))
    };
    let complaints: Vec<_> = entries.iter().filter_map(complaint).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    assert!(entries.len() >= 70);
}
