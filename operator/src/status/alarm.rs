//! What is told of a Budget when its spending reaches a threshold, each once a window. Pure.
//!
//! What the stored status shows was told by whoever wrote it, so that a new leader repeats nothing.

use super::spending::{Spent, SpentOfLimit, SpentOfPartition, decimal};
use crate::webhook::Message;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use weir_compile::{Alarm, Webhook};
use weir_crds::BudgetStatus;
use weir_snapshot::{Digest, Name, Settings};

/// In a window without an end a threshold is told of again once usage was so far below it, in percent of it.
const REARMED: u64 = 90;

/// What was told, by Budget.
#[derive(Default)]
pub(crate) struct Told(BTreeMap<Name, OfBudget>);

/// What was told of one Budget in its open window.
struct OfBudget {
    starts: Option<i64>,
    /// Partition and percent.
    told: BTreeSet<(String, u32)>,
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crossing {
    /// Percent of the threshold.
    pub(crate) percent: u32,
    /// Whose limit it is; empty without partitions.
    pub(crate) partition: String,
    /// How it stands.
    pub(crate) limit: SpentOfLimit,
    /// Begin and end of the window, in Unix seconds.
    pub(crate) window: (Option<i64>, Option<i64>),
}

impl Crossing {
    /// For people.
    pub(crate) fn note(&self) -> String {
        let SpentOfLimit { unit, limit, spent, .. } = &self.limit;
        let (spent, limit) = (decimal(*unit, *spent, 0), decimal(*unit, *limit, 0));
        let whose = if self.partition.is_empty() { String::new() } else { format!(" by {}", self.partition) };
        format!("{spent} of {limit} {} is spent{whose}, {}% of the limit", unit.as_str(), self.limit.percent())
    }

    /// For programs.
    pub(crate) fn message(
        &self,
        name: &Name,
        about: ObjectReference,
        to: Webhook,
        rules: Settings,
        now: Timestamp,
    ) -> Message {
        let Self { percent, partition, limit: SpentOfLimit { unit, limit, spent, .. }, window } = self;
        let (starts, ends) = *window;
        let time =
            |seconds: Option<i64>| seconds.and_then(|at| Timestamp::from_second(at).ok()).map(|at| at.to_string());
        // A window without a begin is crossed more than once.
        let id = format!("{name}\n{}\n{percent}\n{partition}", starts.unwrap_or_else(|| now.as_second()));
        let body = json!({
            "type": "budget.threshold",
            "timestamp": now.to_string(),
            "data": {
                "namespace": name.namespace,
                "name": name.name,
                "percent": percent,
                "partition": (!partition.is_empty()).then_some(partition),
                "unit": unit.as_str(),
                "limit": decimal(*unit, *limit, 0),
                "spent": decimal(*unit, *spent, 0),
                "usedPercent": self.limit.percent(),
                "periodStart": time(starts),
                "periodEnd": time(ends),
            },
        });
        let id = format!("msg_{}", Digest::of(id.as_bytes()));
        Message { about, id, body: body.to_string(), to, rules }
    }
}

impl Told {
    /// What is to be told of a Budget now, and from now on counts as told.
    pub(crate) fn crossings(
        &mut self,
        name: &Name,
        stored: Option<&BudgetStatus>,
        alarms: &[Alarm],
        spent: &Spent,
    ) -> Vec<Crossing> {
        let percents: BTreeSet<u32> = alarms.iter().map(|alarm| alarm.percent).collect();
        let shown = || OfBudget { starts: spent.starts, told: shown(stored, &percents, spent) };
        let held = self.0.entry(name.clone()).or_insert_with(shown);
        if held.starts != spent.starts {
            *held = OfBudget { starts: spent.starts, told: BTreeSet::new() };
        }
        let mut crossings = Vec::new();
        for SpentOfPartition { partition, limit } in pots(spent) {
            for percent in &percents {
                let (key, used) = ((partition.clone(), *percent), limit.percent());
                if used >= u64::from(*percent) {
                    if held.told.insert(key) {
                        let (limit, window) = (limit.clone(), (spent.starts, spent.ends));
                        crossings.push(Crossing { percent: *percent, partition: partition.clone(), limit, window });
                    }
                } else if used.saturating_mul(100) < u64::from(*percent).saturating_mul(REARMED) {
                    held.told.remove(&key);
                }
            }
        }
        crossings
    }

