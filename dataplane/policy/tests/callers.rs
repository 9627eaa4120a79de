//! Who calls and what that opens, as promises.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use weir_policy::{Caller, Table};
use weir_snapshot::{ApiKey, Kind, Namespace, Resource, TrustedHeaders, api_key};

#[expect(dead_code, reason = "other tests need the rest")]
mod objects;

use objects::{Resources, put, table};

const ID: &str = "abcdef012345";

fn namespace(resources: &mut Resources, name: &str, data: Namespace) {
    put(resources, Kind::Namespace, "", name, Resource::Namespace(data));
}

fn by_key(table: &Table) -> Caller {
    Caller::of_key(table, &api_key::token(ID, &[1; 32]), 0).expect("the key is good")
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_key_says_whom_it_is_for_and_its_namespace_says_the_rest() {
    let hash = api_key::hash(ID, &[1; 32]).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut resources = Resources::new();
    let key = ApiKey { id: ID.into(), hashes: vec![hash], team: text("reds"), ..ApiKey::default() };
    put(&mut resources, Kind::ApiKey, "a", "k", Resource::ApiKey(key));
    namespace(
        &mut resources,
        "a",
        Namespace { team: text("blues"), project: text("atlas"), cost_center: text("cc-7"), ..Namespace::default() },
    );
    let caller = by_key(&table(&resources));
    assert_eq!((caller.team, caller.project, caller.cost_center), (text("reds"), text("atlas"), text("cc-7")));
}

#[test]
fn only_headers_that_a_route_trusts_count_and_they_fill_in_nothing_else() {
    let sent = |name: &str| match name {
        "x-user" => text(" ann "),
        "x-team" => text(""),
        "x-project" => text(&"p".repeat(1_000)),
        _ => None,
    };
    let known = Caller { team: text("reds"), namespace: "a".into(), ..Caller::anonymous() };
    let mut caller = known.clone();
    caller.take_headers(&TrustedHeaders::default(), sent);
    assert_eq!(caller, known, "no header is trusted by itself");
    let trusted = TrustedHeaders {
        user: text("x-user"),
        team: text("x-team"),
        project: text("x-project"),
        cost_center: text("x-absent"),
    };
    caller.take_headers(&trusted, sent);
    let project = Some("p".repeat(256));
    assert_eq!(caller, Caller { user: text("ann"), project, ..known }, "an empty header says nothing");
}
