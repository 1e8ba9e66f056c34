//! From an agent's idea of the time to a row's `timestamp`.

use pintail_hep::{CaptureTime, TimeWindow};
use pintail_types::Micros;

use crate::accounting::Note;

/// Seconds from 1900, where NTP counts from, to 1970.
const NTP_OFFSET: u32 = 2_208_988_800;
const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Which capture times are taken as they are: those within the window around the receive time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRules {
    /// Seconds before the receive time.
    pub max_age_seconds: u32,
    /// Seconds after it.
    pub max_ahead_seconds: u32,
}

impl Default for TimeRules {
    /// Ten years back, one day ahead.
    fn default() -> Self {
        Self { max_age_seconds: 3652 * 86_400, max_ahead_seconds: 86_400 }
    }
}

/// The time of a row, and how it came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowTime {
    pub(crate) micros: Micros,
    /// Why it is not what the agent wrote.
    pub(crate) replaced: Option<Note>,
    /// What the agent wrote, if that was replaced.
    pub(crate) original: Option<CaptureTime>,
}

impl TimeRules {
    /// The plausible capture times of packets received at `received`.
    pub(crate) fn window(&self, received: Micros) -> TimeWindow {
        let now = u32::try_from(received.div_euclid(MICROS_PER_SECOND)).unwrap_or_default();
        TimeWindow {
            earliest: now.saturating_sub(self.max_age_seconds),
            latest: now.saturating_add(self.max_ahead_seconds),
        }
    }
}

/// The row's time for what the agent wrote.
pub(crate) fn resolve(written: Option<CaptureTime>, received: Micros, window: TimeWindow) -> RowTime {
    let Some(time) = written.filter(|time| time.seconds != 0) else {
        return RowTime { micros: received, replaced: Some(Note::TimeMissing), original: None };
    };
    let replaced = |micros, note| RowTime { micros, replaced: Some(note), original: Some(time) };
    if window.contains(time.seconds) {
        if time.micros < 1_000_000 {
            return RowTime { micros: joined(time.seconds, time.micros), replaced: None, original: None };
        }
        return replaced(joined(time.seconds, 999_999), Note::TimeMicrosClamped);
    }
    match time.seconds.checked_sub(NTP_OFFSET) {
        Some(seconds) if window.contains(seconds) => {
            replaced(joined(seconds, time.micros.min(999_999)), Note::TimeNtp)
        }
        _ => replaced(received, Note::TimeImplausible),
    }
}

/// The UTC calendar day, in days since 1970.
pub(crate) fn day(time: Micros) -> i32 {
    i32::try_from(time.div_euclid(SECONDS_PER_DAY * MICROS_PER_SECOND)).unwrap_or_default()
}

/// RFC 3339 in UTC with microseconds, as in `2026-11-20T10:08:36.040799Z`.
pub(crate) fn rfc3339(time: Micros) -> String {
    let moment = chrono::DateTime::from_timestamp_micros(time).unwrap_or_default();
    moment.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

fn joined(seconds: u32, micros: u32) -> Micros {
    i64::from(seconds) * MICROS_PER_SECOND + i64::from(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20 10:08:36.5 UTC
    const RECEIVED: Micros = 1_795_169_316_500_000;
    const NOW: u32 = 1_795_169_316;

    #[test]
    fn agents_are_believed_within_the_window() {
        let ten_years = TimeRules::default().max_age_seconds;
        let at = |seconds: u32, micros: u32| joined(seconds, micros);
        let cases = [
            ("as written", Some((NOW - 1, 40)), at(NOW - 1, 40), None),
            ("none", None, RECEIVED, Some(Note::TimeMissing)),
            ("zero", Some((0, 7)), RECEIVED, Some(Note::TimeMissing)),
            ("oldest", Some((NOW - ten_years, 0)), at(NOW - ten_years, 0), None),
            ("too old", Some((NOW - ten_years - 1, 0)), RECEIVED, Some(Note::TimeImplausible)),
            ("newest", Some((NOW + 86_400, 999_999)), at(NOW + 86_400, 999_999), None),
            ("too new", Some((NOW + 86_401, 0)), RECEIVED, Some(Note::TimeImplausible)),
            ("since 1900", Some((NOW + NTP_OFFSET, 5)), at(NOW, 5), Some(Note::TimeNtp)),
            ("both wrong", Some((NOW + NTP_OFFSET, u32::MAX)), at(NOW, 999_999), Some(Note::TimeNtp)),
            ("too many micros", Some((NOW, 1_000_000)), at(NOW, 999_999), Some(Note::TimeMicrosClamped)),
            ("largest", Some((u32::MAX, u32::MAX)), RECEIVED, Some(Note::TimeImplausible)),
        ];
        let window = TimeRules::default().window(RECEIVED);
        for (name, written, micros, replaced) in cases {
            let written = written.map(|(seconds, micros)| CaptureTime { seconds, micros });
            let time = resolve(written, RECEIVED, window);
            assert_eq!((time.micros, time.replaced), (micros, replaced), "{name}");
            let kept = replaced.is_some_and(|note| note != Note::TimeMissing);
            assert_eq!(time.original, written.filter(|_| kept), "{name}");
        }
    }

    #[test]
    fn days_are_those_of_utc() {
        assert_eq!(day(-1), -1);
        assert_eq!(day(0), 0);
        assert_eq!(day(86_400_000_000 - 1), 0);
        assert_eq!(day(RECEIVED), 20_777);
        assert_eq!(rfc3339(RECEIVED), "2026-11-20T10:08:36.500000Z");
    }
}
