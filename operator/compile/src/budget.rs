//! A Budget by itself: its limits, window and selector as numbers and names, and what is wrong with them.
//!
//! One that is asked to enforce and cannot is pushed as a refusal of what it covers: a mistake never lifts a limit.

mod absent;
mod ancestry;
mod assemble;
mod coverage;
mod pots;
mod selector;
mod spec;
mod webhook;

pub(crate) use assemble::{Budgets, KeptBudget};
pub(crate) use coverage::may_cover;

use crate::age;
use crate::alarm::Alarm;
use crate::findings::Findings;
use crate::index::{self, Index};
use weir_snapshot::{Budget, BudgetMode, Consent, Name};

/// A Budget, compiled by itself.
#[derive(PartialEq)]
pub(crate) struct BuiltBudget {
    /// What pods get of it, its ancestors apart.
    pub(crate) data: Budget,
    /// Which namespaces' Budgets may name it as their parent.
    pub(crate) consent: Consent,
    /// The Budget above it.
    pub(crate) parent: Option<Name>,
    /// Unix seconds of its creation.
    pub(crate) created_at: i64,
    /// `metadata.generation`.
    pub(crate) generation: i64,
    /// What is wrong with it.
    pub(crate) findings: Findings,
    /// Whom the operator tells, by rising percent.
    pub(crate) alarms: Vec<Alarm>,
}

impl BuiltBudget {
    /// Whether what it is asked to do restricts anybody.
    fn restricts(&self) -> bool {
        matches!(self.data.mode, BudgetMode::Enforce | BudgetMode::Block)
    }
}

/// Compiles a Budget but for its place among others.
pub(crate) fn build(object: &weir_crds::Budget, index: &Index) -> BuiltBudget {
    let name = index::name(&object.metadata);
    let spec = &object.spec;
    let mut findings = Findings::default();
    let alarms = webhook::alarms(spec, &name.namespace, index, &mut findings);
    let data = Budget {
        limits: spec::limits(spec, &mut findings),
        window: spec::window(&spec.window, &mut findings),
        selector: selector::build(spec.selector.as_ref(), &name, index, &mut findings),
        partition_by: spec::partition_by(spec),
        ancestors: Vec::new(),
        mode: spec::mode(spec.mode),
        on_exceeded: spec::on_exceeded(spec.on_exceeded.as_ref(), &mut findings),
        thrift: spec::thrift(spec),
        reservation: spec::reservation(spec, &mut findings),
        failure_mode: spec::failure_mode(spec.failure_mode),
        on_unpriced: spec::on_unpriced(spec.on_unpriced),
        overrides: spec::overrides(spec, &mut findings),
    };
    let parent = spec.parent_ref.as_ref();
    BuiltBudget {
        data,
        consent: index.consent(spec.allowed_namespaces.as_ref(), &name.namespace),
        parent: parent.map(|parent| Name::new(parent.namespace.as_ref().unwrap_or(&name.namespace), &parent.name)),
        created_at: age::created_at(&object.metadata),
        generation: object.metadata.generation.unwrap_or_default(),
        findings,
        alarms,
    }
}
