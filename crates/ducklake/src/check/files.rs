//! Data and delete files against what the catalog says of them.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use datafusion_ducklake::ColumnStat;
use datafusion_ducklake::row_id::ROW_ID_PARQUET_FIELD_ID;
use datafusion_ducklake::stats_collect::compute_column_stats;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rusqlite::{Connection, params};

use super::bounds::compares_exactly;
use super::{Depth, Findings, Repair};
use crate::columns::{LiveColumn, live_columns};
use crate::error::Result;
use crate::statistics::{compare, has_statistics, official_bound};
use crate::tables::Table;

/// Bytes at the end of a Parquet file: the length of the footer, and the magic number.
const TRAILER_BYTES: u64 = 8;
/// The Arrow metadata key of a Parquet field id.
const FIELD_ID: &str = "PARQUET:field_id";

/// The catalog's table of data files, or of delete files, with the column of its ids.
type Kind = (&'static str, &'static str);

const DATA_FILES: Kind = ("ducklake_data_file", "data_file_id");
const DELETE_FILES: Kind = ("ducklake_delete_file", "delete_file_id");

/// A file as the catalog has it.
struct Recorded {
    kind: Kind,
    is_live: bool,
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

/// Checks that each file exists with its recorded size, footer size and number of rows, that the values of its columns lie
/// between their recorded bounds, and that no two files give the same id to different rows. In a hurry it checks that
/// live files exist with their sizes, the newest first. Says whether it came to the end.
///
/// Files that are not on this machine are passed over.
pub(super) fn check(
    connection: &Connection,
    data_path: &str,
    depth: Depth,
    found: &mut Findings,
) -> Result<bool> {
    let mut taken = Vec::new();
    for (kind, rows, start) in
        [(DATA_FILES, "record_count", "row_id_start"), (DELETE_FILES, "delete_count", "NULL")]
    {
        let (catalog_table, id) = kind;
        let which = if depth == Depth::Full { "1 = 1" } else { "end_snapshot IS NULL" };
        let mut statement = connection.prepare(&format!(
            "SELECT table_id, path, path_is_relative, file_size_bytes, footer_size, {id}, {rows}, {start}, \
             end_snapshot IS NULL FROM {catalog_table} WHERE {which} AND {id} IS NOT NULL \
             AND typeof({rows}) = 'integer' ORDER BY {id} DESC"
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
                is_live: row.get(8)?,
                kind,
            })
        })?;
        for file in files {
            if depth.is_over() {
                return Ok(false);
            }
            taken.extend(check_file(connection, data_path, &file?, depth, found)?);
        }
    }
    check_row_ids(taken, found);
    Ok(true)
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
    depth: Depth,
    found: &mut Findings,
) -> Result<Option<RowIds>> {
    let table = match recorded.is_live {
        true => Table::with_id(connection, recorded.table_id)?,
        false => Table::that_was(connection, recorded.table_id)?,
    };
    let Some(table) = table else {
        found.add(recorded.kind.0, format!("file {} belongs to no table", recorded.path));
        return Ok(None);
    };
    let directory = if recorded.is_relative { table.directory(data_path) } else { String::new() };
    let Some(path) = local_path(&format!("{directory}{}", recorded.path)) else {
        return Ok(None);
    };
    let place = path.display().to_string();
    if depth != Depth::Full {
        match std::fs::metadata(&path) {
            Ok(is) if i64::try_from(is.len()) == Ok(recorded.bytes) => {}
            Ok(is) => {
                found.add(place, format!("has {} bytes, the catalog says {}", is.len(), recorded.bytes))
            }
            Err(error) => found.add(place, error.to_string()),
        }
        return Ok(None);
    }
    let (bytes, footer) = match footer_bytes(&path) {
        Ok(sizes) => sizes,
        Err(error) => {
            found.add(place, error.to_string());
            return Ok(None);
        }
    };
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let footer = i64::from(footer);
    let wrong = if bytes != recorded.bytes {
        Some(format!("has {bytes} bytes, the catalog says {}", recorded.bytes))
    } else if recorded.footer_bytes.is_some_and(|recorded| recorded != footer) {
        Some(format!("has a footer of {footer} bytes, the catalog says {:?}", recorded.footer_bytes))
    } else {
        None
    };
    let Some(message) = wrong else { return check_content(connection, &path, recorded, found) };
    let (table, id_column) = recorded.kind;
    let is_whole = rows_of(&path) == Some(recorded.rows);
    let repair =
        is_whole.then_some(Repair::FileSize { table, id_column, file_id: recorded.id, bytes, footer });
    found.add_with(place, message, repair);
    Ok(None)
}

