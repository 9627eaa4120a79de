//! What an answer cost, and estimates where nobody counted.

use std::collections::BTreeMap;
use weir_dialect::Usage;
use weir_snapshot::{Currency, Price, Quote, Rates};

/// Bytes of text per token of output: what current tokenizers give for English prose.
const BYTES_PER_TOKEN: u64 = 4;
/// Tokens that a model is taken to write in a second of which nothing is seen.
const TOKENS_PER_SECOND: u64 = 100;
/// A rate of exchange counts in millionths.
const MICRO: u128 = 1_000_000;

/// An amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// What it is paid in.
    pub currency: Currency,
    /// 10⁻¹² of its unit.
    pub pico: u128,
}

impl Cost {
    /// Units of the currency, for display alone.
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub fn units(&self) -> f64 {
        self.pico as f64 / 1e12
    }

    /// Units of the currency as a decimal number.
    pub fn decimal(&self) -> String {
        weir_snapshot::decimal(self.pico, 12)
    }

    /// 10⁻⁹ of its unit, in which ledgers count; rounded up, so that no part of it is spent for nothing.
    pub fn nano(&self) -> u64 {
        u64::try_from(self.pico.div_ceil(1_000)).unwrap_or(u64::MAX)
    }

    /// The same in another currency, rounded up; `None` where the table has no rate for it. The rates are millionths
    /// of the second currency for a unit of the first, by both, such as `USD/EUR`.
    pub fn in_currency(&self, currency: Currency, rates: &BTreeMap<String, u64>) -> Option<Self> {
        if currency == self.currency {
            return Some(*self);
        }
        let rate = u128::from(*rates.get(&format!("{}/{currency}", self.currency))?);
        // Whole millions and the rest apart: the product of all of it might not fit.
        let (millions, rest) = (self.pico / MICRO, self.pico % MICRO);
        let pico = millions.saturating_mul(rate).saturating_add((rest * rate).div_ceil(MICRO));
        Some(Self { currency, pico })
    }
}

/// What each class of token cost, and the request itself: 10⁻¹² of the price's currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "named after the classes of usage")]
pub struct Parts {
    pub input: u128,
    pub cache_read: u128,
    pub cache_write_5m: u128,
    pub cache_write_1h: u128,
    pub output: u128,
    pub reasoning: u128,
    pub request: u128,
}

impl Parts {
    /// All of them together.
    pub fn total(&self) -> u128 {
        let Self { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, request } = *self;
        let all = [input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, request];
        all.into_iter().fold(0, u128::saturating_add)
    }
}

/// What one answered attempt cost, by class.
pub fn parts(usage: &Usage, quote: Quote<'_>) -> Parts {
    let Rates { input, output, cache_read, cache_write_5m, cache_write_1h, reasoning } =
        *quote.tariff.rates_for(usage.largest_pass());
    Parts {
        input: times(usage.input, input),
        cache_read: times(usage.cache_read, cache_read.unwrap_or(input)),
        cache_write_5m: times(usage.cache_write_5m, cache_write_5m.unwrap_or(input)),
        cache_write_1h: times(usage.cache_write_1h, cache_write_1h.unwrap_or(input)),
        output: times(usage.output, output),
        reasoning: times(usage.reasoning, reasoning.unwrap_or(output)),
        request: times(1, quote.pricing.per_request.unwrap_or_default()),
    }
}

/// The cost of one answered attempt.
pub fn cost(usage: &Usage, quote: Quote<'_>) -> Cost {
    Cost { currency: quote.pricing.currency, pico: parts(usage, quote).total() }
}

/// What a request of at most so many input and output tokens can cost at most, whichever classes they turn out
/// to be of.
pub fn dearest(quote: Quote<'_>, input: u64, output: u64) -> Cost {
    let Quote { pricing, tariff } = quote;
    let of = |rates: &Rates| {
        let Rates { input: fresh, output: visible, cache_read, cache_write_5m, cache_write_1h, reasoning } = *rates;
        let most = |price: Price, others: &[Option<Price>]| others.iter().flatten().fold(price, |a, b| a.max(*b));
        let input = times(input, most(fresh, &[cache_read, cache_write_5m, cache_write_1h]));
        input.saturating_add(times(output, most(visible, &[reasoning])))
    };
    let reached = tariff.tiers.iter().filter(|tier| input > tier.above_input_tokens).map(|tier| of(&tier.rates));
    let tokens = reached.fold(of(&tariff.rates), u128::max);
    let pico = tokens.saturating_add(times(1, pricing.per_request.unwrap_or_default()));
    Cost { currency: pricing.currency, pico }
}

