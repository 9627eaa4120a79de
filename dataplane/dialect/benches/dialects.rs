//! What reading, patching and translating costs: nanoseconds each, the best of several rounds.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and fails by panicking")]

use bytes::Bytes;
use std::hint::black_box;
use std::time::Instant;
use weir_dialect::sse::Parser;
use weir_dialect::{Call, Dialect, Loss, MAX_EVENT_BYTES, Stream, Translation, UpstreamModel, encode_request};

const ROUNDS: u32 = 20;

fn measure(what: &str, times: u32, mut run: impl FnMut()) {
    let round = |run: &mut dyn FnMut()| {
        let began = Instant::now();
        (0..times).for_each(|_| run());
        began.elapsed().as_nanos() / u128::from(times)
    };
    let best = (0..ROUNDS).map(|_| round(&mut run)).min().unwrap();
    println!("{what:<58} {best:>9} ns");
}

fn chat(bytes: usize) -> Bytes {
    let text = "All work and no play makes Jack a dull boy.\\n".repeat(bytes / 45 + 1);
    format!(r#"{{"model":"m","messages":[{{"role":"system","content":"be brief"}},{{"role":"user","content":"{text}"}}],"temperature":0.5,"max_tokens":100}}"#).into()
}

fn main() {
    let openai =
        UpstreamModel { dialect: Dialect::OpenAI, vendor: false, name: "other", max_output: None, origin: "o" };
    let claude = UpstreamModel { dialect: Dialect::Anthropic, name: "claude-opus-4-6", ..openai };
    for (name, body, times) in [("small", chat(200), 10_000), ("100 kB", chat(100_000), 200)] {
        measure(&format!("{name} request: read and renamed"), times, || {
            let call = Call::read(Dialect::OpenAI, &body).unwrap();
            black_box(call.patched(&body, &openai, None).unwrap());
        });
        measure(&format!("{name} request: read and translated to Anthropic"), times, || {
            let call = Call::read(Dialect::OpenAI, &body).unwrap();
            let request = call.decode().unwrap();
            black_box(encode_request(&request, &request.sampling, &claude).unwrap());
        });
    }
    let whole = br#"{"id":"msg_1","type":"message","role":"assistant","model":"c","content":[{"type":"text","text":"Hello there, how can I help?"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":9}}"#;
    let translation = |from, to| Translation { from, to, origin: "o", now_s: 0, wants_usage: false, seed: 7 };
    measure("small answer: translated to OpenAI", 10_000, || {
        black_box(translation(Dialect::Anthropic, Dialect::OpenAI).whole(whole, &mut Loss::default()).unwrap());
    });
    let chunk = b"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":null}],\"usage\":null}\n\n";
    let delta = b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n";
    let block =
        b"data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    for (what, from, to, first, event) in [
        ("event: OpenAI passed on", Dialect::OpenAI, Dialect::OpenAI, &chunk[..], &chunk[..]),
        ("event: Anthropic passed on", Dialect::Anthropic, Dialect::Anthropic, &block[..], &delta[..]),
        ("event: OpenAI to Anthropic", Dialect::OpenAI, Dialect::Anthropic, &chunk[..], &chunk[..]),
        ("event: Anthropic to OpenAI", Dialect::Anthropic, Dialect::OpenAI, &block[..], &delta[..]),
    ] {
        let mut parser = Parser::new(MAX_EVENT_BYTES);
        let mut stream = Stream::new(&translation(from, to));
        let mut pass = |bytes: &'static [u8]| {
            parser.feed(Bytes::from_static(bytes));
            while let Some(event) = parser.next_event() {
                black_box(stream.pass(event.unwrap(), true).unwrap());
            }
        };
        pass(first);
        measure(what, 10_000, || pass(event));
    }
}