/// The rows of a Parquet file; none if it is not one that can be read.
fn rows_of(path: &Path) -> Option<i64> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).ok()?).ok()?;
    Some(reader.metadata().file_metadata().num_rows())
}

/// Compares the file's own metadata with the recorded number of rows and bounds. Gives the row ids that
/// the file takes, unless its rows carry theirs in a column.
fn check_content(
    connection: &Connection,
    path: &Path,
    recorded: &Recorded,
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
        let repair = (recorded.kind == DATA_FILES).then_some(Repair::FileRows { file_id: recorded.id, rows });
        found.add_with(place, format!("has {rows} rows, the catalog says {}", recorded.rows), repair);
        return Ok(None);
    }
    if recorded.kind != DATA_FILES || !recorded.is_live {
        return Ok(None);
    }
    let fields = reader.schema().fields().iter();
    let ids: Vec<i64> = fields
        .map(|field| field.metadata().get(FIELD_ID).and_then(|id| id.parse().ok()).unwrap_or(-1))
        .collect();
    let columns = live_columns(connection, recorded.table_id)?;
    for stat in compute_column_stats(reader.schema(), reader.metadata(), &ids, rows, &[]) {
        let column = columns.iter().find(|column| column.id == stat.column_id);
        let Some(column) = column.filter(|column| has_statistics(&columns, column)) else { continue };
        check_bounds(connection, recorded.id, column, &stat, &place, found)?;
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

/// Compares what the catalog knows of a column of a file with what the file itself says.
fn check_bounds(
    connection: &Connection,
    file_id: i64,
    column: &LiveColumn,
    stat: &ColumnStat,
    place: &str,
    found: &mut Findings,
) -> Result<()> {
    let bound = |bound: Option<&str>| official_bound(&column.column_type, bound);
    let (low, high) = (bound(stat.min_value.as_deref()), bound(stat.max_value.as_deref()));
    let mut statement = connection.prepare_cached(
        "SELECT min_value, max_value, null_count, value_count FROM ducklake_file_column_stats \
         WHERE data_file_id = $1 AND column_id = $2",
    )?;
    let mut rows = statement.query(params![file_id, column.id])?;
    while let Some(row) = rows.next()? {
        let (min, max): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
        let (nulls, values): (Option<i64>, Option<i64>) = (row.get(2)?, row.get(3)?);
        let beyond = |bound: &Option<String>, value: &Option<String>, order| {
            // Text may be cut.
            let (Some(bound), Some(value), true) = (bound, value, compares_exactly(&column.column_type))
            else {
                return false;
            };
            compare(&column.column_type, value, bound) == Some(order)
        };
        let none_of_some =
            |recorded: Option<i64>, is: Option<i64>| recorded == Some(0) && is.is_some_and(|count| count > 0);
        let is_outside = beyond(&min, &low, Ordering::Less) || beyond(&max, &high, Ordering::Greater);
        if !is_outside && !none_of_some(nulls, stat.null_count) && !none_of_some(values, stat.value_count) {
            continue;
        }
        let repair = Repair::FileBounds {
            file_id,
            column_id: column.id,
            min: low.clone(),
            max: high.clone(),
            nulls: stat.null_count,
            values: stat.value_count,
        };
        let message = format!("column {} has values outside the bounds in the catalog", column.name);
        found.add_with(place, message, Some(repair));
    }
    Ok(())
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
