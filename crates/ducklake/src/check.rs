//! Looking for damage (fsck).
//!
//! Everything is read in one read transaction on a connection of its own, so that a check neither waits
//! for other readers nor sees half of a commit.

mod files;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::commit::Snapshot;
use crate::error::Result;
use crate::inlined::quoted;
use crate::layout::{self, TABLES};

/// How many findings of one kind are listed; more are counted.
const LISTED: usize = 5;

/// Something in a catalog that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: a table of the catalog, or a file.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// A rule of the catalog: a query that finds the rows that break it.
struct Rule {
    place: &'static str,
    message: &'static str,
    /// Gives one text for each row that breaks the rule.
    query: &'static str,
}

/// The rules that one query can check. `$1` is the head snapshot.
const RULES: [Rule; 17] = [
    Rule {
        place: "ducklake_snapshot",
        message: "a counter is lower in the next snapshot",
        query: "SELECT s.snapshot_id FROM ducklake_snapshot s JOIN ducklake_snapshot n \
                ON n.snapshot_id = (SELECT min(snapshot_id) FROM ducklake_snapshot WHERE snapshot_id > s.snapshot_id) \
                WHERE n.schema_version < s.schema_version OR n.next_catalog_id < s.next_catalog_id \
                   OR n.next_file_id < s.next_file_id",
    },
    Rule {
        place: "ducklake_snapshot_changes",
        message: "the snapshot has no record of its changes",
        query: "SELECT snapshot_id FROM ducklake_snapshot WHERE snapshot_id NOT IN \
                (SELECT snapshot_id FROM ducklake_snapshot_changes)",
    },
    Rule {
        place: "ducklake_snapshot_changes",
        message: "the changes belong to no snapshot",
        query: "SELECT snapshot_id FROM ducklake_snapshot_changes WHERE snapshot_id NOT IN \
                (SELECT snapshot_id FROM ducklake_snapshot)",
    },
    Rule {
        place: "ducklake_snapshot",
        message: "the next catalog id was given out before",
        query: "SELECT id FROM (SELECT schema_id AS id FROM ducklake_schema UNION ALL SELECT table_id FROM ducklake_table \
                  UNION ALL SELECT view_id FROM ducklake_view UNION ALL SELECT partition_id FROM ducklake_partition_info \
                  UNION ALL SELECT sort_id FROM ducklake_sort_info) \
                WHERE id >= (SELECT next_catalog_id FROM ducklake_snapshot WHERE snapshot_id = $1)",
    },
    Rule {
        place: "ducklake_snapshot",
        message: "the next file id was given out before",
        query: "SELECT id FROM (SELECT data_file_id AS id FROM ducklake_data_file \
                  UNION ALL SELECT delete_file_id FROM ducklake_delete_file) \
                WHERE id >= (SELECT next_file_id FROM ducklake_snapshot WHERE snapshot_id = $1)",
    },
    Rule {
        place: "ducklake_table",
        message: "two live objects have the id",
        query: "SELECT id FROM (SELECT schema_id AS id FROM ducklake_schema WHERE end_snapshot IS NULL \
                  UNION ALL SELECT table_id FROM ducklake_table WHERE end_snapshot IS NULL \
                  UNION ALL SELECT view_id FROM ducklake_view WHERE end_snapshot IS NULL \
                  UNION ALL SELECT partition_id FROM ducklake_partition_info WHERE end_snapshot IS NULL \
                  UNION ALL SELECT sort_id FROM ducklake_sort_info WHERE end_snapshot IS NULL) \
                GROUP BY id HAVING count(*) > 1",
    },
    Rule {
        place: "ducklake_delete_file",
        message: "a data file and a delete file have the id",
        query: "SELECT delete_file_id FROM ducklake_delete_file WHERE delete_file_id IN \
                (SELECT data_file_id FROM ducklake_data_file)",
    },
    Rule {
        place: "ducklake_table",
        message: "two live tables or views of a schema have the name",
        query: "SELECT name FROM (SELECT schema_id, table_name AS name FROM ducklake_table WHERE end_snapshot IS NULL \
                  UNION ALL SELECT schema_id, view_name FROM ducklake_view WHERE end_snapshot IS NULL) \
                GROUP BY schema_id, lower(name) HAVING count(*) > 1",
    },
    Rule {
        place: "ducklake_table",
        message: "the live table's schema is not live",
        query: "SELECT table_id FROM ducklake_table WHERE end_snapshot IS NULL AND schema_id NOT IN \
                (SELECT schema_id FROM ducklake_schema WHERE end_snapshot IS NULL)",
    },
    Rule {
        place: "ducklake_column",
        message: "the live table has no columns",
        query: "SELECT table_id FROM ducklake_table WHERE end_snapshot IS NULL AND table_id NOT IN \
                (SELECT table_id FROM ducklake_column WHERE end_snapshot IS NULL)",
    },
    Rule {
        place: "ducklake_column",
        message: "the column has two live versions (table:column)",
        query: "SELECT table_id || ':' || column_id FROM ducklake_column WHERE end_snapshot IS NULL \
                GROUP BY table_id, column_id HAVING count(*) > 1",
    },
    Rule {
        place: "ducklake_column",
        message: "the live column's parent is not live (table:column)",
        query: "SELECT c.table_id || ':' || c.column_id FROM ducklake_column c WHERE c.end_snapshot IS NULL \
                AND c.parent_column IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ducklake_column p \
                  WHERE p.table_id = c.table_id AND p.column_id = c.parent_column AND p.end_snapshot IS NULL)",
    },
    Rule {
        place: "ducklake_partition_info",
        message: "the table has two live partition specs",
        query: "SELECT table_id FROM ducklake_partition_info WHERE end_snapshot IS NULL \
                GROUP BY table_id HAVING count(*) > 1",
    },
    Rule {
        place: "ducklake_table_stats",
        message: "the table has two rows of totals",
        query: "SELECT table_id FROM ducklake_table_stats GROUP BY table_id HAVING count(*) > 1",
    },
    Rule {
        place: "ducklake_table_stats",
        message: "rows have ids beyond the next one of the table",
        query: "SELECT DISTINCT f.table_id FROM ducklake_data_file f LEFT JOIN ducklake_table_stats s \
                ON s.table_id = f.table_id WHERE f.row_id_start IS NOT NULL \
                AND f.row_id_start + f.record_count > coalesce(s.next_row_id, 0)",
    },
    Rule {
        place: "ducklake_delete_file",
        message: "the data file has two live delete files",
        query: "SELECT data_file_id FROM ducklake_delete_file WHERE end_snapshot IS NULL \
                GROUP BY data_file_id HAVING count(*) > 1",
    },
    Rule {
        place: "ducklake_file_partition_value",
        message: "the file's partition values are not those of its partition spec",
        query: "SELECT f.data_file_id FROM ducklake_data_file f WHERE f.partition_id IS NOT NULL AND \
                (SELECT count(*) FROM ducklake_file_partition_value v WHERE v.data_file_id = f.data_file_id) <> \
                (SELECT count(*) FROM ducklake_partition_column c WHERE c.partition_id = f.partition_id)",
    },
];

