//! Time limits to the second, on paused time, and streams that are cut anywhere.

use super::*;
use crate::costs::Costs;
use crate::memory::Memory;
use crate::upstream::ScriptedAnswer;

const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
const PING: &str = ": ping\n\n";
/// A caller of the provider's own dialect that asked for usage.
const SAME: Translation<'static> =
    Translation { from: Dialect::OpenAI, to: Dialect::OpenAI, origin: "here", now_s: 0, wants_usage: true, seed: 7 };
const HOUR: Duration = Duration::from_secs(3_600);

fn account() -> Box<Account> {
    Account::open(&Telemetry::start(Arc::new(Costs::new())), Memory::of(u64::MAX).hold(""), "/test")
}

async fn relay(pieces: Vec<(Duration, &'static str)>, account: &mut Account) -> Relay {
    let pieces = pieces.into_iter().map(|(pause, text)| (pause, Bytes::from_static(text.as_bytes())));
    let source = Source::Mock(Box::new(ScriptedAnswer::scripted(pieces, false)));
    let limits = StreamLimits {
        idle: Duration::from_millis(Limits::STREAM_IDLE_MS),
        semantic: Duration::from_millis(Limits::SEMANTIC_IDLE_MS),
        deadline: Instant::now() + HOUR,
    };
    Reader::new(source, &SAME, limits, account.held.beside()).begin(account).await.expect("it begins")
}

/// Reads to the end; the failure, and when it came.
async fn failure(mut relay: Relay, account: &mut Account) -> (Failure, Duration) {
    let begun = Instant::now();
    loop {
        match std::future::poll_fn(|cx| relay.poll_events(cx, account)).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended well"),
            Err(failure) => return (failure, begun.elapsed()),
        }
    }
}

fn about(measured: Duration, expected_s: u64) {
    let expected = Duration::from_secs(expected_s);
    assert!(measured >= expected && measured <= expected + Duration::from_millis(10), "{measured:?}, not {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn f11_silence_ends_a_stream_after_sixty_seconds() {
    let mut account = account();
    let relay = relay(vec![(Duration::ZERO, TEXT), (HOUR, TEXT)], &mut account).await;
    let (failure, after) = failure(relay, &mut account).await;
    assert_eq!(failure.kind, FailureKind::Timeout);
    about(after, 60);
}

#[tokio::test(start_paused = true)]
async fn comments_before_the_first_content_are_dropped_and_later_ones_go_on() {
    let mut account = account();
    let pieces = [PING, PING, TEXT, PING].map(|text| (Duration::ZERO, text));
    let mut relay = relay(pieces.into(), &mut account).await;
    let mut next = async || std::future::poll_fn(|cx| relay.poll_events(cx, &mut account)).await;
    assert_eq!(next().await.unwrap().unwrap(), TEXT);
    assert_eq!(next().await.unwrap().unwrap(), PING);
}

#[tokio::test(start_paused = true)]
async fn events_without_content_are_held_up_to_a_bound() {
    const EMPTY: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":null}]}\n\n";
    let mut account = account();
    let most = MOST_HELD / EMPTY.len();
    for (events, begins) in [(most, true), (most + 1, false)] {
        let pieces = std::iter::repeat_n(EMPTY, events).chain([TEXT]);
        let pieces = pieces.map(|text| (Duration::ZERO, Bytes::from_static(text.as_bytes())));
        let source = Source::Mock(Box::new(ScriptedAnswer::scripted(pieces, false)));
        let (idle, deadline) = (Duration::from_secs(60), Instant::now() + HOUR);
        let limits = StreamLimits { idle, semantic: idle, deadline };
        let begun = Reader::new(source, &SAME, limits, account.held.beside()).begin(&mut account).await;
        assert_eq!(begun.err().map(|failure| failure.kind), (!begins).then_some(FailureKind::Malformed));
    }
}

#[tokio::test(start_paused = true)]
async fn f10_pings_keep_a_stream_alive_for_three_minutes_and_no_longer() {
    let mut account = account();
    let pings = (0..60).map(|_| (Duration::from_secs(20), PING));
    let relay = relay([(Duration::ZERO, TEXT)].into_iter().chain(pings).collect(), &mut account).await;
    let (failure, after) = failure(relay, &mut account).await;
    assert_eq!(failure.kind, FailureKind::Timeout);
    about(after, 180);
}

#[tokio::test(start_paused = true)]
async fn slow_tokens_are_no_silence() {
    let mut account = account();
    let tokens = (0..20).map(|_| (Duration::from_secs(59), TEXT));
    let relay = relay([(Duration::ZERO, TEXT)].into_iter().chain(tokens).collect(), &mut account).await;
    let (failure, after) = failure(relay, &mut account).await;
    assert_eq!(failure.kind, FailureKind::Reset, "it ended without its finish, not for want of time");
    about(after, 20 * 59);
    assert_eq!(account.tally().events, 21);
}

/// Forty streams as providers send them: texts, tool calls, comments, usage, with every line ending.
fn recorded() -> Vec<String> {
    let event =
        |choices: &str, usage: &str| format!("data: {{\"id\":\"c\",\"choices\":[{choices}],\"usage\":{usage}}}\n\n");
    let delta = |delta: &str| format!("{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":null}}");
    let role = event(&delta("\"role\":\"assistant\",\"content\":\"\""), "null");
    let finish = event("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}", "null");
    let usage = event("", "{\"prompt_tokens\":7,\"completion_tokens\":3}");
    let contents = [
        delta("\"content\":\"plain\""),
        delta("\"content\":\"\u{e9}\u{1f600} \\\"quoted\\\" \\n\""),
        delta("\"tool_calls\":[{\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]"),
        delta("\"reasoning_content\":\"hm\""),
        delta("\"refusal\":\"no\""),
    ];
    let mut out = Vec::new();
    for content in &contents {
        for (with_usage, comment) in [(false, ""), (true, ""), (false, ": ping\n\n"), (true, ": ping\n\n")] {
            let tail = if with_usage { usage.as_str() } else { "" };
            let lf = format!("{comment}{role}{}{comment}{finish}{tail}data: [DONE]\n\n", event(content, "null"));
            out.extend([lf.replace('\n', "\r\n"), lf]);
        }
    }
    out
}

