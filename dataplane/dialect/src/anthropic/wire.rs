//! A message and the events of a streamed one, as servers write them; values that are passed on stay JSON.

use crate::wire::{Count, Maybe, Word, objects};
use serde_json::value::RawValue;

objects! {
    /// A streamed event.
    Event {
        kind: Word<'a> = "type",
        index: Count = "index",
        message: Maybe<Message<'a>> = "message",
        content_block: Maybe<Block<'a>> = "content_block",
        delta: Maybe<Delta<'a>> = "delta",
        usage: Option<&'a RawValue> = "usage",
        error: Option<&'a RawValue> = "error",
    } without "request_id";

    /// A message.
    Message {
        kind: Word<'a> = "type",
        error: Option<&'a RawValue> = "error",
        id: Option<&'a RawValue> = "id",
        model: Option<&'a RawValue> = "model",
        content: Option<&'a RawValue> = "content",
        stop_reason: Option<&'a RawValue> = "stop_reason",
        stop_sequence: Option<&'a RawValue> = "stop_sequence",
        usage: Option<&'a RawValue> = "usage",
    } without "role";

    /// A block of its content.
    Block {
        kind: Word<'a> = "type",
        id: Option<&'a RawValue> = "id",
        name: Option<&'a RawValue> = "name",
        input: Option<&'a RawValue> = "input",
        text: Option<&'a RawValue> = "text",
        thinking: Option<&'a RawValue> = "thinking",
        signature: Option<&'a RawValue> = "signature",
        data: Option<&'a RawValue> = "data",
    } without "index";

    /// What an event adds.
    Delta {
        kind: Word<'a> = "type",
        text: Option<&'a RawValue> = "text",
        partial_json: Option<&'a RawValue> = "partial_json",
        thinking: Option<&'a RawValue> = "thinking",
        signature: Option<&'a RawValue> = "signature",
        stop_reason: Option<&'a RawValue> = "stop_reason",
        stop_sequence: Option<&'a RawValue> = "stop_sequence",
    } without "estimated_tokens";
}
