//! What models cost, and the lists in which those are looked up that no Provider lists.

use crate::{Currency, Price};
use serde::{Deserialize, Serialize, Serializer};
use std::collections::{BTreeMap, HashMap};

/// What a model costs, per token unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pricing {
    /// What it is paid in.
    pub currency: Currency,
    /// Of a request of the standard tier of service.
    #[serde(flatten)]
    pub standard: Tariff,
    /// Of requests of other tiers of service, by the provider's names of those.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_tiers: BTreeMap<String, Tariff>,
    /// One request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_request: Option<Price>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "PriceSource::is_provider")]
    pub source: PriceSource,
}

/// Where a price stands; the first of them that has one for a model counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "named after the places")]
pub enum PriceSource {
    #[default]
    Provider,
    Overlay,
    Catalogue,
}

impl PriceSource {
    fn is_provider(&self) -> bool {
        *self == Self::Provider
    }
}

/// What tokens cost in one tier of service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tariff {
    /// Of a request that is in no tier.
    #[serde(flatten)]
    pub rates: Rates,
    /// Other rates for requests with much input, the least first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
}

/// What a model costs in one tier of service.
#[derive(Debug, Clone, Copy)]
pub struct Quote<'a> {
    /// The whole price of the model.
    pub pricing: &'a Pricing,
    /// What its tokens cost in that tier.
    pub tariff: &'a Tariff,
}

/// What each class of token costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rates {
    /// An input token that was neither read from a cache nor written to one.
    pub input: Price,
    /// An output token.
    pub output: Price,
    /// An input token read from the provider's cache; absent = `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Price>,
    /// An input token written to the provider's cache for five minutes; absent = `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<Price>,
    /// An input token written to the provider's cache for an hour; absent = `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Price>,
    /// A reasoning token; absent = `output`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Price>,
}

/// Rates of every token of a request with more input than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Input tokens of all classes together that a request of this tier has more than.
    pub above_input_tokens: u64,
    /// Its rates.
    #[serde(flatten)]
    pub rates: Rates,
}

impl Pricing {
    /// What a request of the standard tier of service costs.
    pub const fn standard(&self) -> Quote<'_> {
        Quote { pricing: self, tariff: &self.standard }
    }

    /// What a request of that tier of service costs, of the standard one where none is named; `None` = nobody knows.
    pub fn quote(&self, service_tier: Option<&str>) -> Option<Quote<'_>> {
        let Some(name) = service_tier else { return Some(self.standard()) };
        Some(Quote { pricing: self, tariff: self.service_tiers.get(name)? })
    }

    /// What a request costs in every tier of service that has a price.
    pub fn quotes(&self) -> impl Iterator<Item = Quote<'_>> {
        let others = self.service_tiers.values().map(|tariff| Quote { pricing: self, tariff });
        [self.standard()].into_iter().chain(others)
    }

    /// The features without which a pod must not count with it.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &'static str> {
        let rates = |quote: Quote<'_>| quote.tariff.rates;
        let written = |rates: Rates| rates.cache_write_5m.is_some() || rates.cache_write_1h.is_some();
        let needs = [
            ("pricing.cache-write", self.quotes().map(rates).any(written)),
            ("pricing.tiers", self.quotes().any(|quote| !quote.tariff.tiers.is_empty())),
            ("pricing.service-tiers", !self.service_tiers.is_empty()),
        ];
        needs.into_iter().filter_map(|(feature, needed)| needed.then_some(feature))
    }
}

impl Tariff {
    /// The rates of a request with that many input tokens.
    pub fn rates_for(&self, input_total: u64) -> &Rates {
        let reached = self.tiers.iter().rev().find(|tier| input_total > tier.above_input_tokens);
        reached.map_or(&self.rates, |tier| &tier.rates)
    }
}

/// What is known of the models of a name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModelPrice {
    /// The provider's names for it, lower case; `*` at either end stands for anything, `#` for a digit.
    pub names: Vec<String>,
    /// What it costs; absent = known to cost something that cannot be told in these terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<Pricing>,
    /// Tokens of input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Tokens of output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
}

/// A list of models and their prices; of several that a name fits, the first counts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Vec<ModelPrice>")]
pub struct Prices {
    models: Vec<ModelPrice>,
    /// Places in the list by whole names, so that few patterns need to be tried.
    whole: HashMap<String, usize>,
    /// Patterns and their places, in the order of the list.
    patterns: Vec<(String, usize)>,
}

impl Prices {
    /// What is known of the model that the provider knows by that name, whatever its case.
    pub fn find(&self, name: &str) -> Option<&ModelPrice> {
        let name = name.to_ascii_lowercase();
        let whole = self.whole.get(&name).copied();
        let fits = |(pattern, at): &&(String, usize)| whole.is_none_or(|whole| *at < whole) && fits(pattern, &name);
        let pattern = self.patterns.iter().find(fits).map(|(_, at)| *at);
        self.models.get(pattern.or(whole)?)
    }

    /// The features without which a pod must not apply it.
    pub(crate) fn needs(&self) -> Vec<&'static str> {
        let service_tiers = "pricing.service-tiers";
        let mut pricings = self.models.iter().filter_map(|model| model.pricing.as_ref());
        let needed = pricings.any(|pricing| pricing.needs().any(|feature| feature == service_tiers));
        ["prices"].into_iter().chain(needed.then_some(service_tiers)).collect()
    }

    /// All of it, in its order.
    pub fn models(&self) -> &[ModelPrice] {
        &self.models
    }
}

