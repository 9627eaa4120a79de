//! Sums survive lost, repeated and reordered reports, and exports add up to the last nano-unit.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use proptest::prelude::*;
use prost::Message as _;
use std::collections::BTreeMap;
use weir_costs::focus::{Account, csv, json, unpriced};
use weir_costs::{Amounts, Book, Class, HOURS_A_DAY, Key, OTHER, Report, Tally};
use weir_snapshot::Name;
use weir_snapshot::ledger::CostReport;

/// 2026-11-27, 13:00 UTC.
const HOUR: u64 = 498_829;

fn key(hour: u64, user: &str, currency: &str) -> Key {
    Key {
        hour,
        hours: 1,
        currency: currency.to_owned(),
        namespace: "shop".to_owned(),
        user: user.to_owned(),
        team: "search".to_owned(),
        project: String::new(),
        cost_center: "4711".to_owned(),
        session: String::new(),
        agent: String::new(),
        route: Name::new("shop", "chat"),
        provider: Name::new("platform", "openai"),
        provider_type: "OpenAI".to_owned(),
        model: "gpt-5".to_owned(),
    }
}

/// One request, charged as the ledger is: rounded up as a whole.
fn request(input: u64, output: u64) -> Amounts {
    let (input_pico, output_pico) = (u128::from(input) * 1_250_333, u128::from(output) * 10_000_777);
    let nano = (input_pico + output_pico).div_ceil(1_000).try_into().unwrap();
    let amounts = Amounts { nano, ..Amounts::default() };
    amounts.with(Class::Input, input, input_pico).with(Class::Output, output, output_pico).with(Class::Request, 1, 0)
}

fn account() -> Account {
    Account { id: "cluster-1".to_owned(), name: "Production".to_owned() }
}

/// The books of all days.
#[derive(Default)]
struct Books(BTreeMap<u64, Book>);

impl Books {
    /// Takes in what a report says of each day, as it goes over the wire.
    fn take(&mut self, start: &str, report: &Report) {
        let bytes = report.to_wire(start).encode_to_vec();
        let report = Report::from_wire(&CostReport::decode(bytes.as_slice()).unwrap()).unwrap();
        for day in report.days() {
            assert!(self.0.entry(day).or_insert_with(|| Book::new(day)).take(start, &report), "no day is folded");
        }
    }

    fn totals(&self) -> BTreeMap<Key, Amounts> {
        let mut totals = BTreeMap::new();
        self.0.values().for_each(|book| book.add_to(&mut totals));
        totals
    }
}

