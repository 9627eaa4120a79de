//! The decisions of the policy, as promises: who is served by what, and what is tried after a failure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_policy::{Caller, Facts, Failure, FailureKind, Needs, Plan, Standing, Step, Table, TokenClaims};
use weir_snapshot::{
    Access, AccountRef, AdmittedAccount, ApiKey, Health, Issuer, KeyHash, Kind, ModelName, Name, Resource, ResourceId,
    Resources, Route, ServiceAccount, Target, api_key,
};

mod objects;

use objects::{in_namespace, provider, put, route, served_by, table, target};

const NEEDS: Needs = Needs { input: 0, max_output: None, max_output_name: "max_completion_tokens", rated: true };

#[test]
fn within_a_tier_the_exact_host_then_the_exact_model_then_the_longest_prefix_wins() {
    let mut resources = Resources::new();
    for (name, pattern) in [("star", "*"), ("prefix", "gpt-*"), ("longer", "gpt-4*"), ("exact", "gpt-4o")] {
        route(&mut resources, "a", name, pattern, vec![]);
    }
    let caller = in_namespace("a");
    for (model, expected) in [("gpt-4o", "exact"), ("gpt-4.1", "longer"), ("gpt-3", "prefix"), ("other", "star")] {
        assert_eq!(served_by(&table(&resources), &caller, model), Ok(&Name::new("a", expected)));
    }
    let id = ResourceId::new(Kind::Route, "a", "star");
    let Resource::Route(star) = &resources[&id] else { panic!("a route") };
    let hosted = Route { hostnames: vec!["api.example.com".into()], ..Route::clone(star) };
    resources.insert(Arc::new(id), hosted.into());
    assert_eq!(served_by(&table(&resources), &caller, "gpt-4o"), Ok(&Name::new("a", "star")));
}

#[test]
fn a_key_is_good_until_it_expires_is_revoked_or_rotated_away() {
    let id = "abcdef012345";
    let hash = |secret: &[u8; 32]| KeyHash(api_key::hash(id, secret));
    let mut resources = Resources::new();
    let key = ApiKey {
        id: id.into(),
        hashes: [hash(&[2; 32]), hash(&[1; 32])].into(),
        expires_at: Some(1_000),
        ..ApiKey::default()
    };
    put(&mut resources, "a", "team-key", key.clone());
    let held = table(&resources);
    for secret in [[1; 32], [2; 32]] {
        let caller =
            Caller::of_key(&held, &api_key::token(id, &secret), 999).expect("both halves of a rotation are good");
        assert_eq!((&*caller.namespace, &*caller.name, caller.key_id.as_deref()), ("a", "team-key", Some(id)));
    }
    let refused = |table: &Table, token: &str, now| Caller::of_key(table, token, now).expect_err("refused");
    let texts = [
        refused(&held, &api_key::token(id, &[3; 32]), 0),
        refused(&held, &api_key::token(id, &[1; 32]), 1_000),
        refused(&held, &api_key::token("zzzzzzzzzzzz", &[1; 32]), 0),
        refused(&held, "weir_nonsense", 0),
        refused(&Table::default(), &api_key::token(id, &[1; 32]), 0),
    ];
    assert!(texts.iter().all(|text| *text == texts[0]), "every way of being wrong reads the same");
    assert_eq!(texts[0].status, 401);
}

#[test]
fn a_service_account_token_must_be_of_an_account_that_exists_now() {
    let mut resources = Resources::new();
    put(&mut resources, "", "kubernetes", Issuer { issuer: "https://k".into(), jwks: String::new() });
    put(&mut resources, "a", "app", ServiceAccount { uid: "u1".into() });
    let held = table(&resources);
    let claims = |iss: &str, aud: &str, uid: &str, iat: i64, exp: i64| -> TokenClaims {
        serde_json::from_value(serde_json::json!({
            "iss": iss, "aud": [aud], "iat": iat, "exp": exp,
            "kubernetes.io": {"namespace": "a", "serviceaccount": {"name": "app", "uid": uid}}
        }))
        .unwrap()
    };
    let good = claims("https://k", "weir", "u1", 0, 3_600);
    assert_eq!(Caller::of_token(&held, &good, 10).expect("a caller").uid.as_deref(), Some("u1"));
    assert_eq!(Caller::of_token(&held, &good, 3_700).expect_err("expired").status, 401);
    for wrong in [
        claims("https://other", "weir", "u1", 0, 3_600),
        claims("https://k", "vault", "u1", 0, 3_600),
        claims("https://k", "weir", "u2", 0, 3_600),
        claims("https://k", "weir", "u1", 0, 90_000),
        claims("https://k", "weir", "u1", 500, 3_600),
    ] {
        assert_eq!(Caller::of_token(&held, &wrong, 10).expect_err("refused").status, 401, "{wrong:?}");
    }
}

