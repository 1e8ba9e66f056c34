//! Expiring snapshots: what no snapshot shows any more leaves the catalog, and its files are listed for deletion.
//!
//! The rows that go, and their order, are those of `DuckLakeMetadataManager::DeleteSnapshots` in
//! <https://github.com/duckdb/ducklake>. No snapshot is added by it, and no file is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use pintail_types::{Micros, Result, SnapshotId};
use rusqlite::Connection;

use crate::catalog::Catalog;
use crate::error::Result as CatalogResult;
use crate::inlined::{self, quoted};
use crate::tables::Table;
use crate::time::parse_time;
use crate::{files, sql};

/// Snapshots that go in one transaction: it holds the write lock for milliseconds, also where years are expired at once.
const SNAPSHOTS_AT_ONCE: usize = 64;

/// Ids that stand in one statement.
const IDS_AT_ONCE: usize = 1000;

/// What belongs to a data file and goes with it, besides its delete files.
const OF_DATA_FILE: [&str; 4] = [
    "ducklake_data_file",
    "ducklake_file_column_stats",
    "ducklake_file_variant_stats",
    "ducklake_file_partition_value",
];

/// What belongs to a table and goes with it.
const OF_TABLE: [&str; 12] = [
    "ducklake_table",
    "ducklake_table_stats",
    "ducklake_table_column_stats",
    "ducklake_partition_info",
    "ducklake_partition_column",
    "ducklake_column",
    "ducklake_column_tag",
    "ducklake_sort_info",
    "ducklake_sort_expression",
    "ducklake_schema_versions",
    "ducklake_inlined_data_tables",
    "ducklake_column_mapping",
];

/// What goes by itself once no snapshot shows it.
const BY_ITSELF: [&str; 4] = ["ducklake_schema", "ducklake_view", "ducklake_tag", "ducklake_macro"];

/// Which snapshots are to go; the newest never does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expiry {
    /// All that were committed before this time.
    OlderThan(Micros),
    /// These.
    Snapshots(Vec<SnapshotId>),
}

/// Snapshots that must stay because somebody reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// This one and all that came after it: whoever began to read meanwhile reads one of these.
    pub from: SnapshotId,
    /// Single ones before it.
    pub snapshots: BTreeSet<SnapshotId>,
}

/// What an expiry did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expired {
    /// The snapshots that are gone.
    pub snapshots: Vec<SnapshotId>,
    /// Snapshots that were to go and stay because somebody reads them.
    pub needed: usize,
    /// Data and delete files that are listed for deletion now.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Files that left the catalog.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Released {
    files: u64,
    bytes: u64,
}

impl AddAssign for Released {
    fn add_assign(&mut self, more: Self) {
        self.files += more.files;
        self.bytes += more.bytes;
    }
}

impl Catalog {
    /// Takes snapshots out of the catalog, and with them whatever only they showed. Its files are listed for deletion.
    ///
    /// It takes the write lock many times for a moment rather than once for long; when it fails, what was done before
    /// stays done and is whole.
    ///
    /// # Errors
    /// `Unavailable` when another process holds the write lock for too long.
    pub fn expire_snapshots(&self, which: &Expiry, needed: &Needed) -> Result<Expired> {
        let snapshots = self.read(|connection| matching(connection, which))?;
        let (kept, expiring): (Vec<i64>, Vec<i64>) =
            snapshots.into_iter().partition(|snapshot| needed.has(SnapshotId(*snapshot)));
        let mut expired = Expired { needed: kept.len(), ..Expired::default() };
        for some in expiring.chunks(SNAPSHOTS_AT_ONCE) {
            let released = self.at(self.database().write(|connection| expire(connection, some)))?;
            expired.snapshots.extend(some.iter().copied().map(SnapshotId));
            expired.files += released.files;
            expired.bytes += released.bytes;
            self.note_rewrite();
        }
        Ok(expired)
    }
}

impl Needed {
    fn has(&self, snapshot: SnapshotId) -> bool {
        snapshot >= self.from || self.snapshots.contains(&snapshot)
    }
}

/// The snapshots that are asked for, but the newest, oldest first.
fn matching(connection: &Connection, which: &Expiry) -> CatalogResult<Vec<i64>> {
    let mut statement = connection.prepare_cached(sql::OLDER_SNAPSHOTS)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows = rows.collect::<Result<Vec<(i64, String)>, _>>()?;
    let matches = |(id, time): &(i64, String)| match which {
        // A text that is no time says nothing of its age.
        Expiry::OlderThan(limit) => parse_time(time).is_some_and(|time| time < *limit),
        Expiry::Snapshots(ids) => ids.contains(&SnapshotId(*id)),
    };
    Ok(rows.into_iter().filter(matches).map(|(id, _)| id).collect())
}

fn expire(connection: &Connection, snapshots: &[i64]) -> CatalogResult<Released> {
    for table in ["ducklake_snapshot", "ducklake_snapshot_changes"] {
        delete_where(connection, table, "snapshot_id", snapshots)?;
    }
    let tables = ids(connection, &dead_tables())?;
    let mut released = release_data_files(connection, &tables)?;
    released += release_delete_files(connection, &tables)?;
    remove_tables(connection, &tables)?;
    for name in BY_ITSELF {
        connection.execute(&format!("DELETE FROM {name} WHERE {}", unseen(name)), [])?;
    }
    for statement in [
        sql::DELETE_LOST_MACRO_IMPLEMENTATIONS,
        sql::DELETE_LOST_MACRO_PARAMETERS,
        sql::DELETE_LOST_NAME_MAPPINGS,
    ] {
        connection.execute(statement, [])?;
    }
    Ok(released)
}

