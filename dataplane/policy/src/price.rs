//! What an answer cost, and estimates where nobody counted.

use weir_dialect::Usage;
use weir_snapshot::{Price, Pricing};

/// Bytes of JSON per token of input: what current tokenizers give for English prose with its JSON around it.
const BYTES_PER_TOKEN: usize = 4;

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// ISO 4217 code.
    pub currency: String,
    /// 10⁻¹² of its unit.
    pub pico: u128,
}

impl Cost {
    /// Units of the currency, for display alone.
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub fn units(&self) -> f64 {
        self.pico as f64 / 1e12
    }
}

/// The cost of one answered attempt.
pub fn cost(usage: &Usage, pricing: &Pricing) -> Cost {
    let Pricing { currency, input, output, cache_read, cache_write_5m, cache_write_1h, reasoning, per_request } =
        pricing;
    let Usage {
        input: fresh,
        cache_read: cached,
        cache_write_5m: brief,
        cache_write_1h: hour,
        output: visible,
        reasoning: hidden,
    } = *usage;
    let times = |tokens: u64, price: Price| u128::from(tokens) * u128::from(price.0);
    let pico = times(fresh, *input)
        + times(cached, cache_read.unwrap_or(*input))
        + times(brief, cache_write_5m.unwrap_or(*input))
        + times(hour, cache_write_1h.unwrap_or(*input))
        + times(visible, *output)
        + times(hidden, reasoning.unwrap_or(*output))
        + times(1, per_request.unwrap_or(Price(0)));
    Cost { currency: currency.clone(), pico }
}

/// Input tokens of a prompt of that many bytes, roughly.
pub const fn estimate_input(prompt_bytes: usize) -> u64 {
    prompt_bytes.div_ceil(BYTES_PER_TOKEN) as u64
}

/// Output tokens of a stream that ended early: providers send about a token an event; where events are
/// long, their text counts.
pub const fn estimate_output(events: u64, text_bytes: u64) -> u64 {
    let by_text = text_bytes / BYTES_PER_TOKEN as u64;
    if by_text > events * 4 { by_text } else { events }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_token_is_charged_once_at_its_own_rate() {
        let usage = Usage {
            input: 1_000,
            cache_read: 9_000,
            cache_write_5m: 200,
            cache_write_1h: 100,
            output: 100,
            reasoning: 400,
        };
        let price = |text| Price::per_million(text).expect("a price");
        let mut pricing = Pricing {
            currency: "USD".into(),
            input: price("2.50"),
            output: price("10"),
            cache_read: Some(price("1.25")),
            cache_write_5m: Some(price("3.125")),
            cache_write_1h: Some(price("5")),
            reasoning: None,
            per_request: Some(Price::per_unit("0.001").expect("a price")),
        };
        // 0.0025 + 0.01125 + 0.000625 + 0.0005 + 0.005 + 0.001
        assert_eq!(cost(&usage, &pricing).pico, 20_875_000_000);
        (pricing.cache_read, pricing.cache_write_5m, pricing.cache_write_1h) = (None, None, None);
        assert_eq!(cost(&usage, &pricing).pico, 31_750_000_000);
    }
}
