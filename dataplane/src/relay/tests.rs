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
    let limits = StreamLimits { idle: Duration::from_millis(Limits::STREAM_IDLE_MS), deadline: Instant::now() + HOUR };
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
        let limits = StreamLimits { idle, deadline };
        let begun = Reader::new(source, &SAME, limits, account.held.beside()).begin(&mut account).await;
        assert_eq!(begun.err().map(|failure| failure.kind), (!begins).then_some(FailureKind::Malformed));
    }
}

#[tokio::test(start_paused = true)]
async fn f10_pings_keep_a_stream_alive_until_the_time_of_its_attempt_is_over() {
    let mut account = account();
    let pings = (0..400).map(|_| (Duration::from_secs(20), PING));
    let relay = relay([(Duration::ZERO, TEXT)].into_iter().chain(pings).collect(), &mut account).await;
    let (failure, after) = failure(relay, &mut account).await;
    assert_eq!((failure.kind, &*failure.message), (FailureKind::Timeout, "the request's time limit passed"));
    about(after, HOUR.as_secs());
}

/// The start of a stream of Anthropic whose thinking is not shown, and how it goes on after that.
const THINKS: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"x\",\"model\":\"m\"}}\n\n\
    event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n";
const THOUGHT: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"s\"}}\n\n\
    event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
    event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
    event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"done\"}}\n\n\
    event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const ANTHROPIC_PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
/// The same of a server of the OpenAI dialect, which says by an empty reasoning that it thinks.
const REASONS: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"\"},\"finish_reason\":null}]}\n\n";
const REASONED: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"done\"},\"finish_reason\":null}]}\n\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// What a stream gives its client, and after how many seconds; it must end well.
async fn told(mut relay: Relay, account: &mut Account) -> Vec<(u64, String)> {
    let (begun, mut told) = (Instant::now(), Vec::new());
    while let Some(bytes) = std::future::poll_fn(|cx| relay.poll_events(cx, account)).await.expect("it goes on") {
        told.push((begun.elapsed().as_secs(), String::from_utf8(bytes.to_vec()).expect("text")));
    }
    told
}

#[tokio::test(start_paused = true)]
async fn a_model_that_thinks_without_a_word_is_waited_for_as_long_as_its_provider_shows_that_it_lives() {
    use Dialect::{Anthropic, OpenAI};
    for (from, to) in [(Anthropic, Anthropic), (Anthropic, OpenAI), (OpenAI, OpenAI), (OpenAI, Anthropic)] {
        let (start, ping, end) =
            if from == Anthropic { (THINKS, ANTHROPIC_PING, THOUGHT) } else { (REASONS, PING, REASONED) };
        let pings = (0..40).map(|_| (Duration::from_secs(15), ping));
        let pieces = [(Duration::ZERO, start)].into_iter().chain(pings).chain([(Duration::ZERO, end)]);
        let pieces = pieces.map(|(pause, text)| (pause, Bytes::from_static(text.as_bytes()))).collect::<Vec<_>>();
        let source = Source::Mock(Box::new(ScriptedAnswer::scripted(pieces, false)));
        let limits = StreamLimits { idle: Duration::from_secs(60), deadline: Instant::now() + HOUR };
        let mut account = account();
        let translation = Translation { from, to, ..SAME };
        let asked = Instant::now();
        let relay = Reader::new(source, &translation, limits, account.held.beside()).begin(&mut account).await;
        about(asked.elapsed(), 0);
        let told = told(relay.expect("thinking is the first sign of the answer"), &mut account).await;
        let text: String = told.iter().map(|(_, text)| text.as_str()).collect();
        assert!(text.contains("done") && !text.contains("error"), "{from:?} to {to:?}: {text}");
        let pause = told.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
        assert!(pause <= Some(15), "{from:?} to {to:?}: the client hears nothing for {pause:?} s");
        let own = std::str::from_utf8(to.keep_alive()).expect("text");
        assert_eq!(text.contains(own), from != to, "keep-alives are of the client's dialect: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_turn_lets_the_client_hear_that_the_stream_lives() {
    const CALLS: [&str; 2] = [
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":null}]}\n\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]},\"finish_reason\":null}]}\n\n",
    ];
    const FRAGMENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\" \"}}]},\"finish_reason\":null}]}\n\n";
    const END: &str =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n";
    let fragments = (0..60).map(|_| (Duration::from_secs(3), FRAGMENT));
    let pieces = CALLS.map(|call| (Duration::ZERO, call)).into_iter().chain(fragments).chain([(Duration::ZERO, END)]);
    let pieces = pieces.map(|(pause, text)| (pause, Bytes::from_static(text.as_bytes()))).collect::<Vec<_>>();
    let source = Source::Mock(Box::new(ScriptedAnswer::scripted(pieces, false)));
    let limits = StreamLimits { idle: Duration::from_secs(60), deadline: Instant::now() + HOUR };
    let mut account = account();
    let crossing = Translation { to: Dialect::Anthropic, ..SAME };
    let relay =
        Reader::new(source, &crossing, limits, account.held.beside()).begin(&mut account).await.expect("it begins");
    let told = told(relay, &mut account).await;
    let times: Vec<_> = told.iter().map(|(at, _)| *at).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 10), "{times:?}");
    let text: String = told.iter().map(|(_, text)| text.as_str()).collect();
    assert!(text.contains("event: ping") && text.contains("\"name\":\"g\""), "{text}");
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
                let limits = StreamLimits { idle: HOUR, deadline: Instant::now() + HOUR };
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
        let limits = StreamLimits { idle: HOUR, deadline: Instant::now() + HOUR };
        let mut account = account();
        let failed = match Reader::new(source, &crossing, limits, account.held.beside()).begin(&mut account).await {
            Err(failure) => failure,
            Ok(relay) => failure(relay, &mut account).await.0,
        };
        assert_eq!(failed.kind, FailureKind::Malformed, "at {at}");
    }
}
