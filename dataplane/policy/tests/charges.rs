//! What a request is charged to, and how much of it is reserved and spent.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::LazyLock;
use weir_dialect::{Dialect, InputSize, Refusal, ServiceTier, Usage};
use weir_lease::Terms;
use weir_policy::{Asked, Caller, Came, Charge, Statement, Table};
use weir_snapshot::{
    Budget, BudgetMode, BudgetSelector, Currency, Dimension, FailureMode, Kind, Name, OnUnpriced, Price, PriceSource,
    Pricing, ProviderLimits, ProviderType, RateLimit, Rates, Resource, Resources, Tariff, Unit,
};

mod objects;

use objects::{provider, put, route, table, target};

const CENT: u64 = 10_000_000;
static STANDARD: LazyLock<ServiceTier> = LazyLock::new(ServiceTier::default);
static PRIORITY: LazyLock<ServiceTier> = LazyLock::new(|| ServiceTier::of("priority"));

fn budget(namespaces: Option<&[&str]>, units: &[Unit]) -> Budget {
    let caller_namespaces = namespaces.map(|all| all.iter().map(ToString::to_string).collect());
    objects::budget(BudgetSelector { caller_namespaces, ..BudgetSelector::default() }, units, 100)
}

fn add(resources: &mut Resources, namespace: &str, name: &str, budget: Budget) {
    put(resources, namespace, name, budget);
}

fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

/// So many nano-dollars a token.
fn tariff(nano: u64) -> Tariff {
    let price = Price(nano * 1_000);
    Tariff { rates: Rates { input: price, output: price, ..Rates::default() }, tiers: vec![] }
}

/// A route of one target; its model has room for 1,000 tokens, of which 100 are output, at a cent a token, half of it
/// in the tier `flex` and twice as much in `scale`.
fn scene() -> Resources {
    let mut resources = Resources::new();
    provider(&mut resources, "p", &["k"]);
    route(&mut resources, "shared", "r", "m", vec![target("p", 0)]);
    let id = weir_snapshot::ResourceId::new(Kind::Provider, "shared", "p");
    let Resource::Provider(held) = &resources[&id] else { panic!("a provider") };
    let mut held = weir_snapshot::Provider::clone(held);
    held.models.get_mut("m").unwrap().pricing = Some(Pricing {
        currency: usd(),
        standard: tariff(CENT),
        service_tiers: BTreeMap::from([("flex".to_owned(), tariff(CENT / 2)), ("scale".to_owned(), tariff(CENT * 2))]),
        per_request: None,
        source: PriceSource::Provider,
    });
    put(&mut resources, "shared", "p", held);
    resources
}

fn caller(namespace: &str) -> Caller {
    Caller { namespace: namespace.into(), name: "app".into(), ..Caller::anonymous() }
}

fn charges(table: &Table, caller: &Caller, prompt_bytes: usize, max_output: Option<u64>) -> Vec<Charge> {
    let asked = Asked { input: InputSize::of_bytes(prompt_bytes), max_output, ..asked(table, caller) };
    table.charges(&asked, &[]).unwrap()
}

/// The least of a request of the standard tier.
fn asked<'a>(table: &'a Table, caller: &'a Caller) -> Asked<'a> {
    Asked {
        caller,
        route: table.routes().next().unwrap(),
        model: "m",
        only: None,
        input: InputSize::default(),
        max_output: None,
        choices: 1,
        predicted: 0,
        service_tier: &STANDARD,
        counts_only: false,
        dialect: Dialect::OpenAI,
        header: &|_| None,
    }
}

fn pots(charges: &[Charge]) -> Vec<(&str, &str, u64)> {
    charges.iter().map(|charge| (&*charge.claim.limit, &*charge.claim.partition, charge.claim.amount)).collect()
}

#[test]
fn a_request_is_charged_to_every_budget_that_covers_it_and_once_to_each_above() {
    let mut resources = scene();
    let under = |parents: &[&str]| Budget {
        ancestors: parents.iter().map(|name| Name::new("platform", *name)).collect(),
        ..budget(Some(&["team"]), &[Unit::Requests])
    };
    add(&mut resources, "platform", "all", budget(None, &[Unit::Requests]));
    add(&mut resources, "team", "one", under(&["all"]));
    add(&mut resources, "team", "two", under(&["all"]));
    add(&mut resources, "team", "off", Budget { mode: BudgetMode::Off, ..under(&[]) });
    add(&mut resources, "other", "theirs", budget(Some(&["other"]), &[Unit::Requests]));
    let table = table(&resources);
    let found = charges(&table, &caller("team"), 0, None);
    assert_eq!(
        pots(&found),
        [
            ("Budget/team/one/Requests", "", 1),
            ("Budget/platform/all/Requests", "", 1),
            ("Budget/team/two/Requests", "", 1)
        ]
    );
    assert_eq!(pots(&charges(&table, &caller("nobody"), 0, None)), [("Budget/platform/all/Requests", "", 1)]);
}

