//! Whether a status must be written, and how soon. Pure.
//!
//! What changes the state of an object is written at once; what only changes words or counts waits.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use weir_compile::ObjectId;

/// Words may change that often.
const TEXT: Duration = Duration::from_secs(10);
/// Counts of pods may change that often.
const COUNTS: Duration = Duration::from_secs(30);
/// Writes and reads over all objects.
const PER_SECOND: u32 = 20;
/// How long the echo of a write is awaited before it is written again.
const ECHO: Duration = Duration::from_secs(5);

/// How far a status differs from what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// A condition's status or reason, the generation, or how a Budget stands.
    State,
    /// Anything else.
    Text,
    /// The number of pods.
    Counts,
}

/// Compares; `None` = equal.
pub(crate) fn change(stored: &Value, new: &Value) -> Option<Change> {
    if stored == new {
        return None;
    }
    if state(stored) != state(new) {
        return Some(Change::State);
    }
    Some(if without_counts(stored) == without_counts(new) { Change::Counts } else { Change::Text })
}

/// Fields that are state as a whole.
const STATE: [&str; 5] = ["observedGeneration", "state", "mode", "thresholdsReached", "periodStart"];

/// What of a status is state.
#[derive(PartialEq)]
struct State<'a> {
    fields: [Option<&'a Value>; STATE.len()],
    /// Status and reason by type.
    conditions: BTreeMap<&'a str, (&'a Value, &'a Value)>,
}

fn state(status: &Value) -> State<'_> {
    let conditions = status.get("conditions").and_then(Value::as_array).into_iter().flatten();
    State { fields: STATE.map(|field| status.get(field)), conditions: conditions.filter_map(entry_of).collect() }
}

fn entry_of(condition: &Value) -> Option<(&str, (&Value, &Value))> {
    Some((condition.get("type")?.as_str()?, (condition.get("status")?, condition.get("reason")?)))
}

fn without_counts(status: &Value) -> Value {
    let mut status = status.clone();
    if let Some(fields) = status.as_object_mut() {
        fields.remove("programmed");
    }
    for condition in status.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        let counts = matches!(
            condition.get("reason").and_then(Value::as_str),
            Some("Programmed" | "PodLagging" | "Enforcing" | "NotProgrammed")
        );
        if let Some(fields) = condition.as_object_mut().filter(|_| counts) {
            fields.remove("message");
        }
    }
    status
}

/// When each object and namespace was written last, and how many writes are left for now.
pub(crate) struct Pace {
    written: BTreeMap<ObjectId, (Instant, String)>,
    served: BTreeMap<String, Instant>,
    tokens: u32,
    refilled: Instant,
}

