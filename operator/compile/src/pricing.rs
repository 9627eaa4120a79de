//! A price as it is written, in decimal strings, to what pods count with.

use crate::findings::{Findings, Gravity};
use std::collections::BTreeMap;
use weir_crds::Decimal;
use weir_snapshot::{Currency, Price, PriceError, PriceSource, Pricing, Rates, Tariff, Tier};

/// Most tiers of service of a model.
const MOST_SERVICE_TIERS: usize = 8;
/// Longest name of one, in bytes.
const TIER_LENGTH: usize = 63;
/// Names that providers have for the standard tier, and for leaving it to them.
const STANDARD_TIERS: [&str; 7] =
    ["auto", "default", "standard", "standard_only", "on_demand", "global", "not_available"];

/// Reads the price at that path of its source; `None` where some part of it is no price.
pub(crate) fn read(
    spec: &weir_crds::Pricing,
    source: PriceSource,
    path: &str,
    findings: &mut Findings,
) -> Option<Pricing> {
    let weir_crds::Pricing { currency, standard, service_tiers, per_request } = spec;
    let read = Currency::parse(currency);
    if read.is_none() {
        let message = format!("{currency:?} is no currency; write its ISO 4217 code, such as USD");
        findings.add(Gravity::Invalid, "InvalidPrice", format!("{path}.currency"), message);
    }
    let standard = tariff(standard, path, findings);
    let service_tiers = self::service_tiers(service_tiers, path, findings);
    let per_request = per_request.as_ref().map(|text| price(text, Price::per_unit, path, "perRequest", findings));
    Some(Pricing {
        currency: read?,
        standard: standard?,
        service_tiers: service_tiers?,
        per_request: per_request.flatten(),
        source,
    })
}

fn tariff(spec: &weir_crds::Tariff, path: &str, findings: &mut Findings) -> Option<Tariff> {
    let weir_crds::Tariff { rates: base, tiers } = spec;
    let base = rates(base, path, findings);
    let tiers: Vec<_> =
        tiers.iter().enumerate().map(|(at, given)| tier(given, &format!("{path}.tiers[{at}]"), findings)).collect();
    let mut tiers = tiers.into_iter().collect::<Option<Vec<_>>>()?;
    tiers.sort_by_key(|tier| tier.above_input_tokens);
    Some(Tariff { rates: base?, tiers })
}

fn service_tiers(
    spec: &[weir_crds::ServiceTier],
    path: &str,
    findings: &mut Findings,
) -> Option<BTreeMap<String, Tariff>> {
    if spec.len() > MOST_SERVICE_TIERS {
        let message = format!("has more than {MOST_SERVICE_TIERS} tiers");
        findings.add(Gravity::Invalid, "InvalidPrice", format!("{path}.serviceTiers"), message);
    }
    let mut tariffs = BTreeMap::new();
    for (at, weir_crds::ServiceTier { name, tariff: given }) in spec.iter().enumerate() {
        let path = format!("{path}.serviceTiers[{at}]");
        let twice = tariffs.insert(name.as_str(), tariff(given, &path, findings)).is_some();
        let wrong = if twice { Some(format!("{name:?} is listed twice; keep one")) } else { wrong_tier(name) };
        if let Some(message) = wrong {
            findings.add(Gravity::Invalid, "InvalidPrice", format!("{path}.name"), message);
        }
    }
    tariffs.into_iter().map(|(name, tariff)| Some((name.to_owned(), tariff?))).collect()
}

/// Why a tier of service cannot have that name.
fn wrong_tier(name: &str) -> Option<String> {
    if STANDARD_TIERS.contains(&name) {
        return Some(format!("{name:?} is a name of the standard tier, whose rates stand beside serviceTiers"));
    }
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let formed = name.len() <= TIER_LENGTH
        && name.starts_with(word)
        && name.ends_with(word)
        && name.chars().all(|c| word(c) || matches!(c, '-' | '_'));
    (!formed).then(|| format!("{name:?} is no tier; write the provider's name for it, such as flex or priority"))
}

fn tier(spec: &weir_crds::Tier, path: &str, findings: &mut Findings) -> Option<Tier> {
    let above = u64::try_from(spec.above_input_tokens).ok().filter(|above| *above > 0);
    if above.is_none() {
        let message = "a tier begins above at least one token; the rates below stand beside `tiers`";
        findings.add(Gravity::Invalid, "InvalidPrice", format!("{path}.aboveInputTokens"), message);
    }
    let rates = rates(&spec.rates, path, findings);
    Some(Tier { above_input_tokens: above?, rates: rates? })
}

fn rates(spec: &weir_crds::Rates, path: &str, findings: &mut Findings) -> Option<Rates> {
    let weir_crds::Rates { input, output, cache_read, cache_write_5m, cache_write_1h, reasoning } = spec;
    let mut token = |member: &str, text: &Decimal| price(text, Price::per_million, path, member, findings);
    let (input, output) = (token("input", input), token("output", output));
    let mut token = |member: &str, text: &Option<Decimal>| text.as_ref().and_then(|text| token(member, text));
    Some(Rates {
        cache_read: token("cacheRead", cache_read),
        cache_write_5m: token("cacheWrite5m", cache_write_5m),
        cache_write_1h: token("cacheWrite1h", cache_write_1h),
        reasoning: token("reasoning", reasoning),
        input: input?,
        output: output?,
    })
}

fn price(
    text: &Decimal,
    read: fn(&str) -> Result<Price, PriceError>,
    path: &str,
    member: &str,
    findings: &mut Findings,
) -> Option<Price> {
    let refused = |e: PriceError| {
        findings.add(
            Gravity::Invalid,
            "InvalidPrice",
            format!("{path}.{member}"),
            format!("the price {:?} {e}", text.0),
        );
    };
    read(&text.0).map_err(refused).ok()
}
