//! Turns as the Anthropic dialect takes them: system texts apart, one turn a speaker, tool results first
//! and in the order of their calls.

use crate::chat::{Block, Content, Extra, Request, Role, Turn};
use crate::seal::{Opened, open};
use crate::upstream::untranslatable;
use crate::{Dialect, Loss, Refusal, Text};
use std::borrow::Cow;

/// Stands before an assistant who speaks first: the API begins with the user.
const OPENING: &str = "(The assistant opens the conversation.)";

/// A request's turns, sorted.
pub(super) struct Merged<'r, 'a> {
    pub(super) system_is_plain: bool,
    pub(super) system: Vec<Cow<'r, Block<'a>>>,
    pub(super) turns: Vec<MergedTurn<'r, 'a>>,
}

/// One turn.
pub(super) struct MergedTurn<'r, 'a> {
    pub(super) role: Role,
    pub(super) plain: bool,
    pub(super) blocks: Vec<Cow<'r, Block<'a>>>,
    pub(super) extra: Vec<&'r Extra<'a>>,
}

/// Sorts the turns. Those of the dialect itself stay as they are.
pub(super) fn merged<'r, 'a>(
    request: &'r Request<'a>,
    origin: &str,
    loss: &mut Loss,
) -> Result<Merged<'r, 'a>, Refusal> {
    let own = request.dialect == Dialect::Anthropic;
    let is_system = |turn: &&Turn<'_>| matches!(turn.role, Role::System | Role::Developer);
    let leading = request.turns.iter().take_while(is_system).count().min(if own { 1 } else { usize::MAX });
    let (system, rest) = request.turns.split_at_checked(leading).unwrap_or((&request.turns, &[]));
    let mut merged = Merged {
        system_is_plain: matches!(system, [turn] if turn.plain),
        system: system
            .iter()
            .flat_map(|turn| &turn.content)
            .filter(|block| own || !is_empty(block))
            .map(Cow::Borrowed)
            .collect(),
        turns: Vec::with_capacity(rest.len()),
    };
    for turn in rest {
        let taken = taken(turn, own, origin, loss);
        if own {
            // A turn of reasoning alone that nobody but another provider may see says nothing.
            if !taken.blocks.is_empty() || turn.content.is_empty() {
                merged.turns.push(taken);
            }
        } else if !taken.blocks.is_empty() {
            match merged.turns.last_mut().filter(|last| last.role == taken.role) {
                Some(last) => {
                    last.plain = false;
                    last.blocks.extend(taken.blocks);
                    last.extra.extend(taken.extra);
                }
                None => merged.turns.push(taken),
            }
        }
    }
    if !own {
        begin(&mut merged, loss)?;
        order_results(&mut merged.turns)?;
        if merged.turns.last().is_some_and(|turn| turn.role == Role::Assistant) {
            return Err(untranslatable("messages", "the last one must be the user's or a tool's"));
        }
    }
    Ok(merged)
}

/// There is a turn, and the first one is the user's.
fn begin(merged: &mut Merged<'_, '_>, loss: &mut Loss) -> Result<(), Refusal> {
    let opening = match merged.turns.first() {
        None => {
            let last = merged.system.pop();
            let mut block = last.ok_or_else(|| {
                let message = "`messages` has nothing that a model could answer; add a message of the user";
                Refusal::invalid("invalid_value", Some("messages"), message)
            })?;
            loss.add("messages.system");
            mark_as_system(&mut block);
            block
        }
        Some(turn) if turn.role == Role::Assistant => {
            loss.add("messages");
            Cow::Owned(Block::new(Content::Text(Text::of(OPENING))))
        }
        Some(_) => return Ok(()),
    };
    merged.turns.insert(0, MergedTurn { role: Role::User, plain: true, blocks: vec![opening], extra: Vec::new() });
    Ok(())
}

