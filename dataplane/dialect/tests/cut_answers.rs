//! Answers of a thousand seeds in every form that is known: whole they say what they say, cut anywhere a client hears all of
//! it or an error, never a false end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "others use the rest of them")]
mod grammar;
#[allow(dead_code, reason = "others use the rest of them")]
mod made;
mod relayed;

use grammar::Ending;
use made::{Made, answer};
use relayed::{Relayed, streamed, whole};
use serde_json::{Value, json};
use weir_dialect::Dialect;

const SEEDS: u64 = 1_000;
/// Fewer of them are cut, at every seventh byte from another one on.
const CUT: u64 = 200;

/// What a client of the Anthropic dialect makes of it, in the words of what was made.
fn heard(relayed: &Relayed, streams: bool) -> Value {
    let text = std::str::from_utf8(&relayed.bytes).unwrap();
    let message =
        if streams { grammar::anthropic(text, Ending::Orderly) } else { serde_json::from_str(text).expect("JSON") };
    let blocks = message["content"].as_array().unwrap();
    let texts: String = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    let calls: Vec<_> = (blocks.iter().filter(|block| block["type"] == "tool_use"))
        .map(|block| json!([block["name"], block["input"]]))
        .collect();
    let finish = match message["stop_reason"].as_str().unwrap() {
        "end_turn" => "stop",
        "max_tokens" => "length",
        "tool_use" => "tool_calls",
        _ => "content_filter",
    };
    let usage = relayed.usage.map(|usage| [usage.input_total(), usage.output_total()]);
    json!({"text": texts, "finish": finish, "usage": usage, "calls": calls})
}

#[test]
fn what_was_made_is_what_is_heard() {
    for seed in 0..SEEDS {
        let Made { body, streams, says, .. } = answer(seed);
        let relay = if streams {
            |body, to| streamed([body], Dialect::OpenAI, to)
        } else {
            |body, to| whole(body, Dialect::OpenAI, to)
        };
        let relayed = relay(body.as_bytes(), Dialect::Anthropic);
        assert_eq!(relayed.error, None, "{seed}: {body}");
        assert_eq!(heard(&relayed, streams), says, "{seed}: {body}");
        let same = relay(body.as_bytes(), Dialect::OpenAI);
        assert_eq!(same.error, None, "{seed}: {body}");
        let usage = same.usage.map(|usage| [usage.input_total(), usage.output_total()]);
        assert_eq!(json!(usage), says["usage"], "{seed}");
    }
}

#[test]
fn cut_anywhere_it_is_all_there_or_an_error() {
    for seed in 0..CUT {
        let Made { body, streams, says, .. } = answer(seed);
        // A whole answer that is cut is one to a stream request here; by itself it is no JSON.
        for at in (usize::try_from(seed % 7).unwrap()..body.len()).step_by(7) {
            let cut = &body.as_bytes()[..at];
            assert!(streams || Dialect::OpenAI.read_whole(cut).is_err(), "{seed} cut at {at}");
            let relayed = streamed([cut], Dialect::OpenAI, Dialect::Anthropic);
            if relayed.error.is_none() {
                let mut heard = heard(&relayed, true);
                // Usage may come after the end of the text.
                heard["usage"] = says["usage"].clone();
                assert_eq!(heard, says, "{seed} cut at {at}: {body}");
            } else {
                grammar::anthropic(std::str::from_utf8(&relayed.bytes).unwrap(), Ending::Broken);
            }
            let same = streamed([cut], Dialect::OpenAI, Dialect::OpenAI);
            let text = String::from_utf8_lossy(&same.bytes).into_owned();
            let finish = format!("\"finish_reason\":{}", says["finish"]);
            assert!(same.error.is_some() || text.contains(&finish), "{seed} cut at {at} looks whole: {text}");
            assert_eq!(same.error.is_none(), text.trim_end().ends_with("[DONE]"), "{seed} cut at {at}: {text}");
        }
    }
}
