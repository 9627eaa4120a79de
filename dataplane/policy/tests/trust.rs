//! Whose word counts: who a request is for and what it costs, as the Budgets of each namespace believe it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use weir_dialect::{Dialect, InputSize, ServiceTier, Usage};
use weir_policy::{Asked, Caller, Came, Charge, Claims, Facts, Table, Token};
use weir_snapshot::{
    Access, ApiKey, Budget, BudgetSelector, ClaimPaths, Consent, Currency, Dimension, KeyHash, Kind, Name, Namespace,
    OnUnpriced, Price, PriceSource, Pricing, Provider, RateLimit, Rates, Resource, ResourceId, Resources, Route,
    Settings, Tariff, TokenIssuer, TrustedHeaders, Unit, api_key,
};

mod objects;

use objects::{put, target};

const ID: &str = "abcdef012345";
static STANDARD: LazyLock<ServiceTier> = LazyLock::new(ServiceTier::default);

fn budget(selector: BudgetSelector, partition_by: &[Dimension], unit: Unit) -> Budget {
    Budget { partition_by: partition_by.to_vec(), ..objects::budget(selector, &[unit], 3) }
}

/// One of each namespace: three requests for each user and team.
fn per_user(resources: &mut Resources) {
    for (namespace, callers) in [("platform", None), ("a", Some("a")), ("b", Some("b"))] {
        let caller_namespaces = callers.map(|name| vec![name.to_owned()]);
        let selector = BudgetSelector { caller_namespaces, ..BudgetSelector::default() };
        put(resources, namespace, "each", budget(selector, &[Dimension::User, Dimension::Team], Unit::Requests));
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A platform, and namespaces `a` and `b`, of which `a` has a team.
fn scene() -> Resources {
    let mut resources = Resources::new();
    put(&mut resources, "", "", Settings { platform_namespace: "platform".into(), ..Settings::default() });
    put(&mut resources, "", "a", Namespace { team: text("blues"), ..Namespace::default() });
    objects::provider(&mut resources, "p", &["k"]);
    resources
}

/// A route of that namespace, changed so, for everybody.
fn route(resources: &mut Resources, namespace: &str, change: impl FnOnce(&mut Route)) {
    objects::route(resources, namespace, "r", "m", vec![target("p", 0)]);
    let Resource::Route(held) = &resources[&ResourceId::new(Kind::Route, namespace, "r")] else { panic!("a route") };
    let mut held = Route::clone(held);
    change(&mut held);
    put(resources, namespace, "r", held);
}

fn trusting(route: &mut Route) {
    route.trusted_headers = TrustedHeaders { user: text("x-user"), team: text("x-team"), ..TrustedHeaders::default() };
}

fn by_key(table: &Table) -> Arc<Caller> {
    Arc::new(Caller::of_key(table, &api_key::token(ID, &[1; 32]), 0).expect("the key is good"))
}

fn key(user: Option<&str>, team: Option<&str>) -> ApiKey {
    ApiKey {
        id: ID.into(),
        hashes: [KeyHash(api_key::hash(ID, &[1; 32]))].into(),
        user: user.map(str::to_owned),
        team: team.map(str::to_owned),
        ..ApiKey::default()
    }
}

fn asked<'a>(caller: &'a Caller, route: &'a Arc<Serving>) -> Asked<'a> {
    Asked {
        caller,
        route,
        model: "m",
        only: None,
        input: InputSize::of_bytes(60),
        max_output: Some(1),
        choices: 1,
        predicted: 0,
        service_tier: &STANDARD,
        counts_only: false,
        dialect: Dialect::OpenAI,
        header: &|_| None,
    }
}

type Serving = weir_policy::Route;

/// The pots of a request of that caller, whose headers say this user and team.
fn pots(table: &Table, caller: &Arc<Caller>, user: &str, team: &str) -> BTreeSet<(String, String)> {
    let mut caller = Arc::clone(caller);
    let route = Arc::clone(table.matching(&Facts { caller: &caller, hostname: None, model: "m" }).unwrap());
    let said = |name: &str| text(if name == "x-user" { user } else { team });
    route.tell(&mut caller, said);
    let charges = table.charges(&asked(&caller, &route), &[]).unwrap();
    charges.iter().map(|charge| (charge.claim.limit.to_string(), charge.claim.partition.to_string())).collect()
}

fn pot(namespace: &str, partition: &str) -> (String, String) {
    (format!("Budget/{namespace}/each/Requests"), partition.to_owned())
}

#[test]
fn headers_that_a_namespaces_route_trusts_name_nobody_in_the_platforms_budgets() {
    let mut resources = scene();
    per_user(&mut resources);
    route(&mut resources, "a", trusting);
    put(&mut resources, "a", "k", key(None, None));
    let table = table(&resources);
    let caller = by_key(&table);
    for user in ["ann", "bob", "fresh-1", "fresh-2"] {
        let found = pots(&table, &caller, user, "reds");
        assert_eq!(found, BTreeSet::from([pot("platform", "a/|blues"), pot("a", &format!("{user}|reds"))]));
    }
}

#[test]
fn headers_that_a_route_of_the_platform_trusts_name_users_in_every_budget() {
    let mut resources = scene();
    per_user(&mut resources);
    route(&mut resources, "platform", trusting);
    put(&mut resources, "a", "k", key(Some("key"), Some("key's")));
    let table = table(&resources);
    let found = pots(&table, &by_key(&table), "ann", "reds");
    assert_eq!(found, BTreeSet::from([pot("platform", "ann|reds"), pot("a", "ann|reds")]));
    let found = pots(&table, &by_key(&table), "", "");
    assert_eq!(
        found,
        BTreeSet::from([pot("platform", "a/|blues"), pot("a", "key|key's")]),
        "the key is the namespace's"
    );
}

#[test]
fn a_keys_annotations_name_users_in_budgets_of_its_own_namespace_and_the_platforms_keys_in_all() {
    for (namespace, of_platform) in [("a", "a/|blues"), ("platform", "ann|reds")] {
        let mut resources = scene();
        per_user(&mut resources);
        route(&mut resources, namespace, |_| {});
        put(&mut resources, namespace, "k", key(Some("ann"), Some("reds")));
        let table = table(&resources);
        let found = pots(&table, &by_key(&table), "", "");
        assert!(found.contains(&pot("platform", of_platform)), "{found:?}");
        assert!(namespace == "platform" || found.contains(&pot("a", "ann|reds")), "{found:?}");
    }
}

#[test]
fn claims_of_an_issuer_that_a_namespace_named_are_believed_by_its_own_budgets_alone() {
    for (namespace, of_platform) in [("a", "a/|blues"), ("platform", "ann|reds")] {
        let mut resources = scene();
        per_user(&mut resources);
        route(&mut resources, namespace, |_| {});
        let issuer = TokenIssuer {
            issuer: "https://id".into(),
            audiences: vec!["weir".into()],
            keys: "keys".into(),
            claims: ClaimPaths { user: text("email"), team: text("team"), ..ClaimPaths::default() },
            groups: vec![],
        };
        put(&mut resources, namespace, "r", Access { jwt: vec![issuer], ..Access::default() });
        let table = table(&resources);
        let claims: Claims = serde_json::from_value(serde_json::json!({
            "iss": "https://id", "aud": "weir", "sub": "u-1", "exp": 1_000, "email": "ann", "team": "reds"
        }))
        .unwrap();
        let token = Token::new(Arc::new(claims), vec![Name::new(namespace, "keys")]);
        let caller = Arc::new(Caller::of_issuer(&table, token, 100).unwrap());
        let found = pots(&table, &caller, "", "");
        assert!(found.contains(&pot("platform", of_platform)), "{found:?}");
        assert!(namespace == "platform" || found.contains(&pot("a", "ann|reds")), "{found:?}");
        assert_eq!(caller.user, text("u-1"));
    }
}

#[test]
fn nobody_joins_a_team_or_a_user_of_a_platforms_selector_by_its_own_word() {
    let mut resources = scene();
    for (name, teams, users) in
        [("reds", vec!["reds"], vec![]), ("ann", vec![], vec!["ann"]), ("blues", vec!["blues"], vec![])]
    {
        let owned = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect();
        let selector = BudgetSelector { teams: owned(teams), users: owned(users), ..BudgetSelector::default() };
        put(&mut resources, "platform", name, budget(selector, &[], Unit::Requests));
    }
    route(&mut resources, "a", trusting);
    put(&mut resources, "a", "k", key(Some("ann"), Some("reds")));
    let held = table(&resources);
    let found = pots(&held, &by_key(&held), "ann", "reds");
    let only = BTreeSet::from([("Budget/platform/blues/Requests".to_owned(), String::new())]);
    assert_eq!(found, only, "the label of its namespace says blues");
}

#[test]
fn callers_without_a_namespace_count_with_the_route_that_serves_them() {
    let mut resources = scene();
    per_user(&mut resources);
    route(&mut resources, "b", trusting);
    let table = table(&resources);
    let found = pots(&table, &Arc::new(Caller::anonymous()), "fresh", "reds");
    assert_eq!(
        found,
        BTreeSet::from([pot("platform", "b/|b/")]),
        "nobody shares a pot with another namespace's callers"
    );
}

#[test]
fn rates_believe_the_namespace_of_their_route() {
    let mut resources = scene();
    route(&mut resources, "platform", |route| {
        let partition_by = vec![Dimension::User];
        let (name, unit) = ("each".to_owned(), Unit::Requests);
        route.rate_limits = vec![RateLimit { name, unit, amount: 3, per_ms: 1, burst: 3, partition_by }];
    });
    put(&mut resources, "a", "k", key(Some("fresh"), None));
    let table = table(&resources);
    let found = pots(&table, &by_key(&table), "", "");
    assert_eq!(found, BTreeSet::from([("LLMRoute/platform/r/each".to_owned(), "a/".to_owned())]));
}

#[test]
fn who_writes_another_secret_with_the_id_of_a_key_neither_takes_it_over_nor_puts_it_out_of_use() {
    let mut resources = scene();
    let other = |secret: u8| ApiKey { hashes: [KeyHash(api_key::hash(ID, &[secret; 32]))].into(), ..key(None, None) };
    put(&mut resources, "a", "squatter", other(9));
    put(&mut resources, "b", "k", key(Some("ann"), None));
    put(&mut resources, "c", "squatter", other(8));
    let selector = BudgetSelector { key_secrets: Some(vec![Name::new("b", "k")]), ..BudgetSelector::default() };
    put(&mut resources, "platform", "b-alone", budget(selector, &[], Unit::Requests));
    route(&mut resources, "platform", |_| {});
    let table = table(&resources);
    let of = |secret: u8| Caller::of_key(&table, &api_key::token(ID, &[secret; 32]), 0).map(|caller| caller.namespace);
    assert_eq!([of(1), of(8), of(9)].map(Result::unwrap), ["b", "c", "a"]);
    assert_eq!(of(7).unwrap_err().status, 401);
    let spends = |secret: u8| {
        let caller = Caller::of_key(&table, &api_key::token(ID, &[secret; 32]), 0).unwrap();
        !pots(&table, &Arc::new(caller), "", "").is_empty()
    };
    assert_eq!([1, 8, 9].map(spends), [true, false, false], "a Budget by keys means the Secret, not its id");
}

const CENT: u64 = 10_000_000;

fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

/// A Provider of that namespace whose model costs so many cents a token.
fn provider(resources: &mut Resources, namespace: &str, cents: Option<u64>) {
    let Resource::Provider(held) = &resources[&ResourceId::new(Kind::Provider, "shared", "p")] else { panic!() };
    let mut held = Provider::clone(held);
    held.models.get_mut("m").unwrap().pricing = cents.map(|cents| {
        let price = Price(cents * CENT * 1_000);
        Pricing {
            currency: usd(),
            standard: Tariff { rates: Rates { input: price, output: price, ..Rates::default() }, tiers: vec![] },
            service_tiers: BTreeMap::new(),
            per_request: None,
            source: PriceSource::Provider,
        }
    });
    put(resources, namespace, "q", held);
    put(resources, namespace, "q", Consent { all: true, namespaces: vec![] });
}

/// Budgets over Providers of the platform and over all, and a route of both a platform's and its own Provider.
fn mixed(resources: &mut Resources, places: &[&str]) {
    let money = |provider_namespaces| {
        let selector = BudgetSelector { provider_namespaces, ..BudgetSelector::default() };
        budget(selector, &[], Unit::Currency(usd()))
    };
    put(resources, "platform", "own", money(Some(vec!["platform".into()])));
    put(resources, "platform", "all", money(None));
    let at = |namespace: &&str| {
        let provider = Name::new(*namespace, "q");
        weir_snapshot::Target { name: (*namespace).to_owned(), provider, ..target("p", 0) }
    };
    objects::route(resources, "a", "r", "m", places.iter().map(at).collect());
}

fn charges(table: &Table) -> Vec<Charge> {
    let caller = Caller { namespace: "a".into(), ..Caller::anonymous() };
    table.charges(&asked(&caller, table.routes().next().unwrap()), &[]).unwrap()
}

#[test]
fn a_namespaces_own_provider_neither_reserves_nor_spends_what_the_platform_gives_for_its_own() {
    let mut resources = scene();
    provider(&mut resources, "platform", Some(1));
    provider(&mut resources, "a", Some(1_000));
    mixed(&mut resources, &["platform", "a"]);
    let held = table(&resources);
    let found = charges(&held);
    let amounts: BTreeMap<_, _> =
        found.iter().map(|charge| (&*charge.claim.limit, charge.claim.amount / CENT)).collect();
    assert_eq!(
        amounts["Budget/platform/all/USD"],
        1_000 * amounts["Budget/platform/own/USD"],
        "the dearest that counts"
    );
    let usage = Usage { input: u64::MAX, ..Usage::default() };
    let (own, theirs) = (Name::new("platform", "q"), Name::new("a", "q"));
    let came = |provider, usage| Came { usage: Some(usage), pricing: None, provider: Some(provider) };
    let charge = found.iter().find(|charge| &*charge.claim.limit == "Budget/platform/own/USD").unwrap();
    assert_eq!(held.spent(charge, &came(&theirs, &usage)), Some(0), "whatever it says of itself");
    assert_eq!(held.spent(charge, &came(&own, &usage)), None, "nobody knows the price");

    let mut resources = scene();
    provider(&mut resources, "a", Some(1_000));
    mixed(&mut resources, &["a"]);
    let held = table(&resources);
    let found = charges(&held);
    let limits: Vec<_> = found.iter().map(|charge| &*charge.claim.limit).collect();
    assert_eq!(limits, ["Budget/platform/all/USD"], "no target counts");
}

#[test]
fn a_budget_above_counts_only_what_goes_to_its_own_providers_as_well() {
    let mut resources = scene();
    provider(&mut resources, "a", Some(1));
    mixed(&mut resources, &["a"]);
    let selector = BudgetSelector { caller_namespaces: Some(vec!["a".into()]), ..BudgetSelector::default() };
    let under = Budget { ancestors: vec![Name::new("platform", "own")], ..budget(selector, &[], Unit::Requests) };
    put(&mut resources, "a", "under", under);
    let held = table(&resources);
    let limits: BTreeSet<_> = charges(&held).iter().map(|charge| charge.claim.limit.to_string()).collect();
    assert!(limits.contains("Budget/a/under/Requests") && !limits.contains("Budget/platform/own/USD"), "{limits:?}");
}

#[test]
fn no_price_that_another_namespace_made_up_is_the_ceiling_of_what_has_none() {
    let mut resources = scene();
    provider(&mut resources, "platform", Some(2));
    provider(&mut resources, "b", Some(1_000_000));
    provider(&mut resources, "a", None);
    mixed(&mut resources, &["a"]);
    let ceiling = |cents: &Table| charges(cents)[0].claim.amount / CENT;
    let all =
        Budget { on_unpriced: OnUnpriced::Ceiling, ..budget(BudgetSelector::default(), &[], Unit::Currency(usd())) };
    put(&mut resources, "platform", "all", all);
    let before = ceiling(&table(&resources));
    provider(&mut resources, "platform", Some(4));
    assert_eq!(ceiling(&table(&resources)), 2 * before);
    provider(&mut resources, "b", Some(9));
    assert_eq!(ceiling(&table(&resources)), 2 * before);
}

fn table(resources: &Resources) -> Table {
    objects::table(resources)
}
