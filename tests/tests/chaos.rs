//! A second of chaos: the first target dies, comes back, limits, is overloaded, answers nonsense and hangs, while its sibling is
//! well. No request fails.

use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use weir_tests::client::{Client, Reply, chat};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route, provider};
use weir_tests::provider::{Provider, Record, Script, Step, Usage};
use weir_tests::vendor::Dialect;

const MODEL: &str = "gpt-test";
const REQUESTS: usize = 200;
const AT_ONCE: usize = 8;

/// What the first target does while so many of the requests are answered.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Dead,
    Limits,
    Overloaded,
    Hangs,
    Resets,
    Talks,
}

const MOODS: [Mood; 10] = [
    Mood::Well,
    Mood::Dead,
    Mood::Well,
    Mood::Limits,
    Mood::Hangs,
    Mood::Well,
    Mood::Overloaded,
    Mood::Resets,
    Mood::Talks,
    Mood::Well,
];

fn mood(answered: usize) -> Mood {
    MOODS[(answered * MOODS.len() / REQUESTS).min(MOODS.len() - 1)]
}

fn script(mood: Mood, _: &Record) -> Script {
    match mood {
        Mood::Well | Mood::Dead => Script::chat("Hello", Usage::of(7, 3)),
        Mood::Limits => Script::whole(429, &[("retry-after", "1")], ""),
        Mood::Overloaded => Script::error(529, "overloaded_error", None, "Overloaded"),
        Mood::Hangs => Script::new(vec![Step::Stall]),
        Mood::Resets => Script::new(vec![Step::Reset]),
        Mood::Talks => Script::whole(200, &[("content-type", "text/html")], "<html>"),
    }
}

async fn ask(client: &Client, number: usize) -> Reply {
    let mut body = chat(MODEL);
    body["stream"] = json!(number.is_multiple_of(2));
    body["max_tokens"] = json!(9);
    let dialect = Dialect::ALL[number / 2 % 2];
    let path = if dialect == Dialect::OpenAI { "/v1/chat/completions" } else { "/v1/messages" };
    client.post(path, &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hundred_requests_none_fails_whatever_becomes_of_the_first_target() {
    let (first, second) = (Arc::new(Provider::start().await), Provider::start().await);
    second.always(Script::chat("Hello", Usage::of(7, 3)));
    let answered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answered);
    first.respond(move |record| script(mood(count.load(Ordering::Relaxed)), record));
    let mut slow = provider("default", "first", &first.url(), MODEL);
    slow["spec"]["timeouts"] = json!({"firstToken": "200ms", "attempt": "300ms"});
    let objects = [
        slow,
        provider("default", "second", &second.url(), MODEL),
        open_route("default", "chat", MODEL, &["first", "second"]),
    ];
    let gateway = Arc::new(Gateway::up(&file(&objects)).await);
    let next = Arc::new(AtomicUsize::new(0));
    let port = Arc::new(tokio::sync::Mutex::new(true));
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (client, next, answered) = (gateway.client(), Arc::clone(&next), Arc::clone(&answered));
            let (first, port) = (Arc::clone(&first), Arc::clone(&port));
            tokio::spawn(async move {
                let mut wrong = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= REQUESTS {
                        return wrong;
                    }
                    let now = mood(answered.load(Ordering::Relaxed));
                    {
                        let mut open = port.lock().await;
                        if *open == (now == Mood::Dead) {
                            if *open {
                                first.refuse().await
                            } else {
                                first.heal().await
                            }
                            *open = !*open;
                        }
                    }
                    let reply = ask(&client, number).await;
                    let text = String::from_utf8_lossy(&reply.body).into_owned();
                    if reply.status != 200 || !text.contains("Hello") || text.contains("\"error\"") {
                        wrong.push(format!("{now:?}: {} {text}", reply.status));
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut wrong = Vec::new();
    for worker in workers {
        wrong.extend(worker.await.expect("each request is answered"));
    }
    assert!(wrong.is_empty(), "{} of {REQUESTS} failed: {wrong:#?}", wrong.len());
    assert!(!first.requests().is_empty() && !second.requests().is_empty(), "both were asked");
    assert_eq!(gateway.access_log(REQUESTS).await.len(), REQUESTS, "one line each");
}
