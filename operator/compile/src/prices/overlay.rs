//! The overlay: prices and rates of exchange of whoever runs the operator, from a ConfigMap.
//!
//! It is taken whole or not at all.

use super::entry::Entry;
use crate::findings::{Findings, Gravity};
use k8s_openapi::api::core::v1::ConfigMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use weir_snapshot::{Currency, ModelPrice, Price, PriceSource, ProviderType};

/// The key of the ConfigMap.
const KEY: &str = "prices.yaml";
/// Most entries of a provider type: their patterns are tried one by one.
const MOST_ENTRIES: usize = 1_000;
/// Most rates of exchange.
const MOST_RATES: usize = 1_000;
/// The types that it may price; a Mock's price is its Provider's own.
const TYPES: [ProviderType; 3] = [ProviderType::OpenAI, ProviderType::OpenAICompatible, ProviderType::Anthropic];

/// Prices that come before those of the catalogue, and rates of exchange.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overlay {
    /// An entry takes the whole place of the catalogue's.
    pub(crate) models: BTreeMap<ProviderType, Vec<ModelPrice>>,
    /// Millionths of the second currency for one unit of the first, by both, such as `USD/EUR`.
    pub(crate) exchange_rates: BTreeMap<String, u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    models: BTreeMap<String, Vec<Entry>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    exchange_rates: BTreeMap<String, String>,
}

impl Overlay {
    /// Reads the key `prices.yaml`. The error names each mistake by its path, with the mend.
    pub fn read(map: &ConfigMap) -> Result<Self, String> {
        let text = map.data.as_ref().and_then(|data| data.get(KEY));
        let text = text.ok_or_else(|| format!("it has no key {KEY}; put the prices there"))?;
        let given: serde_yaml::Value = serde_yaml::from_str(text).map_err(|e| format!("{KEY}: {e}"))?;
        if given.is_null() {
            return Err(format!("{KEY}: it is empty; write {{}} for no prices"));
        }
        let written: Written = serde_yaml::from_str(text).map_err(|e| format!("{KEY}: {e}"))?;
        let mut findings = Findings::default();
        if let (Ok(given), Ok(read)) = (serde_json::to_value(given), serde_json::to_value(&written)) {
            unread(&given, &read, "", &mut findings);
        }
        let overlay = Self {
            models: models(&written.models, &mut findings),
            exchange_rates: rates(&written.exchange_rates, &mut findings),
        };
        match findings.summary() {
            Some(complaints) => Err(format!("{KEY}: {complaints}")),
            None => Ok(overlay),
        }
    }
}

fn models(written: &BTreeMap<String, Vec<Entry>>, findings: &mut Findings) -> BTreeMap<ProviderType, Vec<ModelPrice>> {
    let mut models = BTreeMap::new();
    for (name, entries) in written {
        let path = format!("models.{name}");
        let Some(of) = TYPES.into_iter().find(|of| of.as_str() == name) else {
            let message = format!(
                "is no provider type that can be priced here; there are {}",
                TYPES.map(ProviderType::as_str).join(", ")
            );
            invalid(findings, path, message);
            continue;
        };
        if entries.len() > MOST_ENTRIES {
            invalid(findings, path.clone(), format!("has more than {MOST_ENTRIES} entries"));
        }
        let mut list = Vec::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            let path = format!("{path}[{at}]");
            if entry.pricing.is_none() {
                invalid(findings, format!("{path}.pricing"), "is missing: an entry says what its models cost");
            }
            list.push(entry.read(PriceSource::Overlay, &path, findings));
        }
        models.insert(of, list);
    }
    models
}

fn rates(written: &BTreeMap<String, String>, findings: &mut Findings) -> BTreeMap<String, u64> {
    if written.len() > MOST_RATES {
        invalid(findings, "exchangeRates", format!("has more than {MOST_RATES} rates"));
    }
    let mut rates = BTreeMap::new();
    for (pair, text) in written {
        let path = format!("exchangeRates.{pair}");
        let currencies = pair.split_once('/').map(|(from, to)| (Currency::parse(from), Currency::parse(to)));
        if !matches!(currencies, Some((Some(from), Some(to))) if from != to) {
            invalid(findings, path.clone(), "is no pair of currencies; write it like USD/EUR");
        }
        match Price::micros(text) {
            Ok(0) => invalid(findings, path, "is 0, which would make everything free"),
            Ok(rate) => drop(rates.insert(pair.clone(), rate)),
            Err(e) => invalid(findings, path, format!("the rate {text:?} {e}")),
        }
    }
    rates
}

/// Members that were given and not read.
fn unread(given: &Value, read: &Value, path: &str, findings: &mut Findings) {
    match (given, read) {
        (Value::Object(given), Value::Object(read)) => {
            for (name, given) in given {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                let says_nothing = given.is_null() || given.as_array().is_some_and(Vec::is_empty);
                match read.get(name) {
                    Some(read) => unread(given, read, &path, findings),
                    None if says_nothing => {}
                    None => invalid(findings, path, "is no field here; is its name spelt right?"),
                }
            }
        }
        (Value::Array(given), Value::Array(read)) => {
            for (at, (given, read)) in given.iter().zip(read).enumerate() {
                unread(given, read, &format!("{path}[{at}]"), findings);
            }
        }
        _ => {}
    }
}

