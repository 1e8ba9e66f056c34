//! Whether the clock goes as time does.
//!
//! What is deleted because of its age is gone for good, and a clock that jumps a year ahead makes everything old at once.
//! So whatever the lake deletes by itself waits for a day after a jump, in which somebody can set the clock right.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pintail_types::{Clock, Micros};

/// The least difference between clock and time that is a jump; smaller ones are corrections.
const JUMP: Duration = Duration::from_secs(600);

/// How long the lake deletes nothing by itself after a jump.
pub(crate) const WAIT: Duration = Duration::from_secs(24 * 3600);

/// A clock that is watched.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// A moment, and what the clock showed then.
    at: Instant,
    showed: Micros,
    jump: Option<Jump>,
}

/// A jump of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// How far it went ahead; back if negative.
    pub by: Micros,
    at: Instant,
}

impl ClockWatch {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State { at: Instant::now(), showed: clock.now(), jump: None };
        Self { clock, state: Mutex::new(state) }
    }

    /// The last jump, for as long as the lake waits because of it. It is noticed when this is asked.
    pub(crate) fn jump(&self) -> Option<Jump> {
        self.jump_at(Instant::now())
    }

    fn jump_at(&self, at: Instant) -> Option<Jump> {
        let mut state = self.state.lock();
        let shows = self.clock.now();
        let passed = i64::try_from(at.saturating_duration_since(state.at).as_micros()).unwrap_or(i64::MAX);
        let by = shows.saturating_sub(state.showed).saturating_sub(passed);
        (state.at, state.showed) = (at, shows);
        if by.unsigned_abs() >= u64::try_from(JUMP.as_micros()).unwrap_or(u64::MAX) {
            tracing::warn!(
                seconds = by / 1_000_000,
                "the clock jumped; for a day the lake deletes nothing by itself"
            );
            state.jump = Some(Jump { by, at });
        }
        state.jump.filter(|jump| at.saturating_duration_since(jump.at) < WAIT)
    }
}

#[cfg(test)]
mod tests {
    use pintail_types::ManualClock;

    use super::*;

    const HOUR: Micros = 3_600_000_000;

    #[test]
    fn a_jump_is_told_for_a_day_and_time_that_passes_is_none() {
        let clock = Arc::new(ManualClock::at(0));
        let watch = ClockWatch::new(Arc::clone(&clock) as _);
        let mut moment = watch.state.lock().at;
        let mut pass = |hours: Micros, jump: Micros| {
            clock.advance(hours * HOUR + jump);
            moment += Duration::from_secs(hours.unsigned_abs() * 3600);
            watch.jump_at(moment).map(|jump| jump.by / HOUR)
        };
        assert_eq!(pass(1000, 0), None);
        assert_eq!(pass(0, HOUR / 10), None, "a correction");
        assert_eq!(pass(1, 9000 * HOUR), Some(9000));
        assert_eq!(pass(20, 0), Some(9000));
        assert_eq!(pass(4, 0), None, "somebody had a day");
        assert_eq!(pass(1, -5 * HOUR), Some(-5));
    }
}