/// Tables whose rows live from `begin_snapshot` to `end_snapshot`.
const VERSIONED: [&str; 10] = [
    "ducklake_schema",
    "ducklake_table",
    "ducklake_view",
    "ducklake_tag",
    "ducklake_column_tag",
    "ducklake_data_file",
    "ducklake_delete_file",
    "ducklake_column",
    "ducklake_partition_info",
    "ducklake_sort_info",
];

/// Tables whose rows belong to a data file.
const OF_DATA_FILES: [&str; 3] =
    ["ducklake_file_column_stats", "ducklake_file_partition_value", "ducklake_delete_file"];

/// Looks at the whole catalog and, where they are local, at its files.
pub(crate) fn check(path: &Path, data_path: &str, busy_timeout: Duration) -> Result<Vec<Problem>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    let transaction = connection.transaction()?;
    let mut found = Findings::default();
    integrity(&transaction, &mut found)?;
    if !shape(&transaction, &mut found)? {
        return Ok(found.problems);
    }
    let head = match Snapshot::head(&transaction) {
        Ok(head) => head,
        Err(error) => {
            found.add("ducklake_snapshot", error.to_string());
            return Ok(found.problems);
        }
    };
    integers(&transaction, &mut found)?;
    for rule in &RULES {
        let parameters: &[&dyn rusqlite::ToSql] = if rule.query.contains("$1") { &[&head.id] } else { &[] };
        found.add_rows(&transaction, rule.place, rule.message, rule.query, parameters)?;
    }
    versions(&transaction, head, &mut found)?;
    files::check(&transaction, data_path, &mut found)?;
    Ok(found.problems)
}

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    problems: Vec<Problem>,
}