fn taken<'r, 'a>(turn: &'r Turn<'a>, own: bool, origin: &str, loss: &mut Loss) -> MergedTurn<'r, 'a> {
    let mut blocks: Vec<Cow<'r, Block<'a>>> = Vec::with_capacity(turn.content.len());
    for block in &turn.content {
        if is_foreign_reasoning(block, origin, own) {
            loss.add("thinking");
        } else if own || !is_empty(block) {
            blocks.push(Cow::Borrowed(block));
        }
    }
    if turn.name.is_some() {
        loss.add("messages.name");
    }
    let role = match turn.role {
        Role::Assistant => Role::Assistant,
        Role::System if own => Role::System,
        Role::User | Role::Tool => Role::User,
        // Its place in the conversation is part of its meaning, so that it is not moved to the front.
        Role::System | Role::Developer => {
            loss.add("messages.system");
            blocks.iter_mut().for_each(mark_as_system);
            Role::User
        }
    };
    MergedTurn { role, plain: turn.plain, blocks, extra: vec![&turn.extra] }
}

fn mark_as_system(block: &mut Cow<'_, Block<'_>>) {
    if let Content::Text(text) = &mut block.to_mut().content {
        let marked = [Text::of("<system>"), text.clone().into_owned(), Text::of("</system>")];
        *text = Text::joined(&marked, "\n");
    }
}

/// Blocks that the API refuses.
pub(super) fn is_empty(block: &Block<'_>) -> bool {
    matches!(&block.content, Content::Text(text) | Content::Refusal(text) if text.is_blank())
}

fn is_foreign_reasoning(block: &Block<'_>, origin: &str, own: bool) -> bool {
    if let Content::Thinking { signature: Some(sealed), .. } | Content::RedactedThinking(sealed) = &block.content {
        return open(origin, sealed, own) == Opened::Foreign;
    }
    matches!(block.content, Content::Thinking { signature: None, .. })
}

/// After a turn that calls tools the next one begins with all their results, in the order of the calls; no other turn
/// has any.
fn order_results(turns: &mut [MergedTurn<'_, '_>]) -> Result<(), Refusal> {
    let mut calls: Vec<String> = Vec::new();
    for turn in turns {
        let place = |block: &Cow<'_, Block<'_>>| {
            let id = result_id(block)?;
            calls.iter().position(|call| *call == id)
        };
        let results: Vec<String> = turn.blocks.iter().filter_map(|block| result_id(block)).collect();
        if let Some(missing) = calls.iter().find(|call| !results.contains(call)) {
            return Err(no_result(std::slice::from_ref(missing)));
        }
        for (at, id) in results.iter().enumerate() {
            if !calls.contains(id) || results.iter().take(at).any(|before| before == id) {
                return Err(stray_result(id));
            }
        }
        turn.blocks.sort_by_key(|block| place(block).unwrap_or(usize::MAX));
        calls = turn.blocks.iter().filter_map(|block| call_id(block)).collect();
    }
    if calls.is_empty() { Ok(()) } else { Err(no_result(&calls)) }
}

fn stray_result(id: &str) -> Refusal {
    let message = format!(
        "`messages` has a result of the tool call {id} that no message just before it makes, or a second one; send one result after its call"
    );
    Refusal::invalid("stray_tool_result", Some("messages"), message)
}

fn no_result(calls: &[String]) -> Refusal {
    let message =
        format!("the tool calls {} have no result: add a message with the role tool for each", calls.join(", "));
    Refusal::invalid("missing_tool_result", Some("messages"), message)
}

fn call_id(block: &Block<'_>) -> Option<String> {
    let Content::ToolCall { id, .. } = &block.content else { return None };
    Some(id.plain().into_owned())
}

fn result_id(block: &Block<'_>) -> Option<String> {
    let Content::ToolResult { tool_call_id, .. } = &block.content else { return None };
    Some(tool_call_id.plain().into_owned())
}

/// Whether the model is in the middle of calling tools, and its last turn shows no reasoning.
pub(super) fn calls_without_thinking(turns: &[MergedTurn<'_, '_>]) -> bool {
    let Some(last) = turns.iter().rev().find(|turn| turn.role == Role::Assistant) else { return false };
    let thinks =
        |block: &Cow<'_, Block<'_>>| matches!(block.content, Content::Thinking { .. } | Content::RedactedThinking(_));
    last.blocks.iter().any(|block| call_id(block).is_some()) && !last.blocks.iter().any(thinks)
}
