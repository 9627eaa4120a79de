//! Wherever a stream is cut, by whomever, what passed to the client is counted.

use super::*;
use crate::costs::Costs;
use crate::memory::Memory;
use crate::upstream::ScriptedAnswer;
use weir_dialect::UsageSource;

const CUTS: u64 = 10_000;
/// Forty bytes, which are ten tokens.
const TEXT: &str = "forty bytes of text that make ten tokens";
const PIECE_TOKENS: u64 = 10;
/// What the provider reports at the end, less than passed, so that a report is told from an estimate.
const REPORTED: u64 = 3;

fn openai(pieces: u64) -> Vec<String> {
    let event = |rest: &str| format!("data: {{\"id\":\"c\",\"model\":\"m\",{rest}}}\n\n");
    let choice = |delta: &str, finish: &str| {
        event(&format!("\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":{finish}}}]"))
    };
    let texts = (0..pieces).map(|_| choice(&format!("\"content\":\"{TEXT}\""), "null"));
    let usage = event(&format!("\"choices\":[],\"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":{REPORTED}}}"));
    let end = [choice("", "\"stop\""), usage, "data: [DONE]\n\n".to_owned()];
    [choice("\"role\":\"assistant\",\"content\":\"\"", "null")].into_iter().chain(texts).chain(end).collect()
}

fn anthropic(pieces: u64) -> Vec<String> {
    let event = |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n");
    let begin = [
        event(
            "message_start",
            ",\"message\":{\"id\":\"x\",\"model\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}",
        ),
        event("content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}"),
    ];
    let delta = format!(",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{TEXT}\"}}");
    let texts = (0..pieces).map(|_| event("content_block_delta", &delta));
    let stopped = format!(",\"delta\":{{\"stop_reason\":\"end_turn\"}},\"usage\":{{\"output_tokens\":{REPORTED}}}");
    let end =
        [event("content_block_stop", ",\"index\":0"), event("message_delta", &stopped), event("message_stop", "")];
    begin.into_iter().chain(texts).chain(end).collect()
}

#[tokio::test(start_paused = true)]
async fn of_ten_thousand_cuts_none_is_charged_below_what_passed_to_the_client() {
    let telemetry = Telemetry::start(Arc::new(Costs::new()));
    let mut reported = 0;
    for seed in 0..CUTS {
        let mut draw = fastrand::Rng::with_seed(seed);
        let dialects = [Dialect::OpenAI, Dialect::Anthropic];
        let (from, to) = (dialects[draw.usize(0..2)], dialects[draw.usize(0..2)]);
        let translation = Translation { from, to, origin: "here", now_s: 0, wants_usage: draw.bool(), seed };
        let pieces = draw.u64(1..20);
        let events = if from == Dialect::OpenAI { openai(pieces) } else { anthropic(pieces) };
        let text = events.concat();
        // The upstream breaks off, orderly or not, or goes on until the client leaves.
        let cut = if draw.u8(0..4) == 0 { text.len() } else { draw.usize(0..=text.len()) };
        let leaves_after = if draw.bool() { usize::MAX } else { draw.usize(0..=events.len()) };
        let mut chunks = Vec::new();
        let mut rest = &text.as_bytes()[..cut];
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(draw.usize(1..=rest.len().min(400)));
            // A pause lets the client see each chunk by itself.
            chunks.push((Duration::from_millis(1), Bytes::copy_from_slice(chunk)));
            rest = after;
        }
        let source = Source::Mock(Box::new(ScriptedAnswer::scripted(chunks, draw.bool())));
        let hour = Duration::from_secs(3_600);
        let limits = StreamLimits { idle: hour, deadline: Instant::now() + hour };
        let mut account = Account::open(&telemetry, Memory::of(u64::MAX).hold(""), "/test");
        let reader = Reader::new(source, &translation, limits, account.held.beside());
        let (mut passed, mut ended) = (Vec::new(), false);
        if let Ok(mut relay) = reader.begin(&mut account).await {
            for _ in 0..leaves_after {
                match std::future::poll_fn(|cx| relay.poll_events(cx, &mut account)).await {
                    Ok(Some(bytes)) => passed.extend_from_slice(&bytes),
                    Ok(None) => {
                        ended = true;
                        break;
                    }
                    Err(_) => break,
                }
            }
        }
        let passed = String::from_utf8(passed).expect("whole characters").matches(TEXT).count() as u64;
        let (usage, source) = account.tally().count(7, 0, 1_000);
        let output = usage.output_total();
        if source == UsageSource::Reported {
            reported += 1;
            assert_eq!((output, passed), (REPORTED, pieces), "seed {seed}: a report counts at the end alone");
        } else {
            assert!(!ended || cut < text.len(), "seed {seed}: a whole answer was reported");
            assert!(output >= passed * PIECE_TOKENS, "seed {seed}: {output} tokens of {passed} pieces");
        }
    }
    println!("{reported} of {CUTS} ended in order");
    assert!(reported > CUTS / 10 && reported < CUTS / 2, "{reported}");
}
