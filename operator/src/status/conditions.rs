//! Conditions: what was found, made into what stands in status. Pure.
//!
//! Of what was stored only the time of the last transition is taken over.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use weir_compile::Verdict;

/// Longest message that the API server takes is 32 KiB; nobody reads that much.
const MESSAGE_BYTES: usize = 2048;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) type_: &'static str,
    /// `None` = not known.
    pub(crate) status: Option<bool>,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Finding {
    /// Puts the parts together.
    pub(crate) fn new(
        type_: &'static str,
        status: Option<bool>,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { type_, status, reason: reason.into(), message: message.into() }
    }
}

/// What compile found.
pub(crate) fn compiled(verdict: &Verdict) -> Vec<Finding> {
    let finding = |c: &weir_compile::Condition| Finding::new(c.type_, Some(c.status), c.reason, c.message.clone());
    verdict.conditions.iter().map(finding).collect()
}

/// `Ready`, and `Stalled` where only an edit helps, from what else was found.
pub(crate) fn summary(findings: &[Finding]) -> Vec<Finding> {
    let good = |finding: &&Finding| match finding.type_ {
        // Traffic flows to the targets that are good.
        "ResolvedRefs" => finding.status == Some(true) || finding.reason == "PartiallyResolved",
        "Conflicted" => finding.status == Some(false),
        "Accepted" | "Programmed" => finding.status == Some(true),
        // That the ledger recovers blocks no rollout either.
        "Enforcing" => finding.reason != "NotProgrammed",
        // A provider's outage blocks no rollout.
        _ => true,
    };
    let Some(bad) = findings.iter().find(|finding| !good(finding)) else {
        return vec![Finding::new("Ready", Some(true), "Ready", "serves on every ready pod")];
    };
    let ready = Finding::new("Ready", Some(false), bad.reason.clone(), bad.message.clone());
    let refused = bad.type_ == "Accepted";
    let stalled = refused.then(|| Finding::new("Stalled", Some(true), bad.reason.clone(), bad.message.clone()));
    [ready].into_iter().chain(stalled).collect()
}

/// The conditions of status at `now`.
pub(crate) fn conditions(
    findings: Vec<Finding>,
    stored: &[Condition],
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |finding: Finding| {
        let Finding { type_, status, reason, mut message } = finding;
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
        let status = match status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        let before = stored.iter().find(|before| before.type_ == type_ && before.status == status);
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason,
            message,
            observed_generation: Some(generation),
            last_transition_time: before.map_or(Time(now), |before| before.last_transition_time.clone()),
        }
    };
    findings.into_iter().map(condition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(type_: &'static str, status: bool) -> Finding {
        Finding::new(type_, Some(status), format!("{type_}Reason"), "why")
    }

    #[test]
    fn ready_names_the_first_that_is_not_and_health_does_not_count() {
        let all = [finding("Accepted", true), finding("ResolvedRefs", true), finding("Programmed", true)];
        let with = |other: Finding| all.iter().cloned().chain([other]).collect::<Vec<_>>();
        assert_eq!(summary(&with(finding("Healthy", false)))[0].status, Some(true));
        let conflicted = summary(&with(finding("Conflicted", true)));
        assert_eq!((conflicted[0].status, conflicted[0].reason.as_str()), (Some(false), "ConflictedReason"));
        assert_eq!(conflicted.len(), 1, "the other route may go, so nothing stalls");
    }

    #[test]
    fn a_refusal_that_only_an_edit_ends_stalls() {
        let types: Vec<_> = summary(&[finding("Accepted", false)]).iter().map(|f| f.type_).collect();
        assert_eq!(types, ["Ready", "Stalled"]);
    }

    #[test]
    fn partly_resolved_is_ready() {
        let partly = Finding::new("ResolvedRefs", Some(false), "PartiallyResolved", "one target is bad");
        assert_eq!(summary(&[partly])[0].status, Some(true));
    }

    #[test]
    fn the_time_moves_only_with_the_status() {
        let (then, now) = (Timestamp::from_second(1).unwrap(), Timestamp::from_second(2).unwrap());
        let stored = conditions(vec![finding("Accepted", true)], &[], 1, then);
        let same = conditions(vec![Finding::new("Accepted", Some(true), "Other", "text")], &stored, 2, now);
        assert_eq!(same[0].last_transition_time, Time(then));
        let other = conditions(vec![finding("Accepted", false)], &stored, 2, now);
        assert_eq!(other[0].last_transition_time, Time(now));
    }
}
