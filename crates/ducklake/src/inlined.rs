//! Rows and deletes that DuckDB keeps in the catalog itself.
//!
//! `ducklake_inlined_data_<table>_<version>` holds small inserts, `ducklake_inlined_delete_<table>`
//! small deletes from Parquet files. This crate writes neither; it ends and counts what is there, and
//! makes room for the rows of a table that changes its columns.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use datafusion_ducklake::InlinedRowRef;
use rusqlite::{Connection, params};

use crate::changes::touches;
use crate::columns::live_columns;
use crate::commit::Commit;
use crate::error::{CatalogError, Result};
use crate::expiry::delete_where;
use crate::sql;

/// The tables that hold inlined rows of a table, oldest schema first.
pub(crate) fn tables(connection: &Connection, table_id: i64) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(sql::INLINED_TABLES)?;
    let names = statement.query_map([table_id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(names)
}

/// A table that holds inlined rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InlinedTable {
    pub(crate) name: String,
    /// The names that its columns had in its schema version, by column id; `None` when the catalog does
    /// not know any more when that version began.
    pub(crate) names: Option<HashMap<i64, String>>,
}

/// The tables that hold inlined rows of a table with their columns' names, oldest schema first.
pub(crate) fn tables_with_names(connection: &Connection, table_id: i64) -> Result<Vec<InlinedTable>> {
    let mut versions = connection.prepare_cached(sql::INLINED_VERSIONS)?;
    let versions = versions.query_map([table_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let versions = versions.collect::<Result<Vec<(String, Option<i64>)>, _>>()?;
    let mut columns = connection.prepare_cached(sql::COLUMNS_AT)?;
    let mut tables = Vec::with_capacity(versions.len());
    for (name, begin) in versions {
        let names = match begin {
            None => None,
            Some(begin) => {
                let names = columns.query_map([table_id, begin], |row| Ok((row.get(0)?, row.get(1)?)))?;
                Some(names.collect::<Result<_, _>>()?)
            }
        };
        tables.push(InlinedTable { name, names });
    }
    Ok(tables)
}

/// Makes the table for inlined rows of a new shape of a table, if there is one of an older shape: DuckDB puts rows
/// into the newest by position, without a look at its columns.
pub(crate) fn follow_columns(commit: &Commit<'_>, table_id: i64, schema_version: i64) -> Result<()> {
    if tables(commit.connection(), table_id)?.is_empty() {
        return Ok(());
    }
    let columns = live_columns(commit.connection(), table_id)?;
    let columns: String = columns
        .iter()
        .filter(|column| column.parent.is_none())
        .map(|column| format!(", {} {}", quoted(&column.name), inlined_type(&column.column_type)))
        .collect();
    let name = format!("ducklake_inlined_data_{table_id}_{schema_version}");
    commit.connection().execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {} (row_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT{columns})",
        quoted(&name)
    ))?;
    commit.execute(sql::INSERT_INLINED_TABLE, params![table_id, name, schema_version])?;
    Ok(())
}

/// How DuckDB keeps inlined values of a type in SQLite.
fn inlined_type(column_type: &str) -> &'static str {
    match column_type.to_ascii_lowercase().as_str() {
        "boolean" | "int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32" => "BIGINT",
        "blob" => "BLOB",
        _ => "VARCHAR",
    }
}

/// The table that holds inlined deletes from a table's files, if it exists.
pub(crate) fn delete_table(connection: &Connection, table_id: i64) -> Result<Option<String>> {
    let name = format!("ducklake_inlined_delete_{table_id}");
    let exists: bool = connection.query_row(sql::TABLE_EXISTS, [&name], |row| row.get(0))?;
    Ok(exists.then_some(name))
}

/// The number of live inlined rows of a table.
pub(crate) fn live_rows(connection: &Connection, table_id: i64) -> Result<i64> {
    let mut rows = 0;
    for name in tables(connection, table_id)? {
        let count = format!("SELECT count(*) FROM {} WHERE end_snapshot IS NULL", quoted(&name));
        rows += connection.query_row(&count, [], |row| row.get::<_, i64>(0))?;
    }
    Ok(rows)
}

