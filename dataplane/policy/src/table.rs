//! The config of one moment, indexed for requests: immutable, swapped whole.
//!
//! It only answers; how it is made is `table/build.rs`.

mod build;

use crate::budgets::Budgets;
use crate::{Caller, CredentialHealth, Line, Load, TargetHealth, params};
use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use weir_dialect::chat::Sampling;
use weir_dialect::{Dialect, ErrorType, Refusal};
use weir_lease::Terms;
use weir_snapshot::{
    Access, ApiKey, Consent, Issuer, ModelPrice, Name, Namespace, Prices, Pricing, ProviderType, ResourceId,
    ServiceAccount, Settings, Unit,
};

/// Everything that a request is decided by.
#[derive(Default)]
pub struct Table {
    settings: Arc<Settings>,
    issuer: Option<Arc<Issuer>>,
    pub(crate) budgets: Budgets,
    /// Key sets by issuer and audience.
    key_sets: HashMap<String, HashMap<String, BTreeSet<Name>>>,
    /// Namespaces by the certificates' subjects that their routes name.
    subjects: HashMap<String, BTreeSet<String>>,
    namespaces: HashMap<String, Arc<Namespace>>,
    accounts: HashMap<Name, Arc<ServiceAccount>>,
    keys: Arc<Keys>,
    providers: BTreeMap<Name, Arc<Provider>>,
    consents: BTreeMap<Name, Arc<Consent>>,
    /// In the order of their names.
    routes: Vec<Arc<Route>>,
    health: HashMap<Arc<TargetId>, Arc<TargetHealth>>,
    exact: HashMap<String, Vec<Arc<Route>>>,
    /// By prefix, the longest first.
    wildcards: Vec<(String, Vec<Arc<Route>>)>,
    /// Those that admit callers without a credential.
    anonymous: Vec<Arc<Route>>,
}

/// What a route is chosen by.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Who calls.
    pub caller: &'a Caller,
    /// The request's host, lower case, without port.
    pub hostname: Option<&'a str>,
    /// The model it names.
    pub model: &'a str,
}

/// An API key as it was pushed, found by its id; there may be tens of thousands, so that nothing of it is copied.
pub(crate) struct Key {
    pushed: Arc<ResourceId>,
    pub(crate) data: Arc<ApiKey>,
    /// Other Secrets' keys with the same id, which are told apart by their hashes.
    namesakes: Vec<Key>,
}

impl Key {
    /// It and all others of its id.
    pub(crate) fn with_namesakes(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.namesakes)
    }

    /// The Secret that holds it.
    pub(crate) fn secret(&self) -> &Name {
        &self.pushed.name
    }
}

/// All API keys.
#[derive(Default)]
struct Keys {
    by_id: HashSet<Key>,
    /// In the order of their names.
    pushed: Vec<Arc<ApiKey>>,
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.data.id
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.data.id.hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.data.id == other.data.id
    }
}

impl Eq for Key {}

/// A provider as requests use it.
pub struct Provider {
    /// Namespace and name.
    pub id: Name,
    /// What was pushed.
    pub data: Arc<weir_snapshot::Provider>,
    /// Its credentials that have a secret.
    pub credentials: Vec<Credential>,
    /// Of one that passes on any model: what is known of those that it does not list.
    prices: Option<Arc<Prices>>,
    /// Its limits in the ledger; without a unit, requests that run.
    pub(crate) pots: Vec<(Option<Unit>, Arc<str>, Terms)>,
    /// Requests that wait for room.
    pub line: Arc<Line>,
}

/// A credential as requests use it.
pub struct Credential {
    /// Name within the provider.
    pub name: String,
    /// Share of requests.
    pub weight: u32,
    /// The secret.
    pub secret: weir_snapshot::Secret,
    /// What answers said of it.
    pub health: Arc<CredentialHealth>,
}

/// A route as requests use it.
pub struct Route {
    /// Namespace and name.
    pub id: Name,
    /// What was pushed.
    pub data: Arc<weir_snapshot::Route>,
    /// Who may use it.
    pub access: Arc<Access>,
    /// Its targets that can be used.
    pub targets: Vec<Target>,
    /// Names of its rate limits in the ledger, in their order.
    pub(crate) rates: Vec<Arc<str>>,
    /// Requests, retries and failovers in flight.
    pub load: Arc<Load>,
}

