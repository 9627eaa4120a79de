//! Official client libraries over both dialects of client and of provider: a conversation comes out the same,
//! whichever way it crosses, whole and streamed.
//!
//! Each provider answers with what it understood of the request, so that one expectation holds for all.

use serde_json::json;
use tokio::task::block_in_place;
use weir_tests::crossing::{World, model};
use weir_tests::sdk::{Library, library};
use weir_tests::vendor::{Dialect, TOKENS};

const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const PDF: &str = "JVBERi0xLjQKJSVFT0YK";

/// What the library's script is told to do, and what the provider at last understands.
fn cases() -> Vec<(&'static str, String)> {
    vec![
        ("text", "system: Be brief. | user: Say hello.".into()),
        (
            "tools_in_turn",
            "user: The weather in Bern, then in Basel? | call: weather {\"city\":\"Bern\"} | result: sunny in Bern \
             | call: weather {\"city\":\"Basel\"} | result: sunny in Basel"
                .into(),
        ),
        (
            "tools_at_once",
            "user: The weather in Bern and in Basel? | call: weather {\"city\":\"Bern\"} \
             | call: weather {\"city\":\"Basel\"} | result: sunny in Bern | result: sunny in Basel"
                .into(),
        ),
        ("image_url", "user: What is this? | image: https://example.com/cat.png".into()),
        ("image_base64", format!("user: What is this? | image: image/png {PNG}")),
        ("document", format!("user: What is this? | document: application/pdf {PDF}")),
        ("schema", "user: Where? of 1".into()),
    ]
}

/// Holds a library to every cell of its rows; all that is wrong is told at once.
async fn converses(library: Library) {
    let world = World::start().await;
    let (mut talk, client, tokens) = (world.talk(library), library.1, json!([TOKENS.0, TOKENS.1]));
    let mut wrong = Vec::new();
    for upstream in Dialect::ALL {
        for stream in [false, true] {
            // This one fetches images by itself and sends their bytes.
            let fetches = library == library::AI_SDK_COMPATIBLE;
            for (case, expected) in cases().into_iter().filter(|(case, _)| !fetches || *case != "image_url") {
                let asked = json!({"case": case, "model": model(client, upstream), "stream": stream});
                let seen = block_in_place(|| talk.ask(&asked));
                if seen != json!({"text": expected, "tokens": tokens}) {
                    wrong.push(format!("{asked}: {seen}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{library:?}:\n{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_for_python() {
    converses(library::OPENAI_PYTHON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn openai_for_node() {
    converses(library::OPENAI_NODE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropic_for_python() {
    converses(library::ANTHROPIC_PYTHON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropic_for_node() {
    converses(library::ANTHROPIC_NODE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn langchain_for_openai() {
    converses(library::LANGCHAIN_OPENAI).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn langchain_for_anthropic() {
    converses(library::LANGCHAIN_ANTHROPIC).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ai_sdk_for_openai() {
    converses(library::AI_SDK_OPENAI).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ai_sdk_for_compatible_servers() {
    converses(library::AI_SDK_COMPATIBLE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ai_sdk_for_anthropic() {
    converses(library::AI_SDK_ANTHROPIC).await;
}

/// What a library does with reasoning.
#[derive(Clone, Copy, PartialEq)]
enum Keeps {
    /// It shows and sends back none.
    Nothing,
    /// It shows it.
    Shown,
    /// It sends it back.
    Back,
    /// It shows it and sends it back.
    All,
}

/// Two turns of a model that thinks, with the same provider and with a failover between them.
async fn thinks(library: Library, keeps: Keeps) {
    let world = World::start().await;
    let (mut talk, client, tokens) = (world.talk(library), library.1, json!([TOKENS.0, TOKENS.1]));
    let mut wrong = Vec::new();
    for upstream in Dialect::ALL {
        for (stream, fails) in [(false, false), (false, true), (true, false), (true, true)] {
            let asked = json!({"case": "thinking", "model": model(client, upstream), "stream": stream});
            let paused = block_in_place(|| talk.ask(&asked));
            assert_eq!(paused, json!({"paused": true}), "{library:?} {asked}");
            if fails {
                world.first(upstream).next(upstream.error(500, "api_error", "oops"));
            }
            // Reasoning goes back to whoever gave it; another provider gets it only in the words of its own dialect.
            let back = upstream == Dialect::Anthropic && (client == upstream || !fails);
            let kept = match keeps {
                Keeps::Nothing | Keeps::Shown => None,
                Keeps::Back | Keeps::All => Some("Let me think."),
            };
            let thinking = kept.filter(|_| back).map(|text| format!("thinking: {text} signature-first | "));
            let thinking = thinking.unwrap_or_default();
            let mut expected = json!({"tokens": tokens,
                "text": format!("user: Think. | {thinking}assistant: user: Think. | user: Again.")});
            if !matches!(keeps, Keeps::Nothing | Keeps::Back) {
                expected["thought"] = json!("Let me think.");
            }
            let before = world.second(upstream).requests().len();
            let seen = block_in_place(|| talk.ask(&json!("go on")));
            let failovers = world.second(upstream).requests().len() - before;
            assert_eq!(failovers, usize::from(fails), "{library:?} {asked}");
            if seen != expected {
                wrong.push(format!("{asked}, fails: {fails}: {seen}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{library:?}:\n{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn reasoning_survives_two_turns_and_a_failover_with_the_sdks_t42_t43() {
    thinks(library::OPENAI_PYTHON, Keeps::All).await;
    thinks(library::OPENAI_NODE, Keeps::All).await;
    thinks(library::ANTHROPIC_PYTHON, Keeps::All).await;
    thinks(library::ANTHROPIC_NODE, Keeps::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reasoning_survives_two_turns_and_a_failover_with_langchain_t42_t43() {
    thinks(library::LANGCHAIN_OPENAI, Keeps::Nothing).await;
    thinks(library::LANGCHAIN_ANTHROPIC, Keeps::Back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reasoning_survives_two_turns_and_a_failover_with_the_ai_sdk_t42_t43() {
    thinks(library::AI_SDK_OPENAI, Keeps::Nothing).await;
    thinks(library::AI_SDK_COMPATIBLE, Keeps::Shown).await;
    thinks(library::AI_SDK_ANTHROPIC, Keeps::All).await;
}
