//! The catalogue that is compiled in; `operator/compile/catalogue/build` writes it.

use super::entry::Entry;
use crate::findings::Findings;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use weir_snapshot::{ModelPrice, PriceSource, ProviderType};

const TEXT: &str = include_str!("../../catalogue/prices.json");

/// Public prices of providers, and where they come from.
#[derive(Default, Deserialize)]
pub struct Catalogue {
    /// The package that they were taken from.
    pub source: String,
    /// Its version.
    pub version: String,
    /// The day whose prices they are, as `2026-01-31`.
    pub date: String,
    /// Its licence, and who holds the copyright.
    pub licence: String,
    /// By provider type; of several entries that a name fits, the first counts.
    pub models: BTreeMap<ProviderType, Vec<Entry>>,
    /// The same, as pods take them.
    #[serde(skip)]
    pub(super) prices: BTreeMap<ProviderType, Vec<ModelPrice>>,
}

impl Catalogue {
    /// The one that was built in.
    pub fn built_in() -> &'static Self {
        static HELD: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::read().unwrap_or_default());
        &HELD
    }

    /// A catalogue that cannot be read is none: nothing in it costs nothing.
    fn read() -> Result<Self, String> {
        let mut catalogue: Self = serde_json::from_str(TEXT).map_err(|e| e.to_string())?;
        let mut findings = Findings::default();
        let read = |(of, entries): (&ProviderType, &Vec<Entry>)| {
            let path = |at: usize| format!("models.{}[{at}]", of.as_str());
            (
                *of,
                entries
                    .iter()
                    .enumerate()
                    .map(|(at, entry)| entry.read(PriceSource::Catalogue, &path(at), &mut findings))
                    .collect(),
            )
        };
        catalogue.prices = catalogue.models.iter().map(read).collect();
        match findings.complaints().first() {
            Some((path, message)) => Err(format!("{path}: {message}")),
            None => Ok(catalogue),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::PriceLists;
    use weir_snapshot::Tariff;

    #[test]
    fn it_reads_without_a_complaint_and_says_where_it_comes_from() {
        let catalogue = Catalogue::read().unwrap();
        assert_eq!((&*catalogue.source, catalogue.date.len()), ("genai-prices", 10));
        assert!(catalogue.licence.starts_with("MIT"));
        assert!(catalogue.models.values().all(|entries| entries.len() > 20));
    }

    #[test]
    fn nothing_in_it_is_free() {
        let priced = || Catalogue::built_in().prices.values().flatten().filter_map(|model| model.pricing.as_ref());
        assert!(priced().count() > 100);
        for pricing in priced() {
            let Tariff { rates, tiers } = &pricing.standard;
            let rates = [rates].into_iter().chain(tiers.iter().map(|tier| &tier.rates));
            rates.for_each(|rates| assert!(rates.input.0 > 0 && rates.output.0 > 0, "{pricing:?}"));
        }
    }

    #[test]
    fn a_name_is_priced_as_the_source_matches_it() {
        let lists = PriceLists::default();
        let input =
            |of, name| lists.find(of, name).and_then(|known| Some(known.pricing.as_ref()?.standard.rates.input.0));
        assert_eq!(input(ProviderType::OpenAI, "gpt-4o"), Some(2_500_000));
        assert_eq!(input(ProviderType::OpenAI, "GPT-4o-2024-11-20"), Some(2_500_000));
        assert_eq!(input(ProviderType::Anthropic, "claude-sonnet-4-5-20250929"), Some(3_000_000));
        assert_eq!(input(ProviderType::OpenAI, "gpt-audio"), None, "charged by more than tokens of text");
        assert_eq!(input(ProviderType::OpenAI, "no-such-model"), None);
        assert_eq!(input(ProviderType::OpenAICompatible, "gpt-4o"), None, "whoever serves it sets its price");
        assert_eq!(input(ProviderType::Mock, "gpt-4o"), None);
    }
}