/// What keeps health over config swaps.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId {
    /// The provider.
    pub provider: Name,
    /// Its model; empty where the client names it.
    pub model: String,
}

/// A target as requests use it.
pub struct Target {
    /// What was pushed.
    pub data: Arc<weir_snapshot::Target>,
    /// Its provider.
    pub provider: Arc<Provider>,
    /// Its health.
    pub health: Arc<TargetHealth>,
    /// What its health is kept by.
    id: Arc<TargetId>,
}

/// Limits of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Tokens of input and output together.
    pub context_window: Option<u64>,
    /// Tokens of output.
    pub max_output: Option<u64>,
}

impl Provider {
    /// What it speaks.
    pub fn dialect(&self) -> Dialect {
        match self.data.provider_type {
            ProviderType::OpenAI | ProviderType::OpenAICompatible | ProviderType::Mock => Dialect::OpenAI,
            ProviderType::Anthropic => Dialect::Anthropic,
        }
    }

    /// What a model costs, by the name under which it is listed here; `None` = unpriced.
    pub fn pricing(&self, model: &str) -> Option<&Pricing> {
        match self.data.models.get(model) {
            Some(listed) => listed.pricing.as_ref(),
            None => self.unlisted(model)?.pricing.as_ref(),
        }
    }

    fn limits_for(&self, model: &str) -> Limits {
        let (context_window, max_output) = match self.data.models.get(model) {
            Some(listed) => (listed.context_window, listed.max_output),
            None => self.unlisted(model).map_or((None, None), |known| (known.context_window, known.max_output)),
        };
        Limits { context_window, max_output }
    }

    /// What is known of a model that it does not list.
    fn unlisted(&self, model: &str) -> Option<&ModelPrice> {
        self.prices.as_ref()?.find(model)
    }

    /// Whether its owner leaves that header out of its requests.
    pub fn is_not_told(&self, header: &str) -> bool {
        self.data.headers.remove.iter().any(|name| name == header)
    }

    /// Whether it has limits of its own.
    pub const fn has_limits(&self) -> bool {
        !self.pots.is_empty()
    }

    /// Whether it is the vendor of its dialect; compatible servers know fewer members.
    pub fn is_vendor(&self) -> bool {
        !matches!(self.data.provider_type, ProviderType::OpenAICompatible)
    }
}

impl Route {
    /// Whether it lets the caller in.
    pub(crate) fn admits(&self, caller: &Caller) -> bool {
        caller.is_admitted_by(&self.id.namespace, &self.access)
    }

    /// The older a route, the less.
    pub(crate) fn age(&self) -> (i64, &Name) {
        (self.data.created_at, &self.id)
    }

    /// Whether it answers for that host.
    pub(crate) fn answers_for(&self, hostname: Option<&str>) -> bool {
        let hosts = &self.data.hostnames;
        hosts.is_empty() || hosts.iter().any(|host| Some(host.as_str()) == hostname)
    }

    /// Tells a caller whom it asks for: by the claims that the route names, then by the headers that it trusts, of
    /// which `header` gives the value. False where there is nothing to tell. It opens nothing.
    pub fn tell(&self, caller: &mut Arc<Caller>, header: impl Fn(&str) -> Option<String>) -> bool {
        let trusted = &self.data.trusted_headers;
        let tells = caller.token.is_some() || !trusted.is_empty();
        if tells {
            let caller = Arc::make_mut(caller);
            caller.take_claims(&self.id.namespace, &self.access);
            caller.take_headers(&self.id.namespace, trusted, header);
        }
        tells
    }

    /// The model that a name stands for: of an alias the name it is an alias of, else the name itself.
    pub fn model<'a>(&'a self, named: &'a str) -> &'a str {
        let held = self.data.models.iter().find(|held| held.pattern == named);
        held.and_then(|held| held.alias_of.as_deref()).unwrap_or(named)
    }
}

