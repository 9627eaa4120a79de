//! A Messages request, decoded to the chat model.

use crate::chat::{
    Arguments, Block, Cache, Content, Effort, Extra, Format, Request, Role, Sampling, Source, Thinking, Tool,
    ToolChoice, Turn,
};
use crate::fields::Fields;
use crate::{Dialect, Refusal, Text};

/// Decodes a request whose members were scanned.
pub(crate) fn decode_request<'a>(fields: &Fields<'a, '_>) -> Result<Request<'a>, Refusal> {
    let _ = fields.raw("model");
    let mut turns: Vec<Turn<'a>> = system(fields)?.into_iter().collect();
    turns.extend(fields.list("messages", turn)?);
    let (tool_choice, parallel_tool_calls) = tool_choice(fields)?;
    let output = output_config(fields)?;
    let mut extra = output.extra;
    let safety_identifier = user_id(fields, &mut extra)?;
    let mut request = Request {
        dialect: Dialect::Anthropic,
        turns,
        tools: fields.list("tools", tool)?,
        tool_choice,
        parallel_tool_calls,
        sampling: Sampling { effort: output.effort, ..scalars(fields)? },
        stop_is_plain: false,
        stop: fields.texts("stop_sequences")?,
        n: None,
        logprobs: None,
        top_logprobs: None,
        format: output.format,
        thinking: thinking(fields)?,
        safety_identifier,
        user: None,
        service_tier: fields.text("service_tier")?,
        stream: fields.boolean("stream")?.unwrap_or(false),
        include_usage: true,
        body_bytes: fields.json().len(),
        extra: Extra::new(),
    };
    extra.extend(fields.unread());
    request.extra = extra;
    Ok(request)
}

/// The members by which a request is sampled.
pub(crate) fn sampling(fields: &Fields<'_, '_>) -> Result<Sampling, Refusal> {
    Ok(Sampling { effort: output_config(fields)?.effort, ..scalars(fields)? })
}

fn scalars(fields: &Fields<'_, '_>) -> Result<Sampling, Refusal> {
    Ok(Sampling {
        max_output: fields.integer("max_tokens")?,
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: fields.integer("top_k")?,
        ..Sampling::default()
    })
}

fn system<'a>(fields: &Fields<'a, '_>) -> Result<Option<Turn<'a>>, Refusal> {
    if fields.raw("system").is_none() {
        return Ok(None);
    }
    let (plain, content) = content(fields, "system")?;
    Ok(Some(Turn { role: Role::System, plain, content, name: None, extra: Extra::new() }))
}

fn turn<'a>(fields: &Fields<'a, '_>) -> Result<Turn<'a>, Refusal> {
    let role = match &*fields.required_text("role")?.plain() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(fields.path.member("role").refuse("invalid_value", "must be user, assistant or system")),
    };
    let (plain, content) = content(fields, "content")?;
    Ok(Turn { role, plain, content, name: None, extra: fields.unread() })
}

/// A string, or a list of blocks.
fn content<'a>(fields: &Fields<'a, '_>, name: &str) -> Result<(bool, Vec<Block<'a>>), Refusal> {
    match fields.raw(name).map(|raw| (raw, Text::literal(raw))) {
        None => Ok((true, Vec::new())),
        Some((_, Some(text))) => Ok((true, vec![Block::new(Content::Text(text))])),
        Some((_, None)) => Ok((false, fields.list(name, block)?)),
    }
}

fn block<'a>(fields: &Fields<'a, '_>) -> Result<Block<'a>, Refusal> {
    let kind = fields.required_text("type")?;
    let content = match &*kind.plain() {
        "text" => Content::Text(fields.required_text("text")?),
        "image" => match source(fields)? {
            Some(source) => Content::Image { source, detail: None },
            None => return Ok(native(kind, fields)),
        },
        "document" => match source(fields)? {
            Some(source) => Content::Document { source, title: fields.text("title")? },
            None => return Ok(native(kind, fields)),
        },
        "thinking" => Content::Thinking {
            thinking: fields.required_text("thinking")?,
            // Some servers give none.
            signature: fields.text("signature")?,
        },
        "redacted_thinking" => Content::RedactedThinking(fields.required_text("data")?),
        "tool_use" => Content::ToolCall {
            id: fields.required_text("id")?,
            name: fields.required_text("name")?,
            arguments: Arguments::Object(fields.raw("input").unwrap_or("{}").into()),
        },
        "tool_result" => {
            let (plain, content) = content(fields, "content")?;
            Content::ToolResult {
                tool_call_id: fields.required_text("tool_use_id")?,
                plain,
                content,
                is_error: fields.boolean("is_error")?.unwrap_or(false),
            }
        }
        _ => return Ok(native(kind, fields)),
    };
    Ok(Block { content, cache: cache(fields)?, extra: fields.unread() })
}