#[test]
fn access_admits_named_accounts_whole_namespaces_and_keys() {
    let mut resources = Resources::new();
    route(&mut resources, "a", "r", "m", vec![]);
    let access = Access {
        service_accounts: vec![AdmittedAccount {
            account: AccountRef { namespace: "a".into(), name: "app".into() },
            models: vec![],
        }],
        api_keys: BTreeMap::from([("a".into(), vec!["k1".into()])]),
        ..Access::default()
    };
    put(&mut resources, "a", "r", access);
    let held = table(&resources);
    let account =
        |name: &str| Caller { kind: weir_policy::CallerKind::ServiceAccount, name: name.into(), ..in_namespace("a") };
    let key = |id: &str| Caller { kind: weir_policy::CallerKind::ApiKey, key_id: Some(id.into()), ..in_namespace("a") };
    assert!(served_by(&held, &account("app"), "m").is_ok());
    assert!(served_by(&held, &account("other"), "m").is_err());
    assert!(served_by(&held, &key("k1"), "m").is_ok());
    assert!(served_by(&held, &key("k2"), "m").is_err());
    assert!(served_by(&held, &Caller::anonymous(), "m").is_err());
    assert!(
        served_by(&held, &Caller { models: vec!["other".into()], ..key("k1") }, "m").is_err(),
        "the key's own list of models"
    );
    assert_eq!(held.models(&key("k1"), None).len(), 1);
    assert_eq!(held.models(&key("k2"), None), []);
}

/// Two providers, the second with a higher priority number; the first has three credentials.
fn fleet() -> Table {
    let mut resources = Resources::new();
    provider(&mut resources, "first", &["a", "b", "c"]);
    provider(&mut resources, "second", &["x"]);
    route(&mut resources, "a", "r", "m", vec![target("first", 0), target("second", 1)]);
    table(&resources)
}

fn tried(step: &Step<'_>) -> (String, String) {
    match step {
        Step::Attempt { target, credential, .. } => {
            (target.provider.id.name.clone(), credential.map(|c| c.name.clone()).unwrap_or_default())
        }
        Step::Refuse(refusal) => (refusal.status.to_string(), refusal.code.to_string()),
    }
}

/// Plays failures against a plan; what was tried, and at last the refusal.
fn play(table: &Table, failures: &[Failure], now: u64) -> Vec<(String, String)> {
    let route = table.routes().next().unwrap();
    let mut plan = Plan::new(route, "m", NEEDS, None, false, now, now + 60_000).unwrap();
    let mut out = Vec::new();
    for failure in failures {
        let step = plan.next(now, 7);
        out.push(tried(&step));
        let Step::Attempt { target, credential, .. } = step else { return out };
        let name = credential.map_or("", |c| c.name.as_str());
        target.health.failed(failure, name, 0, &target.provider.data.health, now, 0);
        if let Some(credential) = credential {
            credential.health.failed(failure, 0, now);
        }
        plan.failed(target, credential, failure.clone(), now, 7);
    }
    out.push(tried(&plan.next(now, 7)));
    out
}

fn failure(kind: FailureKind) -> Failure {
    Failure::local(kind, "x")
}

#[test]
fn a_failed_target_gives_way_to_the_next_priority() {
    let steps = play(&fleet(), &[failure(FailureKind::Server)], 10);
    assert_eq!((steps[0].0.as_str(), steps[1].0.as_str()), ("first", "second"));
}

