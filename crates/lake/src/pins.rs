//! What running queries read: snapshots that must not expire, and files that must not be deleted.
//!
//! A query holds a [`Pin`] for as long as its rows flow. It keeps its snapshot in the catalog. It also keeps the files
//! on disk: a file is deleted only once every pin is gone that was there when it was first found listed for deletion.
//! A later query cannot read such a file, because no snapshot that it could choose shows it. Only numbers are
//! compared, so a clock that jumps takes no file from anybody.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use pintail_ducklake::Needed;
use pintail_types::SnapshotId;

/// Who reads what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pins(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    live: BTreeMap<u64, Reads>,
    /// Files listed for deletion, each with the number of the first pin that came after it was found so.
    listed: HashMap<i64, u64>,
}

#[derive(Debug, Clone, Copy)]
enum Reads {
    /// This snapshot or a later one: which is being found out.
    From(SnapshotId),
    At(SnapshotId),
}

/// One reader. Dropping it lets go of the snapshot and of the files.
#[derive(Debug)]
pub(crate) struct Pin {
    number: u64,
    pins: Pins,
}

impl Pins {
    /// A reader of some snapshot that is not before `earliest`.
    pub(crate) fn hold(&self, earliest: SnapshotId) -> Pin {
        let mut state = self.0.lock();
        let number = state.next;
        state.next += 1;
        state.live.insert(number, Reads::From(earliest));
        Pin { number, pins: self.clone() }
    }

    /// The snapshots that readers need. `newest` is the head that was read before: whoever begins now reads that one
    /// or a later one.
    pub(crate) fn needed(&self, newest: SnapshotId) -> Needed {
        let mut needed = Needed { from: newest, snapshots: BTreeSet::new() };
        for reads in self.0.lock().live.values() {
            match reads {
                Reads::From(earliest) => needed.from = needed.from.min(*earliest),
                Reads::At(snapshot) => {
                    needed.snapshots.insert(*snapshot);
                }
            }
        }
        needed
    }

    /// Which of these files, all that are listed for deletion, may be read by somebody.
    pub(crate) fn in_use(&self, listed: impl Iterator<Item = i64>) -> BTreeSet<i64> {
        let mut state = self.0.lock();
        let State { next, live, listed: known } = &mut *state;
        let now: HashMap<i64, u64> =
            listed.map(|file| (file, known.get(&file).copied().unwrap_or(*next))).collect();
        let oldest = live.keys().next().copied();
        let used = now.iter().filter(|(_, first_after)| oldest.is_some_and(|oldest| oldest < **first_after));
        let used = used.map(|(file, _)| *file).collect();
        *known = now;
        used
    }
}

impl Pin {
    /// Says which snapshot it is.
    pub(crate) fn settle(&self, snapshot: SnapshotId) {
        self.pins.0.lock().live.insert(self.number, Reads::At(snapshot));
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.pins.0.lock().live.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_not_chosen_needs_all_that_it_could_choose() {
        let pins = Pins::default();
        let settled = pins.hold(SnapshotId(3));
        settled.settle(SnapshotId(4));
        let choosing = pins.hold(SnapshotId(6));
        let needed = pins.needed(SnapshotId(9));
        assert_eq!(needed, Needed { from: SnapshotId(6), snapshots: BTreeSet::from([SnapshotId(4)]) });
        drop((settled, choosing));
        assert_eq!(pins.needed(SnapshotId(9)), Needed { from: SnapshotId(9), snapshots: BTreeSet::new() });
    }

    #[test]
    fn a_file_is_kept_for_those_who_read_when_it_was_found_listed_and_not_for_later_ones() {
        let pins = Pins::default();
        let before = pins.hold(SnapshotId(1));
        assert_eq!(pins.in_use([7].into_iter()), BTreeSet::from([7]));
        let after = pins.hold(SnapshotId(1));
        assert_eq!(pins.in_use([7, 8].into_iter()), BTreeSet::from([7, 8]));
        drop(before);
        assert_eq!(pins.in_use([7, 8].into_iter()), BTreeSet::from([8]));
        drop(after);
        assert_eq!(pins.in_use([7, 8].into_iter()), BTreeSet::new());
    }
}