impl Findings {
    /// Adds one problem.
    pub(crate) fn add(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { place: place.into(), message: message.into() });
    }

    /// Adds one problem when `query` gives rows, and lists the first of them.
    fn add_rows(
        &mut self,
        connection: &Connection,
        place: &str,
        message: &str,
        query: &str,
        parameters: &[&dyn rusqlite::ToSql],
    ) -> Result<()> {
        let mut statement = connection.prepare(&format!(
            "SELECT CAST(c.x AS TEXT) FROM (SELECT NULL AS x WHERE 0 UNION ALL {query}) c"
        ))?;
        let rows = statement.query_map(parameters, |row| row.get::<_, Option<String>>(0))?;
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        if rows.is_empty() {
            return Ok(());
        }
        let listed: Vec<&str> =
            rows.iter().take(LISTED).map(|row| row.as_deref().unwrap_or("NULL")).collect();
        let more = match rows.len() - listed.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        self.add(place, format!("{message}: {}{more}", listed.join(", ")));
        Ok(())
    }
}

/// SQLite's own check.
fn integrity(connection: &Connection, found: &mut Findings) -> Result<()> {
    let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    for row in rows {
        let row = row?;
        if row != "ok" {
            found.add("sqlite", row);
        }
    }
    Ok(())
}

/// Whether every table is there with exactly its columns.
fn shape(connection: &Connection, found: &mut Findings) -> Result<bool> {
    let mut whole = true;
    for (name, columns) in TABLES {
        let are = layout::table_columns(connection, name)?;
        if are != layout::column_names(columns) {
            found.add(name, format!("has the columns ({})", are.join(", ")));
            whole = false;
        }
    }
    Ok(whole)
}

/// Whether integer columns hold integers, and ids are there and given once.
fn integers(connection: &Connection, found: &mut Findings) -> Result<()> {
    for (name, columns) in TABLES {
        for column in columns.split(',').filter(|column| column.contains(" BIGINT")) {
            let Some(column) = column.split_whitespace().next() else {
                continue;
            };
            let query = format!(
                "SELECT DISTINCT typeof({column}) FROM {name} WHERE typeof({column}) NOT IN ('integer', 'null')"
            );
            found.add_rows(
                connection,
                name,
                &format!("{column} holds values that are no integers"),
                &query,
                &[],
            )?;
        }
        if let Some((id, true)) = columns.split_once(' ').map(|(id, rest)| (id, rest.contains("PRIMARY KEY")))
        {
            let query = format!("SELECT {id} FROM {name} GROUP BY {id} HAVING {id} IS NULL OR count(*) > 1");
            found.add_rows(connection, name, &format!("{id} is missing or stands twice"), &query, &[])?;
        }
    }
    Ok(())
}

/// Whether rows begin and end at snapshots that are, and belong to files that are.
fn versions(connection: &Connection, head: Snapshot, found: &mut Findings) -> Result<()> {
    for name in VERSIONED {
        let query = format!(
            "SELECT begin_snapshot || '-' || coalesce(end_snapshot, '') FROM {name} WHERE begin_snapshot IS NULL \
             OR begin_snapshot > $1 OR end_snapshot > $1 OR end_snapshot < begin_snapshot"
        );
        found.add_rows(connection, name, "the row begins or ends at no snapshot", &query, &[&head.id])?;
    }
    for name in OF_DATA_FILES {
        let query = format!(
            "SELECT data_file_id FROM {name} WHERE data_file_id NOT IN (SELECT data_file_id FROM ducklake_data_file)"
        );
        found.add_rows(connection, name, "the row belongs to no data file", &query, &[])?;
    }
    let mut statement = connection.prepare("SELECT DISTINCT table_name FROM ducklake_inlined_data_tables")?;
    let names = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    for name in names {
        let exists: bool = connection.query_row(crate::sql::TABLE_EXISTS, [&name], |row| row.get(0))?;
        if !exists {
            found.add("ducklake_inlined_data_tables", format!("table {name} does not exist"));
            continue;
        }
        let query =
            format!("SELECT row_id FROM {} WHERE begin_snapshot > $1 OR end_snapshot > $1", quoted(&name));
        found.add_rows(connection, &name, "the row begins or ends at no snapshot", &query, &[&head.id])?;
    }
    Ok(())
}
