//! The scripted provider does on the wire what its script says, so that other tests may rely on it.

use std::time::Instant;
use weir_tests::client::Client;
use weir_tests::provider::{Accept, Provider, Script, Signal, Step, Usage};

#[tokio::test]
async fn it_answers_whole_or_streamed_as_asked_and_records_the_request() {
    let provider = Provider::start().await;
    provider.always(Script::chat("Hello to you", Usage::of(7, 3)));
    let client = Client::new(provider.address()).with_credential("sk-1");
    assert_eq!(client.chat("m").await.text(), "Hello to you");
    assert_eq!(client.chat_stream("m").await.text().await, "Hello to you");
    let asked = provider.requests();
    assert_eq!((asked[0].credential(), asked[0].json()["model"].as_str()), ("sk-1", Some("m")));
    assert_eq!((asked[0].connection, asked[1].connection), (1, 2));
}

#[tokio::test]
async fn it_speaks_http2() {
    let provider = Provider::start().await;
    let client = Client::new(provider.address());
    let mut connection = client.connect_h2().await.expect("it accepts");
    for _ in 0..2 {
        let body = weir_tests::client::chat("m").to_string().into();
        let answer = connection.send(client.request(http::Method::POST, "/v1/chat/completions", body)).await;
        assert_eq!(answer.expect("an answer begins").status(), 200);
    }
    assert_eq!(provider.connections(), 1);
    assert_eq!(provider.requests()[1].version, http::Version::HTTP_2);
}

#[tokio::test]
async fn a_cut_stream_ends_after_exactly_those_bytes() {
    let provider = Provider::start().await;
    let script = Script::stream(["data: one\n\n", "data: two\n\n"]);
    for end in [Step::Close, Step::Reset] {
        provider.next(script.clone().cut(14, end));
        let (events, error) = Client::new(provider.address()).chat_stream("m").await.events().await;
        assert!(events.len() <= 1, "the second event is not whole: {events:?}");
        assert!(error.is_some(), "the stream has no end");
    }
}

#[tokio::test]
async fn it_waits_for_the_test_and_sees_a_client_leave() {
    let provider = Provider::start().await;
    let go_on = Signal::default();
    provider.next(Script::stream(["data: one\n\n"]).wait(&go_on).body("data: two\n\n").step(Step::Stall));
    let mut stream = Client::new(provider.address()).chat_stream("m").await;
    assert_eq!(stream.event().await.expect("no cut").as_deref(), Some("data: one"));
    go_on.fire();
    assert_eq!(stream.event().await.expect("no cut").as_deref(), Some("data: two"));
    let left = Instant::now();
    drop(stream);
    assert!(provider.request(0).await.gone_after(left).await.as_millis() < 250);
}

#[tokio::test]
async fn it_resets_and_refuses_connections_and_heals() {
    let provider = Provider::start().await;
    let client = Client::new(provider.address());
    provider.next_connection(Accept::Reset);
    let mut connection = client.connect().await.expect("the kernel accepts");
    assert!(connection.send(client.request(http::Method::GET, "/", bytes::Bytes::new())).await.is_err());
    provider.refuse().await;
    assert!(client.connect().await.is_err());
    provider.heal().await;
    assert_eq!(client.chat("m").await.text(), "Hello");
}
