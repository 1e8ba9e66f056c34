//! Mending what a check found, where what is right can be told from the rest of the catalog or from the files.
//!
//! No row that describes a file is removed, and no file is touched.

use std::fmt;

use rusqlite::{Connection, params};

use super::bounds::FILE_BOUNDS;
use crate::columns::live_columns;
use crate::error::Result;
use crate::statistics::{TableTotals, further};
use crate::{files, sql};

/// The statistics of a file that the catalog has about its columns; rows without a file are of no use to anybody.
const LOST_STATISTICS: [&str; 2] = ["ducklake_file_column_stats", "ducklake_file_partition_value"];

/// What mends a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Repair {
    /// Sets the counters of every snapshot so that none is missing, and those of the head beyond every id.
    NextIds,
    /// Adds an empty record of changes for a snapshot that has none.
    MissingChanges,
    /// Removes records of changes of snapshots that are not there.
    LostChanges,
    /// Removes statistics and partition values of files that are not in the catalog.
    LostStatistics,
    /// Makes one row of totals, counted anew from the table's files.
    Totals(i64),
    /// Takes the bounds of a table's column from those of its files.
    TableBounds { table_id: i64, column_id: i64 },
    /// Takes the bounds of a file's column from the file.
    FileBounds {
        file_id: i64,
        column_id: i64,
        min: Option<String>,
        max: Option<String>,
        nulls: Option<i64>,
        values: Option<i64>,
    },
    /// Takes sizes from the file, whose rows are those that the catalog says.
    FileSize { table: &'static str, id_column: &'static str, file_id: i64, bytes: i64, footer: i64 },
    /// Takes the number of rows from the file, whose sizes are those that the catalog says.
    FileRows { file_id: i64, rows: i64 },
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NextIds => "sets the counters of the snapshots beyond every id that was given out",
            Self::MissingChanges => "adds an empty record of changes",
            Self::LostChanges => "removes the records of changes without a snapshot",
            Self::LostStatistics => "removes statistics and partition values without a file",
            Self::Totals(_) => "counts the table's totals anew",
            Self::TableBounds { .. } => "takes the bounds from those of the files",
            Self::FileBounds { .. } => "takes the bounds from the file",
            Self::FileSize { .. } => "takes the sizes from the file, which has the rows that it is to have",
            Self::FileRows { .. } => {
                "takes the number of rows from the file, which has the sizes that it is to have"
            }
        })
    }
}

impl Repair {
    /// Whether it mends one table only.
    pub(super) const fn is_of_a_table(&self) -> bool {
        matches!(self, Self::Totals(_))
    }

    /// Does it, in a write transaction.
    pub(super) fn apply(&self, connection: &Connection) -> Result<()> {
        match self {
            Self::NextIds => next_ids(connection),
            Self::MissingChanges => execute(
                connection,
                "INSERT INTO ducklake_snapshot_changes SELECT snapshot_id, NULL, NULL, NULL, NULL FROM ducklake_snapshot \
                 WHERE snapshot_id NOT IN (SELECT snapshot_id FROM ducklake_snapshot_changes)",
            ),
            Self::LostChanges => execute(
                connection,
                "DELETE FROM ducklake_snapshot_changes WHERE snapshot_id NOT IN (SELECT snapshot_id FROM ducklake_snapshot)",
            ),
            Self::LostStatistics => LOST_STATISTICS.iter().try_for_each(|table| {
                let files = "SELECT data_file_id FROM ducklake_data_file WHERE data_file_id IS NOT NULL";
                execute(connection, &format!("DELETE FROM {table} WHERE data_file_id NOT IN ({files})"))
            }),
            Self::Totals(table_id) => totals(connection, *table_id),
            Self::TableBounds { table_id, column_id } => table_bounds(connection, *table_id, *column_id),
            Self::FileBounds { file_id, column_id, min, max, nulls, values } => {
                connection.execute(
                    "UPDATE ducklake_file_column_stats SET min_value = $1, max_value = $2, null_count = $3, value_count = $4 \
                     WHERE data_file_id = $5 AND column_id = $6",
                    params![min, max, nulls, values, file_id, column_id],
                )?;
                Ok(())
            }
            Self::FileSize { table, id_column, file_id, bytes, footer } => {
                connection.execute(
                    &format!(
                        "UPDATE {table} SET file_size_bytes = $1, footer_size = $2 WHERE {id_column} = $3"
                    ),
                    params![bytes, footer, file_id],
                )?;
                Ok(())
            }
            Self::FileRows { file_id, rows } => {
                connection.execute(
                    "UPDATE ducklake_data_file SET record_count = $1 WHERE data_file_id = $2",
                    params![rows, file_id],
                )?;
                Ok(())
            }
        }
    }
}

fn execute(connection: &Connection, statement: &str) -> Result<()> {
    connection.execute(statement, [])?;
    Ok(())
}

