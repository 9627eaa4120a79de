//! `GET /v1/models`: what this caller may name, and nothing else.

use crate::table::{Facts, Route};
use crate::{Caller, Table};
use std::collections::BTreeMap;
use weir_dialect::ListedModel;

impl Table {
    /// The models that the caller may name at that host, sorted by name.
    pub fn models(&self, caller: &Caller, hostname: Option<&str>) -> Vec<ListedModel> {
        let names: BTreeMap<&str, ()> = self
            .routes()
            .filter(|route| route.admits(caller))
            .flat_map(|route| route.data.models.iter().filter(|model| model.listed && !model.pattern.ends_with('*')))
            .map(|model| (model.pattern.as_str(), ()))
            .collect();
        names.into_keys().filter_map(|name| self.model(caller, hostname, name)).collect()
    }

    /// One of them, by the very decision that a request for it would meet.
    pub fn model(&self, caller: &Caller, hostname: Option<&str>, name: &str) -> Option<ListedModel> {
        let route = self.matching(&Facts { caller, hostname, model: name }).ok()?;
        Some(ListedModel {
            id: name.to_owned(),
            created: route.data.created_at,
            owned_by: route.id.namespace.clone(),
            context_window: smallest(route, route.model(name), |limits| limits.context_window),
            max_output: smallest(route, route.model(name), |limits| limits.max_output),
        })
    }
}

/// The smallest of a limit over all targets; nothing where one does not state it.
fn smallest(route: &Route, name: &str, limit: impl Fn(&crate::Limits) -> Option<u64>) -> Option<u64> {
    route.targets.iter().map(|target| limit(&target.limits_for(name))).try_fold(None::<u64>, |least, value| {
        let value = value?;
        Some(Some(least.map_or(value, |least| least.min(value))))
    })?
}
