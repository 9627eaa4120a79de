//! What servers really write as answers, form by form: what a client of either dialect sees of each.
//!
//! `answers/*.txt` hold the forms, one entry each:
//!
//! - `# DIALECT stream, SERVER: what is odd about it`, or `whole` in place of `stream`;
//! - lines of the answer: `> ` begins an event's data or a line of a whole body, `| ` a line of a stream as it stands;
//! - `sees {…}` with what is not empty of `text`, `thinking`, `refusal`, `calls` (names and arguments), `finish` (`stop`
//!   where it is not said), `usage` (input and output), `lost`; or `fails WORD`, a part of the reason;
//! - `same …` of a client of the server's own dialect, where that is not the bytes as they came or the same failure:
//!   `sees …`, `fails …`, `came`, or `named`, which is as they came but for names of events.
//!
//! Every stream is read with each line end and cut at every place, every whole answer also as the answer to a stream request.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod grammar;
mod relayed;

use grammar::Ending;
use relayed::{Relayed, streamed, whole};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use weir_dialect::Dialect;

const FILES: [&str; 3] = [
    include_str!("answers/openai_stream.txt"),
    include_str!("answers/openai_whole.txt"),
    include_str!("answers/anthropic.txt"),
];

/// A form of an answer.
struct Entry {
    name: String,
    from: Dialect,
    streams: bool,
    answer: String,
    other: Outcome,
    same: Outcome,
}

/// What a client gets.
enum Outcome {
    /// The bytes as they came.
    AsItCame,
    /// The same but for names of events.
    Named,
    Sees(Map<String, Value>),
    Fails(String),
}

impl Outcome {
    fn of(text: &str) -> Self {
        match text.split_once(' ').unwrap_or((text, "")) {
            ("sees", json) => Self::Sees(serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json}"))),
            ("fails", word) => Self::Fails(word.to_owned()),
            ("came", _) => Self::AsItCame,
            ("named", _) => Self::Named,
            _ => panic!("no outcome: {text}"),
        }
    }
}

fn entries() -> Vec<Entry> {
    FILES.iter().flat_map(|file| file.split("\n# ").skip(1)).map(entry).collect()
}

fn entry(text: &str) -> Entry {
    let mut lines = text.lines();
    let name = lines.next().unwrap().to_owned();
    let from = if name.starts_with("OpenAI") { Dialect::OpenAI } else { Dialect::Anthropic };
    let streams = name.split([' ', ',']).nth(1) == Some("stream");
    let (mut answer, mut other, mut same) = (String::new(), None, None);
    for line in lines.filter(|line| !line.is_empty()) {
        match line.split_at(2.min(line.len())) {
            ("> ", data) if streams => answer += &format!("{}data: {data}\n\n", event_line(from, data)),
            ("> ", data) => answer += &format!("{data}\n"),
            ("| ", data) => answer += &format!("{data}\n"),
            ("|", _) => answer += "\n",
            _ => match line.strip_prefix("same ") {
                Some(outcome) => same = Some(Outcome::of(outcome)),
                None => other = Some(Outcome::of(line)),
            },
        }
    }
    let answer = if streams { answer } else { answer.trim_end().to_owned() };
    let other = other.unwrap_or_else(|| panic!("{name}: what does a client see?"));
    let same = same.unwrap_or(match &other {
        Outcome::Fails(word) => Outcome::Fails(word.clone()),
        Outcome::AsItCame | Outcome::Named | Outcome::Sees(_) => Outcome::AsItCame,
    });
    Entry { name, from, streams, answer, other, same }
}

/// Anthropic's events are named.
fn event_line(from: Dialect, data: &str) -> String {
    let kind = serde_json::from_str::<Value>(data).ok().and_then(|data| Some(data.get("type")?.as_str()?.to_owned()));
    match kind.filter(|_| from == Dialect::Anthropic) {
        Some(kind) => format!("event: {kind}\n"),
        None => String::new(),
    }
}

