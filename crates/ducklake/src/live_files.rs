//! The live files of a table, with all that who merges or drops them needs to know, read in one transaction.

use std::collections::{BTreeSet, HashMap};

use datafusion_ducklake::SortDirection;
use pintail_types::{Micros, Result, SnapshotId};
use rusqlite::Connection;

use crate::catalog::Catalog;
use crate::columns::{LiveColumn, live_columns};
use crate::commit::Snapshot;
use crate::error::Result as CatalogResult;
use crate::schema_changes::TableName;
use crate::specs;
use crate::tables::Table;
use crate::time::parse_time;
use crate::{inlined, sql};

/// The files of a table at the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFiles {
    /// The head that they were read at.
    pub snapshot: SnapshotId,
    /// The column that the rows of a file are sorted by, if that is one alone, ascending.
    pub sorted_by: Option<String>,
    /// The ids of columns that rows of files without them do not have null in.
    pub filled_columns: BTreeSet<i64>,
    /// The files, oldest first.
    pub files: Vec<LiveFile>,
}

/// A live data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFile {
    /// Its id.
    pub id: i64,
    /// Where it is: an absolute path or a URL.
    pub path: String,
    /// Its place below the table's directory, with a slash at the end; empty in that directory itself, and for a file
    /// that lies elsewhere.
    pub subdirectory: String,
    /// Rows in it, deleted ones too.
    pub rows: i64,
    /// Its size.
    pub bytes: i64,
    /// The id of its first row, if ids follow from places.
    pub row_id_start: Option<i64>,
    /// The first snapshot that shows any of its rows.
    pub begin_snapshot: i64,
    /// The last snapshot that added rows that are in it, if its rows say where they come from.
    pub partial_max: Option<i64>,
    /// The version of the table's columns that it was written for.
    pub schema_version: Option<i64>,
    /// When the newest of its rows were committed; none once that snapshot is expired.
    pub committed_at: Option<Micros>,
    /// The partition that its rows are of.
    pub partition: Option<FilePartition>,
    /// Whether its columns are found by more than their ids: it was made by another program and added, or is encrypted.
    pub is_foreign: bool,
    /// The delete file that hides some of its rows.
    pub deletes: Option<LiveDeletes>,
    /// Places of rows that are deleted in the catalog itself.
    pub inlined_deletes: BTreeSet<i64>,
    /// The least and greatest value of the column that was asked for, as the catalog has them.
    pub bounds: Option<(String, String)>,
}

/// The partition of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilePartition {
    /// The id of the partition spec that it was written under.
    pub spec: i64,
    /// Its values by the index of their key.
    pub values: Vec<(i32, Option<String>)>,
}

/// A live delete file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveDeletes {
    /// Its id.
    pub id: i64,
    /// Where it is: an absolute path or a URL.
    pub path: String,
    /// Rows that it hides.
    pub rows: i64,
}

impl LiveFile {
    /// Rows of it that are hidden.
    pub fn deleted_rows(&self) -> i64 {
        let inlined = i64::try_from(self.inlined_deletes.len()).unwrap_or(i64::MAX);
        self.deletes.as_ref().map_or(0, |deletes| deletes.rows).saturating_add(inlined)
    }
}

impl Catalog {
    /// The live tables of all schemas.
    ///
    /// # Errors
    /// When the catalog can't be read.
    pub fn tables(&self) -> Result<Vec<TableName>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql::ALL_LIVE_TABLES)?;
            let rows =
                statement.query_map([], |row| Ok(TableName { schema: row.get(0)?, name: row.get(1)? }))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The live files of a table, with the bounds of the column `bounded`; none when there is no such table.
    ///
    /// # Errors
    /// When the catalog can't be read.
    pub fn live_files(&self, table: &TableName, bounded: &str) -> Result<Option<LiveFiles>> {
        let data_path = self.data_path();
        self.read(|connection| {
            let Some(found) = Table::named(connection, &table.schema, &table.name)? else { return Ok(None) };
            let columns = live_columns(connection, found.id)?;
            let mut files = files(connection, &found, &data_path)?;
            add_partitions(connection, found.id, &mut files)?;
            add_inlined_deletes(connection, found.id, &mut files)?;
            add_bounds(connection, found.id, &columns, bounded, &mut files)?;
            Ok(Some(LiveFiles {
                snapshot: SnapshotId(Snapshot::head(connection)?.id),
                sorted_by: sorted_by(connection, found.id)?,
                filled_columns: columns
                    .iter()
                    .filter(|column| column.initial_default.is_some())
                    .map(|column| column.id)
                    .collect(),
                files,
            }))
        })
    }
}

