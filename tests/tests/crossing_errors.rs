//! An error of either dialect's provider is, for either dialect's SDK, the class that its users catch: as an
//! answer and in the middle of a stream (F20).

use serde_json::{Value, json};
use tokio::task::block_in_place;
use weir_tests::crossing::World;
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route};
use weir_tests::provider::{Provider, Script};
use weir_tests::sdk::{Library, library};
use weir_tests::vendor::{self, Dialect};

const SDKS: [Library; 4] =
    [library::OPENAI_PYTHON, library::OPENAI_NODE, library::ANTHROPIC_PYTHON, library::ANTHROPIC_NODE];

/// A class of exception and the status that it tells.
type Raised = (&'static str, u16);

/// What a provider answers: status and kind; and what an SDK of OpenAI and one of Anthropic raise that crosses, or that may not
/// be told what the provider said. Else one of the provider's own dialect raises what it does without a gateway.
const ERRORS: [(u16, &str, Raised, Raised); 9] = [
    (400, "invalid_request_error", ("BadRequestError", 400), ("BadRequestError", 400)),
    // The gateway's own credential at the provider is never the caller's problem.
    (401, "authentication_error", ("InternalServerError", 502), ("InternalServerError", 502)),
    (403, "permission_error", ("InternalServerError", 502), ("InternalServerError", 502)),
    (404, "not_found_error", ("NotFoundError", 404), ("NotFoundError", 404)),
    (413, "request_too_large", ("APIStatusError", 413), ("ContentTooLargeError", 413)),
    (429, "rate_limit_error", ("RateLimitError", 429), ("RateLimitError", 429)),
    (500, "api_error", ("InternalServerError", 502), ("InternalServerError", 502)),
    (503, "api_error", ("InternalServerError", 502), ("InternalServerError", 502)),
    (529, "overloaded_error", ("InternalServerError", 503), ("OverloadedError", 529)),
];

/// Statuses by which a provider speaks of the gateway's account, of which nothing is told.
const OF_ACCOUNT: [u16; 2] = [401, 403];

/// What a library raises of that error where it asks a provider itself.
async fn directly(library: Library, (status, kind, ..): (u16, &'static str, Raised, Raised)) -> Value {
    let provider = Provider::start().await;
    let body = json!({"type": "error", "error": {"type": kind, "message": "so it is"}});
    let headers = [("content-type", "application/json"), ("x-should-retry", "false")];
    provider.always(Script::whole(status, &headers, body.to_string()));
    let mut talk = library.start(&format!("http://{}", provider.address()), "unused");
    block_in_place(|| talk.ask(&json!({"case": "text", "model": "m", "stream": false})))
}

/// A provider of that dialect behind a route of its own, whose model has that name.
async fn add(objects: &mut Vec<Value>, name: &str, dialect: Dialect) -> Provider {
    let provider = Provider::start().await;
    objects.push(vendor::manifest(name, dialect, &provider));
    let mut route = open_route("default", name, name, &[name]);
    route["spec"]["retry"] = json!({"maxAttempts": 1});
    objects.push(route);
    provider
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_error_is_the_class_for_it_over_each_crossing_and_is_not_multiplied() {
    let (mut objects, mut cells) = (vec![vendor::secret()], Vec::new());
    for (number, library) in SDKS.into_iter().enumerate() {
        for upstream in Dialect::ALL {
            for error in ERRORS {
                let name = format!("{number}-{upstream:?}-{}", error.0).to_lowercase();
                let provider = add(&mut objects, &name, upstream).await;
                provider.always(upstream.error(error.0, error.1, "so it is"));
                cells.push((library, name, provider, error, upstream));
            }
        }
    }
    let gateway = Gateway::up(&file(&objects)).await;
    let mut wrong = Vec::new();
    for library in SDKS {
        let mut talk = library.start(gateway.url().trim_end_matches("/v1"), "unused");
        for (_, name, provider, error, upstream) in cells.iter().filter(|cell| cell.0 == library) {
            let (status, _, openai, anthropic) = error;
            let told = *upstream == library.1 && !OF_ACCOUNT.contains(status);
            let (class, status) = match library.1 {
                // The one for Node has no class of its own for it.
                Dialect::OpenAI if library == library::OPENAI_NODE && openai.1 == 413 => &("APIError", 413),
                Dialect::OpenAI => openai,
                Dialect::Anthropic => anthropic,
            };
            let expected =
                if told { directly(library, *error).await } else { json!({"raised": class, "status": status}) };
            let seen = block_in_place(|| talk.ask(&json!({"case": "text", "model": name, "stream": false})));
            let asked = provider.requests().len();
            if seen != expected || asked != 1 {
                wrong.push(format!("{library:?} {name}: {seen} after {asked} requests"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A stream of that dialect that begins an answer and then fails.
fn broken(dialect: Dialect, kind: &str) -> Script {
    let pieces = ["Hello ", "to "];
    let error = json!({"error": {"type": kind, "message": "so it is"}});
    let mut events = Vec::new();
    match dialect {
        Dialect::OpenAI => {
            events.extend(pieces.map(|text| {
                let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": null});
                format!(
                    "data: {}\n\n",
                    json!({"id": "c", "object": "chat.completion.chunk", "created": 1,
                    "model": "m", "choices": [choice]})
                )
            }));
            events.push(format!("data: {error}\n\n"));
        }
        Dialect::Anthropic => {
            let mut event = |name: &str, mut data: Value| {
                data["type"] = json!(name);
                events.push(format!("event: {name}\ndata: {data}\n\n"));
            };
            let usage = json!({"input_tokens": 7, "output_tokens": 1});
            event(
                "message_start",
                json!({"message": {"id": "msg_1", "type": "message", "role": "assistant",
                "model": "m", "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage}}),
            );
            event("content_block_start", json!({"index": 0, "content_block": {"type": "text", "text": ""}}));
            for text in pieces {
                event("content_block_delta", json!({"index": 0, "delta": {"type": "text_delta", "text": text}}));
            }
            event("error", error);
        }
    }
    Script::stream(events)
}

/// What an SDK raises of an error inside a stream, whatever its kind: the status was 200.
fn raised_in_stream(library: Library) -> &'static str {
    if library == library::ANTHROPIC_PYTHON { "APIStatusError" } else { "APIError" }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_inside_a_stream_is_raised_after_the_pieces_before_it_over_each_crossing_f20() {
    let mut objects = vec![vendor::secret()];
    let (mut cells, mut providers) = (Vec::new(), Vec::new());
    for (number, library) in SDKS.into_iter().enumerate() {
        for upstream in Dialect::ALL {
            // Each has its own provider: what is overloaded or limited is left alone afterwards.
            for kind in ["overloaded_error", "rate_limit_error", "api_error"] {
                let name = format!("{number}-{upstream:?}-{}", kind.replace('_', "-")).to_lowercase();
                let provider = add(&mut objects, &name, upstream).await;
                provider.always(broken(upstream, kind));
                cells.push((library, name));
                providers.push(provider);
            }
        }
    }
    let gateway = Gateway::up(&file(&objects)).await;
    let mut wrong = Vec::new();
    for library in SDKS {
        let mut talk = library.start(gateway.url().trim_end_matches("/v1"), "unused");
        for (_, name) in cells.iter().filter(|cell| cell.0 == library) {
            let seen = block_in_place(|| talk.ask(&json!({"case": "cut", "model": name, "stream": true})));
            if seen != json!({"text": "Hello to ", "raised": raised_in_stream(library)}) {
                wrong.push(format!("{library:?} {name}: {seen}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_own_refusal_is_the_class_for_it_in_both_dialects() {
    let world = World::start().await;
    let mut wrong = Vec::new();
    for library in SDKS {
        let model = weir_tests::crossing::model(library.1, library.1);
        for (key, model, class, status) in [
            ("sk-nobody", &*model, "AuthenticationError", 401),
            (&*world.restricted, &*model, "PermissionDeniedError", 403),
            (&*world.key, "no-such-model", "NotFoundError", 404),
        ] {
            let mut talk = library.start(&world.url(), key);
            let seen = block_in_place(|| talk.ask(&json!({"case": "text", "model": model, "stream": true})));
            if seen != json!({"raised": class, "status": status}) {
                wrong.push(format!("{library:?} {status}: {seen}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for dialect in Dialect::ALL {
        assert!(world.first(dialect).requests().is_empty(), "no provider was asked");
    }
}
