//! Who asks with `x-weir-explain: 1` learns why, where the route lets its callers know, and what is left of each limit.

use serde_json::{Value, json};
use weir_tests::client::Reply;
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{aliased_route, budget, cent, file};

fn explanation(reply: &Reply) -> Value {
    serde_json::from_str(reply.header("x-weir-explain")).expect("it is JSON")
}

#[tokio::test]
async fn a_caller_that_asks_hears_why_and_what_is_left_where_its_route_says_so() {
    let mut open = aliased_route("default", "open", "cent", "m");
    open["spec"]["explain"] = json!(true);
    open["spec"]["rateLimits"] = json!([{"name": "brisk", "requests": 60, "per": "1m"}]);
    let silent = aliased_route("default", "silent", "cent", "m");
    let objects = [cent("default", "cent"), open, silent, budget("weir-system", "team", "0.03")];
    let gateway = Gateway::up(&file(&objects)).await;
    let asking = gateway.client().with_header("x-weir-explain", "1");

    let first = asking.chat("open").await;
    assert_eq!(first.status, 200);
    let said = explanation(&first);
    assert_eq!((&said["route"], &said["model"]), (&json!("default/open"), &json!("open")));
    let target = &said["targets"][0];
    assert_eq!(
        (&target["provider"], &target["model"], &target["state"]),
        (&json!("default/cent"), &json!("m"), &json!("ready"))
    );
    assert_eq!(
        target["price"],
        json!({"source": "Provider", "currency": "USD", "input": "0", "output": "0", "perRequest": "0.01"})
    );
    let of = |said: &Value, name: &str| {
        let limits = said["limits"].as_array().expect("limits").clone();
        limits.into_iter().find(|limit| limit["of"] == name).unwrap_or_else(|| panic!("{name}: {said}"))
    };
    let team = of(&said, "Budget weir-system/team");
    assert_eq!((&team["limit"], &team["estimate"]), (&json!("0.03 USD"), &json!("0.01 USD")));
    assert_eq!((&team["spent"], &team["left"]), (&json!("0 USD"), &json!("0.02 USD")));
    assert_eq!(of(&said, "rate limit brisk")["limit"], "60 requests in 1 min");

    assert!(!gateway.client().chat("open").await.headers.contains_key("x-weir-explain"), "it was not asked");
    assert!(!asking.chat("silent").await.headers.contains_key("x-weir-explain"), "the route does not say so");

    let refused = asking.chat("open").await;
    assert_eq!(refused.status, 429);
    let team = of(&explanation(&refused), "Budget weir-system/team");
    assert_eq!(
        (&team["spent"], &team["left"]),
        (&json!("0.03 USD"), &json!("0 USD")),
        "a refusal is explained as well"
    );
}