fn invalid(findings: &mut Findings, path: impl Into<String>, message: impl Into<String>) {
    findings.add(Gravity::Invalid, "InvalidPrice", path, message);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Overlay, String> {
        let data = Some(BTreeMap::from([(KEY.to_owned(), text.to_owned())]));
        Overlay::read(&ConfigMap { data, ..ConfigMap::default() })
    }

    #[test]
    fn prices_and_rates_are_read_in_the_form_of_a_providers_models() {
        let overlay = read(
            r#"
models:
  OpenAICompatible:
    - names: [Llama-*]
      pricing: {currency: EUR, input: "0.10", output: "0.30", tiers: [{aboveInputTokens: 9, input: "1", output: "2"}]}
      contextWindow: 8192
exchangeRates: {USD/EUR: "0.92"}
"#,
        )
        .unwrap();
        assert_eq!(overlay.exchange_rates, BTreeMap::from([("USD/EUR".to_owned(), 920_000)]));
        let [llama] = &*overlay.models[&ProviderType::OpenAICompatible] else { panic!("one entry") };
        assert_eq!((&*llama.names[0], llama.context_window), ("llama-*", Some(8_192)));
        assert_eq!(llama.pricing.as_ref().map(|pricing| pricing.standard.rates_for(10).input), Some(Price(1_000_000)));
    }

    #[test]
    fn one_mistake_refuses_all_of_it_by_its_path_f58() {
        let entry = |text: &str| format!("models: {{OpenAI: [{{names: [a], pricing: {text}}}]}}");
        let price = r#"{currency: USD, input: "1", output: "2"}"#;
        let tiers = |text: &str| entry(&format!("{{currency: USD, input: '1', output: '2', serviceTiers: [{text}]}}"));
        let nine: Vec<_> = (0..9).map(|n| format!("{{name: t{n}, input: '1', output: '2'}}")).collect();
        for (text, message) in [
            ("models: [", "prices.yaml: "),
            ("", "prices.yaml: it is empty"),
            ("model: {}", "model: is no field here"),
            (&format!("models: {{Groq: [{{names: [a], pricing: {price}}}]}}"), "models.Groq: is no provider type"),
            (&format!("models: {{Mock: [{{names: [a], pricing: {price}}}]}}"), "models.Mock: is no provider type"),
            ("models: {OpenAI: [{names: [a]}]}", "models.OpenAI[0].pricing: is missing"),
            (&format!("models: {{OpenAI: [{{names: [], pricing: {price}}}]}}"), "models.OpenAI[0].names: give 1"),
            (
                &format!("models: {{OpenAI: [{{names: [a*b], pricing: {price}}}]}}"),
                "models.OpenAI[0].names[0]: must be",
            ),
            (&entry(r#"{currency: usd, input: "1", output: "2"}"#), "models.OpenAI[0].pricing.currency: \"usd\""),
            (
                &entry(r#"{currency: USD, input: "-1", output: "2"}"#),
                "models.OpenAI[0].pricing.input: the price \"-1\"",
            ),
            (&entry(r#"{currency: USD, input: "1"}"#), "missing field `output`"),
            (&entry(r#"{currency: USD, input: 1.5, output: "2"}"#), "expected a string"),
            (
                &entry(r#"{currency: USD, input: "1", output: "2", cacheread: "0"}"#),
                "pricing.cacheread: is no field here",
            ),
            (
                &entry(
                    r#"{currency: USD, input: "1", output: "2", tiers: [{aboveInputTokens: 0, input: "1", output: "1"}]}"#,
                ),
                "models.OpenAI[0].pricing.tiers[0].aboveInputTokens: a tier begins",
            ),
            (&tiers(r#"{name: auto, input: "1", output: "1"}"#), "[0].name: \"auto\" is a name of the standard tier"),
            (&tiers(r#"{name: standard_only, input: "1", output: "1"}"#), "is a name of the standard tier"),
            (&tiers(r#"{name: Flex, input: "1", output: "1"}"#), "serviceTiers[0].name: \"Flex\" is no tier"),
            (&tiers(r#"{name: "", input: "1", output: "1"}"#), "serviceTiers[0].name: \"\" is no tier"),
            (&tiers(r#"{name: flex, input: "x", output: "1"}"#), "serviceTiers[0].input: the price \"x\""),
            (
                &tiers(r#"{name: flex, input: "1", output: "1"}, {name: flex, input: "1", output: "1"}"#),
                "serviceTiers[1].name: \"flex\" is listed twice",
            ),
            (
                &tiers(r#"{name: flex, input: "1", output: "1", perRequest: "1"}"#),
                "serviceTiers[0].perRequest: is no field here",
            ),
            (&tiers(&nine.join(", ")), "pricing.serviceTiers: has more than 8 tiers"),
            (r#"exchangeRates: {USD: "1"}"#, "exchangeRates.USD: is no pair"),
            (r#"exchangeRates: {USD/USD: "1"}"#, "exchangeRates.USD/USD: is no pair"),
            (r#"exchangeRates: {USD/EUR: "0"}"#, "exchangeRates.USD/EUR: is 0"),
            (r#"exchangeRates: {USD/EUR: "x"}"#, "exchangeRates.USD/EUR: the rate \"x\" is not a decimal"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.contains(message), "{text}\n{refused}");
        }
        let refused = Overlay::read(&ConfigMap::default()).expect_err("no key");
        assert!(refused.contains("no key prices.yaml"), "{refused}");
    }
}