#[test]
fn a_hard_budget_reserves_the_most_that_a_request_can_cost_and_is_charged_what_it_did() {
    let mut resources = scene();
    let units = [Unit::parse("USD").unwrap(), Unit::InputTokens, Unit::OutputTokens, Unit::Tokens];
    add(&mut resources, "platform", "all", budget(None, &units));
    let table = table(&resources);
    let found = charges(&table, &caller("team"), 100, None);
    let amounts: Vec<_> = pots(&found).into_iter().map(|(_, _, amount)| amount).collect();
    assert_eq!(amounts, [200 * CENT, 100, 100, 200]);
    let found = charges(&table, &caller("team"), 1_000_000, Some(7));
    assert_eq!(pots(&found)[1].2, 1_000, "never more input than the model's window");
    assert_eq!(pots(&found)[2].2, 7, "the caller's own limit");
    let usage = Usage { input: 30, output: 5, reasoning: 2, ..Usage::default() };
    let target = &table.routes().next().unwrap().targets[0];
    let provider = Name::new("shared", "p");
    let came =
        Came { usage: Some(&usage), pricing: target.pricing("m").map(Pricing::standard), provider: Some(&provider) };
    let spent: Vec<_> = found.iter().map(|charge| table.spent(charge, &came)).collect();
    assert_eq!(spent, [Some(37 * CENT), Some(30), Some(7), Some(37)]);
    let failed = Came { usage: None, pricing: None, provider: None };
    assert!(found.iter().all(|charge| table.spent(charge, &failed) == Some(0)), "what failed is free");
    let unpriced = Came { pricing: None, ..came };
    assert_eq!(table.spent(&found[0], &unpriced), None, "never zero where nobody knows the price");
}

#[test]
fn every_answer_and_a_prediction_are_reserved_and_no_number_wraps() {
    let mut resources = scene();
    let units = [Unit::OutputTokens, Unit::Tokens, Unit::parse("USD").unwrap()];
    add(&mut resources, "platform", "all", budget(None, &units));
    let (table, caller) = (table(&resources), caller("team"));
    let amounts = |choices, predicted, max_output| -> Vec<u64> {
        let asked = Asked { choices, predicted, max_output, ..asked(&table, &caller) };
        table.charges(&asked, &[]).unwrap().iter().map(|charge| charge.claim.amount).collect()
    };
    assert_eq!(amounts(1, 0, Some(40)), [40, 40, 40 * CENT]);
    assert_eq!(amounts(128, 0, Some(40)), [5_120, 5_120, 5_120 * CENT]);
    assert_eq!(amounts(2, 7, None), [207, 207, 207 * CENT], "the model writes a hundred at most");
    assert_eq!(amounts(128, 0, Some(u64::MAX)), [u64::MAX; 3]);
}

#[test]
fn counting_tokens_takes_a_request_of_rates_and_nothing_else_and_a_block_holds() {
    let mut resources = scene();
    let id = weir_snapshot::ResourceId::new(Kind::Route, "shared", "r");
    let Resource::Route(held) = &resources[&id] else { panic!("a route") };
    let mut held = weir_snapshot::Route::clone(held);
    let rate = |name: &str, unit| RateLimit {
        name: name.into(),
        unit,
        amount: 5,
        per_ms: 60_000,
        burst: 5,
        partition_by: vec![],
    };
    held.rate_limits = vec![rate("tokens", Unit::Tokens), rate("requests", Unit::Requests)];
    put(&mut resources, "shared", "r", held);
    let id = weir_snapshot::ResourceId::new(Kind::Provider, "shared", "p");
    let Resource::Provider(held) = &resources[&id] else { panic!("a provider") };
    let mut held = weir_snapshot::Provider::clone(held);
    held.limits = ProviderLimits {
        max_concurrent: Some(2),
        requests_per_minute: Some(3),
        tokens_per_minute: Some(600),
        queue: None,
    };
    put(&mut resources, "shared", "p", held);
    add(&mut resources, "platform", "all", budget(None, &[Unit::Requests, Unit::Tokens]));
    let counted = |resources: &Resources| {
        let (table, caller) = (table(resources), caller("team"));
        let asked = Asked { counts_only: true, ..asked(&table, &caller) };
        let charges = table.charges(&asked, &[])?;
        let of_provider = table.provider_charges(&asked.route.targets[0], &asked, false);
        let failed = Came { usage: None, pricing: None, provider: None };
        let spent: Vec<_> = charges.iter().map(|charge| table.spent(charge, &failed)).collect();
        let named = |charges: &[Charge]| charges.iter().map(|c| (c.unit, c.claim.amount)).collect::<Vec<_>>();
        Ok::<_, Refusal>((named(&charges), named(&of_provider), spent))
    };
    let (charges, of_provider, spent) = counted(&resources).unwrap();
    assert_eq!((charges, spent), (vec![(Unit::Requests, 1)], vec![Some(1)]));
    assert_eq!(of_provider, [(Unit::Requests, 1), (Unit::Requests, 1)], "one at once, and one of the minute");
    add(
        &mut resources,
        "team",
        "block",
        Budget { mode: BudgetMode::Block, ..budget(Some(&["team"]), &[Unit::Tokens]) },
    );
    assert_eq!(&*counted(&resources).err().unwrap().code, "budget_blocked");
}

