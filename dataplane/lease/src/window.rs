//! Windows: of the calendar, of zones with and without daylight saving, and of one length after another.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use weir_snapshot::{Period, Window};

/// The window that is open at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Grows from window to window; 0 where there is one for ever.
    pub id: u64,
    /// Unix milliseconds of its begin; 0 where there is none.
    pub begins: i64,
    /// Unix milliseconds of its end; `None` = never.
    pub ends: Option<i64>,
}

impl Span {
    /// The only window of a limit without any.
    pub const ALWAYS: Self = Self { id: 0, begins: 0, ends: None };
}

/// Finds the windows of one limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn(Cut);

#[derive(Debug, Clone, PartialEq)]
enum Cut {
    Never,
    Calendar(Period, TimeZone),
    Every(u64),
}

impl Turn {
    /// Of that window; the text says what is wrong with its time zone.
    pub fn of(window: &Window) -> Result<Self, String> {
        Ok(Self(match window {
            Window::Calendar { every, time_zone } => {
                let zone = TimeZone::get(time_zone).map_err(|_| {
                    format!("there is no time zone {time_zone:?}; use an IANA name such as Europe/Berlin, or UTC")
                })?;
                Cut::Calendar(*every, zone)
            }
            Window::Rolling { .. } | Window::Total => Cut::Never,
        }))
    }

    /// Of a limit without windows.
    pub const fn never() -> Self {
        Self(Cut::Never)
    }

    /// One window of so many milliseconds after another.
    pub const fn every(ms: u64) -> Self {
        Self(Cut::Every(ms))
    }

    /// The window that is open at that time.
    pub fn at(&self, unix_ms: i64) -> Span {
        let span = match &self.0 {
            Cut::Never => None,
            Cut::Calendar(every, zone) => of_calendar(*every, zone, unix_ms),
            Cut::Every(ms) => of_length(*ms, unix_ms),
        };
        span.unwrap_or(Span::ALWAYS)
    }
}

fn of_length(ms: u64, unix_ms: i64) -> Option<Span> {
    let ms = i64::try_from(ms.max(1)).ok()?;
    let begins = unix_ms.div_euclid(ms).checked_mul(ms)?;
    Some(Span { id: u64::try_from(begins).ok()?, begins, ends: begins.checked_add(ms) })
}

fn of_calendar(every: Period, zone: &TimeZone, unix_ms: i64) -> Option<Span> {
    let day = Timestamp::from_millisecond(unix_ms).ok()?.to_zoned(zone.clone()).date();
    let first = first_day(every, day)?;
    let next = match every {
        Period::Day => first.tomorrow(),
        Period::Week => first.checked_add(7.days()),
        Period::Month => first.checked_add(1.month()),
        Period::Quarter => first.checked_add(3.months()),
        Period::Year => first.checked_add(1.year()),
    }
    .ok()?;
    let midnight = |day: Date| Some(day.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond());
    let (begins, ends) = (midnight(first)?, midnight(next)?);
    Some(Span { id: u64::try_from(begins.div_euclid(1_000)).ok()?, begins, ends: Some(ends) })
}

fn first_day(every: Period, day: Date) -> Option<Date> {
    match every {
        Period::Day => Some(day),
        Period::Week => day.checked_sub(i64::from(day.weekday().since(Weekday::Monday)).days()).ok(),
        Period::Month => Some(day.first_of_month()),
        Period::Quarter => Date::new(day.year(), (day.month() - 1) / 3 * 3 + 1, 1).ok(),
        Period::Year => Some(day.first_of_year()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(every: Period, zone: &str, time: &str) -> (String, String) {
        let window = Window::Calendar { every, time_zone: zone.into() };
        let unix_ms = time.parse::<Timestamp>().unwrap().as_millisecond();
        let span = Turn::of(&window).unwrap().at(unix_ms);
        let text = |ms: i64| Timestamp::from_millisecond(ms).unwrap().to_string();
        assert!(span.begins <= unix_ms && unix_ms < span.ends.unwrap(), "{time} is in its own window");
        (text(span.begins), text(span.ends.unwrap()))
    }

    #[test]
    fn windows_turn_at_midnight_of_their_zone_over_daylight_saving() {
        let day = at(Period::Day, "Europe/Berlin", "2026-03-29T10:00:00Z");
        assert_eq!(day, ("2026-03-28T23:00:00Z".into(), "2026-03-29T22:00:00Z".into()), "a day of 23 hours");
        let day = at(Period::Day, "Europe/Berlin", "2026-10-25T10:00:00Z");
        assert_eq!(day, ("2026-10-24T22:00:00Z".into(), "2026-10-25T23:00:00Z".into()), "a day of 25 hours");
        let month = at(Period::Month, "America/New_York", "2026-03-01T04:59:59Z");
        assert_eq!(month, ("2026-02-01T05:00:00Z".into(), "2026-03-01T05:00:00Z".into()));
        // Midnight of that day does not exist there.
        let day = at(Period::Day, "America/Santiago", "2026-09-06T12:00:00Z");
        assert_eq!(day.0, "2026-09-06T04:00:00Z");
    }

    #[test]
    fn weeks_begin_on_monday_and_quarters_every_third_month() {
        let week = at(Period::Week, "UTC", "2026-11-29T23:59:59Z");
        assert_eq!(week, ("2026-11-23T00:00:00Z".into(), "2026-11-30T00:00:00Z".into()));
        let quarter = at(Period::Quarter, "UTC", "2026-11-27T00:00:00Z");
        assert_eq!(quarter, ("2026-10-01T00:00:00Z".into(), "2027-01-01T00:00:00Z".into()));
        let year = at(Period::Year, "UTC", "2028-02-29T00:00:00Z");
        assert_eq!(year, ("2028-01-01T00:00:00Z".into(), "2029-01-01T00:00:00Z".into()));
    }

    #[test]
    fn a_zone_that_does_not_exist_is_named() {
        let window = Window::Calendar { every: Period::Day, time_zone: "Mars/Base".into() };
        assert!(Turn::of(&window).unwrap_err().contains("Mars/Base"));
        assert_eq!(Turn::of(&Window::Total).unwrap().at(5), Span::ALWAYS);
    }
}