#[test]
fn a_rate_limited_credential_gives_way_to_its_siblings_first_f22() {
    let steps = play(&fleet(), &[failure(FailureKind::RateLimited), failure(FailureKind::RateLimited)], 10);
    assert!(steps.iter().all(|(provider, _)| provider == "first"));
    let mut credentials: Vec<_> = steps.iter().map(|(_, credential)| credential.as_str()).collect();
    credentials.sort_unstable();
    assert_eq!(credentials, ["a", "b", "c"]);
}

#[test]
fn however_many_meet_a_limited_credential_at_once_all_are_served_by_its_siblings_f22() {
    let table = fleet();
    let route = table.routes().next().unwrap();
    let mut plans: Vec<_> = (0..10).map(|_| Plan::new(route, "m", NEEDS, None, false, 0, 60_000).unwrap()).collect();
    let begun = plans.iter_mut().map(|plan| match plan.next(0, 7) {
        Step::Attempt { target, credential, .. } => (target, credential),
        Step::Refuse(refusal) => panic!("{refusal:?}"),
    });
    let begun: Vec<_> = begun.collect();
    for (plan, (target, credential)) in plans.iter_mut().zip(begun) {
        let limited = failure(FailureKind::RateLimited);
        target.health.failed(&limited, &credential.unwrap().name, 0, &target.provider.data.health, 0, 0);
        plan.failed(target, credential, limited, 0, 7);
    }
    let next: Vec<_> = plans.iter_mut().map(|plan| tried(&plan.next(0, 7)).0).collect();
    assert_eq!(next, ["first"; 10]);
}

#[test]
fn attempts_end_at_three_and_the_client_hears_what_tells_most() {
    let steps = play(
        &fleet(),
        &[failure(FailureKind::Server), failure(FailureKind::Timeout), failure(FailureKind::Connect)],
        10,
    );
    assert_eq!(steps.last().unwrap(), &("504".into(), "upstream_timeout".into()));
    let steps = play(&fleet(), &[Failure { status: Some(422), ..failure(FailureKind::Request) }], 10);
    assert_eq!(steps[1].0, "422", "a refused request is not tried elsewhere");
}

#[test]
fn what_the_provider_surely_did_not_see_costs_no_attempt_but_not_for_ever() {
    let unseen = || failure(FailureKind::Unprocessed);
    let steps =
        play(&fleet(), &[unseen(), unseen(), unseen(), failure(FailureKind::Server), failure(FailureKind::Server)], 10);
    let providers: Vec<_> = steps.iter().map(|(provider, _)| provider.as_str()).collect();
    assert_eq!(&providers[..4], ["first", "first", "first", "second"]);
}

#[test]
fn when_every_target_is_out_one_request_a_second_probes_and_the_rest_get_a_hint() {
    let table = fleet();
    let route = table.routes().next().unwrap();
    for target in &route.targets {
        for _ in 0..5 {
            target.health.failed(&failure(FailureKind::Server), "", 0, &Health::default(), 10, 0);
        }
        assert!(matches!(target.health.standing(0, 11), Standing::Out(_)));
    }
    let ask = |now| tried(&Plan::new(route, "m", NEEDS, None, false, now, now + 60_000).unwrap().next(now, 1));
    assert_eq!(ask(20).0, "first");
    assert_eq!(ask(21), ("503".into(), "no_healthy_target".into()));
    assert_eq!(ask(1_019).0, "503");
    assert_ne!(ask(1_020).0, "503");
    let mut plan = Plan::new(route, "m", NEEDS, None, false, 1_030, 60_000).unwrap();
    let Step::Refuse(refusal) = plan.next(1_030, 1) else { panic!("refused") };
    assert!(refusal.retry_after_ms.is_some_and(|ms| ms > 0) && refusal.should_retry == Some(false));
}

/// A request of that caller fails so; what was tried.
fn fail(table: &Table, caller: u64, failure: &Failure, now: u64) -> (String, String) {
    let route = table.routes().next().unwrap();
    let mut plan = Plan::new(route, "m", NEEDS, None, false, now, now + 60_000).unwrap();
    plan.called_by(caller);
    let step = plan.next(now, 0);
    let lane = tried(&step);
    let Step::Attempt { target, credential, .. } = step else { return lane };
    target.health.failed(failure, &credential.unwrap().name, 0, &target.provider.data.health, now, 0);
    credential.unwrap().health.failed(failure, caller, now);
    lane
}

