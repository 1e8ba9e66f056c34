//! One consistent moment of a lake.

use std::sync::Arc;

use pintail_types::{JournalPosition, SnapshotId};

use crate::hot::HotCut;
use crate::pins::Pin;

/// The hot rows and the snapshot that together hold every row once.
///
/// The hot rows are taken first, then the head snapshot with the journal position that it reaches, in one
/// read transaction: a row that was flushed between the two is in the snapshot, and its hot copy lies before
/// the position and is left out. Set it as an extension of the session's configuration, and every table of
/// the lake reads this moment; a table that finds none takes a cut of its own. While it lives, its snapshot does not
/// expire and no file of it is deleted.
#[derive(Debug, Clone)]
pub struct Cut {
    pub(crate) hot: HotCut,
    pub(crate) snapshot: SnapshotId,
    pub(crate) flushed: JournalPosition,
    /// None in the past, whose files are kept by the cut that the execution brings.
    pub(crate) _pin: Option<Arc<Pin>>,
}

impl Cut {
    /// What a snapshot of the past holds: files only.
    pub(crate) fn in_the_past(snapshot: SnapshotId) -> Self {
        Self { hot: HotCut::default(), snapshot, flushed: JournalPosition(0), _pin: None }
    }

    /// The snapshot that the files are read at.
    pub const fn snapshot(&self) -> SnapshotId {
        self.snapshot
    }

    /// Journal records before this position are read from files, later ones from memory.
    pub const fn flushed(&self) -> JournalPosition {
        self.flushed
    }
}
