//! Export in the form of FOCUS 1.2, the FinOps Open Cost and Usage Specification, as CSV or JSON.
//!
//! A row is one class of token of one key and hour. The rows of a currency add up to what the ledger was charged,
//! to the last nano-unit. Requests of unpriced models are no charge and in no row; who exports says how many.

use crate::amounts::{Amounts, Class, Sum};
use crate::key::Key;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use serde_json::json;
use std::collections::BTreeMap;
use weir_snapshot::decimal;

const HOUR_SECONDS: i64 = 3_600;

/// Who is billed, as the export names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Identifier, such as the cluster's.
    pub id: String,
    /// Name for people.
    pub name: String,
}

enum Cell {
    Text(String),
    Number(String),
    /// JSON, which in CSV is a text.
    Json(String),
    Nothing,
}

/// The rows as CSV (RFC 4180), with a head.
pub fn csv(totals: &BTreeMap<Key, Amounts>, account: &Account) -> String {
    let mut text = COLUMNS.map(|(name, _)| name).join(",") + "\r\n";
    for row in rows(totals, account) {
        let cells = COLUMNS.map(|(_, cell)| match cell(&row) {
            Cell::Text(text) | Cell::Json(text) => quoted(&text),
            Cell::Number(number) => number,
            Cell::Nothing => String::new(),
        });
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

/// The rows as a JSON array, a row a line. Costs are decimal numbers of up to nine digits behind the point.
pub fn json(totals: &BTreeMap<Key, Amounts>, account: &Account) -> String {
    let line = |row: Row<'_>| {
        let members = COLUMNS.map(|(name, cell)| match cell(&row) {
            Cell::Text(text) => format!("\"{name}\":{}", json!(text)),
            Cell::Number(value) | Cell::Json(value) => format!("\"{name}\":{value}"),
            Cell::Nothing => format!("\"{name}\":null"),
        });
        format!("{{{}}}", members.join(","))
    };
    let lines: Vec<_> = rows(totals, account).map(line).collect();
    format!("[{}]\n", lines.join(",\n"))
}

/// Requests of unpriced models, which are in no row.
pub fn unpriced(totals: &BTreeMap<Key, Amounts>) -> u64 {
    totals.values().fold(0, |sum, amounts| sum.saturating_add(amounts.unpriced))
}

struct Row<'a> {
    key: &'a Key,
    account: &'a Account,
    class: Class,
    count: u64,
    nano: u64,
}

fn rows<'a>(totals: &'a BTreeMap<Key, Amounts>, account: &'a Account) -> impl Iterator<Item = Row<'a>> {
    let priced = totals.iter().filter(|(key, _)| !key.currency.is_empty());
    priced.flat_map(move |(key, amounts)| {
        shares(amounts).into_iter().map(move |(class, count, nano)| Row { key, account, class, count, nano })
    })
}

/// What each class has of the whole charge. Each request was rounded up as a whole: what that added goes to the
/// dearest class, so that the sum is the charge.
fn shares(amounts: &Amounts) -> Vec<(Class, u64, u64)> {
    let charged = amounts.used().filter(|(class, sum)| *class != Class::Request || sum.pico > 0);
    let whole = |sum: Sum| u64::try_from(sum.pico / 1_000).unwrap_or(u64::MAX);
    let mut shares: Vec<_> = charged.map(|(class, sum)| (class, sum.count, whole(sum))).collect();
    let spread = shares.iter().fold(0u64, |sum, (_, _, nano)| sum.saturating_add(*nano));
    if let Some((_, _, nano)) = shares.iter_mut().max_by_key(|(_, _, nano)| *nano) {
        *nano = nano.saturating_add(amounts.nano.saturating_sub(spread));
    }
    shares
}

type Column = (&'static str, fn(&Row<'_>) -> Cell);

