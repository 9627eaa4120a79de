//! The objects of one watch, as last seen.
//!
//! A list that breaks off half-way changes nothing: it takes the place of what was known only when it
//! is complete (F41), and only a complete cache is ever read from.

use kube::Resource;
use kube_runtime::watcher::Event;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use weir_snapshot::Name;

/// What an event told beyond the change itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing that anybody can notice.
    Nothing,
    /// Objects came, changed or were found missing.
    Change,
    /// The API server said that this one was deleted.
    Delete(Name),
}

/// The objects of one watch.
pub(crate) struct Cache<K>(Mutex<State<K>>);

struct State<K> {
    objects: BTreeMap<Name, Arc<K>>,
    listing: BTreeMap<Name, Arc<K>>,
    complete: bool,
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self(Mutex::new(State { objects: BTreeMap::new(), listing: BTreeMap::new(), complete: false }))
    }
}

impl<K> Cache<K> {
    /// All objects, once they were listed completely.
    pub(crate) fn all(&self) -> Option<Vec<Arc<K>>> {
        let state = self.lock();
        state.complete.then(|| state.objects.values().cloned().collect())
    }

    /// Whether the objects were listed completely.
    pub(crate) fn is_complete(&self) -> bool {
        self.lock().complete
    }

    /// Forgets everything, as before the first list.
    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        state.objects.clear();
        state.complete = false;
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Resource> Cache<K> {
    /// Takes an event in.
    pub(crate) fn apply(&self, event: Event<K>) -> Seen {
        let mut state = self.lock();
        match event {
            Event::Init => {
                state.listing.clear();
                Seen::Nothing
            }
            Event::InitApply(object) => {
                state.listing.insert(name_of(&object), Arc::new(object));
                Seen::Nothing
            }
            Event::InitDone => {
                state.objects = std::mem::take(&mut state.listing);
                state.complete = true;
                Seen::Change
            }
            Event::Apply(object) => {
                state.objects.insert(name_of(&object), Arc::new(object));
                Seen::Change
            }
            Event::Delete(object) => {
                let name = name_of(&object);
                state.objects.remove(&name);
                Seen::Delete(name)
            }
        }
    }
}

/// Namespace and name of an object.
pub(crate) fn name_of<K: Resource>(object: &K) -> Name {
    Name::new(object.meta().namespace.clone().unwrap_or_default(), object.meta().name.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::ResourceExt as _;
    use kube::api::ObjectMeta;

    fn map(name: &str) -> ConfigMap {
        let metadata =
            ObjectMeta { name: Some(name.to_owned()), namespace: Some("ns".to_owned()), ..ObjectMeta::default() };
        ConfigMap { metadata, ..ConfigMap::default() }
    }

    fn names(cache: &Cache<ConfigMap>) -> Option<Vec<String>> {
        cache.all().map(|all| all.iter().map(|map| map.name_any()).collect())
    }

    #[test]
    fn nothing_is_known_before_the_first_list_is_complete() {
        let cache = Cache::default();
        assert_eq!(cache.apply(Event::Init), Seen::Nothing);
        assert_eq!(cache.apply(Event::InitApply(map("a"))), Seen::Nothing);
        assert_eq!(names(&cache), None);
        assert_eq!(cache.apply(Event::InitDone), Seen::Change);
        assert_eq!(names(&cache), Some(vec!["a".to_owned()]));
    }

    #[test]
    fn a_list_that_breaks_off_infers_no_delete_f41() {
        let cache = Cache::default();
        for event in [Event::Init, Event::InitApply(map("a")), Event::InitApply(map("b")), Event::InitDone] {
            cache.apply(event);
        }
        cache.apply(Event::Init);
        cache.apply(Event::InitApply(map("b")));
        assert_eq!(names(&cache), Some(vec!["a".to_owned(), "b".to_owned()]));
        cache.apply(Event::Init);
        cache.apply(Event::InitApply(map("c")));
        cache.apply(Event::InitDone);
        assert_eq!(names(&cache), Some(vec!["c".to_owned()]));
    }

    #[test]
    fn only_a_delete_event_counts_as_a_delete_that_was_seen() {
        let cache = Cache::default();
        for event in [Event::Init, Event::InitApply(map("a")), Event::InitDone] {
            cache.apply(event);
        }
        assert_eq!(cache.apply(Event::Delete(map("a"))), Seen::Delete(Name::new("ns", "a")));
        assert_eq!(names(&cache), Some(vec![]));
        for event in [Event::Init, Event::InitDone] {
            assert!(!matches!(cache.apply(event), Seen::Delete(_)));
        }
    }
}
