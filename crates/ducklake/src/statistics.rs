//! Statistics of a whole table: `ducklake_table_stats` and `ducklake_table_column_stats`.
//!
//! They only ever widen. Bounds are text that compares as the column's type, never as text.

use std::cmp::Ordering;
use std::collections::HashMap;

use datafusion_ducklake::DataFileInfo;
use rusqlite::{Connection, OptionalExtension, params};

use crate::columns::LiveColumn;
use crate::commit::Commit;
use crate::error::Result;
use crate::sql;

/// A row of `ducklake_table_stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TableTotals {
    pub(crate) record_count: i64,
    pub(crate) next_row_id: i64,
    pub(crate) file_size_bytes: i64,
}

impl TableTotals {
    /// The totals of a table, if it ever had rows.
    pub(crate) fn of(connection: &Connection, table_id: i64) -> Result<Option<Self>> {
        let mut statement = connection.prepare_cached(sql::TABLE_STATS)?;
        let row = statement.query_row([table_id], |row| {
            Ok(Self { record_count: row.get(0)?, next_row_id: row.get(1)?, file_size_bytes: row.get(2)? })
        });
        Ok(row.optional()?)
    }

    /// Writes the totals; `first` when the table has no row yet.
    pub(crate) fn store(self, commit: &Commit<'_>, table_id: i64, first: bool) -> Result<()> {
        let Self { record_count, next_row_id, file_size_bytes } = self;
        match first {
            true => commit.execute(
                sql::INSERT_TABLE_STATS,
                params![table_id, record_count, next_row_id, file_size_bytes],
            )?,
            false => commit.execute(
                sql::UPDATE_TABLE_STATS,
                params![record_count, next_row_id, file_size_bytes, table_id],
            )?,
        };
        Ok(())
    }
}

/// What is known of one column over all rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ColumnBounds {
    pub(crate) contains_null: Option<bool>,
    pub(crate) contains_nan: Option<bool>,
    pub(crate) min: Option<String>,
    pub(crate) max: Option<String>,
    /// Whether any value is known to exist: bounds that are both absent mean none.
    any_value: bool,
}

impl ColumnBounds {
    /// What one file says, which has the columns `written`. A file without the column has no value of
    /// it but what readers fill in; a file that has it without statistics says nothing.
    fn of_file(column: &LiveColumn, file: &DataFileInfo, written: &[i64]) -> Self {
        let Some(stat) = file.column_stats.iter().find(|stat| stat.column_id == column.id) else {
            if written.contains(&column.id) {
                return Self { any_value: true, ..Self::default() };
            }
            let default = column.initial_default.clone();
            return Self {
                contains_null: Some(default.is_none()),
                contains_nan: is_float(&column.column_type).then_some(false),
                any_value: default.is_some(),
                min: default.clone(),
                max: default,
            };
        };
        Self {
            contains_null: stat.null_count.map(|count| count > 0),
            contains_nan: stat.contains_nan,
            min: official_bound(&column.column_type, stat.min_value.as_deref()),
            max: official_bound(&column.column_type, stat.max_value.as_deref()),
            any_value: stat.value_count != Some(0),
        }
    }

    /// Widens these bounds, of a column of `column_type`, by others.
    fn widen(&mut self, column_type: &str, other: &Self) {
        self.contains_null = self.contains_null.zip(other.contains_null).map(|(mine, its)| mine || its);
        self.contains_nan = self.contains_nan.zip(other.contains_nan).map(|(mine, its)| mine || its);
        if !other.any_value {
            return;
        }
        if !self.any_value {
            self.min.clone_from(&other.min);
            self.max.clone_from(&other.max);
            self.any_value = true;
            return;
        }
        self.min = further(column_type, self.min.take(), other.min.clone(), Ordering::Less);
        self.max = further(column_type, self.max.take(), other.max.clone(), Ordering::Greater);
    }
}

/// The bound that lies further in `direction`; none when one is unknown or they do not compare.
pub(crate) fn further(
    column_type: &str,
    mine: Option<String>,
    its: Option<String>,
    direction: Ordering,
) -> Option<String> {
    let (mine, its) = (mine?, its?);
    let order = compare(column_type, &its, &mine)?;
    Some(if order == direction { its } else { mine })
}

/// A bound as official DuckDB writes it: booleans are 0 and 1.
pub(crate) fn official_bound(column_type: &str, bound: Option<&str>) -> Option<String> {
    let bound = bound?;
    Some(match (column_type.to_ascii_lowercase().as_str(), bound) {
        ("boolean", "true") => "1".to_owned(),
        ("boolean", "false") => "0".to_owned(),
        _ => bound.to_owned(),
    })
}

fn is_float(column_type: &str) -> bool {
    matches!(column_type.to_ascii_lowercase().as_str(), "float32" | "float64")
}

/// Compares two bounds as values of the column's type; none when they are not such values.
pub(crate) fn compare(column_type: &str, left: &str, right: &str) -> Option<Ordering> {
    let column_type = column_type.to_ascii_lowercase();
    match column_type.as_str() {
        "boolean" | "int8" | "int16" | "int32" | "int64" | "int128" | "uint8" | "uint16" | "uint32"
        | "uint64" => Some(left.parse::<i128>().ok()?.cmp(&right.parse::<i128>().ok()?)),
        "float32" | "float64" => left.parse::<f64>().ok()?.partial_cmp(&right.parse::<f64>().ok()?),
        "varchar" | "json" | "uuid" | "blob" => Some(left.as_bytes().cmp(right.as_bytes())),
        "date" | "time" | "timestamp" | "timestamp_s" | "timestamp_ms" | "timestamp_ns" | "timestamptz" => {
            // The text of years 0001 to 9999 sorts as the times do; others start with a sign or have
            // more digits.
            let sorts = |text: &str| {
                text.len() >= 8 && matches!(text.as_bytes().get(4), Some(b'-' | b':' | b'0'..=b'9'))
            };
            let dated = column_type != "time";
            let plain = |text: &str| {
                sorts(text)
                    && (!dated || (text.as_bytes().get(4) == Some(&b'-') && !text.starts_with('-')))
                    && !text.ends_with("BC)")
            };
            (plain(left) && plain(right)).then(|| left.cmp(right))
        }
        decimal if decimal.starts_with("decimal") => compare_decimals(left, right),
        _ => None,
    }
}

