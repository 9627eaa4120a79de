//! What this process's requests cost, by hour and by who asked, until the ledger's leader has stored it.

use crate::clock::unix;
use crate::record::Record;
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use weir_costs::{Amounts, Class, KeyRef, Tally};
use weir_dialect::Usage;
use weir_policy::{Caller, Parts, cost, parts};
use weir_snapshot::ledger::CostReport;
use weir_snapshot::{Name, Quote};

/// How many sums are held at once.
const MOST: usize = 2_000;
/// How many go into one report.
const REPORTED: usize = 1_000;
/// And how many bytes: names that callers choose may be of a kilobyte each.
const REPORTED_BYTES: usize = 4 * weir_lease::PART_BYTES;
const SECONDS_AN_HOUR: u64 = 3_600;

/// The sums of this start of the process.
pub(crate) struct Costs {
    start: String,
    tally: Mutex<Tally>,
    /// The last report that is stored.
    stored: AtomicU64,
    told: Notify,
}

impl Costs {
    pub(crate) fn new() -> Self {
        let start = format!("{:032x}", fastrand::u128(..));
        Self { start, tally: Mutex::new(Tally::new(MOST)), stored: AtomicU64::new(0), told: Notify::new() }
    }

    /// Adds an answered request; false if it is summed under fewer names than it has.
    pub(crate) fn add(&self, record: &Record, usage: &Usage, quote: Option<Quote<'_>>) -> bool {
        static NONE: LazyLock<Name> = LazyLock::new(|| Name::new("", ""));
        let Record { caller, route, provider, .. } = record;
        let of_caller =
            |fact: fn(&Caller) -> Option<&String>| caller.as_deref().and_then(fact).map_or("", String::as_str);
        let key = KeyRef {
            hour: hour(),
            hours: 1,
            currency: quote.map_or("", |quote| quote.pricing.currency.as_str()),
            namespace: of_caller(|caller| Some(&caller.namespace)),
            user: &caller.as_deref().map(user).unwrap_or_default(),
            team: of_caller(|caller| caller.team.as_ref()),
            project: of_caller(|caller| caller.project.as_ref()),
            cost_center: of_caller(|caller| caller.cost_center.as_ref()),
            session: of_caller(|caller| caller.session.as_ref()),
            agent: of_caller(|caller| caller.agent.as_ref()),
            route: route.as_ref().map_or(&NONE, |route| &route.id),
            provider: provider.as_ref().map_or(&NONE, |provider| &provider.id),
            provider_type: provider.as_ref().map_or("", |provider| provider.data.provider_type.as_str()),
            model: record.upstream_model.as_deref().unwrap_or_default(),
        };
        self.tally().add(key, &amounts(usage, quote))
    }

    /// What is not stored yet, if anything is not; `last` where nothing follows.
    pub(crate) fn report(&self, last: bool) -> Option<CostReport> {
        let report = self.tally().report(self.stored.load(Ordering::Relaxed), REPORTED, REPORTED_BYTES);
        (!report.sums.is_empty()).then(|| CostReport { last, ..report.to_wire(&self.start) })
    }

    /// The leader has stored the report of that version.
    pub(crate) fn stored(&self, version: u64) {
        self.stored.fetch_max(version, Ordering::Relaxed);
        self.tally().taken(version, hour());
        self.told.notify_waiters();
    }

    /// Waits for the leader's next word that something is stored, also one that comes before this is awaited.
    pub(crate) fn word(&self) -> Notified<'_> {
        self.told.notified()
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who has no user has a credential with a name.
fn user(caller: &Caller) -> Cow<'_, str> {
    match &caller.user {
        Some(user) => user.into(),
        None if caller.name.is_empty() => "".into(),
        None => [caller.kind.as_str(), ":", &caller.namespace, "/", &caller.name].concat().into(),
    }
}

fn amounts(usage: &Usage, quote: Option<Quote<'_>>) -> Amounts {
    let priced = quote.map(|quote| (parts(usage, quote), cost(usage, quote).nano()));
    let (Parts { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, request }, nano) =
        priced.unwrap_or_default();
    Amounts { unpriced: u64::from(quote.is_none()), nano, ..Amounts::default() }
        .with(Class::Input, usage.input, input)
        .with(Class::CacheRead, usage.cache_read, cache_read)
        .with(Class::CacheWrite5m, usage.cache_write_5m, cache_write_5m)
        .with(Class::CacheWrite1h, usage.cache_write_1h, cache_write_1h)
        .with(Class::Output, usage.output, output)
        .with(Class::Reasoning, usage.reasoning, reasoning)
        .with(Class::Request, 1, request)
}

/// Since the Unix epoch.
fn hour() -> u64 {
    unix().as_secs() / SECONDS_AN_HOUR
}
