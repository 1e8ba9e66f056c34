//! Looking for damage (fsck), and mending it.
//!
//! Everything is read in one read transaction on a connection of its own, so that a check neither waits
//! for other readers nor sees half of a commit.

mod bounds;
mod files;
mod repair;
mod rules;
mod values;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::error::Result;
use crate::inlined::quoted;
use crate::layout::{self, TABLES};
use crate::schema_changes::TableName;
use crate::tables::Table;

pub(crate) use self::repair::Repair;
use self::rules::{Breach, RULES, RepairOf};

/// How many findings of one kind are listed; more are counted.
const LISTED: usize = 5;

/// Something in a catalog that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: a table of the catalog, or a file.
    pub place: String,
    /// What is wrong there.
    pub message: String,
    /// Whether it costs some bytes and nothing else.
    pub is_harmless: bool,
    /// The tables about which answers would be wrong.
    pub misleading: Vec<TableName>,
    repair: Option<Repair>,
}

impl Problem {
    /// What [`crate::Catalog::repair`] does about it; none if it can do nothing.
    pub fn repair(&self) -> Option<String> {
        self.repair.as_ref().map(ToString::to_string)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// How closely a catalog is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Everything, with the metadata of each file.
    Full,
    /// The catalog, and whether files have their sizes, until this moment.
    Until(Instant),
}

impl Depth {
    /// Whether there is no time left.
    fn is_over(self) -> bool {
        matches!(self, Self::Until(moment) if Instant::now() >= moment)
    }
}

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

/// Looks at the whole catalog and, where they are local, at its files. Says whether it came to the end.
pub(crate) fn check(
    path: &Path,
    data_path: &str,
    busy_timeout: Duration,
    depth: Depth,
) -> Result<(Vec<Problem>, bool)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    let transaction = connection.transaction()?;
    let mut found = Findings::default();
    let ended = look(&transaction, data_path, depth, &mut found)?;
    Ok((found.problems, ended))
}

fn look(connection: &Connection, data_path: &str, depth: Depth, found: &mut Findings) -> Result<bool> {
    if depth == Depth::Full {
        integrity(connection, found)?;
    }
    if !shape(connection, found)? {
        return Ok(true);
    }
    let newest =
        connection.query_row("SELECT max(snapshot_id) FROM ducklake_snapshot", [], |row| row.get(0))?;
    let Some(newest): Option<i64> = newest else {
        found.add("ducklake_snapshot", "has no row");
        return Ok(true);
    };
    values::check(connection, found)?;
    for rule in &RULES {
        if depth.is_over() {
            return Ok(false);
        }
        let parameters: &[&dyn rusqlite::ToSql] = if rule.query.contains("$1") { &[&newest] } else { &[] };
        found.add_rows(
            connection,
            rule.place,
            rule.message,
            rule.query,
            parameters,
            rule.breach,
            rule.repair,
        )?;
    }
    versions(connection, newest, found)?;
    if depth == Depth::Full {
        bounds::check(connection, found)?;
    }
    files::check(connection, data_path, depth, found)
}

/// Mends, in one transaction, what can be mended of `problems`; gives how many that were.
pub(crate) fn repair(connection: &Connection, problems: &[Problem]) -> Result<usize> {
    let repairs: Vec<&Repair> = problems.iter().filter_map(|problem| problem.repair.as_ref()).collect();
    for (index, repair) in repairs.iter().enumerate() {
        if !repairs[..index].contains(repair) {
            repair.apply(connection)?;
        }
    }
    Ok(repairs.len())
}

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    problems: Vec<Problem>,
}

impl Findings {
    /// Adds one problem that nothing mends.
    pub(crate) fn add(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.add_with(place, message, None);
    }

    /// Adds one problem.
    pub(crate) fn add_with(
        &mut self,
        place: impl Into<String>,
        message: impl Into<String>,
        repair: Option<Repair>,
    ) {
        self.problems.push(Problem {
            place: place.into(),
            message: message.into(),
            is_harmless: false,
            misleading: Vec::new(),
            repair,
        });
    }