#[test]
fn a_row_is_a_class_of_token_and_rows_add_up_to_the_charge() {
    let mut tally = Tally::new(10);
    tally.add(key(HOUR, "ada, \"the first\"", "USD").borrowed(), &request(1_001, 17));
    tally.add(key(HOUR, "ada, \"the first\"", "USD").borrowed(), &request(3, 0));
    tally.add(key(HOUR, "ada", "").borrowed(), &Amounts { unpriced: 1, ..Amounts::default().with(Class::Input, 5, 0) });
    let mut books = Books::default();
    books.take("pod-a", &tally.report(0, 100, usize::MAX));
    let totals = books.totals();
    assert_eq!(unpriced(&totals), 1);

    let rows: Vec<serde_json::Value> = serde_json::from_str(&json(&totals, &account())).unwrap();
    assert_eq!(rows.len(), 2, "input and output; what is unpriced is no charge: {rows:?}");
    let row = &rows[0];
    for (column, value) in [
        ("BillingAccountId", "cluster-1"),
        ("BillingCurrency", "USD"),
        ("BillingPeriodStart", "2026-11-01T00:00:00Z"),
        ("BillingPeriodEnd", "2026-12-01T00:00:00Z"),
        ("ChargePeriodStart", "2026-11-27T13:00:00Z"),
        ("ChargePeriodEnd", "2026-11-27T14:00:00Z"),
        ("ChargeCategory", "Usage"),
        ("ChargeDescription", "input tokens of gpt-5 at platform/openai"),
        ("ServiceCategory", "AI and Machine Learning"),
        ("ProviderName", "OpenAI"),
        ("ResourceId", "shop/chat"),
        ("SkuId", "OpenAI/gpt-5/input"),
        ("ConsumedUnit", "Tokens"),
        ("SubAccountId", "shop"),
    ] {
        assert_eq!(row[column], value, "{column}");
    }
    assert_eq!(
        (row["ConsumedQuantity"].as_u64(), row["Tags"]["user"].as_str()),
        (Some(1_004), Some("ada, \"the first\""))
    );
    assert!(row["Tags"].get("project").is_none());
    assert_eq!(billed(&totals), BTreeMap::from([("USD".to_owned(), request(1_001, 17).nano + request(3, 0).nano)]));
    assert!(csv(&totals, &account()).contains(r#""{""cost-center"":""4711"","#), "{}", csv(&totals, &account()));
}

#[test]
fn a_users_name_is_no_formula_of_a_spreadsheet() {
    let totals = BTreeMap::from([(Key { model: "x".into(), ..key(HOUR, "u", "USD") }, request(1, 1))]);
    let mut account = account();
    account.name = "=cmd()".to_owned();
    assert!(csv(&totals, &account).contains(",'=cmd(),"));
}

#[test]
fn too_many_users_become_one_and_too_many_names_become_others_and_nothing_is_lost() {
    let mut tally = Tally::new(4);
    let whole = ["a", "b", "c", "d", "e", "a"].map(|user| tally.add(key(HOUR, user, "USD").borrowed(), &request(1, 0)));
    assert_eq!(whole, [true, true, true, false, false, true]);
    assert!(!tally.add(Key { team: "late".into(), ..key(HOUR, "a", "USD") }.borrowed(), &request(1, 0)));
    let mut books = Books::default();
    books.take("pod", &tally.report(0, 100, usize::MAX));
    let totals = books.totals();
    let counts: Vec<_> = totals.iter().map(|(key, sums)| (&*key.user, &*key.model, sums.sums[0].count)).collect();
    let of = |user, count| (user, "gpt-5", count);
    assert_eq!(counts, [(OTHER, OTHER, 1), of(OTHER, 2), of("a", 2), of("b", 1), of("c", 1)]);
}

/// Nano-units of the export by currency.
fn billed(totals: &BTreeMap<Key, Amounts>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    let text = csv(totals, &account());
    for line in text.lines().skip(1) {
        let (cost, rest) = line.split_once(',').unwrap();
        let (whole, part) = cost.split_once('.').unwrap_or((cost, "0"));
        let nano = whole.parse::<u64>().unwrap() * 1_000_000_000 + format!("{part:0<9}").parse::<u64>().unwrap();
        *sums.entry(rest.split(',').nth(3).unwrap().to_owned()).or_default() += nano;
    }
    sums
}

fn nano(totals: &BTreeMap<Key, Amounts>) -> u64 {
    totals.values().map(|amounts| amounts.nano).sum()
}

#[test]
fn a_day_that_is_folded_says_that_a_report_is_too_late() {
    let mut tally = Tally::new(10);
    tally.add(key(HOUR, "ada", "USD").borrowed(), &request(1, 1));
    let mut book = Book::new(HOUR / HOURS_A_DAY);
    assert!(book.take("pod", &tally.report(0, 100, usize::MAX)));
    book.fold();
    assert!(!book.take("pod", &tally.report(0, 100, usize::MAX)));
    let mut totals = BTreeMap::new();
    book.add_to(&mut totals);
    assert_eq!(nano(&totals), request(1, 1).nano);
}

/// What happens between two pods and a book.
#[derive(Debug, Clone)]
enum Step {
    Ask { pod: usize, hour: u64, user: u8, currency: bool, input: u64, output: u64 },
    Report { pod: usize, most: usize, arrives: bool },
    Again { which: prop::sample::Index },
    Close { pod: usize },
    Restart { pod: usize },
    Store { most: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..2usize, 0..4u64, 0..5u8, any::<bool>(), 0..100_000u64, 0..10_000u64)
            .prop_map(|(pod, hour, user, currency, input, output)| Step::Ask { pod, hour, user, currency, input, output }),
        6 => (0..2usize, 1..6usize, any::<bool>()).prop_map(|(pod, most, arrives)| Step::Report { pod, most, arrives }),
        4 => any::<prop::sample::Index>().prop_map(|which| Step::Again { which }),
        2 => (0..2usize).prop_map(|pod| Step::Close { pod }),
        1 => (0..2usize).prop_map(|pod| Step::Restart { pod }),
        2 => (200..4_000usize).prop_map(|most| Step::Store { most }),
    ]
}

struct Pod {
    tally: Tally,
    incarnation: String,
    acknowledged: u64,
    now: u64,
}

impl Pod {
    fn new(number: usize, life: usize) -> Self {
        Self { tally: Tally::new(6), incarnation: format!("{number}-{life}"), acknowledged: 0, now: HOUR }
    }

    /// Says all that it has not said yet.
    fn tell(&mut self, books: &mut Books) {
        let report = self.tally.report(self.acknowledged, usize::MAX, usize::MAX);
        books.take(&self.incarnation, &report);
        self.acknowledged = report.version;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_is_lost_repeated_or_late_the_book_and_the_export_are_what_was_charged(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let (mut books, mut sent, mut lives) = (Books::default(), Vec::new(), 2);
        let mut pods = [Pod::new(0, 0), Pod::new(1, 1)];
        let (mut charged, mut tokens) = (BTreeMap::<String, u64>::new(), 0);
        for step in steps {
            match step {
                Step::Ask { pod, hour, user, currency, input, output } => {
                    let pod = &mut pods[pod];
                    // Clocks mostly go on, and now and then back.
                    pod.now = (pod.now + hour).saturating_sub(1).max(HOUR);
                    let (currency, amounts) = (if currency { "USD" } else { "EUR" }, request(input, output));
                    pod.tally.add(key(pod.now, &user.to_string(), currency).borrowed(), &amounts);
                    *charged.entry(currency.to_owned()).or_default() += amounts.nano;
                    tokens += input + output;
                }
                Step::Report { pod, most, arrives } => {
                    let pod = &mut pods[pod];
                    let report = pod.tally.report(pod.acknowledged, most, usize::MAX);
                    sent.push((pod.incarnation.clone(), report.clone()));
                    if arrives {
                        books.take(&pod.incarnation, &report);
                        pod.acknowledged = report.version;
                    }
                }
                Step::Again { which } if !sent.is_empty() => {
                    let (incarnation, report) = which.get(&sent);
                    books.take(incarnation, report);
                }
                Step::Again { .. } => {}
                Step::Close { pod } => {
                    let pod = &mut pods[pod];
                    pod.tally.taken(pod.acknowledged, pod.now);
                }
                Step::Restart { pod } => {
                    pods[pod].tell(&mut books);
                    pods[pod] = Pod { now: pods[pod].now, ..Pod::new(pod, lives) };
                    lives += 1;
                }
                // A store that has little room keeps less detail and the same sums.
                Step::Store { most } => {
                    for book in books.0.values_mut() {
                        let bytes = book.encode(most);
                        prop_assert_eq!(&Book::decode(&bytes).unwrap(), &*book);
                    }
                }
            }
        }
        pods.iter_mut().for_each(|pod| pod.tell(&mut books));
        let fine = books.totals();
        books.0.values_mut().for_each(Book::fold);
        let totals = books.totals();
        prop_assert!(totals.keys().all(|key| key.hours == HOURS_A_DAY));
        prop_assert_eq!(nano(&fine), nano(&totals));
        charged.retain(|_, nano| *nano > 0);
        let mut exported = billed(&totals);
        exported.retain(|_, nano| *nano > 0);
        prop_assert_eq!(exported, charged);
        let counted = totals.values().flat_map(Amounts::used).filter(|(class, _)| *class != Class::Request);
        prop_assert_eq!(counted.map(|(_, sum)| sum.count).sum::<u64>(), tokens);
    }
}

#[test]
fn sessions_are_told_apart_while_there_is_room_and_are_the_first_to_become_one() {
    let in_session = |session: &str, user: &str| Key { session: session.to_owned(), ..key(HOUR, user, "USD") };
    let mut tally = Tally::new(8);
    let whole: Vec<_> =
        (0..6).map(|n| tally.add(in_session(&n.to_string(), "ann").borrowed(), &request(1, 1))).collect();
    assert_eq!(whole, [true, true, true, true, false, false]);
    assert!(tally.add(key(HOUR, "bob", "USD").borrowed(), &request(1, 1)), "users without sessions have more room");
    let report = tally.report(0, 100, usize::MAX);
    let sessions: Vec<_> = report.sums.iter().map(|(key, _)| (&*key.user, &*key.session)).collect();
    assert_eq!(sessions, [("ann", "0"), ("ann", "1"), ("ann", "2"), ("ann", "3"), ("ann", OTHER), ("bob", "")]);
    let mut books = Books::default();
    books.take("p", &report);
    let totals = books.totals();
    assert_eq!(totals.len(), 6, "they go over the wire");
    assert!(json(&totals, &account()).contains(r#""session":"0""#));
    let mut book = books.0.into_values().next().unwrap();
    book.fold();
    let bytes = book.encode(usize::MAX).len();
    let coarser = Book::decode(&book.encode(bytes - 1)).unwrap();
    let mut totals = BTreeMap::new();
    coarser.add_to(&mut totals);
    let users: Vec<_> = totals.into_keys().map(|key| (key.user, key.session)).collect();
    assert_eq!(users, [("ann", OTHER), ("bob", "")].map(|(user, session)| (user.to_owned(), session.to_owned())));
}
