//! Currencies, and prices as integers. Money is never a float.

use serde::{Deserialize, Serialize};

/// A currency by its ISO 4217 code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The currency of a code of three capital letters; `None` = the text is none.
    pub fn parse(code: &str) -> Option<Self> {
        let code: [u8; 3] = code.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    /// Its code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::fmt::Debug for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TryFrom<String> for Currency {
    type Error = String;

    fn try_from(code: String) -> Result<Self, String> {
        Self::parse(&code).ok_or_else(|| format!("{code:?} is no currency"))
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

/// So many parts as a decimal number, without idle zeros; one has 10 to the power of `digits` of them.
pub fn decimal(parts: u128, digits: u32) -> String {
    let one = 10_u128.pow(digits);
    let (whole, rest) = (parts / one, parts % one);
    let mut text = whole.to_string();
    if rest > 0 {
        let rest = (one + rest).to_string();
        text.push('.');
        text.push_str(rest.get(1..).unwrap_or_default().trim_end_matches('0'));
    }
    text
}

/// A price in pico-units of its currency (10⁻¹²), so that "2.50 per million tokens" is exact per token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(pub u64);

/// Why a decimal string is no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceError {
    /// Not digits with at most one point between them.
    NotDecimal,
    /// More than six digits behind the point.
    TooFine,
    /// More than nine million units.
    TooLarge,
}

impl std::fmt::Display for PriceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotDecimal => "is not a decimal number; write it like \"2.50\"",
            Self::TooFine => "has more than six digits behind the point",
            Self::TooLarge => "is over 9000000",
        })
    }
}

impl Price {
    const PICO: u64 = 1_000_000_000_000;

    /// Reads a decimal string that gives units of currency per million tokens.
    pub fn per_million(text: &str) -> Result<Self, PriceError> {
        Self::micros(text).map(Self)
    }

    /// Reads a decimal string that gives units of currency for one thing, such as a request.
    pub fn per_unit(text: &str) -> Result<Self, PriceError> {
        Self::micros(text)?.checked_mul(Self::PICO / 1_000_000).map(Self).ok_or(PriceError::TooLarge)
    }

    /// Reads a decimal string as millionths of a unit.
    pub fn micros(text: &str) -> Result<u64, PriceError> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) {
            return Err(PriceError::NotDecimal);
        }
        if part.len() > 6 {
            return Err(PriceError::TooFine);
        }
        let whole: u64 = whole.parse().map_err(|_| PriceError::TooLarge)?;
        let part: u64 = format!("{part:0<6}").parse().map_err(|_| PriceError::NotDecimal)?;
        if whole > 9_000_000 {
            return Err(PriceError::TooLarge);
        }
        Ok(whole * 1_000_000 + part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_strings_become_exact_integers() {
        assert_eq!(Price::per_million("2.50"), Ok(Price(2_500_000)));
        assert_eq!(Price::per_million("0.000001"), Ok(Price(1)));
        assert_eq!(Price::per_unit("0.01"), Ok(Price(10_000_000_000)));
        assert_eq!(Price::per_million("3"), Ok(Price(3_000_000)));
    }

    #[test]
    fn decimals_have_no_idle_zeros() {
        for (parts, digits, text) in
            [(0, 9, "0"), (1, 9, "0.000000001"), (12_500_000_000, 9, "12.5"), (1_110, 3, "1.11"), (7, 0, "7")]
        {
            assert_eq!(decimal(parts, digits), text);
        }
        assert_eq!(decimal(u128::MAX, 12), "340282366920938463463374607.431768211455");
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!(Currency::parse("USD").map(String::from), Some("USD".to_owned()));
        for bad in ["", "US", "usd", "USDT", "U1D", "€"] {
            assert_eq!(Currency::parse(bad), None, "{bad:?}");
        }
        assert!(serde_json::from_str::<Currency>("\"dollars\"").is_err());
    }

    #[test]
    fn what_is_no_price_is_refused_with_its_reason() {
        for bad in ["", ".", "1.", ".5", "-1", "1e3", "1,5", " 1"] {
            assert_eq!(Price::per_million(bad), Err(PriceError::NotDecimal), "{bad:?}");
        }
        assert_eq!(Price::per_million("0.0000001"), Err(PriceError::TooFine));
        assert_eq!(Price::per_million("9000001"), Err(PriceError::TooLarge));
        assert_eq!(Price::per_unit("99999999999999999999"), Err(PriceError::TooLarge));
    }
}