#[test]
fn no_caller_alone_takes_a_credential_from_the_others_and_the_only_one_is_probed() {
    let mut resources = Resources::new();
    provider(&mut resources, "only", &["k"]);
    route(&mut resources, "a", "r", "m", vec![target("only", 0)]);
    let table = table(&resources);
    let refused = Failure { status: Some(401), ..failure(FailureKind::CredentialRejected) };
    let steps: Vec<_> = (0..4).map(|_| fail(&table, 1, &refused, 100).0).collect();
    assert_eq!(steps, ["only", "only", "503", "503"], "who was refused twice is spared it");
    assert_eq!(fail(&table, 2, &refused, 100).0, "only", "another caller is not");
    assert_eq!(fail(&table, 3, &refused, 100).0, "503", "now it rests for all");
    let route = table.routes().next().unwrap();
    let mut asked = 0;
    for now in (100..300_000).step_by(100) {
        let mut plan = Plan::new(route, "m", NEEDS, None, false, now, now + 60_000).unwrap();
        match plan.next(now, 0) {
            Step::Attempt { target, credential, .. } => {
                credential.unwrap().health.failed(&refused, 0, now);
                plan.failed(target, credential, refused.clone(), now, 0);
                asked += 1;
            }
            Step::Refuse(refusal) => assert!(refusal.retry_after_ms.is_some_and(|ms| ms <= 5_000), "{refusal:?}"),
        }
    }
    assert!((50..=61).contains(&asked), "probed every five seconds, not {asked} times");
    let mut plan = Plan::new(route, "m", NEEDS, None, false, 305_000, 400_000).unwrap();
    let Step::Attempt { credential, .. } = plan.next(305_000, 0) else { panic!("a probe") };
    credential.unwrap().health.accepted();
    assert!((0..9).all(|caller| fail(&table, caller, &failure(FailureKind::Request), 305_001).0 == "only"));
}

#[test]
fn an_sdk_may_repeat_what_weir_leaves_to_it_and_nothing_else() {
    let mut resources = Resources::new();
    provider(&mut resources, "only", &[]);
    route(&mut resources, "a", "r", "m", vec![target("only", 0)]);
    let says = |failures: &[Failure], client_retries: bool| {
        let table = table(&resources);
        let mut plan = Plan::new(table.routes().next().unwrap(), "m", NEEDS, None, client_retries, 0, 60_000).unwrap();
        for failure in failures {
            let Step::Attempt { target, credential, .. } = plan.next(0, 0) else { panic!("an attempt") };
            plan.failed(target, credential, failure.clone(), 0, 0);
        }
        let Step::Refuse(refusal) = plan.next(0, 0) else { panic!("a refusal") };
        refusal.should_retry
    };
    let hinted = |kind, ms| Failure { retry_after_ms: Some(ms), ..failure(kind) };
    for kind in [FailureKind::Overloaded, FailureKind::RateLimited, FailureKind::Server] {
        assert_eq!(says(&[failure(kind), failure(kind)], false), Some(false), "{kind:?}: Weir repeated it");
        assert_eq!(says(&[failure(kind)], true), None, "{kind:?}: the SDK is at it");
        assert_eq!(says(&[hinted(kind, 30_000)], false), None, "{kind:?}: the SDK waits for it");
        assert_eq!(says(&[hinted(kind, 3_600_000)], false), Some(false), "{kind:?}: nobody waits for it");
    }
    for kind in [FailureKind::Request, FailureKind::Quota, FailureKind::CredentialRejected, FailureKind::NotPermitted] {
        assert_eq!(says(&[failure(kind)], false), Some(false), "{kind:?}");
    }
}

