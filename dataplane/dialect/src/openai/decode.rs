//! A chat completion request, decoded to the chat model.

use crate::chat::{
    Arguments, Block, Cache, Content, Effort, Format, Request, Role, Sampling, Source, Tool, ToolChoice, Turn,
};
use crate::fields::Fields;
use crate::{Dialect, Refusal, Text};

/// Decodes a request whose members were scanned.
pub(crate) fn decode_request<'a>(fields: &Fields<'a, '_>) -> Result<Request<'a>, Refusal> {
    let _ = fields.raw("model");
    for name in ["functions", "function_call"] {
        if fields.raw(name).is_some() {
            let why = "is no longer accepted; send `tools` and `tool_choice` instead";
            return Err(fields.path.member(name).refuse("unsupported_parameter", why));
        }
    }
    let stop = fields.raw("stop");
    let stop_is_plain = stop.is_some_and(|raw| raw.starts_with('"'));
    let stop = if stop_is_plain { vec![fields.required_text("stop")?] } else { fields.texts("stop")? };
    Ok(Request {
        dialect: Dialect::OpenAI,
        turns: fields.list("messages", turn)?,
        tools: fields.list("tools", tool)?,
        tool_choice: tool_choice(fields)?,
        parallel_tool_calls: fields.boolean("parallel_tool_calls")?,
        sampling: sampling(fields)?,
        stop_is_plain,
        stop,
        n: fields.integer("n")?,
        logprobs: fields.boolean("logprobs")?,
        top_logprobs: fields.integer("top_logprobs")?,
        format: format(fields)?,
        thinking: None,
        safety_identifier: fields.text("safety_identifier")?,
        user: fields.text("user")?,
        service_tier: fields.text("service_tier")?,
        stream: fields.boolean("stream")?.unwrap_or(false),
        include_usage: include_usage(fields)?,
        body_bytes: fields.json().len(),
        extra: fields.unread(),
    })
}

/// The members by which a request is sampled.
pub(crate) fn sampling(fields: &Fields<'_, '_>) -> Result<Sampling, Refusal> {
    let effort = fields.text("reasoning_effort")?.map(|name| {
        let why = "must be none, minimal, low, medium, high, xhigh or max";
        let refuse = || fields.path.member("reasoning_effort").refuse("invalid_value", why);
        Effort::parse(&name.plain()).ok_or_else(refuse)
    });
    Ok(Sampling {
        max_output: Dialect::OpenAI.max_output(fields)?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: fields.integer("top_k")?,
        frequency_penalty: fields.number("frequency_penalty")?,
        presence_penalty: fields.number("presence_penalty")?,
        seed: fields.parsed("seed", "a whole number")?,
        effort: effort.transpose()?,
    })
}

/// Whether the caller asked for usage at the end of its stream.
pub(crate) fn include_usage(fields: &Fields<'_, '_>) -> Result<bool, Refusal> {
    let Some(options) = fields.object("stream_options")? else { return Ok(false) };
    Ok(options.boolean("include_usage")?.unwrap_or(false))
}

/// One message.
fn turn<'a>(fields: &Fields<'a, '_>) -> Result<Turn<'a>, Refusal> {
    let role = match &*fields.required_text("role")?.plain() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => {
            let why = "must be system, developer, user, assistant or tool";
            return Err(fields.path.member("role").refuse("invalid_value", why));
        }
    };
    let (plain, mut content) = content(fields)?;
    match role {
        Role::Tool => {
            let tool_call_id = fields.required_text("tool_call_id")?;
            content = vec![Block::new(Content::ToolResult { tool_call_id, plain, content, is_error: false })];
        }
        Role::Assistant => {
            content.splice(0..0, reasoning(fields)?);
            content.extend(fields.text("refusal")?.map(|text| Block::new(Content::Refusal(text))));
            content.extend(fields.list("tool_calls", tool_call)?);
        }
        Role::System | Role::Developer | Role::User => {}
    }
    Ok(Turn { role, plain, content, name: fields.text("name")?, extra: fields.unread() })
}

fn content<'a>(fields: &Fields<'a, '_>) -> Result<(bool, Vec<Block<'a>>), Refusal> {
    match fields.raw("content") {
        None => Ok((true, Vec::new())),
        Some(raw) => match Text::literal(raw) {
            Some(text) => Ok((true, vec![Block::new(Content::Text(text))])),
            None => Ok((false, fields.list("content", part)?)),
        },
    }
}

/// `reasoning_details`, whose signatures go back to who gave them; `reasoning_content` alone is unsigned.
fn reasoning<'a>(fields: &Fields<'a, '_>) -> Result<Vec<Block<'a>>, Refusal> {
    let text = match fields.text("reasoning_content")? {
        None => fields.text("reasoning")?,
        given => given,
    };
    let details = fields.list("reasoning_details", |detail| {
        let content = match &*detail.required_text("type")?.plain() {
            "reasoning.text" => Content::Thinking {
                thinking: detail.text("text")?.unwrap_or_else(|| Text::of("")),
                signature: detail.text("signature")?,
            },
            "reasoning.encrypted" => Content::RedactedThinking(detail.required_text("data")?),
            _ => return Ok(None),
        };
        Ok(Some(Block::new(content)))
    })?;
    let details: Vec<_> = details.into_iter().flatten().collect();
    let unsigned = |thinking| vec![Block::new(Content::Thinking { thinking, signature: None })];
    Ok(if details.is_empty() { text.map(unsigned).unwrap_or_default() } else { details })
}

