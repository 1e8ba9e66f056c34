//! The types and forms of what a catalog holds.

use rusqlite::Connection;

use super::Findings;
use super::rules::Breach;
use crate::error::Result;
use crate::layout::TABLES;
use crate::time::parse_time;

/// Columns that hold a time.
const TIMES: [(&str, &str); 2] =
    [("ducklake_snapshot", "snapshot_time"), ("ducklake_files_scheduled_for_deletion", "schedule_start")];

/// Checks that columns hold values of their type, that ids are there and given once, and that times are times: SQLite
/// takes any value in any column.
pub(super) fn check(connection: &Connection, found: &mut Findings) -> Result<()> {
    for (name, columns) in TABLES {
        for column in columns.split(',') {
            let mut words = column.split_whitespace();
            let (Some(column), Some(declared)) = (words.next(), words.next()) else { continue };
            let (stored, message) = match declared {
                "BIGINT" => ("integer", "holds values that are no integers"),
                _ => ("text", "holds values that are no text"),
            };
            let query = format!(
                "SELECT DISTINCT typeof({column}), NULL FROM {name} WHERE typeof({column}) NOT IN ('{stored}', 'null')"
            );
            found.add_rows(
                connection,
                name,
                &format!("{column} {message}"),
                &query,
                &[],
                Breach::Wrong,
                |_| None,
            )?;
        }
        // The ids of data files are a rule of their own, which knows the table.
        let id = columns.split_once(' ').filter(|(_, rest)| rest.starts_with("BIGINT PRIMARY KEY"));
        if let Some((id, _)) = id.filter(|_| name != "ducklake_data_file") {
            let query =
                format!("SELECT {id}, NULL FROM {name} GROUP BY {id} HAVING {id} IS NULL OR count(*) > 1");
            let message = format!("{id} is missing or stands twice");
            found.add_rows(connection, name, &message, &query, &[], Breach::Wrong, |_| None)?;
        }
    }
    for (name, column) in TIMES {
        times(connection, name, column, found)?;
    }
    Ok(())
}

/// Time travel and expiry go by these.
fn times(connection: &Connection, name: &str, column: &str, found: &mut Findings) -> Result<()> {
    let mut statement = connection.prepare(&format!("SELECT CAST({column} AS TEXT) FROM {name}"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text: Option<String> = row.get(0)?;
        if text.as_deref().and_then(parse_time).is_none() {
            let text = text.unwrap_or_else(|| "NULL".to_owned());
            found.add(name, format!("{column} is '{text}', which is no time with an offset"));
            return Ok(());
        }
    }
    Ok(())
}