#[tokio::test(start_paused = true)]
async fn f13_of_forty_streams_cut_at_every_byte_none_looks_whole_before_its_finish() {
    let (streams, telemetry) = (recorded(), Telemetry::start(Arc::new(Costs::new())));
    assert_eq!(streams.len(), 40);
    for stream in streams {
        let finish = stream.find("\"stop\"").expect("a finish");
        for cut in 0..=stream.len() {
            for reset in [false, true] {
                let piece = Bytes::copy_from_slice(&stream.as_bytes()[..cut]);
                let source = Source::Mock(Box::new(ScriptedAnswer::scripted([(Duration::ZERO, piece)], reset)));
                let limits = StreamLimits { idle: HOUR, semantic: HOUR, deadline: Instant::now() + HOUR };
                let mut account = Account::open(&telemetry, Memory::of(u64::MAX).hold(""), "/test");
                let Ok(mut relay) = Reader::new(source, &SAME, limits, account.held.beside()).begin(&mut account).await
                else {
                    assert!(cut < stream.len(), "the whole stream begins");
                    continue;
                };
                let mut last = Bytes::new();
                let ended = loop {
                    match std::future::poll_fn(|cx| relay.poll_events(cx, &mut account)).await {
                        Ok(Some(event)) => {
                            let text = std::str::from_utf8(&event).expect("whole characters");
                            let mut data = text.lines().filter_map(|line| line.strip_prefix("data: "));
                            let whole = |data: &str| {
                                data == "[DONE]" || serde_json::from_str::<serde_json::Value>(data).is_ok()
                            };
                            assert!(data.all(whole), "half an event at {cut}: {text}");
                            last = event;
                        }
                        Ok(None) => break true,
                        Err(_) => break false,
                    }
                };
                assert!(!ended || cut > finish, "cut at {cut} of {stream:?} looks whole");
                assert_eq!(
                    ended,
                    last.trim_ascii_end().ends_with(b"data: [DONE]"),
                    "an orderly end, and only that, has [DONE]: {cut}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f19_wherever_a_translation_fails_the_stream_ends_with_the_failure() {
    let crossing = Translation { from: Dialect::Anthropic, ..SAME };
    let delta = r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#;
    let events = [
        r#"data: {"type":"message_start","message":{"id":"x","model":"m"}}"#,
        r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        delta,
        delta,
        r#"data: {"type":"content_block_stop","index":0}"#,
        r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
        r#"data: {"type":"message_stop"}"#,
    ];
    for at in 0..events.len() {
        let mut broken = events.to_vec();
        broken.insert(at, "data: {\"type\":");
        let pieces = broken.iter().map(|event| (Duration::ZERO, Bytes::from(format!("{event}\n\n"))));
        let source = Source::Mock(Box::new(ScriptedAnswer::scripted(pieces.collect::<Vec<_>>(), false)));
        let limits = StreamLimits { idle: HOUR, semantic: HOUR, deadline: Instant::now() + HOUR };
        let mut account = account();
        let failed = match Reader::new(source, &crossing, limits, account.held.beside()).begin(&mut account).await {
            Err(failure) => failure,
            Ok(relay) => failure(relay, &mut account).await.0,
        };
        assert_eq!(failed.kind, FailureKind::Malformed, "at {at}");
    }
}
