//! An LLMRoute: its names, its rule, its access, and what becomes of it when a part is bad.
//!
//! A bad route stays as a refusal, so that its names do not fall to another; its access is always there.

use crate::built::Built;
use crate::claimed::Credential;
use crate::findings::{Findings, Gravity};
use crate::index::{self, Index};
use crate::jwt::{Keys, Scene};
use crate::models::{self, Served};
use crate::verdict::{Condition, Verdict};
use crate::{access, age, conflict, limits, spec, target};
use std::collections::{BTreeMap, BTreeSet};
use weir_crds::LLMRoute;
use weir_snapshot::{Access, Name, Route};

/// A route, compiled.
pub(crate) struct BuiltRoute {
    /// What pods get of it.
    pub(crate) data: Route,
    /// Who may use it.
    pub(crate) access: Access,
    /// What the tokens of its callers are checked by.
    pub(crate) keys: Keys,
    /// What became of it.
    pub(crate) verdict: Verdict,
}

impl BuiltRoute {
    /// Providers of its good targets; none where it is refused.
    pub(crate) fn providers(&self) -> BTreeSet<&Name> {
        let rules = self.data.rules.iter().filter(|_| self.data.refusal.is_none());
        rules.flat_map(|rule| &rule.targets).map(|target| &target.provider).collect()
    }
}

/// Compiles a route.
pub(crate) fn build(
    object: &LLMRoute,
    conflict: Option<Condition>,
    elsewhere: &BTreeSet<Credential>,
    providers: &BTreeMap<&Name, &Built>,
    index: &Index,
) -> BuiltRoute {
    let name = index::name(&object.metadata);
    let mut findings = Findings::default();
    let models = models::names(&object.spec, &mut findings);
    let rules: Vec<_> = object
        .spec
        .rules
        .iter()
        .enumerate()
        .map(|rule| target::build(rule, (&name.namespace, &models), providers, &mut findings))
        .collect();
    let scene = Scene { namespace: &name.namespace, index, served: Served(&models), elsewhere };
    let (access, keys) = access::build(&object.spec, &scene, &mut findings);
    let mut hostnames = object.spec.hostnames.clone();
    hostnames.sort();
    let retry = spec::retry(object.spec.retry.as_ref(), &mut findings);
    let timeouts = spec::route_timeouts(object.spec.timeouts.as_ref(), &mut findings);
    let rate_limits = limits::rates(&object.spec.rate_limits, &mut findings);
    let refused = findings.first(Gravity::Invalid);
    let refusal = refused.map(|finding| format!("it is not accepted ({}); its status says more", finding.reason));
    let mut conditions = findings.conditions();
    let mut complaints = findings.complaints();
    complaints.extend(conflict.iter().map(|condition| ("spec.models".into(), condition.message.clone())));
    conditions.push(conflict.unwrap_or_else(conflict::none));
    let verdict = Verdict {
        generation: object.metadata.generation.unwrap_or_default(),
        conditions,
        complaints,
        models: object.spec.models.len(),
        pending: keys.pending,
        targets_ready: rules.iter().map(|built| built.rule.targets.len()).sum(),
        targets_total: object.spec.rules.iter().map(|rule| rule.targets.len()).sum(),
        targets_bad: rules.iter().flat_map(|built| built.bad.iter().cloned()).collect(),
        ..Verdict::default()
    };
    let data = Route {
        created_at: age::created_at(&object.metadata),
        hostnames,
        models,
        rules: rules.into_iter().map(|built| built.rule).collect(),
        refusal,
        retry,
        timeouts,
        on_loss: spec::on_loss(object.spec.translation.as_ref()),
        rate_limits,
        trusted_headers: access::trusted_headers(object.spec.trusted_headers.as_ref()),
        explain: object.spec.explain.unwrap_or_default(),
    };
    BuiltRoute { data, access, keys, verdict }
}