/// What a client makes of an answer in its dialect, in the words of the corpus.
fn seen(relayed: &Relayed, to: Dialect, streams: bool) -> Map<String, Value> {
    let text = std::str::from_utf8(&relayed.bytes).expect("whole characters");
    let answer = match (to, streams) {
        (_, false) => serde_json::from_str(text).expect("JSON"),
        (Dialect::OpenAI, true) => grammar::openai(text, Ending::Orderly),
        (Dialect::Anthropic, true) => grammar::anthropic(text, Ending::Orderly),
    };
    let mut seen = match to {
        Dialect::OpenAI => seen_openai(&answer["choices"][0]),
        Dialect::Anthropic => seen_anthropic(&answer),
    };
    let usage = relayed.usage.map(|usage| json!([usage.input_total(), usage.output_total()]));
    for (name, value) in [("usage", json!(usage)), ("lost", json!(relayed.lost))] {
        seen.insert(name.to_owned(), value);
    }
    seen.retain(|_, value| !matches!(value, Value::Null) && *value != json!("") && *value != json!([]));
    seen
}

fn seen_openai(choice: &Value) -> Map<String, Value> {
    let message = &choice["message"];
    let mut ids = HashSet::new();
    let call = |call: &Value| {
        assert!(ids.insert(call["id"].as_str().expect("an id").to_owned()), "{call}: an id twice");
        let function = &call["function"];
        let arguments: Value = serde_json::from_str(function["arguments"].as_str().unwrap()).expect("JSON");
        json!([function["name"], arguments])
    };
    let calls: Vec<Value> = message["tool_calls"].as_array().into_iter().flatten().map(call).collect();
    let finish = choice["finish_reason"].clone();
    object(json!({"text": message["content"], "thinking": message["reasoning_content"], "refusal": message["refusal"],
        "calls": calls, "finish": finish}))
}

fn seen_anthropic(message: &Value) -> Map<String, Value> {
    let (mut text, mut thinking, mut calls, mut ids) = (String::new(), String::new(), Vec::new(), HashSet::new());
    for block in message["content"].as_array().expect("content") {
        match block["type"].as_str().unwrap() {
            "text" => text += block["text"].as_str().unwrap(),
            "thinking" => thinking += block["thinking"].as_str().unwrap(),
            "redacted_thinking" => {
                assert!(block["data"].as_str().unwrap().starts_with("weir1.here."), "what is opaque is sealed");
                thinking += "[sealed]";
            }
            "tool_use" => {
                assert!(ids.insert(block["id"].as_str().expect("an id").to_owned()), "{block}: an id twice");
                assert!(block["id"] != "" && block["input"].is_object(), "{block}");
                calls.push(json!([block["name"], block["input"]]));
            }
            other => panic!("{other}"),
        }
    }
    let finish = match message["stop_reason"].as_str().expect("a stop reason") {
        "end_turn" => "stop",
        "max_tokens" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        other => other,
    };
    object(json!({"text": text, "thinking": thinking, "calls": calls, "finish": finish}))
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("{value}") };
    members
}

/// What is wrong with what came of an entry.
fn judged(entry: &Entry, outcome: &Outcome, relayed: &Relayed, to: Dialect, streams: bool) -> Option<String> {
    let got = String::from_utf8_lossy(&relayed.bytes);
    let named = |text: &str| text.lines().filter(|line| !line.starts_with("event:")).collect::<Vec<_>>().join("\n");
    match (outcome, &relayed.error) {
        (Outcome::Fails(word), Some(error)) if error.contains(word) => None,
        (Outcome::Fails(word), other) => Some(format!("it should fail by {word:?}, and came to {other:?}: {got}")),
        (_, Some(error)) => Some(format!("it failed by {error}")),
        (Outcome::AsItCame, None) => {
            let came = entry.answer.trim_start_matches('\u{feff}');
            (came.trim_end() != got.trim_end()).then(|| format!("it should go on as it came, and became {got}"))
        }
        (Outcome::Named, None) => {
            let same = named(&entry.answer) == named(&got);
            (!same || !got.contains("event: ")).then(|| format!("it should be named: {got}"))
        }
        (Outcome::Sees(expected), None) => {
            let mut expected = expected.clone();
            expected.entry("finish").or_insert_with(|| json!("stop"));
            let seen = seen(relayed, to, streams);
            (seen != expected).then(|| format!("it should be {}, and was {}", json!(expected), json!(seen)))
        }
    }
}

