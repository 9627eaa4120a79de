//! A chat completion and a chunk of one, as servers write them; values that are passed on stay JSON.

use crate::wire::{Count, List, Maybe, Word, is_something, objects};
use serde_json::value::RawValue;

objects! {
    /// A chunk or a whole completion.
    Wire {
        error: Option<&'a RawValue> = "error",
        object: Word<'a> = "object",
        kind: Word<'a> = "type",
        id: Option<&'a RawValue> = "id",
        model: Option<&'a RawValue> = "model",
        service_tier: Option<&'a RawValue> = "service_tier",
        choices: List<Choice<'a>> = "choices",
        usage: Option<&'a RawValue> = "usage",
    } without "created" | "system_fingerprint" | "obfuscation";

    /// A choice; that of a chunk has a `delta` as a rule, that of a completion a `message`.
    Choice {
        index: Count = "index",
        delta: Maybe<Delta<'a>> = "delta",
        message: Maybe<Delta<'a>> = "message",
        error: Option<&'a RawValue> = "error",
        finish_reason: Option<&'a RawValue> = "finish_reason",
        /// vLLM: the stop string.
        stop_reason: Option<&'a RawValue> = "stop_reason",
        /// SGLang: the same.
        matched_stop: Option<&'a RawValue> = "matched_stop",
        logprobs: Option<&'a RawValue> = "logprobs",
    } without "token_ids";

    /// A message or a piece of one.
    Delta {
        content: Option<&'a RawValue> = "content",
        refusal: Option<&'a RawValue> = "refusal",
        reasoning: Option<&'a RawValue> = "reasoning",
        reasoning_content: Option<&'a RawValue> = "reasoning_content",
        reasoning_details: Option<&'a RawValue> = "reasoning_details",
        tool_calls: List<ToolCall<'a>> = "tool_calls",
        function_call: Maybe<Function<'a>> = "function_call",
    } without "role" | "token_ids";

    /// A tool call or a fragment of one. Servers repeat, delay and leave out what is not its arguments.
    ToolCall {
        index: Count = "index",
        id: Option<&'a RawValue> = "id",
        function: Maybe<Function<'a>> = "function",
        /// Some servers leave out the object around it.
        name: Option<&'a RawValue> = "name",
        arguments: Option<&'a RawValue> = "arguments",
    } without "type";

    /// The function of a call.
    Function {
        name: Option<&'a RawValue> = "name",
        /// A string; Mistral and Ollama send an object.
        arguments: Option<&'a RawValue> = "arguments",
    } without "description";

    /// A part of a content that is a list.
    Part {
        kind: Word<'a> = "type",
        text: Option<&'a RawValue> = "text",
        refusal: Option<&'a RawValue> = "refusal",
        thinking: Option<&'a RawValue> = "thinking",
        reasoning: Option<&'a RawValue> = "reasoning",
        content: Option<&'a RawValue> = "content",
        summary: Option<&'a RawValue> = "summary",
        signature: Option<&'a RawValue> = "signature",
        data: Option<&'a RawValue> = "data",
    } without "index" | "id" | "format" | "closed";
}

impl<'a> Choice<'a> {
    /// What a chunk holds of the message. Some servers put all of it so far beside each piece.
    pub(super) fn piece(&self) -> Option<&Delta<'a>> {
        self.delta.0.as_ref().or(self.message.0.as_ref())
    }

    /// The message of a whole answer; some servers put an empty piece beside it.
    pub(super) fn all(&self) -> Option<&Delta<'a>> {
        self.message.0.as_ref().or(self.delta.0.as_ref())
    }
}

impl Delta<'_> {
    /// Whether it is a sign of the answer; the role alone is none.
    pub(super) fn has_content(&self) -> bool {
        let Self { content, refusal, reasoning, reasoning_content, reasoning_details, .. } = self;
        let texts = [content, refusal, reasoning, reasoning_content, reasoning_details];
        texts.into_iter().flatten().any(|raw| is_something(raw))
            || !self.tool_calls.0.is_empty()
            || self.function_call.0.is_some()
            || !self.others.is_empty()
            || self.begins_to_think()
    }

    /// Whether reasoning begins, as servers say that send an empty one in the place of content.
    pub(super) fn begins_to_think(&self) -> bool {
        let is_empty = |raw: &RawValue| raw.get() == "\"\"";
        let no_content = self.content.is_none_or(|raw| raw.get() == "null");
        no_content && [self.reasoning, self.reasoning_content].into_iter().flatten().any(is_empty)
    }
}
