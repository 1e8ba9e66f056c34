//! The newest snapshots of all volumes, of one moment: their catalogs cannot be read in one transaction.
//!
//! A move commits in the volume that takes the rows over first, and then ends the files in the other one. Whoever read the
//! first catalog before the move and the second one after it would miss the rows. So the heads are read twice, and count
//! when nothing was committed in between: at the moment between the two readings, these were the heads of all volumes.

use std::sync::Arc;

use parking_lot::Mutex;
use pintail_ducklake::{Move, Moves};
use pintail_types::{Error, JournalPosition, Result, SnapshotId};

use crate::volume::{Hidden, Volume};

/// Readings that may be disturbed by commits. A commit takes milliseconds, a reading microseconds.
const ATTEMPTS: usize = 1000;

/// The state of all volumes at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heads {
    /// The head of each volume, hottest first.
    pub(crate) snapshots: Vec<SnapshotId>,
    /// The journal position that the first one reaches.
    pub(crate) flushed: JournalPosition,
    /// The files of each volume that another one shows.
    pub(crate) hidden: Vec<Hidden>,
}

impl Heads {
    /// Reads them. Blocks for microseconds.
    pub(crate) fn of(volumes: &[Arc<Volume>]) -> Result<Self> {
        if let [only] = volumes {
            let (snapshot, flushed) = only.head()?;
            return Ok(Self { snapshots: vec![snapshot], flushed, hidden: vec![Hidden::default()] });
        }
        for _ in 0..ATTEMPTS {
            let (snapshots, flushed) = read(volumes)?;
            let hidden = hidden_at(volumes, &snapshots)?;
            if read(volumes)?.0 == snapshots {
                return Ok(Self { snapshots, flushed, hidden });
            }
        }
        Err(Error::unavailable("the volumes change faster than their catalogs can be read: try again"))
    }
}

fn read(volumes: &[Arc<Volume>]) -> Result<(Vec<SnapshotId>, JournalPosition)> {
    let heads = volumes.iter().map(|volume| volume.head()).collect::<Result<Vec<_>>>()?;
    let flushed = heads.first().map_or(JournalPosition(0), |(_, flushed)| *flushed);
    Ok((heads.into_iter().map(|(snapshot, _)| snapshot).collect(), flushed))
}

/// For each volume the files that another one shows at these snapshots.
pub(crate) fn hidden_at(volumes: &[Arc<Volume>], snapshots: &[SnapshotId]) -> Result<Vec<Hidden>> {
    let moves = volumes.iter().map(|volume| volume.catalog.moves()).collect::<Result<Vec<_>>>()?;
    let shown = moves
        .iter()
        .zip(snapshots)
        .flat_map(|(moves, at)| moves.taken_over.iter().filter(|moved| moved.is_shown_at(*at)));
    let shown: Vec<&Move> = shown.collect();
    let taken_from = |((volume, moves), at): ((&Arc<Volume>, &Arc<Moves>), &SnapshotId)| -> Hidden {
        let is_ended = |moved: &Move| moves.handed_over.get(&moved.id).is_some_and(|ended| ended <= at);
        let taken = shown.iter().filter(|moved| moved.taken.from == volume.name && !is_ended(moved));
        Arc::new(taken.flat_map(|moved| moved.taken.files.iter().map(|(file, _)| *file)).collect())
    };
    Ok(volumes.iter().zip(&moves).zip(snapshots).map(taken_from).collect())
}

/// Numbers for the states of the volumes: another one for every other state.
#[derive(Debug, Default)]
pub(crate) struct Generations(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    number: i64,
    state: (Vec<SnapshotId>, Vec<Hidden>),
}

impl Generations {
    /// The number of a state; that of one volume is its snapshot.
    pub(crate) fn of(&self, heads: &Heads) -> i64 {
        if let [only] = heads.snapshots.as_slice() {
            return only.0;
        }
        let mut last = self.0.lock();
        if last.state.0 != heads.snapshots || last.state.1 != heads.hidden {
            last.number += 1;
            last.state = (heads.snapshots.clone(), heads.hidden.clone());
        }
        last.number
    }
}