impl Target {
    /// The provider's name for the model, where the client asked for `named`; `None` if it does not have it.
    pub fn upstream_model<'a>(&'a self, named: &'a str) -> Option<&'a str> {
        let model = self.model(named);
        match self.provider.data.models.get(model) {
            Some(listed) => Some(listed.upstream_name.as_deref().unwrap_or(model)),
            None => self.provider.data.any_model.then_some(model),
        }
    }

    /// What the target makes of the caller's sampling.
    pub fn tuned(&self, asked: &Sampling) -> Sampling {
        params::tuned(&self.data, asked)
    }

    /// Whether it makes anything else of it.
    pub fn tunes(&self) -> bool {
        params::tunes(&self.data)
    }

    /// Most output that a request may come to, in tokens, where the caller asked for so much; `None` = the model's own limit.
    pub fn most_output(&self, asked: Option<u64>) -> Option<u64> {
        self.tuned(&Sampling { max_output: asked, ..Sampling::default() }).max_output
    }

    /// What the model costs; `None` = unpriced.
    pub fn pricing(&self, named: &str) -> Option<&Pricing> {
        self.provider.pricing(self.model(named))
    }

    /// The model's limits.
    pub fn limits_for(&self, named: &str) -> Limits {
        self.provider.limits_for(self.model(named))
    }

    /// The name by which its Provider lists the model, where the client asked for `named`.
    pub fn model<'a>(&'a self, named: &'a str) -> &'a str {
        self.data.model.as_deref().unwrap_or(named)
    }
}

impl Table {
    /// The route that serves a request. Trust before precision: the caller's own namespace, the platform's,
    /// then those that its namespace accepts; within each, exact host over none, exact model over the longest
    /// prefix, the oldest. A caller without a namespace accepts the platform's, else the one whose route is the oldest, so
    /// that no newer route of another namespace takes its prompts. Whom none of these serves is served as a caller without
    /// a credential would be, so that a credential never makes less of its caller than none.
    pub fn matching(&self, facts: &Facts<'_>) -> Result<&Arc<Route>, Refusal> {
        let as_anybody = || self.nearest(&Facts { caller: &Caller::anonymous(), ..*facts });
        let route = self.nearest(facts).or_else(as_anybody).ok_or_else(|| unknown_model(facts.model))?;
        let may =
            facts.caller.may_name(facts.model) && facts.caller.may_use(&route.id.namespace, &route.access, facts.model);
        if may { Ok(route) } else { Err(not_for_this_caller(facts.model)) }
    }

    fn nearest(&self, facts: &Facts<'_>) -> Option<&Arc<Route>> {
        let mut best: Option<((u8, bool), &Arc<Route>)> = None;
        for route in self.naming(facts.model).filter(|route| route.answers_for(facts.hostname)) {
            let Some(tier) = self.tier(facts, route) else { continue };
            // Candidates come in order of precision of the model and of age: only a better rank replaces.
            let rank = (tier, route.data.hostnames.is_empty());
            if best.is_none_or(|(held, _)| rank < held) {
                best = Some((rank, route));
            }
        }
        best.map(|(_, route)| route)
    }

