//! Why a request goes where it goes and what it is charged to, for people to read.
//!
//! It says what the decisions themselves say: each line comes from the very function that decides.

use crate::plan::misfit;
use crate::spend::{shown, span};
use crate::{Asked, Caller, Charge, Facts, Millis, Needs, Payer, Route, Standing, Table, Target, mark_of};
use serde::Serialize;
use weir_lease::Claim;
use weir_snapshot::{BudgetMode, Currency, OnExceeded, Price, PriceSource, Priority, Quote, Thrift, decimal};

/// Most bytes of an explanation in a header: with all other headers it stays below what clients and proxies take.
const HEADER_BYTES: usize = 4_096;

/// What is known at a moment.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// When it is.
    pub now: Millis,
    /// What the ledger says of a pot, as far as it knows it.
    pub standing: &'a dyn Fn(&Claim) -> Option<weir_lease::Standing>,
}

/// Why a request goes where it goes, and what it is charged to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    caller: ExplainedCaller,
    route: String,
    /// Why that route.
    because: &'static str,
    /// The model, an alias resolved.
    model: String,
    targets: Vec<ExplainedTarget>,
    limits: Vec<ExplainedLimit>,
    /// Why it is refused whatever is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// Targets and limits that had no room here.
    #[serde(skip_serializing_if = "is_zero")]
    omitted: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ExplainedCaller {
    kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<String>,
    /// Absent = normal.
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExplainedTarget {
    name: String,
    provider: String,
    /// The provider's name for the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    priority: u32,
    weight: u32,
    /// Absent = unpriced.
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<ExplainedPrice>,
    state: String,
}

/// Units of the currency: of tokens for a million of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExplainedPrice {
    /// The Provider, the overlay or the catalogue.
    source: PriceSource,
    /// Absent = the standard one.
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<String>,
    currency: Currency,
    input: String,
    output: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_request: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExplainedLimit {
    of: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    partition: String,
    limit: String,
    /// What the request may come to at most.
    estimate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    spent: Option<String>,
    /// What nobody reserved, this request included.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_in: Option<String>,
    /// What becomes of a request that finds no room.
    exceeded: String,
}

impl Table {
    /// Explains a request whose route is known.
    pub fn explain(&self, asked: &Asked<'_>, moment: Moment<'_>) -> Explanation {
        let route = asked.route;
        let (charges, refused) = match self.charges(asked, &[]) {
            Ok(charges) => (charges, None),
            Err(refusal) => (Vec::new(), Some(refusal.message)),
        };
        let of_providers = route.targets.iter().flat_map(|target| self.provider_charges(target, asked, false));
        let mut limits: Vec<(Charge, ExplainedLimit)> = Vec::new();
        for charge in charges.into_iter().chain(of_providers) {
            let held = |(held, _): &(Charge, _)| held.claim.limit == charge.claim.limit;
            if !limits.iter().any(held) {
                let limit = explained_limit(&charge, route, moment);
                limits.push((charge, limit));
            }
        }
        Explanation {
            caller: ExplainedCaller::of(asked.caller),
            route: route.id.to_string(),
            because: because(self.distance(asked.caller, route)),
            model: asked.model.to_owned(),
            targets: route.targets.iter().map(|target| explained_target(target, asked, moment.now)).collect(),
            limits: limits.into_iter().map(|(_, limit)| limit).collect(),
            refused,
            omitted: 0,
        }
    }

    /// Every route that has the model, and why it serves the request or does not.
    pub(crate) fn candidates(&self, facts: &Facts<'_>) -> Vec<Candidate> {
        let chosen = self.matching(facts);
        let why = |route: &Route| {
            if chosen.as_ref().is_ok_and(|chosen| chosen.id == route.id) {
                return "serves it";
            }
            if !route.admits(facts.caller) {
                return "does not admit this caller";
            }
            if !route.answers_for(facts.hostname) {
                return "answers for other hosts";
            }
            if self.tier(facts, route).is_none() {
                return if facts.caller.namespace.is_empty() {
                    "is of another namespace than the oldest route, which has the model for callers without a namespace"
                } else {
                    "is of a namespace that the caller's does not accept; weir.dev/accept-routes-from says which it does"
                };
            }
            if chosen.is_ok() {
                "comes after the one that serves it"
            } else {
                "admits the caller, but not to this model"
            }
        };
        self.naming(facts.model).map(|route| Candidate { route: route.id.to_string(), why: why(route) }).collect()
    }
}

/// A route that has the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Candidate {
    route: String,
    why: &'static str,
}

impl ExplainedCaller {
    fn of(caller: &Caller) -> Self {
        Self {
            kind: caller.kind.as_str(),
            namespace: caller.namespace.clone(),
            name: caller.name.clone(),
            user: caller.user.clone(),
            team: caller.team.clone(),
            priority: (caller.priority != Priority::default()).then(|| caller.priority.as_str()),
        }
    }
}

impl Explanation {
    /// One line of ASCII for a header; what has no room in it is counted.
    pub fn header(&self) -> String {
        let mut held = self.clone();
        loop {
            let text = ascii(&serde_json::to_string(&held).unwrap_or_default());
            if text.len() <= HEADER_BYTES {
                return text;
            }
            let longer = held.limits.len() > held.targets.len();
            let dropped = if longer { held.limits.pop().is_some() } else { held.targets.pop().is_some() };
            if !dropped {
                return String::new();
            }
            held.omitted += 1;
        }
    }
}

