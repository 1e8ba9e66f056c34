//! One commit: one short write transaction that adds one snapshot.

use std::collections::BTreeSet;

use datafusion_ducklake::SnapshotCommitMetadata;
use pintail_types::FaultPoint;
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::changes::{Change, changes_made};
use crate::error::{CatalogError, Result};
use crate::inlined;
use crate::layout;
use crate::sql;
use crate::time::snapshot_time_after;

/// The newest snapshot with its counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) id: i64,
    pub(crate) schema_version: i64,
    pub(crate) next_catalog_id: i64,
    pub(crate) next_file_id: i64,
}

impl Snapshot {
    /// The head of the catalog.
    pub(crate) fn head(connection: &Connection) -> Result<Self> {
        type Row = (i64, Option<i64>, Option<i64>, Option<i64>);
        let row: Option<Row> = connection
            .query_row(sql::HEAD, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let Some((id, schema_version, next_catalog_id, next_file_id)) = row else {
            return Err(CatalogError::Corrupt("ducklake_snapshot has no row".to_owned()));
        };
        let (Some(schema_version), Some(next_catalog_id), Some(next_file_id)) =
            (schema_version, next_catalog_id, next_file_id)
        else {
            return Err(CatalogError::Corrupt(format!(
                "snapshot {id} has no next ids; another program damaged it"
            )));
        };
        Ok(Self { id, schema_version, next_catalog_id, next_file_id })
    }
}

/// A write transaction that becomes one snapshot, or nothing.
///
/// It holds SQLite's write lock from the start, so that what it reads cannot change until it ends.
/// Dropping it without [`Commit::finish`] undoes everything.
#[derive(Debug)]
pub(crate) struct Commit<'c> {
    transaction: Transaction<'c>,
    /// The snapshot before this one.
    pub(crate) head: Snapshot,
    next_catalog_id: i64,
    next_file_id: i64,
    schema_changed: bool,
    reshaped_tables: BTreeSet<i64>,
    changes: BTreeSet<Change>,
}

impl<'c> Commit<'c> {
    /// Starts from the head that the transaction, which must hold the write lock, sees.
    pub(crate) fn begin(transaction: Transaction<'c>) -> Result<Self> {
        let head = Snapshot::head(&transaction)?;
        Ok(Self {
            transaction,
            head,
            next_catalog_id: head.next_catalog_id,
            next_file_id: head.next_file_id,
            schema_changed: false,
            reshaped_tables: BTreeSet::new(),
            changes: BTreeSet::new(),
        })
    }

    /// The connection inside the transaction.
    pub(crate) fn connection(&self) -> &Connection {
        &self.transaction
    }

    /// The id of the snapshot that this commit adds.
    pub(crate) fn snapshot(&self) -> i64 {
        self.head.id + 1
    }

    /// Whether anything was recorded as changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// An id for a schema, table, view, partition spec or sort spec; they share one sequence.
    pub(crate) fn next_catalog_id(&mut self) -> i64 {
        self.next_catalog_id += 1;
        self.next_catalog_id - 1
    }

    /// An id for a data file or a delete file; they share one sequence.
    pub(crate) fn next_file_id(&mut self) -> i64 {
        self.next_file_id += 1;
        self.next_file_id - 1
    }

    /// Records what this commit changes.
    pub(crate) fn record(&mut self, change: Change) {
        self.changes.insert(change);
    }

    /// Records that names, columns, specs, views or comments change: the schema version grows by one.
    pub(crate) fn change_schema(&mut self) {
        self.schema_changed = true;
    }

    /// Records that a table's columns or partitions change, which also starts a version of that table.
    pub(crate) fn reshape_table(&mut self, table_id: i64) {
        self.schema_changed = true;
        self.reshaped_tables.insert(table_id);
    }

    /// Runs one statement of [`crate::sql`].
    pub(crate) fn execute(&self, statement: &str, parameters: impl rusqlite::Params) -> Result<usize> {
        Ok(self.transaction.prepare_cached(statement)?.execute(parameters)?)
    }

    /// Adds the snapshot and commits; returns its id. `metadata` is set in the same transaction.
    pub(crate) fn finish(self, about: &SnapshotCommitMetadata, metadata: &[(String, String)]) -> Result<i64> {
        let snapshot = self.snapshot();
        let schema_version = self.head.schema_version + i64::from(self.schema_changed);
        for table_id in &self.reshaped_tables {
            self.execute(sql::INSERT_SCHEMA_VERSION, params![snapshot, schema_version, table_id])?;
            inlined::follow_columns(&self, *table_id, schema_version)?;
        }
        for (key, value) in metadata {
            layout::set_metadata(&self.transaction, key, value)?;
        }
        self.execute(
            sql::INSERT_SNAPSHOT_CHANGES,
            params![
                snapshot,
                changes_made(&self.changes),
                about.author(),
                about.message(),
                about.extra_info()
            ],
        )?;
        let previous: Option<String> = self
            .transaction
            .prepare_cached(sql::SNAPSHOT_TIME)?
            .query_row([self.head.id], |row| row.get(0))?;
        let time = snapshot_time_after(previous.as_deref());
        self.execute(
            sql::INSERT_SNAPSHOT,
            params![snapshot, time, schema_version, self.next_catalog_id, self.next_file_id],
        )?;
        FaultPoint::CatalogCommit.pass();
        self.transaction.commit()?;
        FaultPoint::CatalogCommitted.pass();
        Ok(snapshot)
    }
}