impl Pace {
    /// Nothing was written yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self { written: BTreeMap::new(), served: BTreeMap::new(), tokens: PER_SECOND, refilled: now }
    }

    /// Brings what is to be done into the order in which namespaces take turns: first one of each, the one that was
    /// served the longest ago before the others, then a second of each. Of one turn what changes state comes first; within
    /// a namespace too, and there what was written the longest ago.
    pub(crate) fn order<T>(&self, work: Vec<T>, of: impl Fn(&T) -> (&ObjectId, Change)) -> Vec<T> {
        let mut by_namespace: BTreeMap<String, Vec<T>> = BTreeMap::new();
        for work in work {
            let namespace = of(&work).0.name.namespace.clone();
            by_namespace.entry(namespace).or_default().push(work);
        }
        let mut turns = Vec::new();
        for (namespace, mut work) in by_namespace {
            work.sort_by_key(|work| {
                let (id, change) = of(work);
                (change, self.written.get(id).map(|(at, _)| *at))
            });
            let served = self.served.get(&namespace).copied();
            turns.extend(work.into_iter().enumerate().map(|(turn, work)| ((turn, of(&work).1, served), work)));
        }
        turns.sort_by_key(|(key, _)| *key);
        turns.into_iter().map(|(_, work)| work).collect()
    }

    /// From when on an object may be written whose stored version is `version`.
    pub(crate) fn due(&self, id: &ObjectId, version: &str, change: Change, now: Instant) -> Instant {
        let Some((last, on)) = self.written.get(id) else { return now };
        let wait = match change {
            Change::State => Duration::ZERO,
            Change::Text => TEXT,
            Change::Counts => COUNTS,
        };
        let echo = if on == version { ECHO } else { Duration::ZERO };
        *last + wait.max(echo)
    }

    /// Takes one of the writes of this second for an object of that namespace; says when there will be one otherwise.
    pub(crate) fn take(&mut self, namespace: &str, now: Instant) -> Result<(), Instant> {
        let second = Duration::from_secs(1);
        if now.saturating_duration_since(self.refilled) >= second {
            (self.tokens, self.refilled) = (PER_SECOND, now);
        }
        self.tokens = self.tokens.checked_sub(1).ok_or(self.refilled + second)?;
        self.served.insert(namespace.to_owned(), now);
        Ok(())
    }

    /// Notes a write over the stored version `version`.
    pub(crate) fn wrote(&mut self, id: ObjectId, version: String, now: Instant) {
        self.written.insert(id, (now, version));
    }

    /// Forgets objects that are gone.
    pub(crate) fn keep(&mut self, exists: impl Fn(&ObjectId) -> bool) {
        self.written.retain(|id, _| exists(id));
        let namespaces: BTreeSet<&str> = self.written.keys().map(|id| id.name.namespace.as_str()).collect();
        self.served.retain(|namespace, _| namespaces.contains(namespace.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use weir_compile::ObjectKind;
    use weir_snapshot::Name;

    fn status(generation: i64, status: &str, reason: &str, message: &str, pods: &str) -> Value {
        json!({"observedGeneration": generation, "programmed": pods,
            "conditions": [{"type": "Programmed", "status": status, "reason": reason, "message": message}]})
    }

    #[test]
    fn state_comes_before_words_and_words_before_counts() {
        let stored = status(1, "True", "Programmed", "2/2 pods", "2/2");
        assert_eq!(change(&stored, &stored), None);
        assert_eq!(change(&stored, &status(1, "True", "Programmed", "3/3 pods", "3/3")), Some(Change::Counts));
        assert_eq!(change(&stored, &status(1, "False", "PodLagging", "1/2 pods", "1/2")), Some(Change::State));
        assert_eq!(change(&stored, &status(2, "True", "Programmed", "2/2 pods", "2/2")), Some(Change::State));
        let mut routes = stored.clone();
        routes["routesTotal"] = json!(3);
        assert_eq!(change(&stored, &routes), Some(Change::Text));
        assert_eq!(change(&Value::Null, &stored), Some(Change::State));
        let spent = |spent: &str, state: &str, reached: Value| {
            let mut status = stored.clone();
            (status["spent"], status["state"], status["thresholdsReached"]) = (json!(spent), json!(state), reached);
            status
        };
        let before = spent("1", "OK", json!([]));
        assert_eq!(change(&before, &spent("2", "OK", json!([]))), Some(Change::Text), "spending alone waits");
        assert_eq!(change(&before, &spent("9", "Warning", json!([80]))), Some(Change::State));
        assert_eq!(
            change(&spent("8", "Warning", json!([80])), &spent("9", "Warning", json!([80, 90]))),
            Some(Change::State)
        );
    }

    #[test]
    fn an_object_is_written_at_once_for_its_state_and_seldom_for_the_rest() {
        let start = Instant::now();
        let id = ObjectId { kind: ObjectKind::Provider, name: Name::new("ns", "p") };
        let mut pace = Pace::new(start);
        assert_eq!(pace.due(&id, "1", Change::Counts, start), start);
        pace.wrote(id.clone(), "1".to_owned(), start);
        assert_eq!(pace.due(&id, "2", Change::State, start), start);
        assert_eq!(pace.due(&id, "2", Change::Text, start), start + TEXT);
        assert_eq!(pace.due(&id, "2", Change::Counts, start), start + COUNTS);
        assert_eq!(pace.due(&id, "1", Change::State, start), start + ECHO, "the cache still shows what was before");
    }

    #[test]
    fn no_more_than_twenty_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let taken = (0..3000).filter(|ms| pace.take("ns", start + Duration::from_millis(*ms)).is_ok()).count();
        assert_eq!(taken, 60);
    }

    #[test]
    fn namespaces_take_turns_whoever_has_much_to_write() {
        let start = Instant::now();
        let id =
            |namespace: &str, name: &str| ObjectId { kind: ObjectKind::Provider, name: Name::new(namespace, name) };
        let mut pace = Pace::new(start);
        let busy: Vec<_> = (0..60).map(|n| (id("busy", &format!("p-{n:02}")), Change::State)).collect();
        let (mut written, mut quiet_after) = (BTreeMap::new(), None);
        for second in 0..10 {
            let now = start + Duration::from_secs(second);
            let mut work = busy.clone();
            work.extend((second == 3).then(|| (id("quiet", "route"), Change::State)));
            work.extend((second == 3).then(|| (id("counted", "budget"), Change::Text)));
            let mut taken = 0;
            for (id, _) in pace.order(work, |(id, change)| (id, *change)) {
                if pace.take(&id.name.namespace, now).is_err() {
                    break;
                }
                taken += 1;
                if id.name.namespace != "busy" {
                    quiet_after = Some(taken);
                }
                *written.entry(id.name.name.clone()).or_insert(0) += 1;
                pace.wrote(id, String::new(), now);
            }
            assert_eq!(taken, PER_SECOND);
        }
        assert_eq!(quiet_after, Some(3), "both were written within one turn");
        assert_eq!(written.len(), 62);
        assert!(
            written.values().all(|count| *count <= 4),
            "no object of a busy namespace starves another: {written:?}"
        );
    }
}
