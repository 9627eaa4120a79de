//! The parts of a message, as the OpenAI dialect writes them.

use crate::base64::{decoded, standard};
use crate::chat::{Arguments, Block, Content, Format, Source, ToolChoice};
use crate::media_type::{PDF, is_text, normal};
use crate::seal::{Opened, call_members, open};
use crate::upstream::untranslatable;
use crate::write::Object;
use crate::{Loss, Refusal, Text};

/// Stands before the text of a tool result that is an error, which this dialect has no member for.
const ERROR_PREFIX: &str = "Error: ";

/// The calls that are no function's.
const CUSTOM: &str = "custom";

/// A message's blocks by the members that they go into.
pub(super) struct Parts<'b, 'a> {
    pub(super) content: Vec<&'b Block<'a>>,
    /// Calls, each with its further members, which came back sealed.
    pub(super) calls: Vec<(&'b Block<'a>, Option<Text<'static>>)>,
    pub(super) refusal: Option<&'b Text<'a>>,
    thinking: Vec<(&'b Text<'a>, Option<Text<'a>>)>,
    /// Whether reasoning of another provider was left out.
    pub(super) foreign_thinking: bool,
}

impl<'b, 'a> Parts<'b, 'a> {
    pub(super) fn sorted(blocks: &[&'b Block<'a>], assistant: bool, origin: &str, own: bool) -> Self {
        let (content, calls) = (Vec::with_capacity(blocks.len()), Vec::new());
        let mut parts = Self { content, calls, refusal: None, thinking: Vec::new(), foreign_thinking: false };
        let mut members = None;
        for block in blocks {
            match &block.content {
                Content::ToolCall { .. } => parts.calls.push((block, members.take())),
                Content::Native { kind, .. } if assistant && kind.escaped() == CUSTOM => {
                    parts.calls.push((block, None))
                }
                Content::Refusal(text) if assistant => parts.refusal = Some(text),
                Content::Thinking { thinking, signature } => {
                    match signature.as_ref().map(|held| open(origin, held, own)) {
                        Some(Opened::Foreign) => parts.foreign_thinking = true,
                        Some(Opened::Own(own)) => parts.thinking.push((thinking, Some(own))),
                        None => parts.thinking.push((thinking, None)),
                    }
                }
                Content::RedactedThinking(sealed) => {
                    if let Opened::Own(opened) = open(origin, sealed, own) {
                        members = call_members(&opened);
                    }
                    parts.foreign_thinking |= members.is_none();
                }
                Content::Text(_)
                | Content::Image { .. }
                | Content::Document { .. }
                | Content::Refusal(_)
                | Content::ToolResult { .. }
                | Content::Native { .. } => parts.content.push(block),
            }
        }
        parts
    }

    pub(super) const fn has_thinking(&self) -> bool {
        !self.thinking.is_empty()
    }

    pub(super) fn drop_thinking(&mut self) {
        self.thinking.clear();
    }

    pub(super) fn write_thinking(&self, o: &mut Object<'_>) {
        match &self.thinking[..] {
            [] => {}
            [(thinking, None)] => o.text("reasoning_content", thinking),
            several => o.array("reasoning_details", |list| {
                for (thinking, signature) in several {
                    list.object(|o| reasoning_text(o, thinking, signature.as_ref()));
                }
            }),
        }
    }
}

/// One entry of `reasoning_details`.
pub(super) fn reasoning_text(o: &mut Object<'_>, thinking: &Text<'_>, signature: Option<&Text<'_>>) {
    o.str("type", "reasoning.text");
    o.text("text", thinking);
    o.text_if("signature", signature);
}

/// One entry that only its provider can read.
pub(super) fn reasoning_encrypted(o: &mut Object<'_>, data: &Text<'_>) {
    o.str("type", "reasoning.encrypted");
    o.text("data", data);
}

/// A tool result, which is a message here.
pub(super) struct ToolResult<'b, 'a> {
    pub(super) tool_call_id: &'b Text<'a>,
    /// Whether it must be a string, not a list of texts.
    pub(super) plain: bool,
    pub(super) content: &'b [Block<'a>],
    pub(super) is_error: bool,
}

impl<'a> ToolResult<'_, 'a> {
    /// Writes the message; what it may not hold comes back, to be said by the user.
    pub(super) fn write(&self, o: &mut Object<'_>) -> Result<Vec<Block<'a>>, Refusal> {
        o.str("role", "tool");
        o.text("tool_call_id", self.tool_call_id);
        let (mut texts, mut beside) = (Vec::new(), Vec::new());
        if self.is_error {
            texts.push(Text::of(ERROR_PREFIX));
        }
        for block in self.content {
            match &block.content {
                Content::Text(text) => texts.push(text.clone()),
                Content::Image { .. } | Content::Document { .. } => beside.push(block.clone()),
                Content::Refusal(_)
                | Content::Thinking { .. }
                | Content::RedactedThinking(_)
                | Content::ToolCall { .. }
                | Content::ToolResult { .. }
                | Content::Native { .. } => {
                    return Err(untranslatable("tool_result.content", "it takes text, images and documents alone"));
                }
            }
        }
        if !beside.is_empty() {
            let id = self.tool_call_id.plain();
            let marker = Text::of(&format!("The tool call {id} also gave this:"));
            beside.insert(0, Block::new(Content::Text(marker)));
        }
        if self.plain || self.is_error {
            o.text("content", &Text::joined(&texts, ""));
        } else {
            o.array("content", |list| {
                for text in &texts {
                    list.object(|o| {
                        o.str("type", "text");
                        o.text("text", text);
                    });
                }
            });
        }
        Ok(beside)
    }
}

/// The members of a content part, its kind among them.
pub(super) fn part(o: &mut Object<'_>, content: &Content<'_>, own: bool, loss: &mut Loss) -> Result<(), Refusal> {
    match content {
        Content::Text(text) => {
            o.str("type", "text");
            o.text("text", text);
        }
        Content::Refusal(text) => {
            o.str("type", "refusal");
            o.text("refusal", text);
        }
        Content::Image { source, detail } => {
            let url = data_url(source, own)?;
            o.str("type", "image_url");
            o.object("image_url", |o| {
                o.text("url", &url);
                o.text_if("detail", detail.as_ref());
            });
        }
        Content::Document { source: Source::Text(text), title } => document_text(o, text, title.is_some(), loss),
        Content::Document { source: Source::Base64 { media_type, data }, title } if !own && !is_pdf(media_type) => {
            if !is_text(&normal(&media_type.plain())) {
                return Err(untranslatable("document", "it takes documents as PDF and text"));
            }
            let text = standard(&data.plain()).and_then(|data| String::from_utf8(decoded(&data)).ok());
            let text = text.ok_or_else(|| untranslatable("document", "its data is no base64 of a text in UTF-8"))?;
            document_text(o, &Text::of(&text), title.is_some(), loss);
        }
        Content::Document { source, title } => {
            o.str("type", "file");
            let name = title.clone().unwrap_or_else(|| Text::of("document.pdf"));
            return o.object("file", |o| {
                match source {
                    Source::FileId(id) => o.text("file_id", id),
                    Source::Base64 { .. } => {
                        o.text("filename", &name);
                        o.text("file_data", &data_url(source, own)?);
                    }
                    Source::Url(_) | Source::Text(_) => {
                        return Err(untranslatable("document", "it takes a document's bytes, not its URL"));
                    }
                }
                Ok(())
            });
        }
        Content::Thinking { .. }
        | Content::RedactedThinking(_)
        | Content::ToolCall { .. }
        | Content::ToolResult { .. }
        | Content::Native { .. } => return Err(untranslatable("messages", "a block stands where it may not")),
    }
    Ok(())
}

/// A document of text, which is a text here.
fn document_text(o: &mut Object<'_>, text: &Text<'_>, titled: bool, loss: &mut Loss) {
    if titled {
        loss.add("document.title");
    }
    o.str("type", "text");
    o.text("text", text);
}

fn is_pdf(media_type: &Text<'_>) -> bool {
    normal(&media_type.plain()) == PDF
}

/// The data, or where they are, as a URL. The label of data from another dialect is normalised.
fn data_url(source: &Source<'_>, own: bool) -> Result<Text<'static>, Refusal> {
    match source {
        Source::Base64 { media_type, data } => {
            let label = if own { media_type.clone() } else { Text::of(&normal(&media_type.plain())) };
            Ok(Text::joined(&[Text::of("data:"), label, Text::of(";base64,"), data.clone()], ""))
        }
        Source::Url(url) => Ok(url.clone().into_owned()),
        Source::FileId(_) => Err(untranslatable("source", "an uploaded file is known to its own provider alone")),
        Source::Text(_) => Err(untranslatable("source", "an image cannot be text")),
    }
}

/// The members of a tool call.
pub(super) fn call(o: &mut Object<'_>, id: &Text<'_>, name: &Text<'_>, arguments: &Arguments<'_>) {
    o.text("id", id);
    o.str("type", "function");
    o.object("function", |o| {
        o.text("name", name);
        o.text("arguments", &arguments.to_encoded());
    });
}

pub(super) fn tool_choice(o: &mut Object<'_>, choice: &ToolChoice<'_>) {
    let function = |o: &mut Object<'_>, name: &Text<'_>| {
        o.str("type", "function");
        o.object("function", |o| o.text("name", name));
    };
    match choice {
        ToolChoice::Auto => o.str("tool_choice", "auto"),
        ToolChoice::Required => o.str("tool_choice", "required"),
        ToolChoice::None => o.str("tool_choice", "none"),
        ToolChoice::Tool(name) => o.object("tool_choice", |o| function(o, name)),
        ToolChoice::Allowed { required, names } => o.object("tool_choice", |o| {
            o.str("type", "allowed_tools");
            o.object("allowed_tools", |o| {
                o.str("mode", if *required { "required" } else { "auto" });
                o.array("tools", |list| names.iter().for_each(|name| list.object(|o| function(o, name))));
            });
        }),
    }
}

pub(super) fn response_format(o: &mut Object<'_>, format: &Format<'_>) {
    o.object("response_format", |o| match format {
        Format::Text => o.str("type", "text"),
        Format::JsonObject => o.str("type", "json_object"),
        Format::JsonSchema { name, description, schema, strict } => {
            o.str("type", "json_schema");
            o.object("json_schema", |o| {
                o.text("name", name.as_ref().unwrap_or(&Text::of("answer")));
                o.text_if("description", description.as_ref());
                o.raw("schema", schema);
                o.value_if("strict", *strict);
            });
        }
    });
}
