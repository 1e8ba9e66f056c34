//! Data and delete files against what the catalog says of them.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use datafusion_ducklake::row_id::ROW_ID_PARQUET_FIELD_ID;
use datafusion_ducklake::stats_collect::compute_column_stats;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rusqlite::{Connection, params};

use super::Findings;
use crate::columns::{LiveColumn, live_columns};
use crate::error::Result;
use crate::statistics::{compare, has_statistics, official_bound};
use crate::tables::Table;

/// Bytes at the end of a Parquet file: the length of the footer, and the magic number.
const TRAILER_BYTES: u64 = 8;
/// The Arrow metadata key of a Parquet field id.
const FIELD_ID: &str = "PARQUET:field_id";

/// A live file as the catalog has it.
struct Recorded {
    id: i64,
    table_id: i64,
    rows: i64,
    path: String,
    is_relative: bool,
    bytes: i64,
    footer_bytes: Option<i64>,
    row_id_start: Option<i64>,
}

/// Row ids that a file takes by the position of its rows.
struct RowIds {
    table_id: i64,
    first: i64,
    past: i64,
    path: String,
}

/// Checks that each live file of a live table exists with its recorded size, footer size and number of
/// rows, that the values of its columns lie between their recorded bounds, and that no two files give
/// the same id to different rows.
///
/// Files that are not on this machine are passed over.
pub(super) fn check(connection: &Connection, data_path: &str, found: &mut Findings) -> Result<()> {
    let mut taken = Vec::new();
    for (catalog_table, id, rows, start) in [
        ("ducklake_data_file", "data_file_id", "record_count", "row_id_start"),
        ("ducklake_delete_file", "delete_file_id", "delete_count", "NULL"),
    ] {
        let mut statement = connection.prepare(&format!(
            "SELECT table_id, path, path_is_relative, file_size_bytes, footer_size, {id}, {rows}, {start} \
             FROM {catalog_table} WHERE end_snapshot IS NULL AND {id} IS NOT NULL \
             AND typeof({rows}) = 'integer'"
        ))?;
        let files = statement.query_map([], |row| {
            Ok(Recorded {
                table_id: row.get(0)?,
                path: row.get(1)?,
                is_relative: row.get(2)?,
                bytes: row.get(3)?,
                footer_bytes: row.get(4)?,
                id: row.get(5)?,
                rows: row.get(6)?,
                row_id_start: row.get(7)?,
            })
        })?;
        for file in files {
            taken.extend(check_file(connection, data_path, &file?, catalog_table, found)?);
        }
    }
    check_row_ids(taken, found);
    Ok(())
}

fn check_row_ids(mut taken: Vec<RowIds>, found: &mut Findings) {
    taken.sort_by_key(|ids| (ids.table_id, ids.first));
    for pair in taken.windows(2) {
        if let [before, after] = pair
            && before.table_id == after.table_id
            && before.past > after.first
        {
            found.add(before.path.as_str(), format!("row ids overlap those of {}", after.path));
        }
    }
}

fn check_file(
    connection: &Connection,
    data_path: &str,
    recorded: &Recorded,
    catalog_table: &str,
    found: &mut Findings,
) -> Result<Option<RowIds>> {
    let Some(table) = Table::with_id(connection, recorded.table_id)? else {
        found.add(catalog_table, format!("live file {} belongs to no live table", recorded.path));
        return Ok(None);
    };
    let directory = if recorded.is_relative { table.directory(data_path) } else { String::new() };
    let Some(path) = local_path(&format!("{directory}{}", recorded.path)) else {
        return Ok(None);
    };
    match footer_bytes(&path) {
        Err(error) => found.add(path.display().to_string(), error.to_string()),
        Ok((bytes, footer)) => {
            if i64::try_from(bytes) != Ok(recorded.bytes) {
                let message = format!("has {bytes} bytes, the catalog says {}", recorded.bytes);
                found.add(path.display().to_string(), message);
            } else if recorded.footer_bytes.is_some_and(|recorded| recorded != i64::from(footer)) {
                let message =
                    format!("has a footer of {footer} bytes, the catalog says {:?}", recorded.footer_bytes);
                found.add(path.display().to_string(), message);
            } else {
                return check_content(connection, &path, recorded, catalog_table, found);
            }
        }
    }
    Ok(None)
}