/// The counters of each snapshot are at least those of the one before; the head's lie beyond every id.
fn next_ids(connection: &Connection) -> Result<()> {
    let highest = |query: &str| connection.query_row(query, [], |row| row.get::<_, Option<i64>>(0));
    let catalog_id = highest(
        "SELECT max(id) FROM (SELECT schema_id AS id FROM ducklake_schema UNION ALL SELECT table_id FROM ducklake_table \
           UNION ALL SELECT view_id FROM ducklake_view UNION ALL SELECT partition_id FROM ducklake_partition_info \
           UNION ALL SELECT sort_id FROM ducklake_sort_info UNION ALL SELECT macro_id FROM ducklake_macro)",
    )?;
    let file_id = highest(
        "SELECT max(id) FROM (SELECT data_file_id AS id FROM ducklake_data_file \
           UNION ALL SELECT delete_file_id FROM ducklake_delete_file \
           UNION ALL SELECT data_file_id FROM ducklake_files_scheduled_for_deletion)",
    )?;
    let version = highest("SELECT max(schema_version) FROM ducklake_schema_versions")?;
    let mut statement = connection.prepare(
        "SELECT snapshot_id, schema_version, next_catalog_id, next_file_id FROM ducklake_snapshot ORDER BY snapshot_id",
    )?;
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, i64>(0)?, [row.get::<_, Option<i64>>(1)?, row.get(2)?, row.get(3)?]))
    })?;
    let snapshots = rows.collect::<Result<Vec<_>, _>>()?;
    let mut least = [0, 1, 0];
    let newest = snapshots.len().saturating_sub(1);
    for (index, (snapshot, counters)) in snapshots.iter().enumerate() {
        for (least, counter) in least.iter_mut().zip(counters) {
            *least = counter.unwrap_or(0).max(*least);
        }
        if index == newest {
            least[0] = version.unwrap_or(0).max(least[0]);
            least[1] = catalog_id.map_or(1, |id| id + 1).max(least[1]);
            least[2] = file_id.map_or(0, |id| id + 1).max(least[2]);
        }
        connection.execute(
            "UPDATE ducklake_snapshot SET schema_version = $1, next_catalog_id = $2, next_file_id = $3 \
             WHERE snapshot_id = $4",
            params![least[0], least[1], least[2], snapshot],
        )?;
    }
    Ok(())
}

fn totals(connection: &Connection, table_id: i64) -> Result<()> {
    let known: TableTotals = connection.query_row(
        "SELECT coalesce(max(record_count), 0), coalesce(max(next_row_id), 0), coalesce(max(file_size_bytes), 0) \
         FROM ducklake_table_stats WHERE table_id = $1",
        [table_id],
        |row| Ok(TableTotals { record_count: row.get(0)?, next_row_id: row.get(1)?, file_size_bytes: row.get(2)? }),
    )?;
    let next_row_id: i64 = connection.query_row(
        "SELECT coalesce(max(row_id_start + record_count), 0) FROM ducklake_data_file WHERE table_id = $1",
        [table_id],
        |row| row.get(0),
    )?;
    let (_, bytes): (i64, i64) =
        connection.query_row(sql::LIVE_FILE_TOTALS, [table_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows = files::live_rows(connection, table_id)?;
    connection.execute("DELETE FROM ducklake_table_stats WHERE table_id = $1", [table_id])?;
    // Totals only ever grow, and ids are never given out twice: what is known may be more than what is left.
    connection.execute(
        sql::INSERT_TABLE_STATS,
        params![
            table_id,
            known.record_count.max(rows),
            known.next_row_id.max(next_row_id),
            known.file_size_bytes.max(bytes)
        ],
    )?;
    Ok(())
}

/// Widens the bounds to those of the files. Where a file says nothing, nothing is known of the column, and its row goes.
fn table_bounds(connection: &Connection, table_id: i64, column_id: i64) -> Result<()> {
    let columns = live_columns(connection, table_id)?;
    let Some(column) = columns.iter().find(|column| column.id == column_id) else { return Ok(()) };
    let known = crate::statistics::stored(connection, table_id)?.remove(&column_id);
    let Some(known) = known else { return Ok(()) };
    let (mut min, mut max) = (known.min, known.max);
    let mut contains_null = known.contains_null;
    let mut statement = connection.prepare_cached(FILE_BOUNDS)?;
    let mut rows = statement.query([table_id, column_id])?;
    while let Some(row) = rows.next()? {
        let (its_min, its_max): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
        let nulls: Option<i64> = row.get(2)?;
        contains_null = contains_null.zip(nulls).map(|(known, nulls)| known || nulls > 0);
        if row.get::<_, Option<i64>>(3)? == Some(0) {
            continue;
        }
        min = further(&column.column_type, min, its_min, std::cmp::Ordering::Less);
        max = further(&column.column_type, max, its_max, std::cmp::Ordering::Greater);
    }
    if min.is_none() && max.is_none() {
        connection.execute(sql::DELETE_TABLE_COLUMN_STATS, [table_id, column_id])?;
        return Ok(());
    }
    connection.execute(
        sql::UPDATE_TABLE_COLUMN_STATS,
        params![contains_null, known.contains_nan, min, max, table_id, column_id],
    )?;
    Ok(())
}