    /// The routes that have the model: the exact ones before those of a prefix, the longest first; the oldest first.
    pub(crate) fn naming<'t>(&'t self, model: &str) -> impl Iterator<Item = &'t Arc<Route>> {
        let prefixed = self.wildcards.iter().filter(move |(prefix, _)| model.starts_with(prefix));
        self.exact.get(model).into_iter().flatten().chain(prefixed.flat_map(|(_, routes)| routes))
    }

    /// How near a route is to the caller: 0 of its own namespace, 1 of the platform's, 2 of another.
    pub(crate) fn distance(&self, caller: &Caller, route: &Route) -> u8 {
        if caller.namespace == route.id.namespace {
            0
        } else if route.id.namespace == self.settings.platform_namespace {
            1
        } else {
            2
        }
    }

    /// The same for a route that admits the caller and that the caller's namespace accepts; `None` for any other.
    pub(crate) fn tier(&self, facts: &Facts<'_>, route: &Route) -> Option<u8> {
        let caller = facts.caller;
        let distance = self.distance(caller, route);
        let accepted = || {
            if caller.namespace.is_empty() {
                return self.oldest(facts).is_some_and(|oldest| oldest.id.namespace == route.id.namespace);
            }
            let own = self.namespaces.get(&caller.namespace);
            own.is_some_and(|held| held.accept_routes_from.contains(&route.id.namespace))
        };
        (route.admits(caller) && (distance < 2 || accepted())).then_some(distance)
    }

    /// The oldest route that has the model at that host and admits the caller.
    fn oldest(&self, facts: &Facts<'_>) -> Option<&Arc<Route>> {
        let routes = self.naming(facts.model).filter(|route| route.answers_for(facts.hostname));
        routes.filter(|route| route.admits(facts.caller)).min_by_key(|route| route.age())
    }

    /// Whether a caller without a credential may use anything at that host.
    pub fn admits_anonymous(&self, hostname: Option<&str>) -> bool {
        self.anonymous.iter().any(|route| route.answers_for(hostname))
    }

    /// Whether it may at any host.
    pub(crate) fn has_open_route(&self) -> bool {
        !self.anonymous.is_empty()
    }

    /// The flags of the operator.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Who signs ServiceAccount tokens.
    pub fn issuer(&self) -> Option<&Issuer> {
        self.issuer.as_deref()
    }

    /// The key sets of which one must have signed a token of that issuer for one of these audiences.
    pub fn key_sets<'t>(&'t self, issuer: &str, audiences: &'t [String]) -> impl Iterator<Item = &'t Name> {
        let of_issuer = self.key_sets.get(issuer);
        audiences.iter().flat_map(move |audience| of_issuer.and_then(|held| held.get(audience))).flatten()
    }

    /// The health of every target, by identity.
    pub fn health(&self) -> impl Iterator<Item = (&TargetId, &Arc<TargetHealth>)> {
        self.health.iter().map(|(id, health)| (&**id, health))
    }

    /// Every route.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter()
    }

    /// Every provider.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.values()
    }

    /// The keys of that id: one, or as many as Secrets have it.
    pub(crate) fn keys(&self, id: &str) -> impl Iterator<Item = &Key> {
        self.keys.by_id.get(id).into_iter().flat_map(Key::with_namesakes)
    }

    /// The key that a Secret holds.
    pub(crate) fn key_of(&self, secret: &Name) -> Option<&Key> {
        self.keys.by_id.iter().flat_map(Key::with_namesakes).find(|key| key.secret() == secret)
    }

    pub(crate) fn account(&self, namespace: &str, name: &str) -> Option<&ServiceAccount> {
        self.accounts.get(&Name::new(namespace, name)).map(|account| &**account)
    }

    /// The namespace whose routes take a certificate of these names; of several the platform's comes first.
    pub(crate) fn namespace_of_subject(&self, names: &[String]) -> Option<&str> {
        let namespaces = names.iter().filter_map(|name| self.subjects.get(name)).flatten().map(String::as_str);
        namespaces.min_by_key(|namespace| (*namespace != self.settings.platform_namespace, *namespace))
    }

    pub(crate) fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name).map(|namespace| &**namespace)
    }
}

/// The route serves the model to others; its access, or the annotation on the key's own Secret, leaves it out.
fn not_for_this_caller(model: &str) -> Refusal {
    let message = format!(
        "this credential is limited to certain models, and {:?} is not one of them; GET /v1/models lists them",
        shown(model)
    );
    Refusal { param: Some("model".into()), ..Refusal::new(403, ErrorType::Permission, "model_not_allowed", message) }
}

fn shown(model: &str) -> String {
    model.chars().take(128).collect()
}

fn unknown_model(model: &str) -> Refusal {
    let shown = shown(model);
    let message = format!(
        "the model {shown:?} does not exist here, or this credential may not use it; GET /v1/models lists those it may"
    );
    Refusal { param: Some("model".into()), ..Refusal::new(404, ErrorType::NotFound, "model_not_found", message) }
}
