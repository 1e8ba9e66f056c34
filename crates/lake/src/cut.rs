//! One consistent moment of a lake.

use std::sync::Arc;

use pintail_types::{JournalPosition, SnapshotId};

use crate::hot::HotCut;
use crate::pins::Pin;
use crate::volume::Hidden;

/// The hot rows and the snapshots of all volumes that together hold every row once.
///
/// The hot rows are taken first, then the head snapshots with the journal position that it reaches, in one
/// read transaction: a row that was flushed between the two is in the snapshot, and its hot copy lies before
/// the position and is left out. Set it as an extension of the session's configuration, and every table of
/// the lake reads this moment; a table that finds none takes a cut of its own. While it lives, its snapshots do not
/// expire and no file of them is deleted.
#[derive(Debug, Clone)]
pub struct Cut {
    pub(crate) hot: HotCut,
    pub(crate) flushed: JournalPosition,
    /// Another number for every other state of the volumes.
    pub(crate) generation: i64,
    pub(crate) volumes: Vec<VolumeCut>,
}

/// What of one volume is read.
#[derive(Debug, Clone)]
pub(crate) struct VolumeCut {
    /// Which one, by its place in the lake.
    pub(crate) volume: usize,
    pub(crate) snapshot: SnapshotId,
    /// Files that the snapshot has and that are not read: a colder or hotter volume took their rows over.
    pub(crate) hidden: Hidden,
    /// None in the past, whose files are kept by the cut that the execution brings.
    pub(crate) _pin: Option<Arc<Pin>>,
}

impl Cut {
    /// What snapshots of the past hold: files only.
    pub(crate) fn in_the_past(volumes: Vec<VolumeCut>) -> Self {
        Self { hot: HotCut::default(), flushed: JournalPosition(0), generation: 0, volumes }
    }

    /// What is read of a volume.
    pub(crate) fn of(&self, volume: usize) -> Option<&VolumeCut> {
        self.volumes.iter().find(|cut| cut.volume == volume)
    }

    /// The snapshot that the files of the first volume, which holds the user tables, are read at.
    pub fn snapshot(&self) -> SnapshotId {
        self.of(0).map_or(SnapshotId(0), |cut| cut.snapshot)
    }

    /// Another number whenever a table of any volume may have changed its columns or files.
    pub const fn generation(&self) -> i64 {
        self.generation
    }

    /// Journal records before this position are read from files, later ones from memory.
    pub const fn flushed(&self) -> JournalPosition {
        self.flushed
    }
}
