//! The chat model, encoded as a Messages request.
//!
//! What the dialect cannot say is in the loss; what would change the answer's meaning is refused.

use super::content::{Blocks, cache};
use super::schema;
use super::thought::{Asked, Thought};
use super::turns::{Merged, MergedTurn, merged};
use crate::chat::{Block, Content, Extra, Format, Request, Role, Sampling, Tool, ToolChoice};
use crate::fields::Path;
use crate::identity::USER_ID;
use crate::tool_schema::{EMPTY, rooted};
use crate::traits::Traits;
use crate::upstream::{UpstreamModel, untranslatable};
use crate::write::{Array, Object, object};
use crate::{Dialect, Loss, Refusal, Text};
use std::borrow::Cow;

/// Members of the OpenAI dialect that change what is answered, and why they cannot be left out.
const ESSENTIAL: &[(&str, &str)] = &[
    ("logit_bias", "it cannot bias tokens"),
    ("web_search_options", "it has no such web search"),
    ("audio", "it gives no audio"),
    ("modalities", "it gives text alone"),
    ("moderation", "it has no moderation"),
];
/// Other members of the OpenAI dialect; known names for the metric.
const KNOWN: &[&str] = &[
    "metadata",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "store",
    "verbosity",
];
/// Values of members that ask for nothing.
const NOTHING: &[&str] = &["{}", "[]", "false", "[\"text\"]"];
/// Before the names of members that were read out of another member.
const OUTPUT_CONFIG: &str = "output_config.";
const METADATA: &str = "metadata.";
const NESTED: [&str; 2] = [OUTPUT_CONFIG, METADATA];
/// Asks for JSON where the API has no member for it.
const JSON_PLEASE: &str = "Answer with one JSON object and nothing else.";

/// Encodes a request for a provider.
pub(crate) fn encode_request(
    request: &Request<'_>,
    sampling: &Sampling,
    to: &UpstreamModel<'_>,
) -> Result<(Vec<u8>, Loss), Refusal> {
    let mut loss = Loss::default();
    let merged = merged(request, to.origin, &mut loss)?;
    let own = request.dialect == Dialect::Anthropic;
    let mut encoder = Encoder { own, to, traits: to.traits(), loss };
    encoder.refuse_unsupported(request)?;
    let mut out = request.room();
    object(&mut out, |o| encoder.request(o, request, sampling, &merged))?;
    Ok((out, encoder.loss))
}

struct Encoder<'e> {
    /// Whether the request came in this very dialect.
    own: bool,
    to: &'e UpstreamModel<'e>,
    traits: &'static Traits,
    loss: Loss,
}

