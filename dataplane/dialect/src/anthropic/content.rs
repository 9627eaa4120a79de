//! Blocks, as the Anthropic dialect writes them.

use super::media::Member;
use super::turns::is_empty;
use crate::chat::{Block, Cache, Content, Source};
use crate::seal::{Opened, open};
use crate::upstream::untranslatable;
use crate::write::{Array, Object};
use crate::{Loss, Refusal, Text};
use std::borrow::Borrow;

/// What blocks are written for.
pub(super) struct Blocks<'e> {
    /// Whether they came in this very dialect.
    pub(super) own: bool,
    pub(super) origin: &'e str,
    pub(super) loss: &'e mut Loss,
}

impl Blocks<'_> {
    /// A member that is a string where it was one, else a list of blocks.
    pub(super) fn write<'a>(
        &mut self,
        o: &mut Object<'_>,
        name: &str,
        plain: bool,
        blocks: &[impl Borrow<Block<'a>>],
    ) -> Result<(), Refusal> {
        match blocks {
            [] if plain => o.str(name, ""),
            [one] if plain && matches!(one.borrow().content, Content::Text(_)) => {
                if let Content::Text(text) = &one.borrow().content {
                    o.text(name, text);
                }
            }
            several => o.array(name, |list| several.iter().try_for_each(|block| self.block(list, block.borrow())))?,
        }
        Ok(())
    }

    fn block(&mut self, list: &mut Array<'_>, block: &Block<'_>) -> Result<(), Refusal> {
        if let Content::Native { kind, json } = &block.content {
            if !self.own {
                return Err(untranslatable("messages", &format!("it takes no content of type {:?}", kind.plain())));
            }
            list.raw(json);
            return Ok(());
        }
        list.object(|o| {
            self.content(o, &block.content)?;
            cache(o, block.cache.as_ref());
            for (name, json) in &block.extra {
                if self.own {
                    o.raw(name, json);
                } else {
                    self.loss.add_unknown(name);
                }
            }
            Ok(())
        })
    }

    fn content(&mut self, o: &mut Object<'_>, content: &Content<'_>) -> Result<(), Refusal> {
        match content {
            Content::Text(text) => {
                o.str("type", "text");
                o.text("text", text);
            }
            Content::Refusal(text) => {
                self.loss.add("refusal");
                o.str("type", "text");
                o.text("text", text);
            }
            Content::Image { source, detail } => {
                if detail.as_ref().is_some_and(|detail| detail.plain() != "auto") {
                    self.loss.add("image_url.detail");
                }
                self.media(o, Member::ImageUrl, source, None)?;
            }
            Content::Document { source, title } => self.media(o, Member::File, source, title.as_ref())?,
            Content::Thinking { thinking, signature } => {
                o.str("type", "thinking");
                o.text("thinking", thinking);
                o.text_if("signature", signature.as_ref().and_then(|held| self.opened(held)).as_ref());
            }
            Content::RedactedThinking(data) => {
                o.str("type", "redacted_thinking");
                o.text_if("data", self.opened(data).as_ref());
            }
            Content::ToolCall { id, name, arguments } => {
                o.str("type", "tool_use");
                o.text("id", &self.id(id));
                o.text("name", name);
                o.raw("input", &arguments.to_object());
            }
            Content::ToolResult { tool_call_id, plain, content, is_error } => {
                o.str("type", "tool_result");
                o.text("tool_use_id", &self.id(tool_call_id));
                if self.own && content.is_empty() && *plain {
                    // It came without content.
                } else if self.own || *plain {
                    self.write(o, "content", *plain, content)?;
                } else {
                    let said: Vec<&Block<'_>> = content.iter().filter(|block| !is_empty(block)).collect();
                    self.write(o, "content", said.is_empty(), &said)?;
                }
                if *is_error {
                    o.value("is_error", true);
                }
            }
            Content::Native { .. } => {}
        }
        Ok(())
    }

    /// An image or document, whose title a document keeps.
    fn media(
        &mut self,
        o: &mut Object<'_>,
        member: Member,
        source: &Source<'_>,
        title: Option<&Text<'_>>,
    ) -> Result<(), Refusal> {
        let block = if self.own { None } else { Some(member.taken(source, title)?) };
        let kind = block.as_ref().map_or(member.block(), |media| media.block);
        o.str("type", kind);
        write_source(o, block.as_ref().map_or(source, |media| &media.source));
        let titled = kind == "document";
        if title.is_some() && !titled {
            self.loss.add("file.filename");
        }
        o.text_if("title", title.filter(|_| titled));
        Ok(())
    }

    /// Ids have a smaller alphabet here; a call and its result change alike.
    fn id<'i>(&self, id: &Text<'i>) -> Text<'i> {
        let plain = id.plain();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if self.own || plain.chars().all(fits) {
            return id.clone();
        }
        Text::of(&plain.replace(|c| !fits(c), "_"))
    }

    fn opened(&self, sealed: &Text<'_>) -> Option<Text<'static>> {
        match open(self.origin, sealed, self.own) {
            Opened::Own(own) => Some(own.into_owned()),
            Opened::Foreign => None,
        }
    }
}

fn write_source(o: &mut Object<'_>, source: &Source<'_>) {
    o.object("source", |o| match source {
        Source::Base64 { media_type, data } => {
            o.str("type", "base64");
            o.text("media_type", media_type);
            o.text("data", data);
        }
        Source::Url(url) => {
            o.str("type", "url");
            o.text("url", url);
        }
        Source::Text(text) => {
            o.str("type", "text");
            o.str("media_type", "text/plain");
            o.text("data", text);
        }
        Source::FileId(id) => {
            o.str("type", "file");
            o.text("file_id", id);
        }
    });
}

/// A mark of the prompt cache.
pub(super) fn cache(o: &mut Object<'_>, cache: Option<&Cache<'_>>) {
    if let Some(Cache { ttl }) = cache {
        o.object("cache_control", |o| {
            o.str("type", "ephemeral");
            o.text_if("ttl", ttl.as_ref());
        });
    }
}
