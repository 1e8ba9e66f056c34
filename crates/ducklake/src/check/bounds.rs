//! The bounds of a table's columns against those of its files.

use std::cmp::Ordering;

use rusqlite::Connection;

use super::{Findings, Repair};
use crate::columns::{LiveColumn, live_columns};
use crate::error::Result;
use crate::statistics::{ColumnBounds, compare, stored};

const LIVE_TABLES: &str = "SELECT table_id, table_name FROM ducklake_table WHERE end_snapshot IS NULL";

/// The bounds of one column in the live files of a table.
pub(super) const FILE_BOUNDS: &str = "SELECT s.min_value, s.max_value, s.null_count, s.value_count FROM ducklake_file_column_stats s \
     JOIN ducklake_data_file f ON f.data_file_id = s.data_file_id AND f.end_snapshot IS NULL \
     WHERE s.table_id = $1 AND s.column_id = $2";

/// Checks that what is known of a whole column holds for each file: DuckDB leaves a table out by it.
pub(super) fn check(connection: &Connection, found: &mut Findings) -> Result<()> {
    let mut statement = connection.prepare(LIVE_TABLES)?;
    let tables = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for table in tables.collect::<Result<Vec<(i64, String)>, _>>()? {
        let (table_id, name) = table;
        let known = stored(connection, table_id)?;
        for column in live_columns(connection, table_id)? {
            let Some(bounds) = known.get(&column.id).filter(|_| compares_exactly(&column.column_type)) else {
                continue;
            };
            if is_narrower(connection, table_id, &column, bounds)? {
                let message = format!("the bounds of {name}.{} leave out values of its files", column.name);
                let repair = Repair::TableBounds { table_id, column_id: column.id };
                found.add_with("ducklake_table_column_stats", message, Some(repair));
            }
        }
    }
    Ok(())
}

fn is_narrower(
    connection: &Connection,
    table_id: i64,
    column: &LiveColumn,
    known: &ColumnBounds,
) -> Result<bool> {
    let mut statement = connection.prepare_cached(FILE_BOUNDS)?;
    let mut rows = statement.query([table_id, column.id])?;
    while let Some(row) = rows.next()? {
        let (min, max): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
        let nulls: Option<i64> = row.get(2)?;
        let beyond = |bound: &Option<String>, value: &Option<String>, order| {
            let (Some(bound), Some(value)) = (bound, value) else { return false };
            compare(&column.column_type, value, bound) == Some(order)
        };
        if beyond(&known.min, &min, Ordering::Less)
            || beyond(&known.max, &max, Ordering::Greater)
            || known.contains_null == Some(false) && nulls.is_some_and(|nulls| nulls > 0)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether bounds of the type are values, and not beginnings of values.
pub(super) fn compares_exactly(column_type: &str) -> bool {
    !matches!(column_type, "varchar" | "json" | "blob" | "uuid")
}
