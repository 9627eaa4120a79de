//! Which requests a selector covers, compared to another's and to what a route can serve.

use weir_snapshot::{Access, AccountRef, BudgetSelector, Name, Route};

/// Whether every request that `narrow` covers is covered by `wide`.
pub(super) fn includes(wide: &BudgetSelector, narrow: &BudgetSelector) -> bool {
    fn optional<T: PartialEq>(wide: Option<&Vec<T>>, narrow: Option<&Vec<T>>) -> bool {
        match (wide, narrow) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wide), Some(narrow)) => narrow.iter().all(|entry| wide.contains(entry)),
        }
    }
    fn listed<T: PartialEq>(wide: &[T], narrow: &[T]) -> bool {
        wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(|entry| wide.contains(entry)))
    }
    let accounts = |wide: &[AccountRef], narrow: &[AccountRef]| {
        let within = |one: &AccountRef| {
            wide.iter().any(|held| held.namespace == one.namespace && (held.name == "*" || held.name == one.name))
        };
        wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(within))
    };
    optional(wide.caller_namespaces.as_ref(), narrow.caller_namespaces.as_ref())
        && accounts(&wide.service_accounts, &narrow.service_accounts)
        && optional(wide.key_secrets.as_ref(), narrow.key_secrets.as_ref())
        && listed(&wide.teams, &narrow.teams)
        && listed(&wide.users, &narrow.users)
        && listed(&wide.routes, &narrow.routes)
        && listed(&wide.providers, &narrow.providers)
        && wide.provider_namespaces.as_ref().is_none_or(|wanted| match &narrow.provider_namespaces {
            Some(namespaces) => namespaces.iter().all(|namespace| wanted.contains(namespace)),
            None => {
                let within = |provider: &Name| wanted.contains(&provider.namespace);
                !narrow.providers.is_empty() && narrow.providers.iter().all(within)
            }
        })
        && listed(&wide.models, &narrow.models)
}

/// Whether some request of a route can be one that a selector covers, as far as objects tell.
pub(crate) fn may_cover(selector: &BudgetSelector, name: &Name, route: &Route, access: &Access) -> bool {
    let callers = |namespaces: &Vec<String>| {
        let accounts = access.service_accounts.iter().map(|account| &account.account.namespace);
        let keys = access.api_key_namespaces.iter().chain(access.api_keys.keys());
        // Audiences of tokens and subjects of certificates are those of the route's namespace.
        let others = (!access.jwt.is_empty() || !access.certificates.is_empty()).then_some(&name.namespace);
        accounts.chain(keys).chain(others).any(|namespace| namespaces.contains(namespace))
    };
    let serves = |model: &String| {
        route.models.iter().any(|held| match held.pattern.strip_suffix('*') {
            Some(prefix) => model.starts_with(prefix),
            None => held.pattern == *model,
        })
    };
    let mut providers = route.rules.iter().flat_map(|rule| &rule.targets).map(|target| &target.provider);
    let counts = |provider: &Name| {
        (selector.providers.is_empty() || selector.providers.contains(provider))
            && selector.provider_namespaces.as_ref().is_none_or(|wanted| wanted.contains(&provider.namespace))
    };
    (selector.routes.is_empty() || selector.routes.contains(name))
        && (selector.models.is_empty() || selector.models.iter().any(serves))
        && providers.any(counts)
        && selector.caller_namespaces.as_ref().is_none_or(callers)
}
