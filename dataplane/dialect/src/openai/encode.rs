//! The chat model, encoded as a chat completion request.
//!
//! What the dialect cannot say is in the loss; what would change the answer's meaning is refused.

use super::content::{self, Parts};
use super::strict::is_strict;
use super::thought::Asked;
use crate::chat::{Block, Content, Extra, Format, Request, Role, Sampling, Tool, Turn};
use crate::identity::{IdentityForm, SAFETY_IDENTIFIER, USER};
use crate::tool_schema::rooted;
use crate::traits::Traits;
use crate::upstream::{UpstreamModel, untranslatable};
use crate::write::{Array, Object, object};
use crate::{Dialect, Loss, Refusal, Text};
use std::borrow::Cow;

/// Longest name of a tool.
const MAX_NAME: usize = 64;
/// Members of other dialects that change what is answered, and why they cannot be left out.
const ESSENTIAL: &[(&str, &str)] = &[
    ("mcp_servers", "the provider calls no MCP servers"),
    ("inference_geo", "the provider cannot be told where to compute"),
];
/// Other members of the Anthropic dialect; known names for the metric.
const KNOWN: &[&str] = &["cache_control", "citations", "container", "context", "context_management", "speed"];

/// Encodes a request for a provider.
pub(crate) fn encode_request(
    request: &Request<'_>,
    sampling: &Sampling,
    to: &UpstreamModel<'_>,
) -> Result<(Vec<u8>, Loss), Refusal> {
    let own = request.dialect == Dialect::OpenAI;
    let mut encoder = Encoder { own, to, traits: to.traits(), loss: Loss::default() };
    let mut out = request.room();
    object(&mut out, |o| encoder.request(o, request, sampling))?;
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
    fn request(&mut self, o: &mut Object<'_>, request: &Request<'_>, sampling: &Sampling) -> Result<(), Refusal> {
        if !self.own && request.turns.last().is_some_and(|turn| turn.role == Role::Assistant) {
            return Err(untranslatable("messages", "the last one must be the user's or a tool's"));
        }
        if !self.own && !request.turns.iter().any(|turn| turn.role == Role::User && !turn.content.is_empty()) {
            let message = "`messages` has nothing that a model could answer; add a message of the user";
            return Err(Refusal::invalid("invalid_value", Some("messages"), message));
        }
        let traits = self.traits;
        o.str("model", self.to.name);
        o.array("messages", |list| request.turns.iter().try_for_each(|turn| self.turn(list, turn)))?;
        if !request.tools.is_empty() {
            o.array("tools", |list| request.tools.iter().try_for_each(|tool| self.tool(list, tool)))?;
            let parallel = request.parallel_tool_calls.filter(|_| self.own || traits.parallel_tool_calls);
            if request.parallel_tool_calls == Some(false) && parallel.is_none() {
                self.loss.add("tool_choice.disable_parallel_tool_use");
            }
            o.value_if("parallel_tool_calls", parallel);
        }
        if let Some(choice) = request.tool_choice.as_ref().filter(|_| self.own || !request.tools.is_empty()) {
            content::tool_choice(o, choice);
        }
        let asked = Asked { request, sampling, to: self.to, traits };
        if matches!(request.format, Some(Format::JsonSchema { .. })) && !self.own && !traits.schemas {
            return Err(untranslatable("output_config.format", "the model does not answer by a schema"));
        }
        asked.write_sampling(o, &mut self.loss);
        asked.write_stop(o, &mut self.loss);
        o.value_if("n", request.n);
        o.value_if("logprobs", request.logprobs);
        o.value_if("top_logprobs", request.top_logprobs);
        if let Some(format) = &request.format {
            content::response_format(o, format);
        }
        self.identity(o, request);
        if request.stream {
            o.value("stream", true);
            o.object("stream_options", |o| o.value("include_usage", true));
        }
        self.extra(o, &request.extra)
    }

    /// Tool results are messages of their own and come first.
    fn turn(&mut self, list: &mut Array<'_>, turn: &Turn<'_>) -> Result<(), Refusal> {
        let is_result = |block: &&Block<'_>| matches!(block.content, Content::ToolResult { .. });
        let (results, rest): (Vec<&Block<'_>>, Vec<&Block<'_>>) = turn.content.iter().partition(is_result);
        let mut beside = Vec::new();
        for block in &results {
            if let Content::ToolResult { tool_call_id, plain, content, is_error } = &block.content {
                self.not_cached(block);
                let plain = *plain || (!self.own && content.len() < 2);
                let kept = content::ToolResult { tool_call_id, plain, content, is_error: *is_error };
                list.object(|o| {
                    beside.extend(kept.write(o)?);
                    self.extra(o, if self.own { &turn.extra } else { &block.extra })
                })?;
            }
        }
        if !beside.is_empty() {
            self.loss.add("tool_result.content");
            beside.extend(rest.iter().map(|block| (*block).clone()));
            let beside: Vec<_> = beside.iter().collect();
            return list.object(|o| self.message(o, turn, &beside));
        }
        // A message of the other dialect that had nothing but its own provider's reasoning says nothing here.
        let is_thinking =
            |block: &&Block<'_>| matches!(block.content, Content::Thinking { .. } | Content::RedactedThinking(_));
        if !self.own && !rest.is_empty() && rest.iter().all(is_thinking) {
            self.loss.add("thinking");
            return Ok(());
        }
        if rest.is_empty() && (!self.own || !results.is_empty()) {
            return Ok(());
        }
        list.object(|o| self.message(o, turn, &rest))
    }

    fn message(&mut self, o: &mut Object<'_>, turn: &Turn<'_>, blocks: &[&Block<'_>]) -> Result<(), Refusal> {
        let mut parts = Parts::sorted(blocks, turn.role == Role::Assistant, self.to.origin, self.own);
        o.str(
            "role",
            match turn.role {
                Role::System => "system",
                Role::Developer if self.own || self.to.vendor => "developer",
                Role::Developer => "system",
                Role::User => "user",
                Role::Assistant => "assistant",
                Role::Tool => "tool",
            },
        );
        let marks = self.own || (self.to.vendor && self.traits.cache_breakpoints);
        if !marks && parts.content.iter().any(|block| block.cache.is_some()) {
            self.loss.add("cache_control");
        }
        match &parts.content[..] {
            [] if turn.role == Role::Assistant => o.raw("content", "null"),
            [] => o.str("content", ""),
            [Block { content: Content::Text(text), cache, .. }]
                if turn.plain || (!self.own && (cache.is_none() || !marks)) =>
            {
                o.text("content", text);
            }
            several => {
                o.array("content", |list| several.iter().try_for_each(|block| self.part(list, block, marks)))?;
            }
        }
        o.text_if("name", turn.name.as_ref());
        o.text_if("refusal", parts.refusal);
        if parts.foreign_thinking || (!self.own && parts.has_thinking()) {
            self.loss.add("thinking");
            parts.drop_thinking();
        }
        parts.write_thinking(o);
        if !parts.calls.is_empty() {
            o.array("tool_calls", |list| {
                parts.calls.iter().try_for_each(|(call, more)| self.call(list, call, more.as_ref()))
            })?;
        }
        self.extra(o, &turn.extra)
    }

    fn part(&mut self, list: &mut Array<'_>, block: &Block<'_>, marks: bool) -> Result<(), Refusal> {
        if let Content::Native { kind, json } = &block.content {
            if !self.own {
                return Err(untranslatable("messages", &format!("it takes no content of type {:?}", kind.plain())));
            }
            list.raw(json);
            return Ok(());
        }
        list.object(|o| {
            content::part(o, &block.content, self.own, &mut self.loss)?;
            if let Some(cache) = block.cache.as_ref().filter(|_| marks) {
                o.object("prompt_cache_breakpoint", |o| o.str("mode", "explicit"));
                if cache.ttl.is_some() {
                    self.loss.add("cache_control.ttl");
                }
            }
            self.extra(o, &block.extra)
        })
    }

    fn call(&mut self, list: &mut Array<'_>, block: &Block<'_>, more: Option<&Text<'_>>) -> Result<(), Refusal> {
        self.not_cached(block);
        if let Content::ToolCall { id, name, arguments } = &block.content {
            return list.object(|o| {
                content::call(o, id, name, arguments);
                o.members_of(more.map(Text::plain).as_deref());
                self.extra(o, &block.extra)
            });
        }
        if let Content::Native { json, .. } = &block.content {
            list.raw(json);
        }
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
            Tool::Function { name, .. } if !self.own && name.plain().chars().count() > MAX_NAME => {
                Err(untranslatable("tools", &format!("the name of a tool has at most {MAX_NAME} characters")))
            }
            Tool::Function { name, description, parameters, strict, cache, extra } => list.object(|o| {
                if cache.is_some() {
                    self.loss.add("cache_control");
                }
                let given = parameters.filter(|_| self.own).map(Cow::Borrowed);
                let (rooted, narrowed) = rooted(*parameters);
                let schema = if self.own { given } else { Some(rooted) };
                if narrowed && !self.own {
                    self.loss.add("tools.input_schema");
                }
                let fits = self.own || !self.to.vendor || schema.as_deref().is_some_and(is_strict);
                if *strict == Some(true) && !fits {
                    self.loss.add("tools.strict");
                }
                o.str("type", "function");
                o.object("function", |o| {
                    o.text("name", name);
                    o.text_if("description", description.as_ref());
                    if let Some(schema) = &schema {
                        o.raw("parameters", schema);
                    }
                    o.value_if("strict", strict.filter(|strict| fits || !strict));
                    self.extra(o, extra)
                })
            }),
        }
    }

    fn identity(&mut self, o: &mut Object<'_>, request: &Request<'_>) {
        let newer = if self.own || self.to.vendor { SAFETY_IDENTIFIER } else { USER };
        self.user(o, newer, request.safety_identifier.as_ref());
        self.user(o, USER, request.user.as_ref());
        let tier = request.service_tier.as_ref();
        match tier.map(Text::plain).as_deref() {
            Some("standard_only") => o.str("service_tier", "default"),
            _ => o.text_if("service_tier", tier),
        }
    }

    /// An identity. Of a compatible server its own callers know the bound.
    fn user(&self, o: &mut Object<'_>, form: IdentityForm, id: Option<&Text<'_>>) {
        let Some(id) = id.filter(|id| self.own || !id.is_empty()) else { return };
        let instead = form.instead_of(id).filter(|_| self.to.vendor || !self.own);
        o.text(form.name, instead.as_ref().unwrap_or(id));
    }

    fn not_cached(&mut self, block: &Block<'_>) {
        if block.cache.is_some() {
            self.loss.add("cache_control");
        }
    }

    /// Members without a peer: the dialect's own go on, others are lost or refused.
    fn extra(&mut self, o: &mut Object<'_>, extra: &Extra<'_>) -> Result<(), Refusal> {
        for (name, json) in extra {
            if self.own {
                o.raw(name, json);
            } else if let Some((_, why)) = ESSENTIAL.iter().find(|(held, _)| held == name) {
                return Err(untranslatable(name, why));
            } else {
                self.loss.add_named(name, KNOWN);
            }
        }
        Ok(())
    }
}