impl From<Vec<ModelPrice>> for Prices {
    fn from(models: Vec<ModelPrice>) -> Self {
        let (mut whole, mut patterns) = (HashMap::new(), Vec::new());
        for (at, model) in models.iter().enumerate() {
            for name in &model.names {
                if name.contains(['*', '#']) {
                    patterns.push((name.clone(), at));
                } else {
                    whole.entry(name.clone()).or_insert(at);
                }
            }
        }
        Self { models, whole, patterns }
    }
}

impl PartialEq for Prices {
    fn eq(&self, other: &Self) -> bool {
        self.models == other.models
    }
}

impl Serialize for Prices {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.models.serialize(serializer)
    }
}

/// Whether a name has the form of a pattern.
fn fits(pattern: &str, name: &str) -> bool {
    let (tail, pattern) = pattern.strip_prefix('*').map_or((false, pattern), |rest| (true, rest));
    let (head, pattern) = pattern.strip_suffix('*').map_or((false, pattern), |rest| (true, rest));
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let same = |part: &[u8]| {
        let like = |(held, given): (&u8, &u8)| held == given || (*held == b'#' && given.is_ascii_digit());
        part.len() == pattern.len() && pattern.iter().zip(part).all(like)
    };
    match (tail, head) {
        (false, false) => same(name),
        (false, true) => name.get(..pattern.len()).is_some_and(same),
        (true, false) => name.len().checked_sub(pattern.len()).and_then(|from| name.get(from..)).is_some_and(same),
        (true, true) => pattern.is_empty() || name.windows(pattern.len()).any(same),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(models: &[&[&str]]) -> Prices {
        let model = |(at, names): (usize, &&[&str])| ModelPrice {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            max_output: Some(at as u64),
            ..ModelPrice::default()
        };
        models.iter().enumerate().map(model).collect::<Vec<_>>().into()
    }

    #[test]
    fn a_name_is_whole_or_a_pattern_with_an_open_end_or_digits() {
        for (pattern, name, expected) in [
            ("gpt-5", "gpt-5", true),
            ("gpt-5", "gpt-5-mini", false),
            ("gpt-5*", "gpt-5-mini", true),
            ("gpt-5*", "gpt-5", true),
            ("gpt-5*", "my-gpt-5", false),
            ("*-latest", "gpt-5-latest", true),
            ("*-latest", "latest", false),
            ("*claude-v2*", "anthropic.claude-v2:1", true),
            ("*claude-v2*", "claude-3", false),
            ("o3-####-##-##", "o3-2025-04-16", true),
            ("o3-####-##-##", "o3-2025-04-1x", false),
            ("o3-####-##-##", "o3-2025-04-16-x", false),
            ("*", "anything", true),
        ] {
            assert_eq!(list(&[&[pattern]]).find(name).is_some(), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn the_first_of_several_counts_be_it_a_pattern_or_not() {
        let prices = list(&[&["gpt-4*"], &["gpt-4o"], &["gpt-5"], &["gpt-*"]]);
        let found = |name: &str| prices.find(name).and_then(|found| found.max_output);
        assert_eq!(found("gpt-4o"), Some(0));
        assert_eq!(found("GPT-5"), Some(2), "names of providers have no case");
        assert_eq!(found("gpt-6"), Some(3));
        assert_eq!(found("o3"), None);
    }

    #[test]
    fn rates_of_a_tier_begin_above_its_input_tokens() {
        let tier = |above_input_tokens, input| Tier {
            above_input_tokens,
            rates: Rates { input: Price(input), ..Rates::default() },
        };
        let rates = Rates { input: Price(1), ..Rates::default() };
        let tariff = Tariff { rates, tiers: vec![tier(100, 2), tier(200, 3)] };
        let input = |total| tariff.rates_for(total).input.0;
        assert_eq!([100, 101, 200, 201].map(input), [1, 2, 2, 3]);
    }

    #[test]
    fn a_pricing_is_one_flat_object_on_the_wire() {
        let text = r#"{"currency":"USD","input":1,"output":2,"cache_read":3,"tiers":[{"above_input_tokens":9,"input":4,"output":5}],"service_tiers":{"flex":{"input":6,"output":7}}}"#;
        let pricing: Pricing = serde_json::from_str(text).unwrap();
        assert_eq!(pricing.standard.tiers.first().map(|tier| tier.rates.output), Some(Price(5)));
        assert_eq!(serde_json::to_string(&pricing).unwrap(), text);
    }

    #[test]
    fn a_tier_of_service_that_is_not_listed_has_no_price() {
        let tariff = |input| Tariff { rates: Rates { input: Price(input), ..Rates::default() }, tiers: Vec::new() };
        let pricing = Pricing {
            currency: Currency::parse("USD").expect("a currency"),
            standard: tariff(2),
            service_tiers: BTreeMap::from([("flex".to_owned(), tariff(1))]),
            per_request: None,
            source: PriceSource::Provider,
        };
        let input = |tier| pricing.quote(tier).map(|quote| quote.tariff.rates.input.0);
        assert_eq!([None, Some("flex"), Some("priority")].map(input), [Some(2), Some(1), None]);
        assert_eq!(pricing.needs().collect::<Vec<_>>(), ["pricing.service-tiers"]);
    }
}
