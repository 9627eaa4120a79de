//! Days that somebody names.

use jiff::civil::Date;

/// The day of that date, since the Unix epoch, by UTC. `YYYY-MM` stands for the first of its month.
pub fn day(text: &str) -> Result<u64, String> {
    let whole = if text.len() == "YYYY-MM".len() { format!("{text}-01") } else { text.to_owned() };
    let wrong = || format!("{text:?} is no day: write YYYY-MM-DD, or YYYY-MM for the first of a month");
    let date: Date = whole.parse().map_err(|_| wrong())?;
    let days = date.duration_since(Date::constant(1970, 1, 1)).as_hours() / 24;
    u64::try_from(days).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn a_day_is_a_date_or_the_first_of_a_month() {
        assert_eq!(day("2026-11-27"), Ok(20_784));
        assert_eq!(day("2026-11"), day("2026-11-01"));
        for wrong in ["2026-13", "yesterday", "2026-02-30", "1969-12-31"] {
            assert!(day(wrong).is_err_and(|why| why.contains(wrong) && why.contains("YYYY-MM-DD")), "{wrong}");
        }
    }
}
