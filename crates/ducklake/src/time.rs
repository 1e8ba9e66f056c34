//! Times as DuckLake writes them.

use chrono::{DateTime, Utc};
use pintail_types::Micros;

/// Now, by the clock that catalogs stamp snapshots and files with.
pub fn catalog_now() -> Micros {
    Utc::now().timestamp_micros()
}

/// Now, as `ducklake_snapshot.snapshot_time` has it: UTC with microseconds, the fraction without
/// trailing zeros, and the offset as `+00`.
pub(crate) fn snapshot_time() -> String {
    format_time(&Utc::now().naive_utc())
}

/// The same for a snapshot that comes after the one of time `previous`: never earlier, so that moments of the past stay
/// in order when the clock is set back.
pub(crate) fn snapshot_time_after(previous: Option<&str>) -> String {
    let previous = previous.and_then(parse_time).and_then(|time| time.checked_add(1));
    let earliest = previous.and_then(DateTime::from_timestamp_micros);
    format_time(&earliest.map_or_else(Utc::now, |earliest| earliest.max(Utc::now())).naive_utc())
}

/// The time that a catalog's text says; `None` when it is no time with an offset.
pub(crate) fn parse_time(text: &str) -> Option<Micros> {
    let parsed = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z").ok()?;
    Some(parsed.timestamp_micros())
}

fn format_time(time: &chrono::NaiveDateTime) -> String {
    let text = time.format("%Y-%m-%d %H:%M:%S%.6f").to_string();
    format!("{}+00", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_does_not_turn_the_snapshots_around() {
        assert_eq!(snapshot_time_after(Some("2999-12-31 23:59:59.999999+00")), "3000-01-01 00:00:00+00");
        assert!(snapshot_time_after(Some("1999-12-31 23:59:59+00")).as_str() > "2026");
        assert!(snapshot_time_after(Some("noon")).as_str() > "2026");
    }

    #[test]
    fn fractions_lose_their_trailing_zeros_only() {
        let check = |micros: i64, expect: &str| {
            let time = chrono::DateTime::from_timestamp_micros(micros).unwrap().naive_utc();
            assert_eq!(format_time(&time), expect);
        };
        check(1_795_169_097_207_222, "2026-11-20 10:04:57.207222+00");
        check(1_795_169_097_200_000, "2026-11-20 10:04:57.2+00");
        check(1_795_169_100_000_000, "2026-11-20 10:05:00+00");
        check(1_795_132_800_000_000, "2026-11-20 00:00:00+00");
    }
}