/// Compares the file's own metadata with the recorded number of rows and bounds. Gives the row ids that
/// the file takes, unless its rows carry theirs in a column.
fn check_content(
    connection: &Connection,
    path: &Path,
    recorded: &Recorded,
    catalog_table: &str,
    found: &mut Findings,
) -> Result<Option<RowIds>> {
    let place = path.display().to_string();
    let reader = match File::open(path).map(ParquetRecordBatchReaderBuilder::try_new) {
        Ok(Ok(reader)) => reader,
        Ok(Err(error)) => {
            found.add(place, error.to_string());
            return Ok(None);
        }
        Err(error) => {
            found.add(place, error.to_string());
            return Ok(None);
        }
    };
    let rows = reader.metadata().file_metadata().num_rows();
    if rows != recorded.rows {
        found.add(place, format!("has {rows} rows, the catalog says {}", recorded.rows));
        return Ok(None);
    }
    if catalog_table != "ducklake_data_file" {
        return Ok(None);
    }
    let fields = reader.schema().fields().iter();
    let ids: Vec<i64> = fields
        .map(|field| field.metadata().get(FIELD_ID).and_then(|id| id.parse().ok()).unwrap_or(-1))
        .collect();
    let columns = live_columns(connection, recorded.table_id)?;
    let mut statement = connection.prepare_cached(
        "SELECT min_value, max_value FROM ducklake_file_column_stats WHERE data_file_id = $1 AND column_id = $2",
    )?;
    for stat in compute_column_stats(reader.schema(), reader.metadata(), &ids, rows, &[]) {
        let Some(column) =
            columns.iter().find(|column| column.id == stat.column_id && is_exact(&columns, column))
        else {
            continue;
        };
        let bound = |bound: Option<&str>| official_bound(&column.column_type, bound);
        let (low, high) = (bound(stat.min_value.as_deref()), bound(stat.max_value.as_deref()));
        let mut rows = statement.query(params![recorded.id, column.id])?;
        while let Some(row) = rows.next()? {
            let (min, max): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
            let beyond = |bound: &Option<String>, value: &Option<String>, order| {
                let (Some(bound), Some(value)) = (bound, value) else {
                    return false;
                };
                compare(&column.column_type, value, bound) == Some(order)
            };
            if beyond(&min, &low, Ordering::Less) || beyond(&max, &high, Ordering::Greater) {
                let message = format!("column {} has values outside the bounds in the catalog", column.name);
                found.add(place.as_str(), message);
            }
        }
    }
    let carries_ids = ids.contains(&i64::from(ROW_ID_PARQUET_FIELD_ID));
    let first = recorded.row_id_start.filter(|_| !carries_ids);
    Ok(first.map(|first| RowIds {
        table_id: recorded.table_id,
        first,
        past: first.saturating_add(recorded.rows),
        path: path.display().to_string(),
    }))
}

/// Whether the file's own bounds of a column are exact: text and bytes may be cut.
fn is_exact(columns: &[LiveColumn], column: &LiveColumn) -> bool {
    has_statistics(columns, column) && !matches!(column.column_type.as_str(), "varchar" | "json" | "blob")
}

fn local_path(path: &str) -> Option<PathBuf> {
    match path.split_once("://") {
        Some(("file", path)) => Some(Path::new(path).to_owned()),
        Some(_) => None,
        None => Some(Path::new(path).to_owned()),
    }
}

/// The size of a Parquet file and of its footer.
fn footer_bytes(path: &Path) -> std::io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut trailer = [0; TRAILER_BYTES as usize];
    if bytes >= TRAILER_BYTES {
        file.seek(SeekFrom::Start(bytes - TRAILER_BYTES))?;
        file.read_exact(&mut trailer)?;
    }
    let [a, b, c, d, magic @ ..] = trailer;
    if &magic != b"PAR1" {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "is no parquet file"));
    }
    Ok((bytes, u32::from_le_bytes([a, b, c, d])))
}