    /// Forgets Budgets that are gone.
    pub(crate) fn keep(&mut self, exists: impl Fn(&Name) -> bool) {
        self.0.retain(|name, _| exists(name));
    }
}

/// The pots that the ledger shows: the most used partitions, or the only one.
fn pots(spent: &Spent) -> Vec<SpentOfPartition> {
    if !spent.top.is_empty() {
        return spent.top.clone();
    }
    let most = super::budget::most_used(spent).cloned();
    most.map(|limit| SpentOfPartition { partition: String::new(), limit }).into_iter().collect()
}

/// What the stored status shows to have been told, if it is of the same window.
fn shown(stored: Option<&BudgetStatus>, percents: &BTreeSet<u32>, spent: &Spent) -> BTreeSet<(String, u32)> {
    let Some(stored) = stored else { return BTreeSet::new() };
    if stored.period_start.as_ref().map(|time| time.0.as_second()) != spent.starts {
        return BTreeSet::new();
    }
    let whole = stored.top_partitions.is_empty().then_some((String::new(), stored.used_percent.unwrap_or(0)));
    let partitions = stored.top_partitions.iter().map(|held| (held.partition.clone(), held.used_percent));
    let reached = partitions.chain(whole).flat_map(|(partition, used)| {
        let told = percents.iter().filter(move |percent| used >= i64::from(**percent));
        told.map(move |percent| (partition.clone(), *percent))
    });
    reached.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_snapshot::{Secret, Unit};

    fn alarms() -> Vec<Alarm> {
        [50, 80].map(|percent| Alarm { percent, event: true, webhook: None }).to_vec()
    }

    fn limit(spent: u64) -> SpentOfLimit {
        SpentOfLimit { unit: Unit::Requests, limit: 100, spent, reserved: 0, unaccounted: 0 }
    }

    fn spent(amount: u64, starts: Option<i64>) -> Spent {
        Spent { limits: vec![limit(amount)], starts, ..Spent::default() }
    }

    fn percents(told: &mut Told, stored: Option<&BudgetStatus>, spent: &Spent) -> Vec<u32> {
        let crossings = told.crossings(&Name::new("ns", "b"), stored, &alarms(), spent);
        crossings.iter().map(|crossing| crossing.percent).collect()
    }

    #[test]
    fn each_threshold_is_told_once_a_window() {
        let mut told = Told::default();
        let empty: [u32; 0] = [];
        assert_eq!(percents(&mut told, None, &spent(49, Some(0))), empty);
        assert_eq!(percents(&mut told, None, &spent(85, Some(0))), [50, 80]);
        assert_eq!(percents(&mut told, None, &spent(120, Some(0))), empty);
        assert_eq!(percents(&mut told, None, &spent(60, Some(9))), [50], "the next window tells anew");
    }

    #[test]
    fn in_a_rolling_window_usage_must_fall_clearly_before_it_is_told_again() {
        let mut told = Told::default();
        assert_eq!(percents(&mut told, None, &spent(80, None)), [50, 80]);
        assert!(percents(&mut told, None, &spent(79, None)).is_empty());
        assert!(percents(&mut told, None, &spent(80, None)).is_empty(), "it only wavers");
        assert!(percents(&mut told, None, &spent(71, None)).is_empty());
        assert_eq!(percents(&mut told, None, &spent(80, None)), [80]);
    }

    #[test]
    fn a_new_leader_repeats_nothing_that_status_shows() {
        let stored = BudgetStatus { used_percent: Some(60), ..BudgetStatus::default() };
        assert_eq!(percents(&mut Told::default(), Some(&stored), &spent(85, None)), [80]);
        assert_eq!(percents(&mut Told::default(), Some(&stored), &spent(85, Some(0))), [50, 80], "of another window");
    }

    #[test]
    fn a_webhook_has_the_same_id_whoever_sends_it_and_another_in_the_next_window() {
        let crossing = |starts| Told::default().crossings(&Name::new("ns", "b"), None, &alarms(), &spent(50, starts));
        let message = |starts, now| {
            let to = Webhook { url: Secret::new(String::new()), signing_key: Secret::new(String::new()) };
            let now = Timestamp::from_second(now).unwrap();
            crossing(starts)[0].message(&Name::new("ns", "b"), ObjectReference::default(), to, Settings::default(), now)
        };
        assert_eq!(message(Some(0), 5).id, message(Some(0), 6).id);
        assert_ne!(message(Some(0), 5).id, message(Some(9), 5).id);
        let body: serde_json::Value = serde_json::from_str(&message(Some(0), 5).body).unwrap();
        assert_eq!(body["type"], "budget.threshold");
        assert_eq!(body["data"]["spent"], "50");
        assert_eq!(body["data"]["periodStart"], "1970-01-01T00:00:00Z");
        assert_eq!(body["data"]["partition"], serde_json::Value::Null);
    }

    #[test]
    fn each_partition_tells_for_itself() {
        let pot = |partition: &str, amount| SpentOfPartition { partition: partition.to_owned(), limit: limit(amount) };
        let spent = Spent { top: vec![pot("ada", 81), pot("bob", 55)], ..spent(81, Some(0)) };
        let crossings = Told::default().crossings(&Name::new("ns", "b"), None, &alarms(), &spent);
        let told: Vec<_> = crossings.iter().map(|held| (held.partition.as_str(), held.percent)).collect();
        assert_eq!(told, [("ada", 50), ("ada", 80), ("bob", 50)]);
        assert_eq!(crossings[2].note(), "55 of 100 Requests is spent by bob, 55% of the limit");
    }
}
