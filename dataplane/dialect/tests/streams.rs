//! Streams across dialects: their fold is the whole answer, their grammar is the client's, and neither how
//! the bytes are split nor where they break changes that.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod grammar;

use bytes::Bytes;
use grammar::{Ending, anthropic, openai};
use proptest::prelude::*;
use serde_json::{Value, json};
use weir_dialect::sse::Parser;
use weir_dialect::{Chunk, Dialect, Loss, MAX_EVENT_BYTES, Stream, Translation};

const CROSSINGS: [(Dialect, Dialect); 2] =
    [(Dialect::OpenAI, Dialect::Anthropic), (Dialect::Anthropic, Dialect::OpenAI)];

fn translation(from: Dialect, to: Dialect) -> Translation<'static> {
    Translation { from, to, origin: "here", now_s: 7, wants_usage: true, seed: 7 }
}

/// What a client gets of an upstream's bytes, and whether they ended in order.
fn passed(pieces: &[&[u8]], from: Dialect, to: Dialect) -> (String, Result<bool, String>) {
    let (mut parser, mut stream) = (Parser::new(MAX_EVENT_BYTES), Stream::new(&translation(from, to)));
    let (mut out, mut begun, mut finished) = (Vec::new(), false, false);
    for piece in pieces {
        parser.feed(Bytes::copy_from_slice(piece));
        while let Some(event) = parser.next_event() {
            let (bytes, chunk) = match stream.pass(event.unwrap(), begun) {
                Ok(passed) => passed,
                Err(e) => return (String::from_utf8(out).unwrap(), Err(e.0)),
            };
            out.extend(bytes.unwrap_or_default());
            match chunk {
                Chunk::Done(_) => return (String::from_utf8(out).unwrap(), Ok(true)),
                Chunk::Error(body) => return (String::from_utf8(out).unwrap(), Err(format!("{body:?}"))),
                Chunk::Nothing => {}
                Chunk::Part(part) => {
                    begun |= part.content || part.finish;
                    finished |= part.finish;
                }
            }
        }
    }
    if finished {
        match stream.end() {
            Ok(bytes) => out.extend(bytes),
            Err(e) => return (String::from_utf8(out).unwrap(), Err(e.0)),
        }
    }
    (String::from_utf8(out).unwrap(), Ok(finished))
}

/// A block of an answer.
#[derive(Debug, Clone)]
enum Block {
    Thinking(Vec<String>),
    Text(Vec<String>),
    Call(String, Vec<String>),
}

#[derive(Debug, Clone)]
struct Answer {
    blocks: Vec<Block>,
    finish: usize,
    /// Whether fragments of calls come one of each in turn.
    interleaved: bool,
}