#[test]
fn the_only_target_is_repeated_after_a_pause_but_not_after_a_long_one() {
    let mut resources = Resources::new();
    provider(&mut resources, "only", &[]);
    route(&mut resources, "a", "r", "m", vec![target("only", 0)]);
    let wait = |kind, hint| {
        let table = table(&resources);
        let mut plan = Plan::new(table.routes().next().unwrap(), "m", NEEDS, None, false, 0, 60_000).unwrap();
        let Step::Attempt { target, credential, .. } = plan.next(0, 0) else { panic!("an attempt") };
        plan.failed(target, credential, Failure { retry_after_ms: hint, ..failure(kind) }, 0, 0);
        match plan.next(0, 0) {
            Step::Attempt { wait_ms, .. } => Some(wait_ms),
            Step::Refuse(_) => None,
        }
    };
    for kind in [FailureKind::Overloaded, FailureKind::RateLimited] {
        assert_eq!(wait(kind, None), Some(50), "{kind:?}");
        assert_eq!((wait(kind, Some(0)), wait(kind, Some(1_500))), (Some(100), Some(1_500)), "{kind:?}");
        assert_eq!((wait(kind, Some(2_001)), wait(kind, Some(u64::MAX))), (None, None), "{kind:?}");
    }
    assert_eq!(wait(FailureKind::Server, Some(120_000)), None, "no client is kept for two minutes");
    assert_eq!(wait(FailureKind::Quota, None), None);
}

#[test]
fn a_step_to_a_target_that_is_well_needs_no_budget_and_one_to_a_failing_target_does() {
    let mut resources = Resources::new();
    ["p", "q", "s"].iter().for_each(|name| provider(&mut resources, name, &[]));
    route(&mut resources, "a", "r", "m", vec![target("p", 0), target("q", 1), target("s", 2)]);
    let table = table(&resources);
    let route = table.routes().next().unwrap();
    let config = Health::default();
    let second = || {
        let mut plans: Vec<_> =
            (0..50).map(|_| Plan::new(route, "m", NEEDS, None, false, 0, 60_000).unwrap()).collect();
        for plan in &mut plans {
            let Step::Attempt { target, credential, .. } = plan.next(0, 0) else { panic!("an attempt") };
            plan.failed(target, credential, failure(FailureKind::Timeout), 0, 0);
        }
        let steps: Vec<_> = plans.iter_mut().map(|plan| tried(&plan.next(0, 0)).0).collect();
        ["q", "s", "504"].map(|name| steps.iter().filter(|step| *step == name).count())
    };
    assert_eq!(second(), [50, 0, 0], "nothing is known of it yet");
    let times_out = |target: usize| {
        (0..3).for_each(|_| route.targets[target].health.failed(&failure(FailureKind::Timeout), "", 0, &config, 0, 0));
    };
    times_out(1);
    assert_eq!(second(), [0, 50, 0], "one that fails comes last");
    times_out(2);
    let [q, s, refused] = second();
    assert_eq!((q + s, refused), (25, 25), "half of those in flight may try one that fails too");
    route.targets[2].health.succeeded("", 0, 0);
    assert_eq!(second(), [0, 50, 0]);
}

#[test]
fn what_no_target_can_hold_is_refused_before_it_is_sent() {
    let table = fleet();
    let route = table.routes().next().unwrap();
    let refused = |needs| Plan::new(route, "m", needs, None, false, 0, 1).err().expect("refused");
    assert_eq!(refused(Needs { max_output: Some(101), ..NEEDS }).param.as_deref(), Some("max_completion_tokens"));
    assert_eq!(refused(Needs { input: 1_001, ..NEEDS }).code, "context_length_exceeded");
}

#[test]
fn what_a_provider_does_not_list_is_looked_up_where_it_passes_on_any_model() {
    let mut resources = Resources::new();
    provider(&mut resources, "p", &[]);
    route(&mut resources, "a", "r", "*", vec![Target { model: None, ..target("p", 0) }]);
    let prices = br#"[{"names": ["gpt-*"], "context_window": 9,
        "pricing": {"currency": "USD", "input": 3, "output": 4}}]"#;
    put(&mut resources, "", "OpenAI", Resource::parse(Kind::Prices, prices).unwrap());
    let input = |table: &Table, named: &str| {
        let target = &table.routes().next().unwrap().targets[0];
        (target.pricing(named).map(|pricing| pricing.standard.rates.input.0), target.limits_for(named).context_window)
    };
    let listed_only = table(&resources);
    assert_eq!(input(&listed_only, "gpt-5"), (None, None));
    let id = ResourceId::new(Kind::Provider, "shared", "p");
    let Resource::Provider(data) = &resources[&id] else { panic!("a provider") };
    let mut data = weir_snapshot::Provider::clone(data);
    data.any_model = true;
    resources.insert(Arc::new(id), data.into());
    let any = Table::build(&resources, &listed_only);
    assert_eq!(input(&any, "gpt-5"), (Some(3), Some(9)));
    assert_eq!(input(&any, "m"), (None, Some(1_000)), "what is listed is as it is stated");
    assert_eq!(input(&any, "o3"), (None, None), "unpriced, not free");
    resources.remove(&ResourceId::new(Kind::Prices, "", "OpenAI"));
    assert_eq!(input(&Table::build(&resources, &any), "gpt-5"), (None, None));
}

