//! What a pod says in several messages where one would be too large.

use weir_snapshot::Message;
use weir_snapshot::envelope::{Ack, Held, Hello, Observed, ProviderState, Rejected};

/// Largest part. Both ends take messages of 4 MiB, as the release before did; what it took in one goes in one still.
const PART_BYTES: usize = 3 * 1024 * 1024;
/// Tag and length of an entry.
const ENTRY_BYTES: usize = 8;

/// The first message and those that go on with what is held.
pub(super) fn hellos(first: Hello, held: Vec<Held>) -> impl Iterator<Item = Hello> {
    let mut first = Some(first);
    cut(held, PART_BYTES).into_iter().map(move |(held, more)| Hello { held, more, ..first.take().unwrap_or_default() })
}

/// What became of a commit.
pub(super) fn acks(revision: u64, rejected: Vec<Rejected>) -> impl Iterator<Item = Ack> {
    cut(rejected, PART_BYTES).into_iter().map(move |(rejected, more)| Ack { revision, rejected, more })
}

/// What was seen of providers.
pub(super) fn observed(providers: Vec<ProviderState>) -> impl Iterator<Item = Observed> {
    cut(providers, PART_BYTES).into_iter().map(|(providers, more)| Observed { providers, more })
}

/// Parts of at most so many bytes, or of one entry, and whether another one follows; one at least.
fn cut<T: Message>(entries: Vec<T>, most: usize) -> Vec<(Vec<T>, bool)> {
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    for entry in entries {
        let size = entry.encoded_len() + ENTRY_BYTES;
        if bytes + size > most && !part.is_empty() {
            parts.push((std::mem::take(&mut part), true));
            bytes = 0;
        }
        bytes += size;
        part.push(entry);
    }
    parts.push((part, false));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(n: usize) -> Held {
        Held { kind: "Route".into(), namespace: "team".into(), name: format!("r-{n:05}"), digest: "0".repeat(64) }
    }

    #[test]
    fn what_fits_goes_in_one_message_and_the_rest_in_further_ones_in_order() {
        let all = |count: usize| (0..count).map(held).collect::<Vec<_>>();
        let first = || Hello { token: "t".into(), ..Hello::default() };
        assert_eq!(hellos(first(), vec![]).collect::<Vec<_>>(), [first()]);
        assert_eq!(hellos(first(), all(10)).count(), 1);
        let many: Vec<_> = hellos(first(), all(100_000)).collect();
        assert!(many.len() > 2 && many.iter().all(|hello| hello.encoded_len() < PART_BYTES + 1_024));
        assert_eq!(many.iter().map(|hello| hello.more).filter(|more| !more).count(), 1);
        assert!(!many.last().unwrap().more);
        assert_eq!(many.iter().map(|hello| hello.token.as_str()).collect::<String>(), "t");
        assert_eq!(many.into_iter().flat_map(|hello| hello.held).collect::<Vec<_>>(), all(100_000));
    }

    #[test]
    fn an_entry_that_is_larger_than_a_part_goes_alone() {
        let parts: Vec<_> = cut(vec![held(1), held(2), held(3)], 10).into_iter().map(|(part, _)| part.len()).collect();
        assert_eq!(parts, [1, 1, 1]);
    }
}
