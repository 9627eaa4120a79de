//! The targets of a route's rule: which are good, and what ails the others.
//!
//! A bad target is left out; it never makes a good one bad.

use crate::built::Built;
use crate::findings::{Findings, Gravity};
use crate::params::{self, ParamSets};
use crate::reference::{self, Unresolved};
use crate::spec::number;
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_crds::RouteRule;
use weir_snapshot::{ModelName, Name, Provider, Rule, Target};

/// The targets of one rule.
pub(crate) struct Targets {
    /// What pods get of the rule.
    pub(crate) rule: Rule,
    /// What ails targets, as `rule/target: message`.
    pub(crate) bad: Vec<String>,
}

/// Compiles the rule at that place of a route in `namespace`.
pub(crate) fn build(
    (at, spec): (usize, &RouteRule),
    (namespace, models): (&str, &[ModelName]),
    providers: &BTreeMap<&Name, &Built>,
    findings: &mut Findings,
) -> Targets {
    let (mut targets, mut bad) = (Vec::new(), Vec::new());
    for (place, target) in spec.targets.iter().enumerate() {
        match resolve(target, namespace, models, providers) {
            Ok(target) => targets.push(Arc::new(target)),
            Err((member, unresolved)) => {
                let rule = spec.name.clone().unwrap_or_else(|| at.to_string());
                bad.push((place, member, format!("{rule}/{}: {}", target.name, unresolved.message), unresolved));
            }
        }
    }
    // One target with a weight keeps the rule alive.
    let alive = targets.iter().any(|target| target.weight > 0);
    let gravity = if alive { Gravity::Partial } else { Gravity::Unresolved };
    let reason = bad.first().map_or("NoTarget", |(.., unresolved)| unresolved.reason);
    let mut shown = Vec::new();
    for (place, member, line, Unresolved { reason, message }) in bad {
        findings.add(gravity, reason, format!("spec.rules[{at}].targets[{place}].{member}"), message);
        shown.push(line);
    }
    let unavailable = (!alive).then(|| format!("no target can be used ({reason}); its status says more"));
    Targets { rule: Rule { targets, unavailable }, bad: shown }
}

fn resolve(
    spec: &weir_crds::Target,
    namespace: &str,
    models: &[ModelName],
    providers: &BTreeMap<&Name, &Built>,
) -> Result<Target, (&'static str, Unresolved)> {
    let found = reference::provider(providers, namespace, &spec.provider_ref);
    let (name, provider) = found.map_err(|unresolved| ("providerRef", unresolved))?;
    serves(provider, name, spec.model.as_deref(), models)?;
    let ParamSets { defaults, overrides, caps, remove } = params::read(spec.params.as_ref());
    Ok(Target {
        name: spec.name.clone(),
        provider: name.clone(),
        model: spec.model.clone(),
        weight: number(spec.weight).unwrap_or(1),
        priority: number(spec.priority).unwrap_or(0),
        defaults,
        overrides,
        caps,
        remove,
    })
}

/// Whether a provider has the model that a target names, or without one any that the route's callers can name.
fn serves(
    provider: &Provider,
    name: &Name,
    model: Option<&str>,
    models: &[ModelName],
) -> Result<(), (&'static str, Unresolved)> {
    let listed = |model: &ModelName| match model.pattern.strip_suffix('*') {
        Some(prefix) => provider.models.keys().any(|held| held.starts_with(prefix)),
        None => provider.models.contains_key(&model.pattern),
    };
    let (member, message) = match model {
        _ if provider.any_model => return Ok(()),
        Some(model) if provider.models.contains_key(model) => return Ok(()),
        None if models.iter().any(listed) => return Ok(()),
        Some(model) => ("model", format!("the Provider {name} lists no model {model}")),
        None => ("providerRef", format!("the Provider {name} lists no model of this route, and the target names none")),
    };
    let message = format!("{message}; name one that it lists, add it there, or set its modelPolicy: Any");
    Err((member, Unresolved { reason: "ModelNotListed", message }))
}