const fn other(dialect: Dialect) -> Dialect {
    match dialect {
        Dialect::OpenAI => Dialect::Anthropic,
        Dialect::Anthropic => Dialect::OpenAI,
    }
}

#[test]
fn every_form_is_read_as_clients_expect_it() {
    let entries = entries();
    let mut wrong = Vec::new();
    for entry in &entries {
        let bytes = entry.answer.as_bytes();
        for (to, outcome) in [(entry.from, &entry.same), (other(entry.from), &entry.other)] {
            let relayed = if entry.streams { streamed([bytes], entry.from, to) } else { whole(bytes, entry.from, to) };
            let why = judged(entry, outcome, &relayed, to, entry.streams);
            wrong.extend(why.map(|why| format!("{} (to {to:?}): {why}", entry.name)));
        }
    }
    let names: HashSet<_> = entries.iter().map(|entry| &entry.name).collect();
    println!("{} forms", names.len());
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(names.len() == entries.len() && names.len() >= 90, "{} forms, {} names", entries.len(), names.len());
}

/// `ANSWERS.md` tells readers of each form.
#[test]
fn the_table_of_forms_is_up_to_date() {
    let mut table = String::from(
        "# What servers write, and what clients see\n\nGenerated by `tests/answers.rs`; every row is a test. The other = a client of the dialect that the provider does not speak.\nLost = named in `x-weir-loss` of a whole answer, and in the log and the metric of a streamed one. An error before any content is\nfollowed by the next target.\n\n| Answer | Server | Form | The other sees | and loses | A client of the same dialect |\n|---|---|---|---|---|---|\n",
    );
    for Entry { name, from, streams, other, same, .. } in entries() {
        let (server, form) = name.split_once(", ").unwrap().1.split_once(": ").unwrap();
        let kind = if streams { "stream" } else { "whole" };
        let lost = match &other {
            Outcome::Sees(seen) => seen.get("lost").and_then(Value::as_array).cloned().unwrap_or_default(),
            Outcome::AsItCame | Outcome::Named | Outcome::Fails(_) => Vec::new(),
        };
        let lost: Vec<_> = lost.iter().map(|name| format!("`{}`", name.as_str().unwrap())).collect();
        table += &format!(
            "| {from:?}, {kind} | {server} | {form} | {} | {} | {} |\n",
            told(&other),
            lost.join(", "),
            told(&same)
        );
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/ANSWERS.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), table, "run with UPDATE=1");
}

fn told(outcome: &Outcome) -> String {
    let Outcome::Sees(seen) = outcome else {
        let word = match outcome {
            Outcome::Fails(_) => "an error",
            Outcome::Named => "the bytes as they came, with names of events",
            Outcome::AsItCame | Outcome::Sees(_) => "the bytes as they came",
        };
        return word.to_owned();
    };
    let mut parts: Vec<String> = (["thinking", "text"].into_iter())
        .filter(|name| seen.contains_key(*name))
        .map(|name| if seen[name] == "[sealed]" { "sealed reasoning".to_owned() } else { name.to_owned() })
        .collect();
    let calls = seen.get("calls").and_then(Value::as_array).map_or(0, Vec::len);
    parts.extend((calls > 0).then(|| if calls == 1 { "a call".to_owned() } else { format!("{calls} calls") }));
    parts.extend((parts.is_empty()).then(|| "nothing".to_owned()));
    let finish = seen.get("finish").and_then(Value::as_str).unwrap_or("stop");
    format!("{}; `{finish}`", parts.join(", "))
}

