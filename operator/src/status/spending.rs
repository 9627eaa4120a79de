//! What the ledger tells of Budgets, for their status. It is a view: nothing of it is ever read back.

use std::collections::BTreeMap;
use std::sync::Arc;
use weir_snapshot::{Name, Unit};

/// What the ledger knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Spending {
    /// Of every Budget; of one that is missing here nothing is known yet.
    pub(crate) budgets: BTreeMap<Name, Arc<Spent>>,
    /// The routes' rates that have as many partitions as they may, by their names.
    pub(crate) crowded_rates: BTreeMap<Name, Vec<String>>,
}

/// How a Budget stands in its open window. Where it has partitions, the numbers are of the one that is used most.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Spent {
    /// Its limits, in the order of the snapshot.
    pub(crate) limits: Vec<SpentOfLimit>,
    /// Begin of the window, in Unix seconds.
    pub(crate) starts: Option<i64>,
    /// End of the window, in Unix seconds; rolling and total windows have none.
    pub(crate) ends: Option<i64>,
    /// Partitions that were used in the window; 1 without partitions.
    pub(crate) partitions: u64,
    /// Those that are used most, the most used first; empty without partitions.
    pub(crate) top: Vec<SpentOfPartition>,
    /// Requests of the window without a price.
    pub(crate) unpriced: u64,
    /// Names of the overrides that hold now.
    pub(crate) overrides: Vec<String>,
    /// What keeps the ledger from being exact.
    pub(crate) caveat: Option<Caveat>,
}

/// How one limit stands, in the smallest parts of its unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpentOfLimit {
    /// What is counted.
    pub(crate) unit: Unit,
    /// How much it is, overrides included.
    pub(crate) limit: u64,
    /// What was spent.
    pub(crate) spent: u64,
    /// What is reserved for requests under way and lent to pods.
    pub(crate) reserved: u64,
    /// What pods held that are gone without a word: nobody can spend it any more.
    pub(crate) unaccounted: u64,
}

impl SpentOfLimit {
    /// What was spent, and what must be taken as spent.
    pub(crate) const fn gone(&self) -> u64 {
        self.spent.saturating_add(self.unaccounted)
    }

    /// What was spent of it, in whole percent; a limit of nothing is used up from the start.
    pub(crate) fn percent(&self) -> u64 {
        let percent = (u128::from(self.spent) * 100).checked_div(u128::from(self.limit)).unwrap_or(100);
        u64::try_from(percent).unwrap_or(u64::MAX)
    }
}

/// How one partition stands, by its limit that is used most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpentOfPartition {
    /// Whose it is.
    pub(crate) partition: String,
    /// The limit that it used most.
    pub(crate) limit: SpentOfLimit,
}

/// What keeps the ledger from being exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caveat {
    /// Reason of the condition, such as `Recovering`, `LedgerReset` or `StoreAway`.
    pub(crate) reason: &'static str,
    /// What it means and what to do.
    pub(crate) message: String,
}

/// An amount of that unit as decimal text, below zero where `minus` is more than `amount`.
pub(crate) fn decimal(unit: Unit, amount: u64, minus: u64) -> String {
    let (sign, rest) = if minus > amount { ("-", minus - amount) } else { ("", amount - minus) };
    let digits = if let Unit::Currency(_) = unit { 9 } else { 0 };
    format!("{sign}{}", weir_snapshot::decimal(rest.into(), digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_whole_and_without_idle_digits() {
        let dollars = Unit::parse("USD").expect("a unit");
        for (amount, minus, shown) in [
            (12_500_000_000, 0, "12.5"),
            (100_000_000_000, 0, "100"),
            (1, 0, "0.000000001"),
            (0, 0, "0"),
            (1_000_000_000, 3_250_000_000, "-2.25"),
        ] {
            assert_eq!(decimal(dollars, amount, minus), shown);
        }
        assert_eq!(decimal(Unit::Tokens, 1_500, 0), "1500");
    }

    #[test]
    fn a_limit_of_nothing_is_used_up() {
        let limit =
            |limit, spent| SpentOfLimit { unit: Unit::Requests, limit, spent, reserved: 0, unaccounted: 0 }.percent();
        assert_eq!([limit(0, 0), limit(200, 199), limit(200, 500), limit(1, u64::MAX)], [100, 99, 250, u64::MAX]);
    }
}