fn part<'a>(fields: &Fields<'a, '_>) -> Result<Block<'a>, Refusal> {
    let kind = fields.required_text("type")?;
    let content = match &*kind.plain() {
        "text" => Content::Text(fields.required_text("text")?),
        "refusal" => Content::Refusal(fields.required_text("refusal")?),
        "image_url" => {
            // Some clients have the URL itself in the place of the object.
            if let Some(url) = fields.raw("image_url").and_then(Text::literal) {
                Content::Image { source: source(&url), detail: None }
            } else {
                let image = fields.required_object("image_url")?;
                Content::Image { source: source(&image.required_text("url")?), detail: image.text("detail")? }
            }
        }
        "file" => {
            let file = fields.required_object("file")?;
            let source = match (file.text("file_data")?, file.text("file_id")?) {
                (Some(data), None) => source(&data),
                (None, Some(id)) => Source::FileId(id),
                _ => return Err(fields.path.member("file").missing("`file_data` or `file_id`")),
            };
            Content::Document { source, title: file.text("filename")? }
        }
        _ => {
            let json = fields.json();
            return Ok(Block::new(Content::Native { kind, json }));
        }
    };
    let cache = fields.raw("prompt_cache_breakpoint").map(|_| Cache { ttl: None });
    Ok(Block { content, cache, extra: fields.unread() })
}

/// A data URL of base64 is taken apart, whatever its case; any other text is a URL.
fn source<'a>(url: &Text<'a>) -> Source<'a> {
    let plain = url.plain();
    let parts = plain.split_at_checked(5).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("data:"));
    let parts = parts.and_then(|(_, rest)| rest.split_once(',')).and_then(|(head, data)| {
        let (media_type, mark) = head.rsplit_once(';')?;
        mark.trim().eq_ignore_ascii_case("base64").then_some((media_type, data))
    });
    match parts {
        Some((media_type, data)) => Source::Base64 { media_type: Text::of(media_type), data: Text::of(data) },
        None => Source::Url(url.clone()),
    }
}

fn tool_call<'a>(fields: &Fields<'a, '_>) -> Result<Block<'a>, Refusal> {
    let id = fields.required_text("id")?;
    let kind = fields.text("type")?;
    let Some(function) = fields.object("function")? else {
        let kind = kind.unwrap_or_else(|| Text::of("unknown"));
        return Ok(Block::new(Content::Native { kind, json: fields.json() }));
    };
    let arguments = match function.raw("arguments") {
        Some(raw) if raw.starts_with('{') => Arguments::Object(raw.into()),
        Some(_) => Arguments::Encoded(function.required_text("arguments")?),
        None => Arguments::Encoded(Text::of("{}")),
    };
    let content = Content::ToolCall { id, name: function.required_text("name")?, arguments };
    // SDKs that put a call together from a stream leave its place in it, which the order says too.
    let _place = fields.raw("index");
    Ok(Block { content, cache: None, extra: fields.unread() })
}

fn tool<'a>(fields: &Fields<'a, '_>) -> Result<Tool<'a>, Refusal> {
    let kind = fields.required_text("type")?;
    if kind.plain() != "function" {
        return Ok(Tool::Native { kind, json: fields.json() });
    }
    let function = fields.required_object("function")?;
    Ok(Tool::Function {
        name: function.required_text("name")?,
        description: function.text("description")?,
        parameters: function.raw("parameters"),
        strict: function.boolean("strict")?,
        cache: None,
        extra: function.unread(),
    })
}

fn tool_choice<'a>(fields: &Fields<'a, '_>) -> Result<Option<ToolChoice<'a>>, Refusal> {
    let path = fields.path.member("tool_choice");
    let wrong = || path.refuse("invalid_value", "must be none, auto, required or one that names a function");
    let Some(raw) = fields.raw("tool_choice") else { return Ok(None) };
    if let Some(word) = Text::literal(raw) {
        return match &*word.plain() {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "required" => Ok(Some(ToolChoice::Required)),
            "none" => Ok(Some(ToolChoice::None)),
            _ => Err(wrong()),
        };
    }
    let choice = fields.required_object("tool_choice")?;
    match &*choice.required_text("type")?.plain() {
        "function" => Ok(Some(ToolChoice::Tool(choice.required_object("function")?.required_text("name")?))),
        "allowed_tools" => {
            let allowed = choice.required_object("allowed_tools")?;
            let names = allowed.list("tools", |tool| tool.required_object("function")?.required_text("name"))?;
            Ok(Some(ToolChoice::Allowed { required: allowed.required_text("mode")?.plain() == "required", names }))
        }
        _ => Err(wrong()),
    }
}

fn format<'a>(fields: &Fields<'a, '_>) -> Result<Option<Format<'a>>, Refusal> {
    let Some(format) = fields.object("response_format")? else { return Ok(None) };
    let kind = format.required_text("type")?;
    Ok(Some(match &*kind.plain() {
        "text" => Format::Text,
        "json_object" => Format::JsonObject,
        "json_schema" => {
            let given = format.required_object("json_schema")?;
            Format::JsonSchema {
                name: given.text("name")?,
                description: given.text("description")?,
                schema: given.raw("schema").unwrap_or("{}"),
                strict: given.boolean("strict")?,
            }
        }
        _ => {
            return Err(format.path.member("type").refuse("invalid_value", "must be text, json_object or json_schema"));
        }
    }))
}
