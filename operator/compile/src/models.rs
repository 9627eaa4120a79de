//! The models of a route: the names that callers may use, and the lists that narrow them for some.

use crate::findings::{Findings, Gravity};
use std::collections::{BTreeMap, BTreeSet};
use weir_crds::LLMRouteSpec;
use weir_snapshot::ModelName;

/// All names that callers may use, in order; each stands once.
pub(crate) fn names(spec: &LLMRouteSpec, findings: &mut Findings) -> Vec<ModelName> {
    let mut names: BTreeMap<String, ModelName> = BTreeMap::new();
    for (at, model) in spec.models.iter().enumerate() {
        let listed = model.listed.unwrap_or(true) && !model.name.ends_with('*');
        let own = ModelName { pattern: model.name.clone(), alias_of: None, listed };
        let aliases = model.aliases.iter().map(|alias| ModelName {
            pattern: alias.clone(),
            alias_of: Some(model.name.clone()),
            listed: false,
        });
        for name in std::iter::once(own).chain(aliases) {
            if names.contains_key(&name.pattern) {
                let message = format!("the name {} stands twice in this route; remove one", name.pattern);
                findings.add(Gravity::Invalid, "DuplicateModel", format!("spec.models[{at}]"), message);
            }
            names.insert(name.pattern.clone(), name);
        }
    }
    names.into_values().collect()
}

/// What a route serves.
#[derive(Clone, Copy)]
pub(crate) struct Served<'a>(pub(crate) &'a [ModelName]);

impl Served<'_> {
    /// The names that a list of models lets its holders use, aliases included; empty = all.
    pub(crate) fn rights(self, models: &[String], path: &str, findings: &mut Findings) -> Vec<String> {
        let mut names = BTreeSet::new();
        for model in models {
            if !self.covers(model) {
                let message = format!("the route has no model {model}; name one that it has, or add it to spec.models");
                findings.add(Gravity::Invalid, "UnknownModel", path, message);
            }
            names.insert(model.clone());
            let aliases = self.0.iter().filter(|held| held.alias_of.as_ref() == Some(model));
            names.extend(aliases.map(|alias| alias.pattern.clone()));
        }
        names.into_iter().collect()
    }

    fn covers(self, model: &str) -> bool {
        let within = |held: &ModelName| held.pattern.strip_suffix('*').is_some_and(|prefix| model.starts_with(prefix));
        self.0.iter().any(|held| held.pattern == model || within(held))
    }
}
