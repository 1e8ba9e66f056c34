//! Data files: how they enter the catalog and how they leave the head.

use datafusion_ducklake::{ColumnStat, DataFileInfo, RowIdStart};
use rusqlite::{Connection, params};

use crate::changes::Change;
use crate::columns::{LiveColumn, live_columns};
use crate::commit::Commit;
use crate::error::{CatalogError, Result};
use crate::inlined;
use crate::specs::live_partition_id;
use crate::sql;
use crate::statistics::{TableTotals, has_statistics, official_bound, widen};
use crate::tables::Table;
use crate::time::snapshot_time;

/// Adds files to a table, with their statistics and partition values, and widens the table's own.
///
/// `written` are the columns that the files have. `counts_rows` is false for rows that the table's
/// totals have already: those of an inlined flush.
pub(crate) fn add(
    commit: &mut Commit<'_>,
    table: &Table,
    data_path: &str,
    written: &[i64],
    files: &[DataFileInfo],
    counts_rows: bool,
) -> Result<()> {
    let live_partition = live_partition_id(commit.connection(), table.id)?;
    let columns = live_columns(commit.connection(), table.id)?;
    let before = TableTotals::of(commit.connection(), table.id)?;
    let mut totals = before.unwrap_or_default();
    for file in files {
        fence_partition(table, live_partition, file)?;
        let row_id_start = take_row_ids(&mut totals, file);
        let placement = Placement { row_id_start, begin_snapshot: commit.snapshot(), partial_max: None };
        insert(commit, table, data_path, file, &columns, placement)?;
        totals.record_count += if counts_rows { file.record_count } else { 0 };
        totals.file_size_bytes += file.file_size_bytes;
    }
    totals.store(commit, table.id, before.is_none())?;
    widen(commit, table.id, &columns, written, files, before.is_none())
}

/// Lists a file without rows, which the writer makes to mark an empty replacement, for deletion: the
/// catalog has no use for it.
pub(crate) fn discard(
    commit: &mut Commit<'_>,
    table: &Table,
    data_path: &str,
    file: &DataFileInfo,
) -> Result<()> {
    let id = commit.next_file_id();
    let (path, is_relative) = table.file_path(data_path, &file.path, file.path_is_relative);
    schedule_deletion(commit.connection(), table, id, &path, is_relative)
}

/// Lists a file for deletion by whoever cleans up.
pub(crate) fn schedule_deletion(
    connection: &Connection,
    table: &Table,
    id: i64,
    path: &str,
    is_relative: bool,
) -> Result<()> {
    // The list has no table, so its relative paths are relative to the data path.
    let directory = if is_relative { table.directory("") } else { String::new() };
    let from_data_path = is_relative && table.path_is_relative && table.schema_path_is_relative;
    let path = format!("{directory}{path}");
    let mut statement = connection.prepare_cached(sql::SCHEDULE_DELETION)?;
    statement.execute(params![id, path, from_data_path, snapshot_time()])?;
    Ok(())
}

/// What the commit, not the writer, decides of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placement {
    pub(crate) row_id_start: Option<i64>,
    pub(crate) begin_snapshot: i64,
    pub(crate) partial_max: Option<i64>,
}

/// Adds the rows of one file; returns its id.
pub(crate) fn insert(
    commit: &mut Commit<'_>,
    table: &Table,
    data_path: &str,
    file: &DataFileInfo,
    columns: &[LiveColumn],
    placement: Placement,
) -> Result<i64> {
    let id = commit.next_file_id();
    let (path, is_relative) = table.file_path(data_path, &file.path, file.path_is_relative);
    commit.execute(
        sql::INSERT_DATA_FILE,
        params![
            id,
            table.id,
            placement.begin_snapshot,
            path,
            is_relative,
            file.record_count,
            file.file_size_bytes,
            file.footer_size,
            placement.row_id_start,
            file.partition_id,
            placement.partial_max,
        ],
    )?;
    for stat in &file.column_stats {
        insert_statistics(commit, table.id, id, stat, columns)?;
    }
    for (index, value) in &file.partition_values {
        commit.execute(sql::INSERT_PARTITION_VALUE, params![id, table.id, index, value])?;
    }
    Ok(id)
}