    /// Adds one problem when `query` gives rows, or one for each table that a repair is for, and lists the first of
    /// the rows.
    #[allow(clippy::too_many_arguments, reason = "the parts of a rule, and where it is checked")]
    fn add_rows(
        &mut self,
        connection: &Connection,
        place: &str,
        message: &str,
        query: &str,
        parameters: &[&dyn rusqlite::ToSql],
        breach: Breach,
        repair: RepairOf,
    ) -> Result<()> {
        let mut statement = connection.prepare(&format!(
            "SELECT CAST(c.x AS TEXT), c.t FROM (SELECT NULL AS x, NULL AS t WHERE 0 UNION ALL {query}) c"
        ))?;
        let rows = statement.query_map(parameters, |row| Ok((row.get(0)?, row.get(1).unwrap_or(None))))?;
        let rows = rows.collect::<Result<Vec<(Option<String>, Option<i64>)>, _>>()?;
        let repairable =
            repair(rows.first().and_then(|row| row.1)).is_some_and(|repair| repair.is_of_a_table());
        let groups: Vec<&[(Option<String>, Option<i64>)]> = match repairable {
            true => rows.chunks(1).collect(),
            false => rows.chunks(rows.len().max(1)).collect(),
        };
        for rows in groups {
            let listed: Vec<&str> =
                rows.iter().take(LISTED).map(|(text, _)| text.as_deref().unwrap_or("NULL")).collect();
            let more = match rows.len() - listed.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            self.add_with(place, format!("{message}: {}{more}", listed.join(", ")), repair(rows[0].1));
            let Some(problem) = self.problems.last_mut() else { continue };
            problem.is_harmless = breach == Breach::Harmless;
            if breach == Breach::MisleadsReaders {
                problem.misleading = names(connection, rows.iter().filter_map(|(_, table)| *table))?;
            }
        }
        Ok(())
    }
}

/// The names of the live ones among these tables.
fn names(connection: &Connection, ids: impl Iterator<Item = i64>) -> Result<Vec<TableName>> {
    let mut names = Vec::new();
    for id in ids.collect::<BTreeSet<i64>>() {
        let table = Table::with_id(connection, id)?;
        names.extend(table.map(|table| TableName { schema: table.schema_name, name: table.name }));
    }
    Ok(names)
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

/// Whether rows begin and end at snapshots that are, and belong to files that are.
fn versions(connection: &Connection, newest: i64, found: &mut Findings) -> Result<()> {
    for name in VERSIONED {
        let query = format!(
            "SELECT begin_snapshot || '-' || coalesce(end_snapshot, ''), NULL FROM {name} WHERE begin_snapshot IS NULL \
             OR begin_snapshot > $1 OR end_snapshot > $1 OR end_snapshot < begin_snapshot"
        );
        let message = "the row begins or ends at no snapshot";
        found.add_rows(connection, name, message, &query, &[&newest], Breach::Wrong, |_| None)?;
    }
    for name in OF_DATA_FILES {
        let query = format!(
            "SELECT data_file_id, NULL FROM {name} WHERE data_file_id NOT IN \
             (SELECT data_file_id FROM ducklake_data_file WHERE data_file_id IS NOT NULL)"
        );
        // Rows of a delete file may be what is left of a data file: they stay.
        let (breach, repair): (Breach, RepairOf) = match name {
            "ducklake_delete_file" => (Breach::Wrong, |_| None),
            _ => (Breach::Harmless, |_| Some(Repair::LostStatistics)),
        };
        found.add_rows(connection, name, "the row belongs to no data file", &query, &[], breach, repair)?;
    }
    let mut statement = connection.prepare("SELECT DISTINCT table_name FROM ducklake_inlined_data_tables")?;
    let names = statement.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    for name in names {
        let exists: bool = connection.query_row(crate::sql::TABLE_EXISTS, [&name], |row| row.get(0))?;
        if !exists {
            found.add("ducklake_inlined_data_tables", format!("table {name} does not exist"));
            continue;
        }
        let query = format!(
            "SELECT row_id, NULL FROM {} WHERE begin_snapshot > $1 OR end_snapshot > $1",
            quoted(&name)
        );
        let message = "the row begins or ends at no snapshot";
        found.add_rows(connection, &name, message, &query, &[&newest], Breach::Wrong, |_| None)?;
    }
    Ok(())
}
