//! The texts and words of a Budget's spec as the numbers and words of pods; here the defaults are applied.

use crate::findings::{Findings, Gravity};
use crate::spec::millis;
use jiff::tz::TimeZoneDatabase;
use weir_crds::{Amount, BudgetPartition, BudgetSpec, Calendar, ExceededAction, OverrideOperation, Rolling};
use weir_snapshot::{
    BudgetMode, Dimension, FailureMode, Limit, OnExceeded, OnUnpriced, Override, Period, Reservation, Thrift, Unit,
    Window,
};

const DEFAULT_TIME_ZONE: &str = "UTC";

/// The limits by their unit.
pub(super) fn limits(spec: &BudgetSpec, findings: &mut Findings) -> Vec<Limit> {
    let mut limits = Vec::new();
    for (at, limit) in spec.limits.iter().enumerate() {
        let Some(unit) = unit(&limit.unit, &format!("spec.limits[{at}].unit"), findings) else { continue };
        if let Some(amount) = amount(unit, &limit.amount, &format!("spec.limits[{at}].amount"), findings) {
            limits.push(Limit { unit, amount });
        }
    }
    limits.sort_by_key(|limit| limit.unit);
    limits
}

/// The changes of limits by their names.
pub(super) fn overrides(spec: &BudgetSpec, findings: &mut Findings) -> Vec<Override> {
    let mut overrides = Vec::new();
    for (at, held) in spec.overrides.iter().enumerate() {
        let Some(unit) = unit(&held.unit, &format!("spec.overrides[{at}].unit"), findings) else { continue };
        if let Some(amount) = amount(unit, &held.amount, &format!("spec.overrides[{at}].amount"), findings) {
            let adds = held.operation == OverrideOperation::Add;
            let until = held.until.0.as_second();
            overrides.push(Override { name: held.name.clone(), unit, adds, amount, until });
        }
    }
    overrides.sort_by(|one, other| one.name.cmp(&other.name));
    overrides
}

/// What a request reserves.
pub(super) fn reservation(spec: &BudgetSpec, findings: &mut Findings) -> Reservation {
    let fixed = spec.reservation.as_ref().and_then(|held| held.fixed_amount.as_ref());
    let unit = spec.limits.first().and_then(|limit| Unit::parse(&limit.unit));
    let (Some(fixed), Some(unit)) = (fixed, unit) else { return Reservation::UpperBound };
    let amount = amount(unit, fixed, "spec.reservation.fixedAmount", findings);
    amount.map_or(Reservation::UpperBound, Reservation::Fixed)
}

fn unit(text: &str, path: &str, findings: &mut Findings) -> Option<Unit> {
    let unit = Unit::parse(text);
    if unit.is_none() {
        let message = format!("{text:?} is neither a kind of tokens nor Requests nor a currency such as USD");
        findings.add(Gravity::Invalid, "InvalidAmount", path, message);
    }
    unit
}

/// An amount in the smallest parts of its unit.
fn amount(unit: Unit, text: &Amount, path: &str, findings: &mut Findings) -> Option<u64> {
    let (amount, form) = match unit {
        Unit::Currency(_) => (text.nanos(), "money, with at most nine digits on either side of the point"),
        Unit::Tokens | Unit::InputTokens | Unit::OutputTokens | Unit::Requests => {
            (text.whole(), "tokens or requests, which is a whole number")
        }
    };
    if amount.is_none() {
        findings.add(Gravity::Invalid, "InvalidAmount", path, format!("{:?} is no amount of {form}", text.0));
    }
    amount
}

/// The window; one that cannot be told is for ever, and the Budget is not accepted.
pub(super) fn window(spec: &weir_crds::Window, findings: &mut Findings) -> Window {
    match spec {
        weir_crds::Window { calendar: Some(Calendar { every, time_zone }), .. } => {
            let time_zone = time_zone.clone().unwrap_or_else(|| DEFAULT_TIME_ZONE.to_owned());
            if TimeZoneDatabase::bundled().get(&time_zone).is_err() {
                let message = format!("there is no time zone {time_zone:?}; name one such as Europe/Berlin or UTC");
                findings.add(Gravity::Invalid, "UnknownTimeZone", "spec.window.calendar.timeZone", message);
                return Window::Total;
            }
            Window::Calendar { every: period(*every), time_zone }
        }
        weir_crds::Window { rolling: Some(Rolling { duration }), .. } => {
            let duration_ms = millis(Some(duration), "spec.window.rolling.duration", findings).unwrap_or(0);
            Window::Rolling { duration_ms }
        }
        weir_crds::Window { calendar: None, rolling: None, total: _ } => Window::Total,
    }
}