/// Compares decimals with any number of digits after the point.
fn compare_decimals(left: &str, right: &str) -> Option<Ordering> {
    let scaled = |text: &str, scale: usize| -> Option<i128> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        format!("{whole}{fraction:0<scale$}").parse().ok()
    };
    let digits = |text: &str| text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let scale = digits(left).max(digits(right));
    Some(scaled(left, scale)?.cmp(&scaled(right, scale)?))
}

/// Adds the statistics of new files, which have the columns `written`, to those of the table.
///
/// The first rows of a table make one row for each column that is not nested. Later none is added: a
/// column that was added later has none, because nothing is known of it in the older files. A column
/// whose bounds become unknown loses its row: DuckDB takes a row without bounds for a column without
/// values, and would believe the next bounds it sees.
pub(crate) fn widen(
    commit: &Commit<'_>,
    table_id: i64,
    columns: &[LiveColumn],
    written: &[i64],
    files: &[DataFileInfo],
    first: bool,
) -> Result<()> {
    let mut known = if first { HashMap::new() } else { stored(commit.connection(), table_id)? };
    for column in columns.iter().filter(|column| has_statistics(columns, column)) {
        let mut of_files = files
            .iter()
            .filter(|file| file.record_count > 0)
            .map(|file| ColumnBounds::of_file(column, file, written));
        let before = if first { of_files.next() } else { known.remove(&column.id) };
        let Some(mut bounds) = before else {
            continue;
        };
        for file in of_files {
            bounds.widen(&column.column_type, &file);
        }
        let ColumnBounds { contains_null, contains_nan, min, max, any_value } = bounds;
        let unknown = any_value && min.is_none() && max.is_none();
        match first {
            true if unknown => 0,
            false if unknown => commit.execute(sql::DELETE_TABLE_COLUMN_STATS, [table_id, column.id])?,
            true => commit.execute(
                sql::INSERT_TABLE_COLUMN_STATS,
                params![table_id, column.id, contains_null, contains_nan, min, max],
            )?,
            false => commit.execute(
                sql::UPDATE_TABLE_COLUMN_STATS,
                params![contains_null, contains_nan, min, max, table_id, column.id],
            )?,
        };
    }
    Ok(())
}

/// Whether statistics are kept of a column: it is no part of a nested column and has none.
pub(crate) fn has_statistics(columns: &[LiveColumn], column: &LiveColumn) -> bool {
    column.parent.is_none() && !columns.iter().any(|child| child.parent == Some(column.id))
}

/// The stored bounds of a table's columns.
pub(crate) fn stored(connection: &Connection, table_id: i64) -> Result<HashMap<i64, ColumnBounds>> {
    let mut statement = connection.prepare_cached(sql::TABLE_COLUMN_STATS)?;
    let rows = statement.query_map([table_id], |row| {
        let (min, max): (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
        let any_value = min.is_some() || max.is_some() || row.get::<_, bool>(5)?;
        let bounds =
            ColumnBounds { contains_null: row.get(1)?, contains_nan: row.get(2)?, min, max, any_value };
        Ok((row.get::<_, i64>(0)?, bounds))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_compare_as_their_type() {
        let check = |column_type: &str, low: &str, high: &str| {
            assert_eq!(compare(column_type, low, high), Some(Ordering::Less), "{column_type} {low} {high}");
            assert_eq!(
                compare(column_type, high, low),
                Some(Ordering::Greater),
                "{column_type} {low} {high}"
            );
        };
        check("int32", "9", "10");
        check("int64", "-10", "-9");
        check("float64", "-1e300", "2.5");
        check("decimal(18,3)", "9.500", "10.000");
        check("decimal(18,3)", "-0.002", "-0.001");
        check("varchar", "10", "9");
        check("date", "2026-01-31", "2026-02-01");
        check("timestamp", "2026-01-01 00:00:00", "2026-01-01 00:00:00.5");
        check("timestamptz", "2026-01-01 00:00:00+00", "2026-01-01 00:00:00.5+00");
        check("time", "01:02:03", "01:02:03.5");
        assert_eq!(compare("date", "-0044-03-15", "2026-01-01"), None);
        assert_eq!(compare("int32", "x", "1"), None);
        assert_eq!(compare("interval", "1", "2"), None);
    }

    #[test]
    fn widening_keeps_what_is_known_and_forgets_what_is_not() {
        let bounds = |min: Option<&str>, max: Option<&str>, any_value| ColumnBounds {
            contains_null: Some(false),
            contains_nan: None,
            min: min.map(str::to_owned),
            max: max.map(str::to_owned),
            any_value,
        };
        let mut known = bounds(Some("5"), Some("9"), true);
        known.widen("int32", &bounds(Some("3"), Some("10"), true));
        assert_eq!(known, bounds(Some("3"), Some("10"), true));
        known.widen("int32", &bounds(None, None, false));
        assert_eq!(known, bounds(Some("3"), Some("10"), true));
        known.widen("int32", &bounds(None, Some("11"), true));
        assert_eq!(known, bounds(None, Some("11"), true));
    }
}
