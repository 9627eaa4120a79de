//! A caller's request, scanned once: what routing must know of it, and how it is patched for a target of
//! the same dialect.
//!
//! Messages are not decoded; whatever is not named here goes upstream byte for byte.

use crate::chat::{Request, Sampling};
use crate::fields::{Fields, Path};
use crate::json::Members;
use crate::patch::Patch;
use crate::screen::{not_allowed, screen};
use crate::seal::is_sealed;
use crate::{Dialect, InputSize, Refusal, ServiceTier, Text, UpstreamModel, anthropic, openai, splice};
use bytes::Bytes;
use std::borrow::Cow;

/// Most tools of a request to the OpenAI API itself; no other has that bound.
const MAX_TOOLS: usize = 128;
/// Members by which a provider may go over the context several times.
const REPEATING: [&str; 6] =
    ["tools", "mcp_servers", "web_search_options", "context_management", "container", "plugins"];
/// What some editors and libraries put before a text, and which JSON does not have.
const BYTE_ORDER_MARKS: [(&[u8], &str); 3] =
    [(b"\xef\xbb\xbf", "UTF-8"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")];
/// Most answers of one request, which is the bound of the OpenAI API.
const MAX_CHOICES: u64 = 128;

/// The caller's request.
#[derive(Debug)]
pub struct Call<'a> {
    members: Members<'a>,
    /// Whether reasoning in it bears a seal, so that it cannot go on as it is.
    sealed: bool,
    /// The dialect that it is in.
    pub dialect: Dialect,
    /// The model that the caller named.
    pub model: Cow<'a, str>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the caller expects usage in its stream.
    pub wants_usage: bool,
    /// Most output tokens that the caller asked for.
    pub max_output: Option<u64>,
    /// How many answers the caller asked for, each of so much output.
    pub choices: u64,
    /// Tokens of a predicted output at most; what the provider does not use of it is charged as output as well.
    pub predicted: u64,
    /// Whether the provider may go over the context several times for it, with tools of its own or to compact it.
    pub may_repeat: bool,
    /// The tier of service that the caller named.
    pub service_tier: ServiceTier,
    /// How large it is.
    pub input: InputSize,
    /// Members by which gateways behind a target may take another model; only some providers are sent them.
    rerouting: Vec<Box<str>>,
}

impl<'a> Call<'a> {
    /// Scans a body.
    pub fn read(dialect: Dialect, body: &'a [u8]) -> Result<Self, Refusal> {
        let invalid = |message: String| Refusal::invalid("invalid_json", None, message);
        if let Some((_, of)) = BYTE_ORDER_MARKS.iter().find(|(mark, _)| body.starts_with(mark)) {
            return Err(invalid(format!(
                "the body begins with a byte order mark (BOM) of {of}; send UTF-8 without one"
            )));
        }
        let text = std::str::from_utf8(body)
            .map_err(|e| invalid(format!("the body is not UTF-8 (at byte {})", e.valid_up_to())))?;
        let members = Members::scan(text).map_err(|e| invalid(e.to_string()))?;
        let rerouting = screen(dialect, &members)?;
        let fields = Fields::of(&members, Path::Root);
        let model = fields.text("model")?.map(Text::into_plain).filter(|model| !model.is_empty());
        let model = model.ok_or_else(|| {
            let message = "`model` is missing: name one of those that GET /v1/models lists";
            Refusal::invalid("missing_required_parameter", Some("model"), message)
        })?;
        if fields.raw("messages").is_none_or(|raw| !raw.starts_with('[')) {
            let message = "`messages` must be an array of messages";
            return Err(Refusal::invalid("missing_required_parameter", Some("messages"), message));
        }
        let stream = fields.boolean("stream")?.unwrap_or(false);
        Ok(Self {
            sealed: is_sealed(body),
            dialect,
            stream,
            wants_usage: stream && dialect.wants_usage(&fields)?,
            max_output: dialect.max_output(&fields)?,
            choices: choices(&fields)?,
            may_repeat: REPEATING.iter().any(|name| members.get(name).is_some_and(|member| member.elements > 0)),
            predicted: members.raw("prediction").map_or(0, InputSize::most_of),
            service_tier: ServiceTier::read(|name| members.raw(name)),
            input: InputSize::of(dialect, &members),
            rerouting,
            model,
            members,
        })
    }

    /// The member by which the caller bounds the output.
    pub fn max_output_name(&self) -> &'static str {
        let newer = self.dialect == Dialect::OpenAI && self.members.get("max_completion_tokens").is_some();
        if newer { "max_completion_tokens" } else { "max_tokens" }
    }

    /// Whether it can go to a provider of that dialect without being translated.
    pub fn passes_to(&self, dialect: Dialect) -> bool {
        self.dialect == dialect && !self.sealed
    }

    /// How the caller wants it sampled.
    pub fn sampling(&self) -> Result<Sampling, Refusal> {
        let fields = Fields::of(&self.members, Path::Root);
        match self.dialect {
            Dialect::OpenAI => openai::sampling(&fields),
            Dialect::Anthropic => anthropic::sampling(&fields),
        }
    }

    /// The whole request as the chat model has it.
    pub fn decode(&self) -> Result<Request<'a>, Refusal> {
        let fields = Fields::of(&self.members, Path::Root);
        match self.dialect {
            Dialect::OpenAI => openai::decode_request(&fields),
            Dialect::Anthropic => anthropic::decode_request(&fields),
        }
    }

    /// Refuses what a provider cannot be sent that speaks so: more tools than it takes, and members by which it may take
    /// another model, unless it is `allowed` them. What is translated loses them anyway.
    pub fn check(&self, to: &UpstreamModel<'_>, allowed: &[String]) -> Result<(), Refusal> {
        let own_api = to.dialect == Dialect::OpenAI && to.vendor;
        if let Some(tools) = self.members.get("tools").filter(|tools| own_api && tools.elements > MAX_TOOLS) {
            let message = format!("`tools` has {} entries, at most {MAX_TOOLS} are accepted", tools.elements);
            return Err(Refusal::invalid("array_above_max_length", Some("tools"), message));
        }
        let sent = self.rerouting.iter().filter(|_| self.dialect == to.dialect);
        match sent.into_iter().find(|name| !allowed.iter().any(|allowed| **allowed == ***name)) {
            Some(name) => Err(not_allowed(name)),
            None => Ok(()),
        }
    }

    /// The body for a target of the same dialect: its name of the model, what `tuned` changes of the caller's
    /// sampling, the limit of output once and under the name that the provider reads, and usage always asked for.
    /// `None` where more must change than members can be replaced for.
    pub fn patched(
        &self,
        body: &Bytes,
        to: &UpstreamModel<'_>,
        tuned: Option<(&Sampling, &Sampling)>,
    ) -> Option<Vec<Bytes>> {
        if !self.passes_to(to.dialect) {
            return None;
        }
        let mut patch = Patch::of(&self.members);
        let member = self.members.get("model")?;
        if self.model != to.name {
            patch.replace(member.value.clone(), serde_json::Value::from(to.name).to_string());
        }
        if self.stream && !self.wants_usage && self.dialect == Dialect::OpenAI {
            patch.merge("stream_options", "include_usage", "true");
        }
        let most = tuned.map_or(self.max_output, |(_, tuned)| tuned.max_output);
        let tuned = tuned.filter(|(asked, tuned)| asked != tuned);
        // Which name the model reads matters only where there is the newer one, or another value.
        if tuned.is_some() || self.members.get("max_completion_tokens").is_some() {
            let limits = to.max_output_names();
            let otherwise = self.limited_otherwise(limits);
            if otherwise {
                patch.rename(limits, most);
            }
            for (names, value) in tuned.map_or(Some(Vec::new()), |(asked, tuned)| changes(to, asked, tuned))? {
                if names != limits || !otherwise {
                    patch.set(names, value);
                }
            }
        }
        patch.identities(to);
        Some(splice(body, patch.done()))
    }

    /// Whether the limit of output stands under two names, or under one that the provider may not read. OpenAI itself
    /// reads both.
    fn limited_otherwise(&self, names: &[&'static str]) -> bool {
        let held = |name: &str| self.members.get(name).is_some();
        match names {
            ["max_tokens", newer] => held(newer),
            [newer, older] => held(newer) && held(older),
            _ => false,
        }
    }
}