const FINISHES: [(&str, &str); 3] = [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal")];

fn answers() -> impl Strategy<Value = Answer> {
    let pieces = || proptest::collection::vec("[a-zé\"\\\\\n😀]{1,6}", 1..4);
    let arguments = prop_oneof![
        Just(vec![]),
        Just(vec!["{}".to_owned()]),
        pieces().prop_map(|texts| {
            let json = json!({"a": texts.concat()}).to_string();
            let middle = (0..=json.len() / 2).rev().find(|at| json.is_char_boundary(*at)).unwrap();
            vec![json[..middle].to_owned(), json[middle..].to_owned()].into_iter().filter(|s| !s.is_empty()).collect()
        })
    ];
    let calls = proptest::collection::vec(("[a-z]{1,5}", arguments), 0..3);
    (proptest::option::of(pieces()), proptest::option::of(pieces()), calls, 0..FINISHES.len(), any::<bool>())
        .prop_filter("something is said", |(thinking, text, calls, ..)| {
            thinking.is_some() || text.is_some() || !calls.is_empty()
        })
        .prop_map(|(thinking, text, calls, finish, interleaved)| {
            let mut blocks: Vec<Block> = thinking.map(Block::Thinking).into_iter().collect();
            blocks.extend(text.map(Block::Text));
            blocks.extend(calls.into_iter().map(|(name, arguments)| Block::Call(name, arguments)));
            Answer { blocks, finish, interleaved }
        })
}

impl Answer {
    fn calls(&self) -> Vec<(String, Vec<String>)> {
        let call = |block: &'_ Block| {
            let Block::Call(name, arguments) = block else { return None };
            Some((name.clone(), arguments.clone()))
        };
        self.blocks.iter().filter_map(call).collect()
    }

    fn finish(&self, from: Dialect) -> &'static str {
        match (from, self.calls().is_empty()) {
            (Dialect::OpenAI, true) => FINISHES[self.finish].0,
            (Dialect::OpenAI, false) => "tool_calls",
            (Dialect::Anthropic, true) => FINISHES[self.finish].1,
            (Dialect::Anthropic, false) => "tool_use",
        }
    }

    fn whole(&self, from: Dialect) -> Value {
        match from {
            Dialect::OpenAI => self.openai_whole(),
            Dialect::Anthropic => self.anthropic_whole(),
        }
    }

    fn stream(&self, from: Dialect) -> String {
        match from {
            Dialect::OpenAI => self.openai_stream(),
            Dialect::Anthropic => self.anthropic_stream(),
        }
    }

    fn openai_whole(&self) -> Value {
        let mut message = json!({"role": "assistant", "content": null});
        for block in &self.blocks {
            match block {
                Block::Thinking(texts) => message["reasoning_content"] = json!(texts.concat()),
                Block::Text(texts) => message["content"] = json!(texts.concat()),
                Block::Call(..) => {}
            }
        }
        let call = |(n, (name, arguments)): (usize, (String, Vec<String>))| json!({"id": format!("call_{n}"), "type": "function", "function": {"name": name, "arguments": arguments.concat()}});
        let calls: Vec<_> = self.calls().into_iter().enumerate().map(call).collect();
        if !calls.is_empty() {
            message["tool_calls"] = json!(calls);
        }
        json!({"id": "x", "object": "chat.completion", "created": 7, "model": "m", "service_tier": "default",
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish(Dialect::OpenAI)}], "usage": Self::openai_usage()})
    }

    fn openai_usage() -> Value {
        json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}})
    }

    fn openai_stream(&self) -> String {
        let mut out = String::new();
        let mut chunk = |delta: Value, finish: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            let chunk = json!({"id": "x", "object": "chat.completion.chunk", "created": 7, "model": "m", "service_tier": "default", "choices": [choice], "usage": null});
            out.push_str(&format!("data: {chunk}\n\n"));
        };
        chunk(json!({"role": "assistant", "content": ""}), Value::Null);
        for block in &self.blocks {
            match block {
                Block::Thinking(texts) => {
                    texts.iter().for_each(|text| chunk(json!({"reasoning_content": text}), Value::Null))
                }
                Block::Text(texts) => texts.iter().for_each(|text| chunk(json!({"content": text}), Value::Null)),
                Block::Call(..) => {}
            }
        }
        let start = |n: usize, name: &str| json!({"index": n, "id": format!("call_{n}"), "type": "function", "function": {"name": name, "arguments": ""}});
        let fragment = |n: usize, text: &str| json!({"index": n, "function": {"arguments": text}});
        let calls = self.calls();
        if self.interleaved {
            calls
                .iter()
                .enumerate()
                .for_each(|(n, (name, _))| chunk(json!({"tool_calls": [start(n, name)]}), Value::Null));
            for turn in 0..calls.iter().map(|(_, arguments)| arguments.len()).max().unwrap_or(0) {
                let due =
                    calls.iter().enumerate().filter_map(|(n, (_, arguments))| Some(fragment(n, arguments.get(turn)?)));
                chunk(json!({"tool_calls": due.collect::<Vec<_>>()}), Value::Null);
            }
        } else {
            for (n, (name, arguments)) in calls.iter().enumerate() {
                chunk(json!({"tool_calls": [start(n, name)]}), Value::Null);
                arguments.iter().for_each(|text| chunk(json!({"tool_calls": [fragment(n, text)]}), Value::Null));
            }
        }
        chunk(json!({}), json!(self.finish(Dialect::OpenAI)));
        let usage = json!({"id": "x", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [], "usage": Self::openai_usage()});
        out + &format!("data: {usage}\n\ndata: [DONE]\n\n")
    }

    fn anthropic_whole(&self) -> Value {
        let mut calls = 0;
        let content: Vec<_> = (self.blocks.iter())
            .map(|block| match block {
                Block::Thinking(texts) => json!({"type": "thinking", "thinking": texts.concat(), "signature": "sig"}),
                Block::Text(texts) => json!({"type": "text", "text": texts.concat()}),
                Block::Call(name, arguments) => {
                    calls += 1;
                    let input: Value = serde_json::from_str(&arguments.concat()).unwrap_or_else(|_| json!({}));
                    json!({"type": "tool_use", "id": format!("toolu_{}", calls - 1), "name": name, "input": input})
                }
            })
            .collect();
        json!({"id": "x", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": self.finish(Dialect::Anthropic), "stop_sequence": null, "usage": Self::anthropic_usage()})
    }

    fn anthropic_usage() -> Value {
        json!({"input_tokens": 6, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 0, "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 2}, "service_tier": "standard"})
    }

    fn anthropic_stream(&self) -> String {
        let mut out = String::new();
        let mut event =
            |value: Value| out.push_str(&format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap()));
        event(
            json!({"type": "message_start", "message": {"id": "x", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "usage": {"input_tokens": 6, "cache_read_input_tokens": 4, "output_tokens": 1, "service_tier": "standard"}}}),
        );
        event(json!({"type": "ping"}));
        let mut calls = 0;
        for (index, block) in self.blocks.iter().enumerate() {
            let (start, deltas): (Value, Vec<Value>) = match block {
                Block::Thinking(texts) => {
                    let mut deltas: Vec<_> =
                        texts.iter().map(|text| json!({"type": "thinking_delta", "thinking": text})).collect();
                    deltas.push(json!({"type": "signature_delta", "signature": "sig"}));
                    (json!({"type": "thinking", "thinking": "", "signature": ""}), deltas)
                }
                Block::Text(texts) => (
                    json!({"type": "text", "text": ""}),
                    texts.iter().map(|text| json!({"type": "text_delta", "text": text})).collect(),
                ),
                Block::Call(name, arguments) => {
                    calls += 1;
                    let deltas = arguments
                        .iter()
                        .map(|text| json!({"type": "input_json_delta", "partial_json": text}))
                        .collect();
                    (
                        json!({"type": "tool_use", "id": format!("toolu_{}", calls - 1), "name": name, "input": {}}),
                        deltas,
                    )
                }
            };
            event(json!({"type": "content_block_start", "index": index, "content_block": start}));
            deltas
                .into_iter()
                .for_each(|delta| event(json!({"type": "content_block_delta", "index": index, "delta": delta})));
            event(json!({"type": "content_block_stop", "index": index}));
        }
        event(
            json!({"type": "message_delta", "delta": {"stop_reason": self.finish(Dialect::Anthropic), "stop_sequence": null}, "usage": {"output_tokens": 5, "output_tokens_details": {"thinking_tokens": 2}}}),
        );
        event(json!({"type": "message_stop"}));
        out
    }
}

fn fold(to: Dialect, text: &str, ending: Ending) -> Value {
    match to {
        Dialect::OpenAI => openai(text, ending),
        Dialect::Anthropic => anthropic(text, ending),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_fold_of_a_stream_is_the_whole_answer(answer in answers()) {
        for (from, to) in CROSSINGS {
            let (text, ended) = passed(&[answer.stream(from).as_bytes()], from, to);
            prop_assert_eq!(ended, Ok(true), "{}", text);
            let mut loss = Loss::default();
            let (whole, usage) = translation(from, to).whole(answer.whole(from).to_string().as_bytes(), &mut loss).unwrap();
            let whole: Value = serde_json::from_slice(&whole).unwrap();
            prop_assert!(loss.is_empty(), "{:?}", loss);
            prop_assert_eq!(usage.map(|u| (u.input_total(), u.cache_read, u.output_total(), u.reasoning)), Some((10, 4, 5, 2)));
            prop_assert_eq!(fold(to, &text, Ending::Orderly), whole);
        }
    }

    #[test]
    fn f19_wherever_a_stream_breaks_what_came_is_good_grammar(answer in answers(), cut in 0.0..1.0_f64, garbage in any::<bool>()) {
        for (from, to) in CROSSINGS {
            let stream = answer.stream(from);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
            let at = (stream.len() as f64 * cut) as usize;
            let tail: &[u8] = if garbage { b"\n\ndata: {\"type\":\"content_block_delta\",\"index\":9,\"delta\":{}}\n\ndata: {\n\n" } else { b"" };
            let (text, ended) = passed(&[&stream.as_bytes()[..at], tail], from, to);
            let ending = if ended == Ok(true) { Ending::Orderly } else { Ending::Broken };
            fold(to, &text, ending);
        }
    }
}

/// Streams as providers send them: each kind of block alone and together, with each line ending.
fn recorded() -> Vec<(Dialect, String)> {
    let text = |pieces: &[&str]| pieces.iter().map(|piece| (*piece).to_owned()).collect::<Vec<_>>();
    let call = Block::Call("f".into(), text(&["{\"a\":", "\"é😀\"}"]));
    let blocks = [
        vec![Block::Text(text(&["plain", " \"é😀\n"]))],
        vec![Block::Thinking(text(&["hm"])), Block::Text(text(&["so"]))],
        vec![call.clone()],
        vec![Block::Text(text(&["a"])), call.clone(), Block::Call("g".into(), vec![])],
        vec![Block::Thinking(text(&["x", "y"])), call],
    ];
    let mut out = Vec::new();
    for blocks in blocks {
        for from in [Dialect::OpenAI, Dialect::Anthropic] {
            for comment in ["", ": ping\n\n"] {
                let answer = Answer { blocks: blocks.clone(), finish: 0, interleaved: true };
                let lf = format!("{comment}{}", answer.stream(from));
                out.extend([(from, lf.replace('\n', "\r\n")), (from, lf)]);
            }
        }
    }
    out
}

#[test]
fn f13_of_forty_streams_cut_at_every_byte_none_looks_whole_before_its_finish() {
    let streams = recorded();
    assert_eq!(streams.len(), 40);
    for (from, stream) in streams {
        let finish = stream.find("\"stop_reason\":\"").or_else(|| stream.find("\"finish_reason\":\"")).unwrap();
        for to in [Dialect::OpenAI, Dialect::Anthropic] {
            for cut in 0..=stream.len() {
                let (text, ended) = passed(&[&stream.as_bytes()[..cut]], from, to);
                assert!(ended != Ok(true) || cut > finish, "cut at {cut} of {stream:?} looks whole");
                fold(to, &text, if ended == Ok(true) { Ending::Orderly } else { Ending::Broken });
            }
        }
    }
}

#[test]
fn f14_however_the_bytes_are_split_the_client_gets_the_same() {
    // The second byte of the last line's end is nobody's.
    let passed = |pieces: &[&[u8]], from, to| {
        let (text, ended) = passed(pieces, from, to);
        (text.trim_end().to_owned(), ended)
    };
    for (from, stream) in recorded() {
        let bytes = stream.as_bytes();
        for to in [Dialect::OpenAI, Dialect::Anthropic] {
            let expected = passed(&[bytes], from, to);
            for at in 0..bytes.len() {
                for width in [1, 2, 7] {
                    let end = (at + width).min(bytes.len());
                    assert_eq!(passed(&[&bytes[..at], &bytes[at..end], &bytes[end..]], from, to), expected);
                }
            }
            let singly: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(passed(&singly, from, to), expected);
        }
    }
}

fn chunk(choices: &Value) -> String {
    format!("data: {}\n\n", json!({"id": "x", "model": "m", "choices": choices}))
}

#[test]
fn t19_t30_fragments_before_a_calls_name_are_kept() {
    let fragment = |call: Value| chunk(&json!([{"delta": {"tool_calls": [call]}}]));
    let stream = [
        fragment(json!({"index": 0, "function": {"arguments": "{\"a\""}})),
        fragment(json!({"index": 0, "id": "c", "type": null, "function": {"name": null, "arguments": ":"}})),
        fragment(json!({"index": 0, "id": "c", "function": {"name": "f", "arguments": "1}"}})),
        chunk(&json!([{"delta": {}, "finish_reason": "stop"}])),
    ]
    .concat();
    let (text, _) = passed(&[stream.as_bytes()], Dialect::OpenAI, Dialect::Anthropic);
    let message = anthropic(&text, Ending::Orderly);
    assert_eq!(message["content"], json!([{"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}]));
    assert_eq!(message["stop_reason"], "tool_use", "T23");
}

#[test]
fn t21_t22_tool_indexes_are_dense_and_every_call_is_there() {
    let block = |index: u64, block: Value| {
        format!(
            "data: {}\n\ndata: {}\n\n",
            json!({"type": "content_block_start", "index": index, "content_block": block}),
            json!({"type": "content_block_stop", "index": index})
        )
    };
    let stream = [
        "data: {\"type\":\"message_start\",\"message\":{\"id\":\"x\",\"model\":\"m\"}}\n\n".to_owned(),
        block(0, json!({"type": "text", "text": "a"})),
        block(1, json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}})),
        block(2, json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
        block(3, json!({"type": "tool_use", "id": "t2", "name": "g", "input": {"whole": true}})),
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":1}}\n\ndata: {\"type\":\"message_stop\"}\n\n".to_owned(),
    ]
    .concat();
    let (text, _) = passed(&[stream.as_bytes()], Dialect::Anthropic, Dialect::OpenAI);
    let calls = &openai(&text, Ending::Orderly)["choices"][0]["message"]["tool_calls"];
    assert_eq!(calls[0]["function"], json!({"name": "f", "arguments": "{}"}), "T20");
    assert_eq!(calls[1]["function"], json!({"name": "g", "arguments": "{\"whole\":true}"}));
}

#[test]
fn t16_t17_t57_chunks_without_choices_and_usage_beside_them_are_taken() {
    let stream = format!(
        "data: {{\"choices\":[],\"id\":\"\",\"prompt_filter_results\":[]}}\n\ndata: {{\"choices\":null}}\n\n{}data: {}\n\n",
        chunk(&json!([{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "never seen"}}])),
        json!({"id": "x", "choices": [{"index": 0, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}),
    );
    let (text, ended) = passed(&[stream.as_bytes()], Dialect::OpenAI, Dialect::Anthropic);
    assert_eq!(ended, Ok(true), "no [DONE], yet finished");
    let message = anthropic(&text, Ending::Orderly);
    assert_eq!((&message["id"], &message["usage"]["input_tokens"]), (&json!("msg_x"), &json!(3)));
    assert_eq!(message["content"], json!([{"type": "text", "text": "a"}]));
}

#[test]
fn t41_t42_redacted_reasoning_and_signatures_are_sealed_to_their_origin() {
    let stream = concat!(
        "data: {\"type\":\"message_start\",\"message\":{\"id\":\"x\",\"model\":\"m\"}}\n\n",
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"redacted_thinking\",\"data\":\"xx\"}}\n\n",
        "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "data: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"sig\"}}\n\n",
        "data: {\"type\":\"content_block_stop\",\"index\":1}\n\n",
        "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
    );
    let (text, _) = passed(&[stream.as_bytes()], Dialect::Anthropic, Dialect::OpenAI);
    let details = &openai(&text, Ending::Orderly)["choices"][0]["message"]["reasoning_details"];
    assert_eq!(details[0], json!({"type": "reasoning.encrypted", "data": "weir1.here.xx", "index": 0}));
    assert_eq!(details[1], json!({"type": "reasoning.text", "text": "", "signature": "weir1.here.sig", "index": 1}));
}

#[test]
fn t13_one_message_start_whatever_the_provider_repeats() {
    let start = "data: {\"type\":\"message_start\",\"message\":{\"id\":\"x\",\"model\":\"m\"}}\n\n";
    let text =
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"a\"}}\n\n";
    let (out, _) = passed(&[format!("{start}{start}{text}").as_bytes()], Dialect::Anthropic, Dialect::OpenAI);
    assert_eq!(out.matches("\"role\":\"assistant\"").count(), 1);
    let chunk = chunk(&json!([{"index": 0, "delta": {"role": "assistant", "content": "a"}}]));
    let (out, _) = passed(&[format!("{chunk}{chunk}").as_bytes()], Dialect::OpenAI, Dialect::Anthropic);
    assert_eq!(out.matches("event: message_start").count(), 1);
}

#[test]
fn garbage_in_a_crossing_never_panics() {
    bolero::check!().with_max_len(1024).for_each(|bytes| {
        for (from, to) in CROSSINGS {
            let mut parser = Parser::new(1 << 16);
            let mut stream = Stream::new(&translation(from, to));
            parser.feed(Bytes::copy_from_slice(bytes));
            while let Some(Ok(event)) = parser.next_event() {
                let _ = stream.pass(event, false);
            }
            let _ = stream.end();
            let _ = translation(from, to).whole(bytes, &mut Loss::default());
        }
    });
}
