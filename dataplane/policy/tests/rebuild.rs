//! A table that was built step by step is the one that is built at once, and keeps what was learnt.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use std::sync::Arc;
use weir_policy::{Caller, Facts, Table};
use weir_snapshot::{Kind, Resource, ResourceId, Resources};

/// What may be there, each in two versions.
fn candidates() -> Vec<(ResourceId, [&'static str; 2])> {
    let id = |kind, namespace: &str, name: &str| ResourceId::new(kind, namespace, name);
    let key = |id: &str| {
        let token = weir_snapshot::api_key::token(id, &[7; 32]);
        let hash = weir_snapshot::api_key::Presented::parse(&token).unwrap().hash();
        format!(r#"{{"id": "{id}", "hashes": ["{}"]}}"#, hash.iter().map(|b| format!("{b:02x}")).collect::<String>())
    };
    let (first, second): (&'static str, &'static str) = (key("abcdef012345").leak(), key("zbcdef012345").leak());
    let provider = [
        r#"{"provider_type": "OpenAI", "upstream": {"Url": "https://a.example"}, "any_model": true,
            "credentials": [{"name": "c", "weight": 1}], "health": {"consecutive_failures": 5,
            "min_ejection_ms": 1, "max_ejection_ms": 2, "honor_retry_after": true}}"#,
        r#"{"provider_type": "Anthropic", "upstream": {"Url": "https://b.example"}, "any_model": true,
            "health": {"consecutive_failures": 5, "min_ejection_ms": 1, "max_ejection_ms": 2,
            "honor_retry_after": true}}"#,
    ];
    let consent = [r#"{"all": true, "namespaces": []}"#, r#"{"all": false, "namespaces": ["a"]}"#];
    let route = [
        r#"{"created_at": 1, "models": [{"pattern": "m"}], "rules": [{"targets": [
            {"name": "t", "provider": {"namespace": "a", "name": "p"}, "weight": 1},
            {"name": "u", "provider": {"namespace": "a", "name": "q"}, "weight": 1, "model": "x"}]}],
            "retry": {"max_attempts": 3, "on": [], "backoff_base_ms": 1, "backoff_max_ms": 2, "budget_percent": 20}}"#,
        r#"{"created_at": 0, "models": [{"pattern": "m*"}, {"pattern": "n"}], "rules": [{"targets": [
            {"name": "t", "provider": {"namespace": "a", "name": "q"}, "weight": 2}]}],
            "retry": {"max_attempts": 3, "on": [], "backoff_base_ms": 1, "backoff_max_ms": 2, "budget_percent": 20}}"#,
    ];
    let access = [r#"{"anonymous": true}"#, r#"{"api_key_namespaces": ["a"]}"#];
    let mut all = vec![
        (id(Kind::ApiKey, "a", "k"), [first, r#"{"id": "abcdef012345", "hashes": []}"#]),
        (id(Kind::ApiKey, "a", "l"), [second, first]),
        (id(Kind::Credential, "a", "p/c"), [r#"{"secret": "one"}"#, r#"{"secret": "two"}"#]),
        (id(Kind::Settings, "", ""), [r#"{"platform_namespace": "a"}"#, r#"{"platform_namespace": "b"}"#]),
    ];
    let prices = [
        r#"[{"names": ["x", "m*"], "pricing": {"currency": "USD", "input": 1, "output": 1}}]"#,
        r#"[{"names": ["m"], "max_output": 9}]"#,
    ];
    all.push((id(Kind::Prices, "", "OpenAI"), prices));
    all.extend(["p", "q"].map(|name| (id(Kind::Provider, "a", name), provider)));
    all.extend(["p", "q"].map(|name| (id(Kind::Consent, "a", name), consent)));
    for (namespace, name) in [("a", "r"), ("a", "s"), ("b", "r")] {
        all.push((id(Kind::Route, namespace, name), route));
        all.push((id(Kind::Access, namespace, name), access));
    }
    all
}

/// All that a request can notice.
fn shown(table: &Table) -> String {
    let routes: Vec<_> = table
        .routes()
        .map(|route| {
            let target = |target: &weir_policy::Target| {
                let secrets: Vec<_> =
                    target.provider.credentials.iter().map(|c| c.secret.expose().to_owned()).collect();
                let known = ["m", "mm"].map(|named| (target.pricing(named), target.limits_for(named)));
                format!("{:?} {:?} {secrets:?} {known:?}", target.data, target.provider.data)
            };
            let targets: Vec<_> = route.targets.iter().map(target).collect();
            format!("{:?} {:?} {:?} {targets:?}", route.id, route.data, route.access)
        })
        .collect();
    let token = |id| weir_snapshot::api_key::token(id, &[7; 32]);
    let callers = ["abcdef012345", "zbcdef012345"].map(|id| Caller::of_key(table, &token(id), 0).ok());
    let callers: Vec<_> = callers.into_iter().flatten().chain([Caller::anonymous()]).collect();
    let served: Vec<_> = callers
        .iter()
        .flat_map(|caller| ["m", "mm", "n", "x"].map(|model| Facts { caller, hostname: None, model }))
        .map(|facts| table.matching(&facts).map(|route| &route.id))
        .collect();
    let mut health: Vec<_> = table.health().map(|(id, _)| id).collect();
    health.sort();
    format!("{routes:?} {callers:?} {served:?} {health:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_table_that_follows_on_another_is_the_one_that_is_built_whole(
        steps in prop::collection::vec((any::<prop::sample::Index>(), 0..3_usize), 1..120),
    ) {
        let (candidates, mut resources, mut table) = (candidates(), Resources::new(), Table::default());
        for (which, version) in steps {
            let (id, versions) = which.get(&candidates);
            match versions.get(version) {
                Some(body) => {
                    let resource = Resource::parse(id.kind, body.as_bytes()).unwrap();
                    resources.insert(Arc::new(id.clone()), resource);
                }
                None => drop(resources.remove(id)),
            }
            let next = Table::build(&resources, &table);
            let whole = Table::build(&resources, &Table::default());
            prop_assert_eq!(shown(&next), shown(&whole), "{} {}", id, version);
            for (target, health) in table.health() {
                let kept = next.health().find(|(id, _)| *id == target);
                prop_assert!(kept.is_none_or(|(_, kept)| Arc::ptr_eq(kept, health)), "{:?}", target);
            }
            table = next;
        }
    }
}
