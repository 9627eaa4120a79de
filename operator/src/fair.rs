//! A bounded queue in which namespaces take turns, so that none fills it or holds the others up.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What waits, by namespace.
pub(crate) struct Fair<T> {
    waiting: Mutex<Waiting<T>>,
    news: Notify,
    most: usize,
}

struct Waiting<T> {
    by_namespace: BTreeMap<String, VecDeque<T>>,
    count: usize,
    /// Whose turn it was last.
    last: String,
}

impl<T> Fair<T> {
    /// For up to `most` in all; a namespace has as many as it leaves free at most.
    pub(crate) fn new(most: usize) -> Self {
        let waiting = Waiting { by_namespace: BTreeMap::new(), count: 0, last: String::new() };
        Self { waiting: Mutex::new(waiting), news: Notify::new(), most }
    }

    /// Adds one, unless there is no room for it; false then.
    pub(crate) fn push(&self, namespace: &str, one: T) -> bool {
        {
            let mut waiting = self.waiting();
            let held = waiting.by_namespace.get(namespace).map_or(0, VecDeque::len);
            if held >= self.most.saturating_sub(waiting.count) {
                return false;
            }
            waiting.by_namespace.entry(namespace.to_owned()).or_default().push_back(one);
            waiting.count += 1;
        }
        self.news.notify_one();
        true
    }

    /// Waits for one whose namespace `may` have its turn; of those it is the next after the last.
    pub(crate) async fn pop(&self, may: impl Fn(&str) -> bool) -> T {
        loop {
            let news = self.news.notified();
            if let Some(one) = self.waiting().pop(&may) {
                return one;
            }
            news.await;
        }
    }

    /// Something may have its turn now that might not before.
    pub(crate) fn look_again(&self) {
        self.news.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Waiting<T> {
    fn pop(&mut self, may: &impl Fn(&str) -> bool) -> Option<T> {
        let after = self.by_namespace.range::<str, _>((Bound::Excluded(self.last.as_str()), Bound::Unbounded));
        let next = after.chain(&self.by_namespace).map(|(namespace, _)| namespace).find(|namespace| may(namespace));
        self.last = next?.clone();
        let queue = self.by_namespace.get_mut(&self.last)?;
        let one = queue.pop_front()?;
        if queue.is_empty() {
            self.by_namespace.remove(&self.last);
        }
        self.count -= 1;
        Some(one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_namespace_that_fills_the_queue_leaves_room_and_turns_to_others() {
        let queue = Fair::new(100);
        let pushed = (0..1_000).filter(|n| queue.push("busy", *n)).count();
        assert_eq!(pushed, 50);
        assert!(queue.push("quiet", 7) && queue.push("silent", 8));
        let mut first = Vec::new();
        for _ in 0..3 {
            first.push(queue.pop(|_| true).await);
        }
        assert_eq!(first, [0, 7, 8]);
        for _ in 0..49 {
            queue.pop(|_| true).await;
        }
        let waiting = queue.waiting();
        assert_eq!((waiting.count, waiting.by_namespace.len()), (0, 0));
    }

    #[tokio::test]
    async fn one_that_may_not_have_its_turn_is_passed_over() {
        let queue = Fair::new(100);
        assert!(queue.push("a", 1) && queue.push("b", 2));
        assert_eq!(queue.pop(|namespace| namespace != "a").await, 2);
        assert_eq!(queue.pop(|_| true).await, 1);
    }
}
