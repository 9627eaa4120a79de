//! Time limits to the second, on paused time.

use super::*;
use crate::upstream::ScriptedAnswer;

const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
const PING: &str = ": ping\n\n";
const HOUR: Duration = Duration::from_secs(3_600);

fn account() -> Account {
    Account::open(&Telemetry::start(), "/test")
}

async fn relay(pieces: Vec<(Duration, &'static str)>, account: &mut Account) -> Relay {
    let pieces = pieces.into_iter().map(|(pause, text)| (pause, Bytes::from_static(text.as_bytes())));
    let source = Source::Mock(Box::new(ScriptedAnswer::scripted(pieces, false)));
    let limits = StreamLimits {
        idle: Duration::from_millis(Limits::STREAM_IDLE_MS),
        semantic: Duration::from_millis(Limits::SEMANTIC_IDLE_MS),
        deadline: Instant::now() + HOUR,
    };
    Reader::new(source, true, limits).begin(account).await.expect("it begins")
}

/// Reads to the end; the failure, and when it came.
async fn failure(mut relay: Relay, account: &mut Account) -> (Failure, Duration) {
    let begun = Instant::now();
    loop {
        match std::future::poll_fn(|cx| relay.poll_event(cx, account)).await {
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
