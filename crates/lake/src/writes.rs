//! Writes that have not been committed yet: no catalog names their files, and they are not lost all the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

/// How far the time that a file system stamps files with may lie behind the clock.
const STAMP_LAG: Duration = Duration::from_millis(100);

/// The writes that are under way in this process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writes(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    since: BTreeMap<u64, SystemTime>,
}

/// One write, until its commit. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Write {
    number: u64,
    writes: Writes,
}

impl Writes {
    /// To be called before the first file is made.
    pub(crate) fn begin(&self) -> Write {
        let mut state = self.0.lock();
        let number = state.next;
        state.next += 1;
        state.since.insert(number, SystemTime::now());
        Write { number, writes: self.clone() }
    }

    /// No file that was changed before this time belongs to a write that is under way, or that begins later.
    pub(crate) fn none_before(&self) -> SystemTime {
        let earliest = self.0.lock().since.values().min().copied();
        let since = earliest.unwrap_or_else(SystemTime::now);
        since.checked_sub(STAMP_LAG).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        self.writes.0.lock().since.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_write_counts_until_it_ends() {
        let writes = Writes::default();
        let first = writes.begin();
        let limit = writes.none_before();
        let second = writes.begin();
        assert_eq!(writes.none_before(), limit);
        drop(first);
        assert!(writes.none_before() >= limit);
        drop(second);
        assert!(writes.none_before() <= SystemTime::now());
    }
}