/// The columns: those that must be there, and of the others those that say something.
const COLUMNS: [Column; 35] = [
    ("BilledCost", cost),
    ("BillingAccountId", |row| text(&row.account.id)),
    ("BillingAccountName", |row| text(&row.account.name)),
    ("BillingAccountType", |_| text("Cluster")),
    ("BillingCurrency", |row| text(&row.key.currency)),
    ("BillingPeriodEnd", |row| month(row.key.hour, 1)),
    ("BillingPeriodStart", |row| month(row.key.hour, 0)),
    ("ChargeCategory", |_| text("Usage")),
    ("ChargeClass", |_| Cell::Nothing),
    ("ChargeDescription", |row| text(&format!("{} of {} at {}", row.what(), row.key.model, row.key.provider))),
    ("ChargeFrequency", |_| text("Usage-Based")),
    ("ChargePeriodEnd", |row| time(row.key.hour.saturating_add(row.key.hours))),
    ("ChargePeriodStart", |row| time(row.key.hour)),
    ("ConsumedQuantity", |row| Cell::Number(row.count.to_string())),
    ("ConsumedUnit", |row| text(row.unit())),
    ("ContractedCost", cost),
    ("EffectiveCost", cost),
    ("InvoiceIssuerName", |row| text(&row.vendor())),
    ("ListCost", cost),
    ("PricingCategory", |_| text("Standard")),
    ("PricingQuantity", |row| Cell::Number(row.count.to_string())),
    ("PricingUnit", |row| text(row.unit())),
    ("ProviderName", |row| text(&row.vendor())),
    ("PublisherName", |row| text(&row.vendor())),
    ("ResourceId", |row| text(&row.key.route.to_string())),
    ("ResourceName", |row| text(&row.key.route.name)),
    ("ResourceType", |_| text("LLMRoute")),
    ("ServiceCategory", |_| text("AI and Machine Learning")),
    ("ServiceName", |row| text(&row.key.provider_type)),
    ("ServiceSubcategory", |_| text("Generative AI")),
    ("SkuId", |row| text(&row.sku())),
    ("SkuMeter", |row| text(row.class.as_str())),
    ("SubAccountId", |row| filled(&row.key.namespace)),
    ("SubAccountName", |row| filled(&row.key.namespace)),
    ("Tags", |row| Cell::Json(row.tags())),
];

impl Row<'_> {
    fn what(&self) -> String {
        if self.class == Class::Request { "requests".to_owned() } else { format!("{} tokens", self.class.as_str()) }
    }

    fn unit(&self) -> &'static str {
        if self.class == Class::Request { "Requests" } else { "Tokens" }
    }

    /// Whoever sends the invoice: the vendor of a type that has one, else whoever the Provider stands for.
    fn vendor(&self) -> String {
        match &*self.key.provider_type {
            vendor @ ("OpenAI" | "Anthropic") => vendor.to_owned(),
            _ => self.key.provider.to_string(),
        }
    }

    fn sku(&self) -> String {
        format!("{}/{}/{}", self.key.provider_type, self.key.model, self.class.as_str())
    }

    fn tags(&self) -> String {
        let Key { user, team, project, cost_center, session, agent, provider, .. } = self.key;
        let provider = provider.to_string();
        let tags = [
            ("agent", agent),
            ("cost-center", cost_center),
            ("project", project),
            ("provider", &provider),
            ("session", session),
            ("team", team),
            ("user", user),
        ];
        json!(tags.into_iter().filter(|(_, value)| !value.is_empty()).collect::<BTreeMap<_, _>>()).to_string()
    }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

fn filled(name: &str) -> Cell {
    if name.is_empty() { Cell::Nothing } else { text(name) }
}

fn cost(row: &Row<'_>) -> Cell {
    Cell::Number(decimal(row.nano.into(), 9))
}

fn time(hour: u64) -> Cell {
    at(hour).map_or(Cell::Nothing, |time| text(&time.timestamp().to_string()))
}

/// The start of the hour's month, or of a month so many later.
fn month(hour: u64, later: i64) -> Cell {
    let start =
        at(hour).and_then(|time| time.first_of_month().ok()?.start_of_day().ok()?.checked_add(later.months()).ok());
    start.map_or(Cell::Nothing, |start| text(&start.timestamp().to_string()))
}

fn at(hour: u64) -> Option<Zoned> {
    let seconds = i64::try_from(hour).ok()?.checked_mul(HOUR_SECONDS)?;
    Some(Timestamp::from_second(seconds).ok()?.to_zoned(TimeZone::UTC))
}

/// A field of CSV. One that a spreadsheet would take for a formula is made a text.
fn quoted(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}