#[test]
fn a_mode_decides_whether_it_reserves_counts_or_refuses() {
    let mut resources = scene();
    add(&mut resources, "platform", "hard", budget(None, &[Unit::Requests]));
    add(&mut resources, "platform", "soft", Budget { mode: BudgetMode::Warn, ..budget(None, &[Unit::Requests]) });
    let found = charges(&table(&resources), &caller("team"), 0, None);
    let terms: Vec<_> = found.iter().map(|charge| charge.claim.terms).collect();
    assert_eq!(terms, [Terms::Hard(FailureMode::LeasedOnly), Terms::Soft]);
    add(
        &mut resources,
        "team",
        "block",
        Budget { mode: BudgetMode::Block, ..budget(Some(&["team"]), &[Unit::Requests]) },
    );
    let table = table(&resources);
    let refused = table.charges(&asked(&table, &caller("team")), &[]).err().unwrap();
    assert_eq!((refused.status, &*refused.code), (403, "budget_blocked"));
}

#[test]
fn partitions_tell_callers_apart_and_no_two_read_the_same() {
    let mut resources = scene();
    let by = |by: &[Dimension]| Budget { partition_by: by.to_vec(), ..budget(None, &[Unit::Requests]) };
    add(&mut resources, "platform", "one", by(&[Dimension::User]));
    add(&mut resources, "platform", "two", by(&[Dimension::User, Dimension::Team, Dimension::Model]));
    let table = table(&resources);
    let named = |user: &str, team: &str| {
        let said = Statement { by: "platform".into(), user: Some(user.into()), team: Some(team.into()) };
        charges(&table, &Caller { statements: vec![said], ..caller("team") }, 0, None)
    };
    assert_eq!(pots(&named("ann", "blue")).iter().map(|(_, of, _)| *of).collect::<Vec<_>>(), ["ann", "ann|blue|m"]);
    assert_ne!(pots(&named("a|b", "c"))[1].1, pots(&named("a", "b|c"))[1].1);
}

#[test]
fn a_rate_makes_room_for_what_is_likely_and_a_request_larger_than_its_burst_takes_all_of_it() {
    let mut resources = scene();
    let id = weir_snapshot::ResourceId::new(Kind::Route, "shared", "r");
    let Resource::Route(held) = &resources[&id] else { panic!("a route") };
    let mut held = weir_snapshot::Route::clone(held);
    let rate = |name: &str, unit| RateLimit {
        name: name.into(),
        unit,
        amount: 120,
        per_ms: 60_000,
        burst: 120,
        partition_by: vec![Dimension::Caller],
    };
    held.rate_limits = vec![rate("requests", Unit::Requests), rate("tokens", Unit::Tokens)];
    put(&mut resources, "shared", "r", held);
    let table = table(&resources);
    let found = charges(&table, &caller("team"), 40, Some(20));
    assert_eq!(
        pots(&found),
        [("LLMRoute/shared/r/requests", "team/app", 1), ("LLMRoute/shared/r/tokens", "team/app", 30)]
    );
    assert_eq!(pots(&charges(&table, &caller("team"), 40_000, None))[1].2, 120);
    let failed = Came { usage: None, pricing: None, provider: None };
    assert_eq!(table.spent(&found[0], &failed), Some(1), "a request is one, whatever came of it");
}

