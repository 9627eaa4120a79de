//! Whether to take, renew or leave the Lease: one pure function over what was read and when.
//!
//! Time is this process's own: a Lease has expired when it was seen unchanged for its whole duration,
//! whatever the clocks of other machines say.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use std::time::{Duration, Instant};

/// Annotation of the Lease: where its holder serves config.
pub(crate) const ADDRESS: &str = "weir.dev/leader-address";
/// How long a holder that falls silent keeps the Lease.
pub(crate) const LEASE_DURATION: Duration = Duration::from_secs(15);
/// How long a holder goes on after its last renewal; shorter, so that two never act at once.
pub(crate) const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Pause between two looks at the Lease.
pub(crate) const RETRY: Duration = Duration::from_secs(2);

/// A candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Me {
    /// Pod name and a nonce: a restarted container is another candidate.
    pub(crate) identity: String,
    /// Where it serves config.
    pub(crate) address: String,
}

/// The two clocks at one moment: `mono` decides, `wall` is only written down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) mono: Instant,
    pub(crate) wall: Timestamp,
}

/// A Lease and since when it has stood like this.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    pub(crate) lease: Lease,
    pub(crate) since: Instant,
}

impl Observed {
    /// Takes a reading; the moment moves only when the Lease was written in between.
    pub(crate) fn next(before: Option<Self>, lease: Lease, now: Instant) -> Self {
        let since = before
            .filter(|seen| seen.lease.metadata.resource_version == lease.metadata.resource_version)
            .map_or(now, |seen| seen.since);
        Self { lease, since }
    }
}

/// What a candidate is to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decision {
    /// Write this Lease; where that succeeds, lead with its epoch.
    Write(Box<Lease>),
    /// Another one leads, at this address; empty if it does not say.
    Wait(String),
}

/// Decides over the Lease as it was last read; `floor` is the highest epoch that any pod has seen.
pub(crate) fn decide(found: Option<&Observed>, me: &Me, floor: u64, now: Now) -> Decision {
    let write =
        |lease, transitions| Decision::Write(Box::new(written(lease, me, raised(transitions, floor), now.wall)));
    let Some(Observed { lease, since }) = found else { return write(Lease::default(), 0) };
    let spec = lease.spec.clone().unwrap_or_default();
    let transitions = spec.lease_transitions.unwrap_or(0);
    match spec.holder_identity.as_deref() {
        Some(holder) if holder == me.identity => write(lease.clone(), transitions),
        Some(holder) if !holder.is_empty() && now.mono < *since + duration(&spec) => {
            let annotations = lease.metadata.annotations.as_ref();
            Decision::Wait(annotations.and_then(|all| all.get(ADDRESS)).cloned().unwrap_or_default())
        }
        Some(_) | None => write(lease.clone(), transitions.saturating_add(1)),
    }
}

/// The Lease given up: the next candidate takes it at once.
pub(crate) fn released(mut lease: Lease) -> Lease {
    if let Some(annotations) = &mut lease.metadata.annotations {
        annotations.remove(ADDRESS);
    }
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = None;
    spec.lease_duration_seconds = Some(1);
    lease
}

/// The epoch of whoever holds that Lease: at least 1, and higher with each change of the holder.
pub(crate) fn epoch(lease: &Lease) -> u64 {
    epoch_of(lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(0))
}

fn epoch_of(transitions: i32) -> u64 {
    u64::from(transitions.unsigned_abs()).saturating_add(1)
}

/// A Lease made anew counts from 0 again; pods that saw a higher epoch would refuse its holder.
fn raised(transitions: i32, floor: u64) -> i32 {
    if epoch_of(transitions) < floor { i32::try_from(floor).unwrap_or(i32::MAX) } else { transitions }
}

fn duration(spec: &LeaseSpec) -> Duration {
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(LEASE_DURATION, Duration::from_secs)
}