#[test]
fn an_alias_is_the_model_that_it_stands_for_at_a_target_that_names_none() {
    let mut resources = Resources::new();
    provider(&mut resources, "p", &[]);
    route(&mut resources, "a", "r", "m", vec![Target { model: None, ..target("p", 0) }]);
    let id = ResourceId::new(Kind::Route, "a", "r");
    let Resource::Route(data) = &resources[&id] else { panic!("a route") };
    let mut data = Route::clone(data);
    data.models.push(ModelName { pattern: "short".into(), alias_of: Some("m".into()), listed: false });
    resources.insert(Arc::new(id), data.into());
    let table = table(&resources);
    let caller = in_namespace("a");
    let route = table.matching(&Facts { caller: &caller, hostname: None, model: "short" }).unwrap();
    assert_eq!(route.model("short"), "m");
    let mut plan = Plan::new(route, route.model("short"), NEEDS, None, false, 0, 1_000).unwrap();
    assert!(matches!(plan.next(0, 0), Step::Attempt { target, .. } if target.upstream_model("m") == Some("m")));
}

#[test]
fn shares_follow_the_weights() {
    let mut resources = Resources::new();
    provider(&mut resources, "p", &[]);
    provider(&mut resources, "q", &[]);
    let heavy = Target { weight: 3, ..target("p", 0) };
    route(
        &mut resources,
        "a",
        "r",
        "m",
        vec![heavy, target("q", 0), Target { weight: 0, name: "never".into(), ..target("q", 0) }],
    );
    let table = table(&resources);
    let route = table.routes().next().unwrap();
    let mut counts = BTreeMap::<String, u32>::new();
    for draw in 0..400 {
        let mut plan = Plan::new(route, "m", NEEDS, None, false, 0, 1_000).unwrap();
        *counts.entry(tried(&plan.next(0, draw)).0).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([("p".into(), 300), ("q".into(), 100)]));
}

proptest! {
    #[test]
    fn whatever_fails_a_plan_ends_within_its_attempts_and_repeats_no_credential_that_was_refused(
        kinds in proptest::collection::vec(0usize..17, 1..12),
        draws in proptest::collection::vec(any::<u64>(), 12),
    ) {
        use FailureKind::{
            Certificate, Connect, CredentialRejected, Forbidden, Malformed, ModelUnavailable, NotPermitted, Overloaded, Quota,
            RateLimited, Redirect, Request, Reset, Server, Timeout, TooCostly, Unprocessed,
        };
        const ALL: [FailureKind; 17] = [
            Connect, Forbidden, Certificate, Unprocessed, Reset, Timeout, Server, Overloaded, RateLimited, Quota, TooCostly,
            CredentialRejected, NotPermitted, ModelUnavailable, Request, Redirect, Malformed,
        ];
        let table = fleet();
        let route = table.routes().next().unwrap();
        let mut plan = Plan::new(route, "m", NEEDS, None, false, 0, 100_000).unwrap();
        let (mut sent, mut refused) = (0, Vec::new());
        for (n, draw) in draws.iter().enumerate() {
            let step = plan.next(n as u64, *draw);
            let lane = tried(&step);
            let Step::Attempt { target, credential, .. } = step else { break };
            sent += 1;
            prop_assert!(!refused.contains(&lane), "{lane:?} again");
            let failure = failure(ALL[kinds[n % kinds.len()]]);
            if matches!(failure.kind, Quota | CredentialRejected) {
                refused.push(lane);
            }
            plan.failed(target, credential, failure, n as u64, *draw);
        }
        prop_assert!(sent <= 5, "three attempts and two repeats of what was not processed, not {sent}");
        prop_assert!(matches!(plan.next(50, 0), Step::Refuse(_)));
    }
}
