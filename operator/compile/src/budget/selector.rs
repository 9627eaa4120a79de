//! Which requests a Budget covers, labels resolved to names.
//!
//! A Budget outside of the platform namespace covers callers of its own alone, whatever it asks for. One of the platform
//! namespace covers what goes to Providers of the platform alone, unless it asks for more.

use crate::findings::{Findings, Gravity};
use crate::index::Index;
use weir_crds::{CallerNamespaces, ObjectRef};
use weir_snapshot::{AccountRef, BudgetSelector, Consent, Name};

const NARROWED: &str = "SelectorNarrowed";

/// The selector of the Budget of that name.
pub(super) fn build(
    spec: Option<&weir_crds::BudgetSelector>,
    name: &Name,
    index: &Index,
    findings: &mut Findings,
) -> BudgetSelector {
    let own = name.namespace.as_str();
    let tenant = own != index.objects.settings.platform_namespace;
    let of_own = || Some(vec![own.to_owned()]);
    let Some(spec) = spec else {
        return BudgetSelector {
            caller_namespaces: tenant.then(of_own).flatten(),
            provider_namespaces: if tenant { None } else { of_own() },
            ..BudgetSelector::default()
        };
    };
    if tenant {
        narrowed(spec, own, findings);
    }
    let resolve = |refs: &[ObjectRef]| {
        let name = |held: &ObjectRef| Name::new(held.namespace.as_deref().unwrap_or(own), &held.name);
        sorted(refs.iter().map(name))
    };
    let account = |held: &weir_crds::ServiceAccountRef| (held.namespace.clone(), held.name.clone());
    let accounts = sorted(spec.service_accounts.iter().map(account));
    BudgetSelector {
        caller_namespaces: if tenant { of_own() } else { spec.caller_namespaces.as_ref().map(|of| callers(of, index)) },
        service_accounts: accounts.into_iter().map(|(namespace, name)| AccountRef { namespace, name }).collect(),
        key_secrets: spec.api_keys.as_ref().map(|keys| {
            let keys_of = index.keys.iter().filter(|(secret, _)| !tenant || secret.namespace == own);
            sorted(keys_of.filter(|(_, key)| keys.selector.matches(&key.labels)).map(|(secret, _)| secret.clone()))
        }),
        teams: sorted(spec.teams.iter().cloned()),
        users: sorted(spec.users.iter().cloned()),
        routes: resolve(&spec.routes),
        providers: resolve(&spec.providers),
        provider_namespaces: match &spec.provider_namespaces {
            Some(chosen) => {
                let Consent { all, namespaces } = index.consent(Some(chosen), own);
                (!all).then_some(namespaces)
            }
            // What a namespace's own Provider says of usage and prices must not spend what the platform gives, unless
            // the Budget names that Provider.
            None if !tenant && spec.providers.is_empty() => of_own(),
            None => None,
        },
        models: sorted(spec.models.iter().cloned()),
    }
}

fn callers(spec: &CallerNamespaces, index: &Index) -> Vec<String> {
    match &spec.selector {
        Some(selector) => sorted(index.namespaces_matching(selector).map(str::to_owned)),
        None => sorted(spec.names.iter().cloned()),
    }
}

/// Tells a tenant what of its selector is beyond its reach.
fn narrowed(spec: &weir_crds::BudgetSelector, own: &str, findings: &mut Findings) {
    let mut add = |path: String| {
        let message = format!(
            "a Budget of namespace {own} covers callers of {own} alone; name no other, or create it in the platform \
             namespace"
        );
        findings.add(Gravity::Partial, NARROWED, path, message);
    };
    match &spec.caller_namespaces {
        Some(CallerNamespaces { selector: Some(_), .. }) => add("spec.selector.callerNamespaces.selector".into()),
        Some(CallerNamespaces { names, selector: None }) if names.iter().any(|name| name != own) => {
            add("spec.selector.callerNamespaces.names".into());
        }
        Some(CallerNamespaces { .. }) | None => {}
    }
    for (at, account) in spec.service_accounts.iter().enumerate() {
        if account.namespace != own {
            add(format!("spec.selector.serviceAccounts[{at}].namespace"));
        }
    }
}

fn sorted<T: Ord>(of: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<_> = of.collect();
    all.sort();
    all.dedup();
    all
}