fn insert_statistics(
    commit: &Commit<'_>,
    table_id: i64,
    file_id: i64,
    stat: &ColumnStat,
    columns: &[LiveColumn],
) -> Result<()> {
    // What the writer says of a nested column as a whole has no place in the catalog.
    let Some(column) =
        columns.iter().find(|column| column.id == stat.column_id && has_statistics(columns, column))
    else {
        return Ok(());
    };
    commit.execute(
        sql::INSERT_FILE_STATS,
        params![
            file_id,
            table_id,
            stat.column_id,
            stat.column_size_bytes,
            stat.value_count,
            stat.null_count,
            official_bound(&column.column_type, stat.min_value.as_deref()),
            official_bound(&column.column_type, stat.max_value.as_deref()),
            stat.contains_nan,
        ],
    )?;
    Ok(())
}

/// The file's `row_id_start`; moves the table's next row id past what the file takes.
fn take_row_ids(totals: &mut TableTotals, file: &DataFileInfo) -> Option<i64> {
    let first = totals.next_row_id.max(file.row_id_floor.unwrap_or(0));
    let (start, next) = match file.row_id_start {
        RowIdStart::Assign => (Some(first), first + file.record_count),
        RowIdStart::Embedded => (None, first),
        RowIdStart::Preserved(start) => (Some(start), first.max(start + file.record_count)),
    };
    totals.next_row_id = totals.next_row_id.max(next);
    start
}

/// A file must lie under the partition spec that is live now; an empty one belongs to none.
fn fence_partition(table: &Table, live: Option<i64>, file: &DataFileInfo) -> Result<()> {
    let fits = match file.partition_id {
        Some(id) => live == Some(id),
        None => live.is_none() || file.record_count == 0,
    };
    match fits {
        true => Ok(()),
        false => Err(CatalogError::Conflict(format!(
            "the partitioning of {}.{} changed since the write began",
            table.schema_name, table.name
        ))),
    }
}

/// Ends every live row of a table: files, their delete files, and inlined rows. Records the deletes.
///
/// The table's totals stay: they count what was inserted.
pub(crate) fn end_all(commit: &mut Commit<'_>, table_id: i64) -> Result<usize> {
    let snapshot = commit.snapshot();
    let ended = commit.execute(sql::END_TABLE_FILES, params![snapshot, table_id])?;
    commit.execute(sql::END_TABLE_DELETE_FILES, params![snapshot, table_id])?;
    if ended > 0 {
        commit.record(Change::DeletedFrom(table_id));
    }
    if inlined::end_all(commit, table_id)? > 0 {
        commit.record(Change::InlinedDelete(table_id));
    }
    Ok(ended)
}

/// A conflict when rows of the table came or went after `base`.
pub(crate) fn fence_unchanged(commit: &Commit<'_>, table_id: i64, base: i64) -> Result<()> {
    let changed: bool =
        commit.connection().query_row(sql::FILES_CHANGED_SINCE, [table_id, base], |row| row.get(0))?;
    if changed || inlined::changed_in(commit.connection(), table_id, &(base + 1..=i64::MAX))? {
        return Err(CatalogError::Conflict(format!(
            "rows of table {table_id} changed after snapshot {base}, which the write was based on"
        )));
    }
    Ok(())
}

/// The rows of a table at the head: those in its files that are not deleted, and inlined ones.
pub(crate) fn live_rows(connection: &Connection, table_id: i64) -> Result<i64> {
    let in_files: i64 = connection.query_row(sql::LIVE_ROWS_IN_FILES, [table_id], |row| row.get(0))?;
    Ok(in_files - inlined::deleted_rows(connection, table_id)? + inlined::live_rows(connection, table_id)?)
}