/// The least and the greatest text of the column `column_id` in each table that holds live inlined rows of a table;
/// none where they are not known.
pub(crate) fn bounds(
    connection: &Connection,
    table_id: i64,
    column_id: Option<i64>,
) -> Result<Vec<Option<(String, String)>>> {
    let mut bounds = Vec::new();
    for InlinedTable { name, names } in tables_with_names(connection, table_id)? {
        let column = column_id.zip(names).and_then(|(id, mut names)| names.remove(&id));
        let column = column.map_or_else(|| "NULL".to_owned(), |column| quoted(&column));
        let select = format!(
            "SELECT count(*), CAST(min({column}) AS TEXT), CAST(max({column}) AS TEXT) \
             FROM {} WHERE end_snapshot IS NULL",
            quoted(&name)
        );
        let (rows, min, max): (i64, Option<String>, Option<String>) =
            connection.query_row(&select, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if rows > 0 {
            bounds.push(min.zip(max));
        }
    }
    Ok(bounds)
}

/// The number of rows that inlined deletes hide in live files of a table.
pub(crate) fn deleted_rows(connection: &Connection, table_id: i64) -> Result<i64> {
    let Some(name) = delete_table(connection, table_id)? else {
        return Ok(0);
    };
    let count = format!(
        "SELECT count(*) FROM (SELECT DISTINCT d.file_id, d.row_id FROM {} d JOIN ducklake_data_file f \
         ON f.data_file_id = d.file_id AND f.table_id = $1 AND f.end_snapshot IS NULL)",
        quoted(&name)
    );
    Ok(connection.query_row(&count, [table_id], |row| row.get(0))?)
}

/// The places that inlined deletes hide in files of a table, each with its file.
pub(crate) fn deleted_places(connection: &Connection, table_id: i64) -> Result<Vec<(i64, i64)>> {
    let Some(name) = delete_table(connection, table_id)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare(&format!("SELECT file_id, row_id FROM {}", quoted(&name)))?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Ends every live inlined row of a table; returns how many.
pub(crate) fn end_all(commit: &Commit<'_>, table_id: i64) -> Result<usize> {
    let mut ended = 0;
    for name in tables(commit.connection(), table_id)? {
        let end = format!("UPDATE {} SET end_snapshot = $1 WHERE end_snapshot IS NULL", quoted(&name));
        ended += commit.connection().execute(&end, [commit.snapshot()])?;
    }
    Ok(ended)
}

/// Whether inlined rows of the table, or rows of its files by inlined deletes, came or went in one of `snapshots`.
pub(crate) fn changed_in(
    connection: &Connection,
    table_id: i64,
    snapshots: &RangeInclusive<i64>,
) -> Result<bool> {
    let range = [snapshots.start(), snapshots.end()];
    for name in tables(connection, table_id)? {
        let changed = format!(
            "SELECT EXISTS(SELECT 1 FROM {} WHERE begin_snapshot BETWEEN $1 AND $2 OR end_snapshot BETWEEN $1 AND $2)",
            quoted(&name)
        );
        if connection.query_row(&changed, range, |row| row.get(0))? {
            return Ok(true);
        }
    }
    let Some(name) = delete_table(connection, table_id)? else {
        return Ok(false);
    };
    let deleted =
        format!("SELECT EXISTS(SELECT 1 FROM {} WHERE begin_snapshot BETWEEN $1 AND $2)", quoted(&name));
    Ok(connection.query_row(&deleted, range, |row| row.get(0))?)
}

/// Ends the inlined rows in `rows` that were live at `base`; returns how many. Rows that are not there
/// are passed over.
///
/// A flush by another program moves the rows away, so a change of that kind after `base` is a conflict.
pub(crate) fn end_rows(
    commit: &Commit<'_>,
    table_id: i64,
    base: i64,
    rows: &[InlinedRowRef],
) -> Result<usize> {
    if rows.is_empty() {
        return Ok(0);
    }
    const MOVING: [&str; 5] =
        ["dropped_table", "altered_table", "inlined_delete", "inline_flush", "flushed_inlined"];
    fence_changes(commit, table_id, base, &MOVING)?;
    let known = tables(commit.connection(), table_id)?;
    let mut of_table: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for row in rows {
        of_table.entry(&row.table_name).or_default().push(row.row_id);
    }
    let mut ended = 0;
    for (name, row_ids) in of_table {
        if !known.iter().any(|table| table == name) {
            return Err(CatalogError::Conflict(format!(
                "inlined rows of {name} were moved since they were read"
            )));
        }
        let end = format!(
            "UPDATE {} SET end_snapshot = $1 WHERE row_id = $2 AND end_snapshot IS NULL AND begin_snapshot < $1",
            quoted(name)
        );
        let mut statement = commit.connection().prepare_cached(&end)?;
        for row_id in row_ids {
            ended += statement.execute(params![commit.snapshot(), row_id])?;
        }
    }
    Ok(ended)
}

/// A conflict when a snapshot after `base` has a change of one of `kinds` of the table, or when that
/// cannot be known because its record was removed.
fn fence_changes(commit: &Commit<'_>, table_id: i64, base: i64, kinds: &[&str]) -> Result<()> {
    let mut statement = commit.connection().prepare_cached(sql::CHANGES_SINCE)?;
    let mut rows = statement.query([base])?;
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        seen += 1;
        let changes: Option<String> = row.get(1)?;
        if changes.is_some_and(|changes| touches(&changes, kinds, table_id)) {
            return Err(CatalogError::Conflict(format!(
                "rows of table {table_id} moved after snapshot {base}"
            )));
        }
    }
    if seen != commit.head.id - base {
        return Err(CatalogError::Conflict(format!(
            "snapshots after {base} were expired since the rows were read"
        )));
    }
    Ok(())
}

/// A conflict when a file in `file_ids` got an inlined delete after `base`.
pub(crate) fn fence_deletes(commit: &Commit<'_>, table_id: i64, base: i64, file_ids: &[i64]) -> Result<()> {
    let Some(name) = delete_table(commit.connection(), table_id)? else {
        return Ok(());
    };
    let newer =
        format!("SELECT EXISTS(SELECT 1 FROM {} WHERE file_id = $1 AND begin_snapshot > $2)", quoted(&name));
    let mut statement = commit.connection().prepare_cached(&newer)?;
    for file_id in file_ids {
        if statement.query_row([*file_id, base], |row| row.get(0))? {
            return Err(CatalogError::Conflict(format!(
                "rows of file {file_id} were deleted after snapshot {base}"
            )));
        }
    }
    Ok(())
}

/// Forgets the inlined deletes of files that leave the catalog.
pub(crate) fn forget_deletes(connection: &Connection, table_id: i64, file_ids: &[i64]) -> Result<()> {
    match delete_table(connection, table_id)? {
        Some(name) => delete_where(connection, &quoted(&name), "file_id", file_ids),
        None => Ok(()),
    }
}

/// An identifier in double quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