impl Encoder<'_> {
    fn request<'a>(
        &mut self,
        o: &mut Object<'_>,
        request: &Request<'a>,
        sampling: &Sampling,
        merged: &Merged<'_, 'a>,
    ) -> Result<(), Refusal> {
        let asked = Asked { request, sampling, to: self.to, traits: self.traits };
        let thought = asked.thought(merged, &mut self.loss)?;
        o.str("model", self.to.name);
        o.value("max_tokens", thought.max_tokens);
        self.system(o, request, merged)?;
        o.array("messages", |list| merged.turns.iter().try_for_each(|turn| self.turn(list, turn)))?;
        self.tools(o, request)?;
        asked.write_sampling(o, &thought, &mut self.loss);
        self.stop(o, request);
        thought.write(o);
        self.output_config(o, request, &thought)?;
        self.identity(o, request);
        if request.stream {
            o.value("stream", true);
        }
        self.extra(o, &request.extra)
    }

    /// What asks for another kind of answer than the API gives.
    fn refuse_unsupported(&self, request: &Request<'_>) -> Result<(), Refusal> {
        if request.n.is_some_and(|n| n > 1) {
            return Err(untranslatable("n", "it gives one answer a request"));
        }
        if request.logprobs == Some(true) || request.top_logprobs.is_some_and(|n| n > 0) {
            return Err(untranslatable("logprobs", "it gives no probabilities"));
        }
        if matches!(request.format, Some(Format::JsonSchema { .. })) && !self.own && !self.traits.schemas {
            return Err(untranslatable("response_format", "the model does not answer by a schema"));
        }
        Ok(())
    }

    fn blocks(&mut self) -> Blocks<'_> {
        Blocks { own: self.own, origin: self.to.origin, loss: &mut self.loss }
    }

    fn system<'a>(
        &mut self,
        o: &mut Object<'_>,
        request: &Request<'a>,
        merged: &Merged<'_, 'a>,
    ) -> Result<(), Refusal> {
        let mut system = merged.system.clone();
        if request.format == Some(Format::JsonObject) {
            self.loss.add("response_format");
            system.push(Cow::Owned(Block::new(Content::Text(Text::of(JSON_PLEASE)))));
        }
        if system.is_empty() {
            return Ok(());
        }
        self.blocks().write(o, "system", merged.system_is_plain, &system)
    }

    fn turn<'a>(&mut self, list: &mut Array<'_>, turn: &MergedTurn<'_, 'a>) -> Result<(), Refusal> {
        list.object(|o| {
            let role = match turn.role {
                Role::System | Role::Developer => "system",
                Role::User | Role::Tool => "user",
                Role::Assistant => "assistant",
            };
            o.str("role", role);
            self.blocks().write(o, "content", turn.plain, &turn.blocks)?;
            turn.extra.iter().try_for_each(|extra| self.extra(o, extra))
        })
    }

    fn tools(&mut self, o: &mut Object<'_>, request: &Request<'_>) -> Result<(), Refusal> {
        if request.tools.is_empty() {
            return Ok(());
        }
        let allowed = match &request.tool_choice {
            Some(ToolChoice::Allowed { names, .. }) => Some(names),
            _ => None,
        };
        if allowed.is_some() {
            // Another list of tools is another prompt to the cache.
            self.loss.add("tool_choice.allowed_tools");
        }
        let may = |tool: &&Tool<'_>| match tool {
            Tool::Function { name, .. } => {
                allowed.is_none_or(|names| names.iter().any(|held| held.plain() == name.plain()))
            }
            Tool::Native { .. } => true,
        };
        if !request.tools.iter().any(|tool| may(&tool)) {
            return Err(untranslatable("tool_choice", "it allows no tool of `tools`"));
        }
        o.array("tools", |list| request.tools.iter().filter(may).try_for_each(|tool| self.tool(list, tool)))?;
        let disable_parallel = request.parallel_tool_calls.map(|parallel| !parallel).filter(|off| self.own || *off);
        let choice = request.tool_choice.as_ref().or(disable_parallel.map(|_| &ToolChoice::Auto));
        let Some(choice) = choice else { return Ok(()) };
        o.object("tool_choice", |o| {
            match choice {
                ToolChoice::Auto | ToolChoice::Allowed { required: false, .. } => o.str("type", "auto"),
                ToolChoice::Required | ToolChoice::Allowed { required: true, .. } => o.str("type", "any"),
                ToolChoice::None => o.str("type", "none"),
                ToolChoice::Tool(name) => {
                    o.str("type", "tool");
                    o.text("name", name);
                }
            }
            o.value_if("disable_parallel_tool_use", disable_parallel.filter(|_| *choice != ToolChoice::None));
        });
        Ok(())
    }

    fn tool(&mut self, list: &mut Array<'_>, tool: &Tool<'_>) -> Result<(), Refusal> {
        match tool {
            Tool::Native { json, .. } if self.own => {
                list.raw(json);
                Ok(())
            }
            Tool::Native { kind, .. } => {
                Err(untranslatable("tools", &format!("it has no tool of type {:?}", kind.plain())))
            }
            Tool::Function { name, description, parameters, strict, cache: mark, extra } => list.object(|o| {
                o.text("name", name);
                o.text_if("description", description.as_ref());
                let (schema, strict) = self.tool_schema(*parameters, *strict);
                o.raw("input_schema", &schema);
                o.value_if("strict", strict);
                cache(o, mark.as_ref());
                self.extra(o, extra)
            }),
        }
    }

    /// The schema of a tool's input, and whether the tool is strict. One that a strict tool cannot have goes as it is,
    /// without `strict`.
    fn tool_schema<'s>(&mut self, parameters: Option<&'s str>, strict: Option<bool>) -> (Cow<'s, str>, Option<bool>) {
        if self.own {
            return (parameters.map_or(Cow::Borrowed(EMPTY), Cow::Borrowed), strict);
        }
        let (rooted, narrowed) = rooted(parameters);
        if narrowed {
            self.loss.add("tools.parameters");
        }
        if strict != Some(true) {
            return (rooted, None);
        }
        let adapted =
            schema::adapted(&rooted, Path::Root).ok().filter(|adapted| self.traits.strict_tools && !adapted.narrowed);
        match adapted {
            Some(adapted) => (Cow::Owned(adapted.json), strict),
            None => {
                self.loss.add("tools.strict");
                (rooted, None)
            }
        }
    }

    fn stop(&mut self, o: &mut Object<'_>, request: &Request<'_>) {
        let good = |text: &&Text<'_>| self.own || !text.plain().trim().is_empty();
        let stop: Vec<Text<'_>> = request.stop.iter().filter(good).cloned().collect();
        if stop.len() < request.stop.len() {
            self.loss.add("stop");
        }
        if !stop.is_empty() {
            o.texts("stop_sequences", &stop);
        }
    }

    fn output_config(
        &mut self,
        o: &mut Object<'_>,
        request: &Request<'_>,
        thought: &Thought<'_>,
    ) -> Result<(), Refusal> {
        let schema = match &request.format {
            Some(Format::JsonSchema { schema, .. }) if self.own => Some(Cow::Borrowed(*schema)),
            Some(Format::JsonSchema { schema, description, .. }) => {
                if description.is_some() {
                    self.loss.add("response_format.description");
                }
                let path = Path::Root.member("response_format.json_schema.schema");
                let refuse = |schema::Unheld(why)| untranslatable("response_format", &why);
                let adapted = schema::adapted(schema, path).map_err(refuse)?;
                if adapted.narrowed {
                    self.loss.add("response_format.schema");
                }
                Some(Cow::Owned(adapted.json))
            }
            Some(Format::Text | Format::JsonObject) | None => None,
        };
        let nested = || nested(&request.extra, OUTPUT_CONFIG);
        if thought.effort.is_none() && schema.is_none() && (!self.own || nested().next().is_none()) {
            return Ok(());
        }
        o.object("output_config", |o| {
            if let Some(effort) = thought.effort {
                o.str("effort", effort.as_str());
            }
            if let Some(schema) = &schema {
                o.object("format", |o| {
                    o.str("type", "json_schema");
                    o.raw("schema", schema);
                });
            }
            if self.own {
                nested().for_each(|(name, json)| o.raw(name, json));
            }
        });
        Ok(())
    }

    /// The newer of two identities; the other one is lost, unless it says the same.
    fn user_id<'a>(&mut self, request: &Request<'a>) -> Option<Text<'a>> {
        let [newer, older] = [&request.safety_identifier, &request.user].map(Option::as_ref);
        let good = |id: &&Text<'a>| self.own || !id.is_empty();
        let [newer, older] = [newer.filter(good), older.filter(good)];
        if newer.is_some() && older.is_some() && newer != older {
            self.loss.add("user");
        }
        let id = newer.or(older)?;
        Some(USER_ID.instead_of(id).unwrap_or_else(|| id.clone()))
    }

    fn identity(&mut self, o: &mut Object<'_>, request: &Request<'_>) {
        let user_id = self.user_id(request);
        let mut others = nested(&request.extra, METADATA).filter(|_| self.own).peekable();
        if user_id.is_some() || others.peek().is_some() {
            o.object("metadata", |o| {
                o.text_if("user_id", user_id.as_ref());
                others.for_each(|(name, json)| o.raw(name, json));
            });
        }
        let Some(tier) = &request.service_tier else { return };
        match &*tier.plain() {
            _ if self.own => o.text("service_tier", tier),
            "auto" => o.str("service_tier", "auto"),
            "default" => o.str("service_tier", "standard_only"),
            _ => self.loss.add("service_tier"),
        }
    }

    /// Members without a peer: the dialect's own go on, others are lost or refused.
    fn extra(&mut self, o: &mut Object<'_>, extra: &Extra<'_>) -> Result<(), Refusal> {
        for (name, json) in extra {
            if self.own {
                if !NESTED.iter().any(|prefix| name.starts_with(prefix)) {
                    o.raw(name, json);
                }
            } else if NOTHING.contains(&json.replace(' ', "").as_str()) {
                // It asks for what happens anyway.
            } else if let Some((_, why)) = ESSENTIAL.iter().find(|(held, _)| held == name) {
                return Err(untranslatable(name, why));
            } else {
                self.loss.add_named(name, KNOWN);
            }
        }
        Ok(())
    }
}

/// Members that were read out of another member, by their own names.
fn nested<'x, 'a>(extra: &'x Extra<'a>, prefix: &'x str) -> impl Iterator<Item = (&'x str, &'a str)> {
    extra.iter().filter_map(move |(name, json)| Some((name.strip_prefix(prefix)?, *json)))
}
