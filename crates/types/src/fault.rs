//! Named instants at which a crash test ends the process, as suddenly as `kill -9` does.
//!
//! `PINTAIL_FAULT=journal.sync:3` ends the process when it comes to that point for the third time; without a number, for the
//! first time. Only builds with debug assertions look at the variable: in a release build a point is no instruction at
//! all, so nothing can set it off there.
//!
//! Each point stands between two steps that must be safe to tear apart. `cargo xtask crash` dies at every one of them.

/// An instant between two steps of what makes rows durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultPoint {
    /// A segment of the journal is made and does not have its name yet.
    JournalSegment,
    /// Records are gathered and not written.
    JournalWrite,
    /// Records are written and not synced.
    JournalSync,
    /// Records are synced, and nobody knows yet.
    JournalSynced,
    /// A segment is not needed any more and is still there.
    JournalTrim,
    /// A flush has drawn its line.
    FlushLine,
    /// All files of a flush are there, and no commit names them.
    FlushFiles,
    /// A flush is committed, and memory and journal still hold its rows.
    FlushCommitted,
    /// A file is complete and not synced.
    FileSync,
    /// A file is synced and does not have its name yet.
    FileRename,
    /// A file has its name, which is not synced.
    FileName,
    /// All statements of a commit are done.
    CatalogCommit,
    /// A snapshot is committed, and nobody knows yet.
    CatalogCommitted,
    /// All statements of a change without a snapshot are done: an expiry, a cleanup.
    CatalogWrite,
    /// Such a change is committed, and nobody knows yet.
    CatalogWritten,
    /// A merged file is there, and no commit names it.
    CompactFile,
    /// A merge is committed.
    CompactCommitted,
    /// A file that is listed for deletion is about to be deleted.
    CleanupFile,
    /// Files are deleted and still listed.
    CleanupListed,
    /// A file that the catalog does not know is about to be deleted.
    CleanupOrphan,
    /// It is noted that a move will write files; none is there.
    MoveBegun,
    /// A file of a move is complete and verified in the volume that it goes to; more may follow.
    MoveCopied,
    /// All files of a move are verified, and no commit names them.
    MoveVerified,
    /// The volume that takes the rows over has committed them; the other one still has them too.
    MoveTakenOver,
    /// The other volume has ended its files.
    MoveHandedOver,
    /// What an earlier move left is about to be finished or rolled back.
    MoveSettle,
    /// The files of a move that goes no further are removed, and the move is still noted.
    MoveRemoved,
}

impl FaultPoint {
    /// All of them, each with its name.
    pub const ALL: [(Self, &'static str); 27] = [
        (Self::JournalSegment, "journal.segment"),
        (Self::JournalWrite, "journal.write"),
        (Self::JournalSync, "journal.sync"),
        (Self::JournalSynced, "journal.synced"),
        (Self::JournalTrim, "journal.trim"),
        (Self::FlushLine, "flush.line"),
        (Self::FlushFiles, "flush.files"),
        (Self::FlushCommitted, "flush.committed"),
        (Self::FileSync, "file.sync"),
        (Self::FileRename, "file.rename"),
        (Self::FileName, "file.name"),
        (Self::CatalogCommit, "catalog.commit"),
        (Self::CatalogCommitted, "catalog.committed"),
        (Self::CatalogWrite, "catalog.write"),
        (Self::CatalogWritten, "catalog.written"),
        (Self::CompactFile, "compact.file"),
        (Self::CompactCommitted, "compact.committed"),
        (Self::CleanupFile, "cleanup.file"),
        (Self::CleanupListed, "cleanup.listed"),
        (Self::CleanupOrphan, "cleanup.orphan"),
        (Self::MoveBegun, "move.begun"),
        (Self::MoveCopied, "move.copied"),
        (Self::MoveVerified, "move.verified"),
        (Self::MoveTakenOver, "move.taken_over"),
        (Self::MoveHandedOver, "move.handed_over"),
        (Self::MoveSettle, "move.settle"),
        (Self::MoveRemoved, "move.removed"),
    ];

    /// Ends the process here if a test has asked for it.
    #[inline]
    pub fn pass(self) {
        #[cfg(debug_assertions)]
        armed::pass(self);
    }
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::FaultPoint;

    /// The point that is armed, and how often it is still to be passed.
    struct Armed {
        point: FaultPoint,
        left: AtomicU64,
    }

    static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| armed_by(&std::env::var("PINTAIL_FAULT").ok()?));

    pub(super) fn pass(point: FaultPoint) {
        let Some(armed) = ARMED.as_ref().filter(|armed| armed.point == point) else { return };
        if armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            // No destructor runs and nothing is written: what files hold now is what they hold after a kill.
            std::process::abort();
        }
    }

    fn armed_by(text: &str) -> Option<Armed> {
        let (name, times) = text.split_once(':').unwrap_or((text, "1"));
        let (point, _) = FaultPoint::ALL.into_iter().find(|(_, known)| *known == name)?;
        Some(Armed { point, left: AtomicU64::new(times.parse().ok()?) })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_point_is_armed_by_its_name_and_a_number() {
            let armed = |text| armed_by(text).map(|armed| (armed.point, armed.left.into_inner()));
            assert_eq!(armed("journal.sync"), Some((FaultPoint::JournalSync, 1)));
            assert_eq!(armed("compact.file:7"), Some((FaultPoint::CompactFile, 7)));
            assert_eq!(armed("nothing"), None);
            assert_eq!(armed("journal.sync:x"), None);
        }

        #[test]
        fn every_point_has_a_name_of_its_own() {
            let names: std::collections::BTreeSet<_> = FaultPoint::ALL.map(|(_, name)| name).into();
            let points: std::collections::BTreeSet<_> = FaultPoint::ALL.map(|(point, _)| point).into();
            assert_eq!((names.len(), points.len()), (FaultPoint::ALL.len(), FaultPoint::ALL.len()));
        }
    }
}