fn written(mut lease: Lease, me: &Me, transitions: i32, wall: Timestamp) -> Lease {
    lease.metadata.annotations.get_or_insert_default().insert(ADDRESS.to_owned(), me.address.clone());
    let spec = lease.spec.get_or_insert_default();
    if spec.holder_identity.as_deref() != Some(me.identity.as_str()) {
        spec.acquire_time = Some(MicroTime(wall));
    }
    spec.holder_identity = Some(me.identity.clone());
    spec.lease_duration_seconds = i32::try_from(LEASE_DURATION.as_secs()).ok();
    spec.lease_transitions = Some(transitions);
    spec.renew_time = Some(MicroTime(wall));
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me(name: &str) -> Me {
        Me { identity: format!("{name}_1"), address: format!("{name}:8443") }
    }

    fn at(start: Instant, seconds: u64) -> Now {
        Now { mono: start + Duration::from_secs(seconds), wall: Timestamp::UNIX_EPOCH }
    }

    fn take(found: Option<&Observed>, who: &str, floor: u64, now: Now) -> Lease {
        match decide(found, &me(who), floor, now) {
            Decision::Write(lease) => *lease,
            Decision::Wait(address) => panic!("{who} waits for {address}"),
        }
    }

    fn versioned(mut lease: Lease, version: &str) -> Lease {
        lease.metadata.resource_version = Some(version.to_owned());
        lease
    }

    #[test]
    fn the_first_takes_it_and_the_second_waits_until_it_was_silent_for_the_whole_duration() {
        let start = Instant::now();
        let lease = versioned(take(None, "a", 0, at(start, 0)), "1");
        assert_eq!(epoch(&lease), 1);
        let seen = Observed::next(None, lease, start);
        assert_eq!(decide(Some(&seen), &me("b"), 0, at(start, 14)), Decision::Wait("a:8443".to_owned()));
        let renewed = versioned(take(Some(&seen), "a", 0, at(start, 14)), "2");
        assert_eq!(epoch(&renewed), 1);
        let seen = Observed::next(Some(seen), renewed, start + Duration::from_secs(14));
        assert!(matches!(decide(Some(&seen), &me("b"), 0, at(start, 28)), Decision::Wait(_)));
        assert_eq!(epoch(&take(Some(&seen), "b", 0, at(start, 29))), 2);
    }

    #[test]
    fn reading_an_unchanged_lease_again_does_not_prolong_it() {
        let start = Instant::now();
        let lease = versioned(take(None, "a", 0, at(start, 0)), "1");
        let seen = Observed::next(None, lease.clone(), start);
        let again = Observed::next(Some(seen), lease, start + Duration::from_secs(10));
        assert_eq!(again.since, start);
    }

    #[test]
    fn a_released_lease_is_taken_at_once_under_a_higher_epoch() {
        let start = Instant::now();
        let lease = versioned(released(take(None, "a", 0, at(start, 0))), "2");
        assert_eq!(lease.metadata.annotations.as_ref().and_then(|all| all.get(ADDRESS)), None);
        let seen = Observed::next(None, lease, start);
        assert_eq!(epoch(&take(Some(&seen), "b", 0, at(start, 0))), 2);
    }

    #[test]
    fn a_deleted_lease_does_not_lower_the_epoch_below_what_pods_saw() {
        let start = Instant::now();
        let lease = take(None, "a", 0, at(start, 0));
        let seen = Observed::next(None, lease, start);
        assert_eq!(epoch(&take(Some(&seen), "a", 41, at(start, 2))), 42);
        assert_eq!(epoch(&take(None, "a", u64::MAX, at(start, 2))), 1 + u64::from(i32::MAX.unsigned_abs()));
    }

    #[test]
    fn a_restarted_container_is_not_the_holder() {
        let start = Instant::now();
        let seen = Observed::next(None, take(None, "a", 0, at(start, 0)), start);
        let restarted = Me { identity: "a_2".to_owned(), address: "a:8443".to_owned() };
        assert!(matches!(decide(Some(&seen), &restarted, 0, at(start, 1)), Decision::Wait(_)));
    }
}
