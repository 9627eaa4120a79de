//! A price as it is written, in decimal strings, to what pods count with.

use crate::findings::{Findings, Gravity};
use weir_crds::Decimal;
use weir_snapshot::{Currency, Price, PriceError, PriceSource, Pricing, Rates, Tier};

/// Reads the price at that path of its source; `None` where some part of it is no price.
pub(crate) fn read(
    spec: &weir_crds::Pricing,
    source: PriceSource,
    path: &str,
    findings: &mut Findings,
) -> Option<Pricing> {
    let weir_crds::Pricing { currency, rates: base, tiers, per_request } = spec;
    let read = Currency::parse(currency);
    if read.is_none() {
        let message = format!("{currency:?} is no currency; write its ISO 4217 code, such as USD");
        findings.add(Gravity::Invalid, "InvalidPrice", format!("{path}.currency"), message);
    }
    let base = rates(base, path, findings);
    let tiers: Vec<_> =
        tiers.iter().enumerate().map(|(at, given)| tier(given, &format!("{path}.tiers[{at}]"), findings)).collect();
    let per_request = per_request.as_ref().map(|text| price(text, Price::per_unit, path, "perRequest", findings));
    let mut tiers = tiers.into_iter().collect::<Option<Vec<_>>>()?;
    tiers.sort_by_key(|tier| tier.above_input_tokens);
    Some(Pricing { currency: read?, rates: base?, tiers, per_request: per_request.flatten(), source })
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
