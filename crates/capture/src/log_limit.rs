//! Log lines about senders, at a limited rate: whoever sends garbage must not fill the disk with its story.

use parking_lot::Mutex;
use pintail_types::Micros;

/// The shortest time between two lines of one kind.
const INTERVAL: Micros = 10_000_000;

/// Lets one line through now and then, and counts the others.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Micros>,
    suppressed: u64,
}

impl LogLimit {
    /// Whether a line may be written now; if so, how many were left out since the one before.
    pub(crate) fn pass(&self, now: Micros) -> Option<u64> {
        let mut state = self.state.lock();
        if state.last.is_some_and(|last| (0..INTERVAL).contains(&now.saturating_sub(last))) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_and_the_rest_is_counted() {
        let limit = LogLimit::default();
        assert_eq!(limit.pass(0), Some(0));
        assert_eq!(limit.pass(1), None);
        assert_eq!(limit.pass(INTERVAL - 1), None);
        assert_eq!(limit.pass(INTERVAL), Some(2));
    }
}