fn files(connection: &Connection, table: &Table, data_path: &str) -> CatalogResult<Vec<LiveFile>> {
    let directory = table.directory(data_path);
    let place =
        |path: String, is_relative: bool| if is_relative { format!("{directory}{path}") } else { path };
    let mut statement = connection.prepare_cached(sql::LIVE_FILES)?;
    let rows = statement.query_map([table.id], |row| {
        let path: String = row.get(1)?;
        let is_relative = row.get(2)?;
        let partition_id: Option<i64> = row.get(8)?;
        let deletes = match row.get::<_, Option<i64>>(12)? {
            Some(id) => Some(LiveDeletes { id, path: place(row.get(13)?, row.get(14)?), rows: row.get(15)? }),
            None => None,
        };
        Ok(LiveFile {
            id: row.get(0)?,
            subdirectory: if is_relative { parent(&path).to_owned() } else { String::new() },
            path: place(path, is_relative),
            rows: row.get(3)?,
            bytes: row.get(4)?,
            row_id_start: row.get(5)?,
            begin_snapshot: row.get(6)?,
            partial_max: row.get(7)?,
            partition: partition_id.map(|spec| FilePartition { spec, values: Vec::new() }),
            is_foreign: row.get(9)?,
            schema_version: row.get(10)?,
            committed_at: row.get::<_, Option<String>>(11)?.as_deref().and_then(parse_time),
            deletes,
            inlined_deletes: BTreeSet::new(),
            bounds: None,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What comes before a file's own name, with the slash.
fn parent(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..=slash])
}

fn by_id(files: &mut [LiveFile]) -> HashMap<i64, &mut LiveFile> {
    files.iter_mut().map(|file| (file.id, file)).collect()
}

fn add_partitions(connection: &Connection, table_id: i64, files: &mut [LiveFile]) -> CatalogResult<()> {
    let mut files = by_id(files);
    let mut statement = connection.prepare_cached(sql::PARTITION_VALUES)?;
    let mut rows = statement.query([table_id])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        if let Some(file) = files.get_mut(&id)
            && let Some(FilePartition { values, .. }) = &mut file.partition
        {
            values.push((row.get(1)?, row.get(2)?));
        }
    }
    Ok(())
}

fn add_inlined_deletes(connection: &Connection, table_id: i64, files: &mut [LiveFile]) -> CatalogResult<()> {
    let mut files = by_id(files);
    for (file_id, place) in inlined::deleted_places(connection, table_id)? {
        if let Some(file) = files.get_mut(&file_id) {
            file.inlined_deletes.insert(place);
        }
    }
    Ok(())
}

fn add_bounds(
    connection: &Connection,
    table_id: i64,
    columns: &[LiveColumn],
    bounded: &str,
    files: &mut [LiveFile],
) -> CatalogResult<()> {
    let is_bounded = |column: &&LiveColumn| column.parent.is_none() && column.name == bounded;
    let Some(column) = columns.iter().find(is_bounded) else { return Ok(()) };
    let mut files = by_id(files);
    let mut statement = connection.prepare_cached(sql::COLUMN_BOUNDS_OF_FILES)?;
    let mut rows = statement.query([table_id, column.id])?;
    while let Some(row) = rows.next()? {
        let (id, min, max): (i64, Option<String>, Option<String>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if let (Some(min), Some(max)) = (min, max)
            && let Some(file) = files.get_mut(&id)
        {
            file.bounds = Some((min, max));
        }
    }
    Ok(())
}

fn sorted_by(connection: &Connection, table_id: i64) -> CatalogResult<Option<String>> {
    let Some(spec) = specs::live_sort(connection, table_id)? else { return Ok(None) };
    let [only] = spec.fields.as_slice() else { return Ok(None) };
    let ascending = only.direction == SortDirection::Asc;
    Ok(ascending.then(|| only.expression.trim_matches('"').to_owned()))
}