fn native<'a>(kind: Text<'a>, fields: &Fields<'a, '_>) -> Block<'a> {
    Block::new(Content::Native { kind, json: fields.json() })
}

/// `None` for a kind of source that has no peer.
fn source<'a>(fields: &Fields<'a, '_>) -> Result<Option<Source<'a>>, Refusal> {
    let source = fields.required_object("source")?;
    Ok(match &*source.required_text("type")?.plain() {
        "base64" => {
            let (media_type, data) = (source.required_text("media_type")?, source.required_text("data")?);
            Some(Source::Base64 { media_type, data })
        }
        "url" => Some(Source::Url(source.required_text("url")?)),
        "text" => Some(Source::Text(source.required_text("data")?)),
        "file" => Some(Source::FileId(source.required_text("file_id")?)),
        _ => None,
    })
}

fn cache<'a>(fields: &Fields<'a, '_>) -> Result<Option<Cache<'a>>, Refusal> {
    let Some(mark) = fields.object("cache_control")? else { return Ok(None) };
    Ok(Some(Cache { ttl: mark.text("ttl")? }))
}

fn tool<'a>(fields: &Fields<'a, '_>) -> Result<Tool<'a>, Refusal> {
    let kind = fields.text("type")?;
    if let Some(kind) = kind.filter(|kind| kind.plain() != "custom") {
        return Ok(Tool::Native { kind, json: fields.json() });
    }
    Ok(Tool::Function {
        name: fields.required_text("name")?,
        description: fields.text("description")?,
        parameters: fields.raw("input_schema"),
        strict: fields.boolean("strict")?,
        cache: cache(fields)?,
        extra: fields.unread(),
    })
}

fn tool_choice<'a>(fields: &Fields<'a, '_>) -> Result<(Option<ToolChoice<'a>>, Option<bool>), Refusal> {
    let Some(choice) = fields.object("tool_choice")? else { return Ok((None, None)) };
    let chosen = match &*choice.required_text("type")?.plain() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Tool(choice.required_text("name")?),
        _ => return Err(choice.path.member("type").refuse("invalid_value", "must be auto, any, tool or none")),
    };
    Ok((Some(chosen), choice.boolean("disable_parallel_tool_use")?.map(|disabled| !disabled)))
}

struct OutputConfig<'a> {
    effort: Option<Effort>,
    format: Option<Format<'a>>,
    extra: Extra<'a>,
}

fn output_config<'a>(fields: &Fields<'a, '_>) -> Result<OutputConfig<'a>, Refusal> {
    let mut read = OutputConfig { effort: None, format: None, extra: Extra::new() };
    let Some(config) = fields.object("output_config")? else { return Ok(read) };
    if let Some(name) = config.text("effort")? {
        let wrong = || config.path.member("effort").refuse("invalid_value", "must be low, medium, high, xhigh or max");
        read.effort = Some(Effort::parse(&name.plain()).ok_or_else(wrong)?);
    }
    if let Some(format) = config.object("format")? {
        if format.required_text("type")?.plain() != "json_schema" {
            return Err(format.path.member("type").refuse("invalid_value", "must be json_schema"));
        }
        let schema = format.raw("schema").ok_or_else(|| format.path.member("schema").missing("a JSON schema"))?;
        read.format = Some(Format::JsonSchema { name: None, description: None, schema, strict: None });
    }
    read.extra =
        config.unread().into_iter().map(|(name, json)| (format!("output_config.{name}").into(), json)).collect();
    Ok(read)
}

fn thinking<'a>(fields: &Fields<'a, '_>) -> Result<Option<Thinking<'a>>, Refusal> {
    let Some(config) = fields.object("thinking")? else { return Ok(None) };
    Ok(Some(match &*config.required_text("type")?.plain() {
        "disabled" => Thinking::Disabled,
        "between_tools" => Thinking::BetweenTools,
        "adaptive" => Thinking::Adaptive { display: config.text("display")? },
        "enabled" => {
            let path = config.path.member("budget_tokens");
            let budget_tokens = config.integer("budget_tokens")?.ok_or_else(|| path.missing("a number of tokens"))?;
            Thinking::Enabled { budget_tokens, display: config.text("display")? }
        }
        _ => {
            return Err(config
                .path
                .member("type")
                .refuse("invalid_value", "must be enabled, disabled, adaptive or between_tools"));
        }
    }))
}

fn user_id<'a>(fields: &Fields<'a, '_>, extra: &mut Extra<'a>) -> Result<Option<Text<'a>>, Refusal> {
    let Some(metadata) = fields.object("metadata")? else { return Ok(None) };
    let id = metadata.text("user_id")?;
    extra.extend(metadata.unread().into_iter().map(|(name, json)| (format!("metadata.{name}").into(), json)));
    Ok(id)
}
