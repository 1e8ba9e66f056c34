//! What was read of the tables at one snapshot. A snapshot never changes, so it is read once.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion_ducklake::metadata_provider::{DuckLakeFileMetadata, DuckLakeInlinedDelete};

/// Files of one table whose metadata are kept, with the statistics of each column; of a table with more they are read
/// each time, for the catalog to leave out those that cannot match.
pub(crate) const MAX_KEPT_FILES: usize = 1024;

/// Rows deleted in the catalog itself that are kept of one table.
pub(crate) const MAX_KEPT_DELETES: usize = 100_000;

/// Tables that are kept; when there are more, all are read anew.
const MAX_KEPT_TABLES: usize = 64;

/// The files of a table, unless they are more than [`MAX_KEPT_FILES`].
pub(crate) type FewFiles = Option<Arc<Vec<DuckLakeFileMetadata>>>;

/// The reads of the snapshot that was asked for last.
#[derive(Debug, Default)]
pub(crate) struct SnapshotReads {
    snapshot_id: i64,
    /// [`crate::Catalog::rewrites`] when they were read: files of a snapshot can give way to others.
    rewrites: u64,
    tables: HashMap<i64, TableReads>,
}

/// The reads of one table.
#[derive(Debug, Default)]
pub(crate) struct TableReads {
    /// All files, once they were read; none if they are many.
    pub(crate) files: Option<FewFiles>,
    /// Rows that are deleted in the catalog itself.
    pub(crate) inlined_deletes: Option<Arc<Vec<DuckLakeInlinedDelete>>>,
    /// Whether it is known that the catalog itself holds no rows.
    pub(crate) no_inlined_rows: bool,
}

impl SnapshotReads {
    /// What was read of a table at a snapshot, after so many rewrites.
    pub(crate) fn of(&mut self, table_id: i64, snapshot_id: i64, rewrites: u64) -> &mut TableReads {
        let is_new_table = !self.tables.contains_key(&table_id);
        let is_other = self.snapshot_id != snapshot_id || self.rewrites != rewrites;
        if is_other || is_new_table && self.tables.len() >= MAX_KEPT_TABLES {
            *self = Self { snapshot_id, rewrites, tables: HashMap::new() };
        }
        self.tables.entry(table_id).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_snapshot_and_few_tables_are_kept() {
        let mut reads = SnapshotReads::default();
        reads.of(1, 7, 0).no_inlined_rows = true;
        assert!(reads.of(1, 7, 0).no_inlined_rows);
        assert!(!reads.of(1, 8, 0).no_inlined_rows && !reads.of(1, 7, 0).no_inlined_rows);
        reads.of(1, 7, 0).no_inlined_rows = true;
        assert!(!reads.of(1, 7, 1).no_inlined_rows);
        for table in 0..1000 {
            reads.of(table, 8, 0);
        }
        assert!(reads.tables.len() <= MAX_KEPT_TABLES);
    }
}
