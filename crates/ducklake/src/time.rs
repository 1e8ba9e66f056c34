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