/// JSON without any character that a header cannot hold.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for char in json.chars() {
        if char.is_ascii() {
            text.push(char);
        } else {
            let mut units = [0; 2];
            text.extend(char.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}

const fn because(distance: u8) -> &'static str {
    match distance {
        0 => "it is of the caller's own namespace",
        1 => "it is of the platform's namespace, and no route of the caller's own serves it",
        _ => "no route of the caller's own namespace or the platform's serves it",
    }
}

fn explained_target(target: &Target, asked: &Asked<'_>, now: Millis) -> ExplainedTarget {
    ExplainedTarget {
        name: target.data.name.clone(),
        provider: target.provider.id.to_string(),
        model: target.upstream_model(asked.model).map(str::to_owned),
        priority: target.data.priority,
        weight: target.data.weight,
        price: asked.quote(target).map(|quote| explained_price(quote, asked.tier_at(target).name())),
        state: state(target, asked, now),
    }
}

/// Whether the target may be asked, and else why not.
fn state(target: &Target, asked: &Asked<'_>, now: Millis) -> String {
    let needs =
        Needs { input: asked.input.least, max_output: asked.max_output, max_output_name: "max_tokens", rated: true };
    if target.upstream_model(asked.model).is_none() {
        return "its Provider does not have the model".to_owned();
    }
    if let Some(refusal) = misfit(target, asked.model, needs) {
        return refusal.message;
    }
    let by_choice = match asked.only {
        Some(only) if only != target.data.name => Some("left aside, since a Budget moved the request"),
        None if target.data.weight == 0 => Some("only where a Budget moves requests to it"),
        Some(_) | None => None,
    };
    let keyless = !target.provider.data.credentials.is_empty() && target.provider.credentials.is_empty();
    let text = match (by_choice, keyless, target.health.standing(mark_of(asked.caller), now)) {
        (Some(why), _, _) => why,
        (None, true, _) => "none of its Provider's credentials has a secret",
        (None, false, Standing::Out(_)) => "out of service after failures",
        (None, false, Standing::Probe) => "tried by one request after failures",
        (None, false, Standing::Ready) => "ready",
    };
    text.to_owned()
}

fn explained_price(quote: Quote<'_>, service_tier: Option<Box<str>>) -> ExplainedPrice {
    let Quote { pricing, tariff } = quote;
    let per_million = |Price(pico): Price| decimal(pico.into(), 6);
    ExplainedPrice {
        source: pricing.source,
        service_tier: service_tier.map(String::from),
        currency: pricing.currency,
        input: per_million(tariff.rates.input),
        output: per_million(tariff.rates.output),
        per_request: pricing.per_request.map(|Price(pico)| decimal(pico.into(), 12)),
    }
}

fn explained_limit(charge: &Charge, route: &Route, moment: Moment<'_>) -> ExplainedLimit {
    let standing = (moment.standing)(&charge.claim);
    let show = |amount| shown(charge.unit, amount);
    let (of, mode, limit, exceeded) = match &charge.of {
        Payer::Rate(place) => {
            let rate = route.data.rate_limits.get(*place);
            let limit = rate.map(|rate| format!("{} in {}", show(rate.amount), span(rate.per_ms)));
            (format!("rate limit {}", rate.map_or("", |rate| &rate.name)), None, limit, "Reject".to_owned())
        }
        Payer::Budget(budget) => {
            let stated = budget.data.limits.iter().find(|limit| limit.unit == charge.unit).map(|limit| limit.amount);
            let limit = standing.map(|standing| standing.limit).or(stated).map(show);
            (format!("Budget {}", budget.id), Some(mode(budget.data.mode)), limit, exceeded(&budget.data))
        }
        Payer::Provider { provider, gauge } => {
            let limit = standing.map(|standing| show(standing.limit));
            let what = if *gauge { "at once" } else { "a minute" };
            let limit = limit.map(|limit| format!("{limit} {what}"));
            (format!("Provider {}", provider.id), None, limit, "the next target".to_owned())
        }
    };
    ExplainedLimit {
        of,
        mode,
        partition: charge.claim.partition.to_string(),
        limit: limit.unwrap_or_default(),
        estimate: show(charge.claim.amount),
        spent: standing.map(|standing| show(standing.spent)),
        left: standing.map(|standing| show(standing.remaining)),
        resets_in: standing.and_then(|standing| standing.resets_in_ms).map(|ms| span(ms.div_ceil(1_000) * 1_000)),
        exceeded,
    }
}

const fn mode(mode: BudgetMode) -> &'static str {
    match mode {
        BudgetMode::Enforce => "Enforce",
        BudgetMode::Warn => "Warn",
        BudgetMode::Shadow => "Shadow",
        BudgetMode::Off => "Disabled",
        BudgetMode::Block => "Block",
    }
}

fn exceeded(budget: &weir_snapshot::Budget) -> String {
    if budget.mode != BudgetMode::Enforce {
        return "served, since it counts alone".to_owned();
    }
    let exceeded = match &budget.on_exceeded {
        OnExceeded::Reject => "Reject".to_owned(),
        OnExceeded::Degrade { target } => format!("Degrade to {target}"),
        OnExceeded::Queue { max_wait_ms } => format!("Queue for {}", span(*max_wait_ms)),
    };
    match &budget.thrift {
        Some(Thrift { percent, target }) => format!("{exceeded}; from {percent} % on to {target}"),
        None => exceeded,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it by reference")]
const fn is_zero(n: &u32) -> bool {
    *n == 0
}