const fn period(every: weir_crds::Period) -> Period {
    match every {
        weir_crds::Period::Day => Period::Day,
        weir_crds::Period::Week => Period::Week,
        weir_crds::Period::Month => Period::Month,
        weir_crds::Period::Quarter => Period::Quarter,
        weir_crds::Period::Year => Period::Year,
    }
}

/// What each has a pot of its own.
pub(super) fn partition_by(spec: &BudgetSpec) -> Vec<Dimension> {
    let dimension = |by: &BudgetPartition| match by {
        BudgetPartition::ApiKey => Dimension::ApiKey,
        BudgetPartition::ServiceAccount => Dimension::ServiceAccount,
        BudgetPartition::User => Dimension::User,
        BudgetPartition::Team => Dimension::Team,
        BudgetPartition::Model => Dimension::Model,
    };
    let mut dimensions: Vec<_> = spec.partition_by.iter().map(dimension).collect();
    dimensions.sort();
    dimensions.dedup();
    dimensions
}

/// What it does.
pub(super) fn mode(spec: Option<weir_crds::BudgetMode>) -> BudgetMode {
    match spec.unwrap_or_default() {
        weir_crds::BudgetMode::Enforce => BudgetMode::Enforce,
        weir_crds::BudgetMode::Warn => BudgetMode::Warn,
        weir_crds::BudgetMode::Shadow => BudgetMode::Shadow,
        weir_crds::BudgetMode::Disabled => BudgetMode::Off,
        weir_crds::BudgetMode::Block => BudgetMode::Block,
    }
}

/// What becomes of a request that it does not cover.
pub(super) fn on_exceeded(spec: Option<&weir_crds::OnExceeded>, findings: &mut Findings) -> OnExceeded {
    let Some(weir_crds::OnExceeded { action, degrade, queue }) = spec else { return OnExceeded::Reject };
    match (action, degrade, queue) {
        (ExceededAction::Degrade, Some(degrade), _) => OnExceeded::Degrade { target: degrade.target_name.clone() },
        (ExceededAction::Queue, _, Some(queue)) => {
            let wait = millis(Some(&queue.max_wait), "spec.onExceeded.queue.maxWait", findings);
            wait.map_or(OnExceeded::Reject, |max_wait_ms| OnExceeded::Queue { max_wait_ms })
        }
        (ExceededAction::Reject | ExceededAction::Degrade | ExceededAction::Queue, _, _) => OnExceeded::Reject,
    }
}

/// From when on its requests move to a cheaper target.
pub(super) fn thrift(spec: &BudgetSpec) -> Option<Thrift> {
    let degrade = spec.on_exceeded.as_ref()?.degrade.as_ref()?;
    let thresholds = spec.thresholds.iter().filter(|threshold| threshold.degrade == Some(true));
    let percent = thresholds.filter_map(|threshold| threshold.percent.try_into().ok()).min()?;
    Some(Thrift { percent, target: degrade.target_name.clone() })
}

/// What holds while no leader of the ledger answers.
pub(super) const fn failure_mode(spec: Option<weir_crds::FailureMode>) -> FailureMode {
    match spec {
        None | Some(weir_crds::FailureMode::LeasedOnly) => FailureMode::LeasedOnly,
        Some(weir_crds::FailureMode::Closed) => FailureMode::Closed,
        Some(weir_crds::FailureMode::Open) => FailureMode::Open,
    }
}

/// What becomes of a request whose price nobody knows.
pub(super) const fn on_unpriced(spec: Option<weir_crds::OnUnpriced>) -> OnUnpriced {
    match spec {
        None | Some(weir_crds::OnUnpriced::Refuse) => OnUnpriced::Refuse,
        Some(weir_crds::OnUnpriced::Ceiling) => OnUnpriced::Ceiling,
    }
}