fn times(tokens: u64, price: Price) -> u128 {
    u128::from(tokens) * u128::from(price.0)
}

/// Output tokens of what passed of an answer: providers send about a token an event; where events are long, or the
/// answer came whole, its text counts.
pub const fn estimate_output(events: u64, text_bytes: u64) -> u64 {
    let by_text = text_bytes.div_ceil(BYTES_PER_TOKEN);
    if by_text > events.saturating_mul(4) || events == 0 { by_text } else { events }
}

/// Output tokens of an answer that was asked for and of which nothing came: a hundred a second, and no more than the
/// request could come to.
pub fn estimate_unseen(elapsed_ms: u64, most: u64) -> u64 {
    (elapsed_ms.saturating_mul(TOKENS_PER_SECOND) / 1_000).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_snapshot::{Pricing, Tariff, Tier};

    fn currency(code: &str) -> Currency {
        Currency::parse(code).expect("a currency")
    }

    fn price(text: &str) -> Price {
        Price::per_million(text).expect("a price")
    }

    fn pricing() -> Pricing {
        Pricing {
            source: weir_snapshot::PriceSource::Provider,
            currency: currency("USD"),
            standard: Tariff {
                rates: Rates {
                    input: price("2.50"),
                    output: price("10"),
                    cache_read: Some(price("1.25")),
                    cache_write_5m: Some(price("3.125")),
                    cache_write_1h: Some(price("5")),
                    reasoning: None,
                },
                tiers: Vec::new(),
            },
            service_tiers: BTreeMap::new(),
            per_request: Some(Price::per_unit("0.001").expect("a price")),
        }
    }

    fn rates(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        pairs.iter().map(|&(pair, rate)| (pair.to_owned(), rate)).collect()
    }

    #[test]
    fn each_class_of_token_is_charged_once_at_its_own_rate() {
        let usage = Usage {
            input: 1_000,
            cache_read: 9_000,
            cache_write_5m: 200,
            cache_write_1h: 100,
            output: 100,
            reasoning: 400,
            largest_pass: 0,
        };
        let mut pricing = pricing();
        // 0.0025 + 0.01125 + 0.000625 + 0.0005 + 0.005 + 0.001
        assert_eq!(cost(&usage, pricing.standard()).pico, 20_875_000_000);
        let Parts { cache_read, reasoning, request, .. } = parts(&usage, pricing.standard());
        assert_eq!((cache_read, reasoning, request), (11_250_000_000, 4_000_000_000, 1_000_000_000));
        let rates = &mut pricing.standard.rates;
        (rates.cache_read, rates.cache_write_5m, rates.cache_write_1h) = (None, None, None);
        assert_eq!(cost(&usage, pricing.standard()).pico, 31_750_000_000);
    }

    #[test]
    fn a_tier_charges_every_token_and_cached_input_counts_towards_it() {
        let above = Rates { input: price("5"), output: price("15"), ..Rates::default() };
        let tiers = vec![Tier { above_input_tokens: 200_000, rates: above }];
        let mut pricing = Pricing { per_request: None, ..pricing() };
        pricing.standard.tiers = tiers;
        let usage = |cache_read| Usage { input: 1_000, cache_read, output: 10, ..Usage::default() };
        let of = |cache_read| cost(&usage(cache_read), pricing.standard()).pico;
        assert_eq!(of(199_000), 1_000 * 2_500_000 + 199_000 * 1_250_000 + 10 * 10_000_000);
        assert_eq!(of(199_001), 200_001 * 5_000_000 + 10 * 15_000_000);
    }

    #[test]
    fn several_passes_are_each_of_the_tier_that_the_largest_one_reaches() {
        let above = Rates { input: price("5"), output: price("15"), ..Rates::default() };
        let mut pricing = Pricing { per_request: None, ..pricing() };
        pricing.standard.tiers = vec![Tier { above_input_tokens: 200_000, rates: above }];
        let of = |largest_pass| {
            let usage = Usage { input: 203_000, output: 10, largest_pass, ..Usage::default() };
            cost(&usage, pricing.standard()).pico
        };
        assert_eq!(of(180_000), 203_000 * 2_500_000 + 10 * 10_000_000);
        assert_eq!([of(0), of(200_001)], [203_000 * 5_000_000 + 10 * 15_000_000; 2]);
    }

    #[test]
    fn what_passed_is_counted_by_events_or_text_and_what_nobody_saw_by_time() {
        assert_eq!([estimate_output(10, 30), estimate_output(3, 400), estimate_output(0, 9)], [10, 100, 3]);
        assert_eq!(estimate_output(u64::MAX, u64::MAX), u64::MAX);
        assert_eq!([estimate_unseen(2_500, 4_096), estimate_unseen(60_000, 4_096)], [250, 4_096]);
        assert_eq!(estimate_unseen(u64::MAX, u64::MAX), u64::MAX / 1_000);
    }

    #[test]
    fn a_ledger_counts_nanos_and_no_part_of_one_is_free() {
        let nano = |pico| Cost { currency: currency("USD"), pico }.nano();
        assert_eq!([0, 1, 1_000, 1_001].map(nano), [0, 1, 1, 2]);
        assert_eq!(nano(u128::MAX), u64::MAX);
    }

    #[test]
    fn currencies_are_converted_by_the_given_table_alone() {
        let usd = Cost { currency: currency("USD"), pico: 1_500_000_000_001 };
        let table = rates(&[("USD/EUR", 920_000)]);
        assert_eq!(usd.in_currency(currency("USD"), &table), Some(usd));
        assert_eq!(
            usd.in_currency(currency("EUR"), &table),
            Some(Cost { currency: currency("EUR"), pico: 1_380_000_000_001 })
        );
        assert_eq!(usd.in_currency(currency("GBP"), &table), None);
        let eur = Cost { currency: currency("EUR"), pico: 1 };
        assert_eq!(eur.in_currency(currency("USD"), &table), None, "the way back is another rate");
    }

    proptest! {
        #[test]
        fn no_request_costs_more_than_the_dearest_of_its_size(
            tokens in proptest::array::uniform6(0u64..400_000),
            prices in proptest::array::uniform6(proptest::option::of(0u64..100_000_000)),
            above in proptest::array::uniform6(proptest::option::of(0u64..100_000_000)),
            from in 0u64..500_000,
        ) {
            let rates = |[input, output, cache_read, cache_write_5m, cache_write_1h, reasoning]: [Option<u64>; 6]| Rates {
                input: Price(input.unwrap_or(1)),
                output: Price(output.unwrap_or(1)),
                cache_read: cache_read.map(Price),
                cache_write_5m: cache_write_5m.map(Price),
                cache_write_1h: cache_write_1h.map(Price),
                reasoning: reasoning.map(Price),
            };
            let tiers = vec![Tier { above_input_tokens: from, rates: rates(above) }];
            let tariff = Tariff { rates: rates(prices), tiers };
            let pricing = pricing();
            let quote = Quote { pricing: &pricing, tariff: &tariff };
            let [input, cache_read, cache_write_5m, cache_write_1h, output, reasoning] = tokens;
            let usage = Usage { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, largest_pass: 0 };
            let bound = dearest(quote, usage.input_total(), usage.output_total());
            prop_assert!(cost(&usage, quote).pico <= bound.pico);
        }

        #[test]
        fn conversion_is_exact_but_for_the_last_pico_upwards(pico in 0u128..1 << 90, rate in 1u64..9_000_000_000) {
            let cost = Cost { currency: currency("USD"), pico };
            let converted = cost.in_currency(currency("EUR"), &rates(&[("USD/EUR", rate)])).expect("a rate").pico;
            prop_assert_eq!(converted, (pico * u128::from(rate)).div_ceil(MICRO));
        }
    }
}