/// The condition on a row of `table` that it has ended and that no snapshot shows it.
fn unseen(table: &str) -> String {
    format!(
        "{table}.end_snapshot IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ducklake_snapshot s \
         WHERE s.snapshot_id >= {table}.begin_snapshot AND s.snapshot_id < {table}.end_snapshot)"
    )
}

/// The tables of which no version is shown by any snapshot: a renamed one has several rows.
fn dead_tables() -> String {
    let unseen = unseen("ducklake_table");
    format!(
        "SELECT DISTINCT table_id FROM ducklake_table WHERE {unseen} AND table_id NOT IN \
         (SELECT table_id FROM ducklake_table WHERE NOT ({unseen}))"
    )
}

fn release_data_files(connection: &Connection, tables: &[i64]) -> CatalogResult<Released> {
    let dead = format!("{} OR ({})", one_of("table_id", tables), unseen("ducklake_data_file"));
    let dead = ids(connection, &format!("SELECT data_file_id FROM ducklake_data_file WHERE {dead}"))?;
    remove_data_files(connection, &dead)
}

/// Takes files out of the catalog for every snapshot, with all that belongs to them, and lists them and their delete
/// files for deletion.
pub(crate) fn remove_data_files(connection: &Connection, file_ids: &[i64]) -> CatalogResult<Released> {
    let mut released = Released::default();
    let mut of_tables: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for some in file_ids.chunks(IDS_AT_ONCE) {
        let these = one_of("data_file_id", some);
        released += release_deletes(connection, &these)?;
        let (files, data) = release(
            connection,
            &format!(
                "SELECT data_file_id, table_id, path, path_is_relative, file_size_bytes FROM ducklake_data_file \
                 WHERE {these}"
            ),
        )?;
        released += data;
        for file in files {
            of_tables.entry(file.table_id).or_default().push(file.id);
        }
    }
    for name in OF_DATA_FILE {
        delete_where(connection, name, "data_file_id", file_ids)?;
    }
    for (table, files) in of_tables {
        inlined::forget_deletes(connection, table, &files)?;
    }
    Ok(released)
}

/// The delete files that no snapshot shows, though perhaps their data files.
fn release_delete_files(connection: &Connection, tables: &[i64]) -> CatalogResult<Released> {
    let condition = format!("{} OR ({})", one_of("table_id", tables), unseen("ducklake_delete_file"));
    release_deletes(connection, &condition)
}

fn release_deletes(connection: &Connection, condition: &str) -> CatalogResult<Released> {
    let query = format!(
        "SELECT delete_file_id, table_id, path, path_is_relative, file_size_bytes FROM ducklake_delete_file \
         WHERE {condition}"
    );
    let (delete_files, released) = release(connection, &query)?;
    let delete_ids: Vec<i64> = delete_files.iter().map(|file| file.id).collect();
    delete_where(connection, "ducklake_delete_file", "delete_file_id", &delete_ids)?;
    Ok(released)
}

/// A file that leaves the catalog.
struct Leaving {
    id: i64,
    table_id: i64,
    path: String,
    is_relative: bool,
    bytes: i64,
}

/// Lists the files that `query` gives for deletion.
fn release(connection: &Connection, query: &str) -> CatalogResult<(Vec<Leaving>, Released)> {
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([], |row| {
        Ok(Leaving {
            id: row.get(0)?,
            table_id: row.get(1)?,
            path: row.get(2)?,
            is_relative: row.get(3)?,
            bytes: row.get::<_, Option<i64>>(4)?.unwrap_or(0),
        })
    })?;
    let files = rows.collect::<Result<Vec<_>, _>>()?;
    let mut released = Released::default();
    let mut table: Option<Table> = None;
    for file in &files {
        if table.as_ref().is_none_or(|table| table.id != file.table_id) {
            table = Table::that_was(connection, file.table_id)?;
        }
        // A file of no table has no directory: nobody could say where it is.
        if let Some(table) = &table {
            files::schedule_deletion(connection, table, file.id, &file.path, file.is_relative)?;
        }
        released.files += 1;
        released.bytes += u64::try_from(file.bytes).unwrap_or(0);
    }
    Ok((files, released))
}

fn remove_tables(connection: &Connection, tables: &[i64]) -> CatalogResult<()> {
    for table in tables {
        let inlined = inlined::tables(connection, *table)?;
        for name in inlined.into_iter().chain(inlined::delete_table(connection, *table)?) {
            connection.execute_batch(&format!("DROP TABLE IF EXISTS {}", quoted(&name)))?;
        }
    }
    for name in OF_TABLE {
        delete_where(connection, name, "table_id", tables)?;
    }
    Ok(())
}

fn ids(connection: &Connection, query: &str) -> CatalogResult<Vec<i64>> {
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Removes the rows of `table` whose `column` is one of `values`. Each statement looks at the whole table once: there
/// is no index.
pub(crate) fn delete_where(
    connection: &Connection,
    table: &str,
    column: &str,
    values: &[i64],
) -> CatalogResult<()> {
    for some in values.chunks(IDS_AT_ONCE) {
        connection.execute(&format!("DELETE FROM {table} WHERE {}", one_of(column, some)), [])?;
    }
    Ok(())
}

/// The condition that `column` is one of `values`.
fn one_of(column: &str, values: &[i64]) -> String {
    if values.is_empty() {
        return "1 = 0".to_owned();
    }
    let values: Vec<String> = values.iter().map(i64::to_string).collect();
    format!("{column} IN ({})", values.join(", "))
}