/// A parameter's names in a body, the first being the one to insert, and its new value.
type Change = (&'static [&'static str], Option<String>);

/// What differs; `None` where the dialect has no top-level member for it.
fn changes(to: &UpstreamModel<'_>, asked: &Sampling, tuned: &Sampling) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    let mut compare = |names: &'static [&'static str], old: Option<String>, new: Option<String>| {
        if old != new {
            changes.push((names, new));
        }
    };
    let text = |number: Option<f64>| number.map(|n| n.to_string());
    compare(to.max_output_names(), asked.max_output.map(|n| n.to_string()), tuned.max_output.map(|n| n.to_string()));
    compare(&["temperature"], text(asked.temperature), text(tuned.temperature));
    compare(&["top_p"], text(asked.top_p), text(tuned.top_p));
    let rest =
        |sampling: &Sampling| (sampling.frequency_penalty, sampling.presence_penalty, sampling.seed, sampling.effort);
    match to.dialect {
        Dialect::Anthropic => (rest(asked) == rest(tuned)).then_some(changes),
        Dialect::OpenAI => {
            compare(&["frequency_penalty"], text(asked.frequency_penalty), text(tuned.frequency_penalty));
            compare(&["presence_penalty"], text(asked.presence_penalty), text(tuned.presence_penalty));
            compare(&["seed"], asked.seed.map(|n| n.to_string()), tuned.seed.map(|n| n.to_string()));
            let effort = |sampling: &Sampling| sampling.effort.map(|effort| format!("\"{}\"", effort.as_str()));
            compare(&["reasoning_effort"], effort(asked), effort(tuned));
            Some(changes)
        }
    }
}

