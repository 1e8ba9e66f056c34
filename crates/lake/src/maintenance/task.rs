//! What can be asked of maintenance.

use std::time::Duration;

/// Something to be done to a lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaintenanceTask {
    /// Puts the rows in memory into files.
    Flush,
    /// Merges small files and rewrites those with many deleted rows: of one table, or of all.
    Compact {
        /// `table` in schema `main`, or `schema.table`.
        table: Option<String>,
        /// The only volume to do it in.
        volume: Option<String>,
    },
    /// Takes old snapshots out of the catalog.
    ExpireSnapshots {
        /// How old; absent, as configured.
        older_than: Option<Duration>,
    },
    /// Deletes files that no snapshot shows, and files that the catalog does not know.
    Cleanup {
        /// For how long already; absent, the configured grace.
        older_than: Option<Duration>,
    },
    /// Removes rows that are older than they are to be kept.
    Retention,
    /// Moves what the storage policy says from one volume to another.
    ApplyStoragePolicy {
        /// Only tells what would be moved.
        dry_run: bool,
    },
    /// Moves one day of a table from one volume to another, also to a hotter one.
    Move {
        /// `table` in schema `main`, or `schema.table`.
        table: String,
        /// The day, as `2026-11-20`.
        date: String,
        /// The name of the volume that has the rows.
        from_volume: String,
        /// The name of the volume that is to have them.
        to_volume: String,
    },
    /// Flush, retention, compaction, expiry and cleanup, one after the other.
    Vacuum {
        /// How old snapshots expire and their files are deleted; absent, as configured.
        expire_older_than: Option<Duration>,
    },
    /// Looks for damage in the catalog, the files and the journal.
    Fsck {
        /// Whether what can be mended of the catalog is mended.
        repair: bool,
    },
}