#[test]
fn who_yields_leaves_a_tenth_of_each_limit_of_the_provider_but_never_more_than_there_is() {
    let mut resources = scene();
    let id = weir_snapshot::ResourceId::new(Kind::Provider, "shared", "p");
    let Resource::Provider(held) = &resources[&id] else { panic!("a provider") };
    let mut held = weir_snapshot::Provider::clone(held);
    held.limits = ProviderLimits {
        max_concurrent: Some(25),
        requests_per_minute: Some(1),
        tokens_per_minute: Some(600),
        queue: None,
    };
    put(&mut resources, "shared", "p", held);
    let table = table(&resources);
    let caller = caller("a");
    let asked = Asked { input: InputSize::of_bytes(2_000), max_output: Some(70), ..asked(&table, &caller) };
    let target = &asked.route.targets[0];
    let left = |yields| -> Vec<u64> {
        let charges = table.provider_charges(target, &asked, yields);
        charges.iter().map(|charge| charge.claim.leave).collect()
    };
    assert_eq!(left(false), [0, 0, 0]);
    let tokens = table.provider_charges(target, &asked, true)[2].claim.amount;
    assert_eq!(left(true), [3, 0, 60.min(600 - tokens)], "of one request nothing can be left");
}

#[test]
fn a_tier_of_service_is_reserved_and_charged_at_its_own_rates() {
    let mut resources = scene();
    add(&mut resources, "platform", "all", budget(None, &[Unit::Currency(usd())]));
    let (table, caller) = (table(&resources), caller("team"));
    let usage = Usage { input: 30, output: 7, ..Usage::default() };
    for (service_tier, nano) in [(None, CENT), (Some("flex"), CENT / 2), (Some("scale"), CENT * 2)] {
        let tier = service_tier.map(ServiceTier::of).unwrap_or_default();
        let asked = Asked { input: InputSize::of_bytes(100), service_tier: &tier, ..asked(&table, &caller) };
        let found = table.charges(&asked, &[]).unwrap();
        assert_eq!(found[0].claim.amount, 200 * nano, "{service_tier:?}");
        let pricing = asked.route.targets[0].pricing("m").unwrap().quote(service_tier);
        let came = Came { usage: Some(&usage), pricing, provider: None };
        assert_eq!(table.spent(&found[0], &came), Some(37 * nano), "{service_tier:?}");
    }
}

#[test]
fn a_tier_without_a_price_is_refused_by_a_hard_budget_of_money_and_is_never_the_standard_one() {
    let mut resources = scene();
    let refused = |resources: &Resources| -> Option<Refusal> {
        let (table, caller) = (table(resources), caller("team"));
        let asked = Asked { input: InputSize::of_bytes(100), service_tier: &PRIORITY, ..asked(&table, &caller) };
        table.charges(&asked, &[]).err()
    };
    add(&mut resources, "platform", "tokens", budget(None, &[Unit::Tokens]));
    assert!(refused(&resources).is_none(), "tokens have no price");
    let money = budget(None, &[Unit::Currency(usd())]);
    add(&mut resources, "platform", "soft", Budget { mode: BudgetMode::Warn, ..money.clone() });
    assert!(refused(&resources).is_none(), "it counts alone");
    add(&mut resources, "platform", "all", money.clone());
    let refusal = refused(&resources).unwrap();
    assert_eq!(
        (refusal.status, &*refusal.code, refusal.param.as_deref()),
        (403, "service_tier_unpriced", Some("service_tier"))
    );
    for part in ["\"priority\"", "platform/all", "pricing.serviceTiers of the Provider's model"] {
        assert!(refusal.message.contains(part), "{}", refusal.message);
    }
    let ceiling = Budget { on_unpriced: OnUnpriced::Ceiling, ..money };
    add(&mut resources, "platform", "all", ceiling);
    let (table, caller) = (table(&resources), caller("team"));
    let asked = Asked { input: InputSize::of_bytes(100), service_tier: &PRIORITY, ..asked(&table, &caller) };
    let found = table.charges(&asked, &[]).unwrap();
    assert_eq!(pots(&found)[0], ("Budget/platform/all/USD", "", 400 * CENT), "the dearest tier of all models");
}

#[test]
fn a_tier_that_the_provider_is_not_told_of_costs_what_the_standard_one_does() {
    let mut resources = scene();
    let id = weir_snapshot::ResourceId::new(Kind::Provider, "shared", "p");
    let Resource::Provider(held) = &resources[&id] else { panic!("a provider") };
    let mut held = weir_snapshot::Provider::clone(held);
    held.provider_type = ProviderType::Anthropic;
    put(&mut resources, "shared", "p", held);
    add(&mut resources, "platform", "all", budget(None, &[Unit::Currency(usd())]));
    let (table, caller) = (table(&resources), caller("team"));
    let asked = Asked { input: InputSize::of_bytes(100), service_tier: &PRIORITY, ..asked(&table, &caller) };
    assert_eq!(table.charges(&asked, &[]).unwrap()[0].claim.amount, 200 * CENT);
    let own = Asked { dialect: Dialect::Anthropic, ..asked };
    assert_eq!(&*table.charges(&own, &[]).err().unwrap().code, "service_tier_unpriced");
}