/// `n`, or `best_of` where it is more: so many are written, and charged.
fn choices(fields: &Fields<'_, '_>) -> Result<u64, Refusal> {
    let mut most = 1;
    for name in ["n", "best_of"] {
        let Some(count) = fields.integer(name)? else { continue };
        if !(1..=MAX_CHOICES).contains(&count) {
            let why = format_args!("is {count}, and must be from 1 to {MAX_CHOICES}");
            return Err(fields.path.member(name).refuse("invalid_value", why));
        }
        most = most.max(count);
    }
    Ok(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Effort;
    use serde_json::{Value, json};

    const OPENAI: UpstreamModel<'static> =
        UpstreamModel { dialect: Dialect::OpenAI, vendor: true, name: "up", max_output: None, origin: "o" };

    fn patched(body: &Value, tune: impl Fn(&mut Sampling)) -> Value {
        let bytes = Bytes::from(body.to_string());
        let call = Call::read(Dialect::OpenAI, &bytes).expect("the request is good");
        let asked = call.sampling().expect("the sampling is good");
        let mut tuned = asked;
        tune(&mut tuned);
        let out = call.patched(&bytes, &OPENAI, Some((&asked, &tuned))).expect("it can be patched").concat();
        serde_json::from_slice(&out).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&out)))
    }

    #[test]
    fn only_the_model_changes_and_unknown_members_keep_their_bytes() {
        let body = Bytes::from_static(br#" {"messages" : [], "x":1.0e2, "model" : "a", "y":{"z":[true]} } "#);
        let call = Call::read(Dialect::OpenAI, &body).expect("the request is good");
        let out = call.patched(&body, &UpstreamModel { name: "b", ..OPENAI }, None).unwrap().concat();
        assert_eq!(out, br#" {"messages" : [], "x":1.0e2, "model" : "b", "y":{"z":[true]} } "#);
    }

    #[test]
    fn usage_is_always_asked_for_on_streams_t56() {
        for (options, expected) in [
            (None, json!({"include_usage": true})),
            (Some(json!(null)), json!({"include_usage": true})),
            (Some(json!({})), json!({"include_usage": true})),
            (
                Some(json!({"include_usage": false, "include_obfuscation": false})),
                json!({"include_usage": true, "include_obfuscation": false}),
            ),
            (Some(json!({"include_obfuscation": false})), json!({"include_usage": true, "include_obfuscation": false})),
        ] {
            let mut body = json!({"model": "a", "messages": [], "stream": true});
            if let Some(options) = options {
                body["stream_options"] = options;
            }
            assert_eq!(patched(&body, |_| {})["stream_options"], expected);
        }
        assert_eq!(patched(&json!({"model": "a", "messages": []}), |_| {}).get("stream_options"), None);
    }

    #[test]
    fn what_a_route_sets_replaces_inserts_or_takes_away() {
        let bare = json!({"model": "a", "messages": []});
        let out = patched(&bare, |s| (s.max_output, s.effort) = (Some(7), Some(Effort::Low)));
        assert_eq!(out, json!({"model": "up", "messages": [], "max_completion_tokens": 7, "reasoning_effort": "low"}));
        let given = json!({"model": "a", "messages": [], "max_tokens": 3, "seed": 4, "temperature": 1});
        let out = patched(&given, |s| (s.max_output, s.temperature, s.seed) = (Some(2), None, None));
        assert_eq!(out, json!({"model": "up", "messages": [], "max_tokens": 2}));
    }

    #[test]
    fn what_cannot_be_patched_is_left_to_the_translator() {
        let body = Bytes::from_static(br#"{"model":"a","messages":[{"signature":"weir1.ab."}]}"#);
        let call = Call::read(Dialect::Anthropic, &body).expect("the request is good");
        let to = UpstreamModel { dialect: Dialect::Anthropic, ..OPENAI };
        assert_eq!(call.patched(&body, &to, None), None, "sealed reasoning");
        assert_eq!(call.patched(&body, &OPENAI, None), None, "another dialect");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, param) in [
            (json!({"messages": []}), "model"),
            (json!({"model": 4, "messages": []}), "model"),
            (json!({"model": "a"}), "messages"),
            (json!({"model": "a", "messages": "hi"}), "messages"),
            (json!({"model": "a", "messages": [], "stream": "yes"}), "stream"),
            (json!({"model": "a", "messages": [], "max_tokens": -1}), "max_tokens"),
            (json!({"model": "a", "messages": [], "api_base": "http://evil"}), "api_base"),
            (json!({"model": "a", "messages": [], "n": 0}), "n"),
            (json!({"model": "a", "messages": [], "n": 129}), "n"),
            (json!({"model": "a", "messages": [], "n": 1.5}), "n"),
            (json!({"model": "a", "messages": [], "n": "2"}), "n"),
            (json!({"model": "a", "messages": [], "n": -1}), "n"),
            (json!({"model": "a", "messages": [], "best_of": 1_000}), "best_of"),
        ] {
            for dialect in [Dialect::OpenAI, Dialect::Anthropic] {
                let text = body.to_string();
                let refusal = Call::read(dialect, text.as_bytes()).expect_err(&text);
                assert_eq!(refusal.param.as_deref(), Some(param), "{text}");
                assert!(refusal.message.contains(param), "{}", refusal.message);
            }
        }
        let options = r#"{"model":"a","messages":[],"stream":true,"stream_options":3}"#;
        let refusal = Call::read(Dialect::OpenAI, options.as_bytes()).expect_err(options);
        assert_eq!(refusal.param.as_deref(), Some("stream_options"));
    }

    #[test]
    fn garbage_never_panics() {
        bolero::check!().with_max_len(4096).for_each(|bytes| {
            for dialect in [Dialect::OpenAI, Dialect::Anthropic] {
                drop(Call::read(dialect, bytes).and_then(|call| call.decode().map(drop)));
            }
        });
    }
}