#[test]
fn a_whole_answer_to_a_stream_request_is_the_same_answer() {
    let mut wrong = Vec::new();
    for entry in entries().iter().filter(|entry| !entry.streams) {
        for to in [Dialect::OpenAI, Dialect::Anthropic] {
            for blanks in ["", "\n \r\n"] {
                let marked = entry.answer.starts_with('\u{feff}');
                let body = format!("{}{}\n", if marked { "" } else { blanks }, entry.answer);
                let relayed = streamed([body.as_bytes()], entry.from, to);
                // A client of the same dialect gets it as a stream too.
                let crossed = whole(entry.answer.as_bytes(), entry.from, other(entry.from));
                match (&relayed.error, &crossed.error) {
                    (None, None) if entry.from == to => {
                        grammar_of(to, &relayed);
                        assert_eq!(relayed.usage, crossed.usage, "{}", entry.name);
                    }
                    (None, None) | (Some(_), Some(_)) => {
                        let why = judged(entry, &entry.other, &relayed, to, true);
                        wrong.extend(why.map(|why| format!("{} (to {to:?}): {why}", entry.name)));
                    }
                    other => wrong.push(format!("{} (to {to:?}): {other:?}", entry.name)),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn grammar_of(to: Dialect, relayed: &Relayed) {
    let text = std::str::from_utf8(&relayed.bytes).unwrap();
    match to {
        Dialect::OpenAI => drop(grammar::openai(text, Ending::Orderly)),
        Dialect::Anthropic => drop(grammar::anthropic(text, Ending::Orderly)),
    }
}

#[test]
fn line_ends_and_the_places_where_bytes_are_split_change_nothing() {
    for entry in entries().iter().filter(|entry| entry.streams) {
        for to in [entry.from, other(entry.from)] {
            let plain = streamed([entry.answer.as_bytes()], entry.from, to);
            for end in ["\n", "\r\n", "\r"] {
                let text = entry.answer.replace('\n', end);
                let bytes = text.as_bytes();
                let halves = (0..=bytes.len()).step_by(7).map(|at| vec![&bytes[..at], &bytes[at..]]);
                for pieces in halves.chain([bytes.chunks(1).collect(), bytes.chunks(3).collect()]) {
                    let relayed = streamed(pieces, entry.from, to);
                    assert_eq!(relayed.error, plain.error, "{} {end:?}", entry.name);
                    assert_eq!((relayed.usage, &relayed.lost), (plain.usage, &plain.lost), "{}", entry.name);
                    if entry.from != to {
                        assert_eq!(relayed.bytes, plain.bytes, "{} {end:?}", entry.name);
                    }
                }
            }
        }
    }
}

#[test]
fn ids_that_are_made_up_are_others_in_every_answer() {
    let answer = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\ndata: [DONE]\n\n";
    let ids = |seed: u64| {
        let translation =
            weir_dialect::Translation { seed, ..relayed::translation(Dialect::OpenAI, Dialect::Anthropic) };
        let mut stream = weir_dialect::Stream::new(&translation);
        let mut parser = weir_dialect::sse::Parser::new(1 << 20);
        parser.feed(bytes::Bytes::from_static(answer.as_bytes()));
        let mut out = Vec::new();
        while let Some(event) = parser.next_event() {
            out.extend(stream.pass(event.unwrap(), false).unwrap().0.unwrap_or_default());
        }
        let message = grammar::anthropic(std::str::from_utf8(&out).unwrap(), Ending::Orderly);
        (message["id"].clone(), message["content"][0]["id"].clone())
    };
    let (first, second) = (ids(1), ids(2));
    assert!(first.0 != second.0 && first.1 != second.1, "{first:?} {second:?}");
    let fits = |id: &Value| {
        let id = id.as_str().unwrap();
        id.len() <= 40 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    assert!(fits(&first.0) && fits(&first.1), "{first:?}");
}
