//! Schemas, tables and views by name, and how they are made.

use datafusion_ducklake::WriteMode;
use datafusion_ducklake::metadata_writer::validate_name;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::changes::Change;
use crate::columns::{self, ColumnNode};
use crate::commit::Commit;
use crate::error::{CatalogError, Result};
use crate::sql;

/// A live table and where its files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) id: i64,
    pub(crate) begin_snapshot: i64,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) path_is_relative: bool,
    pub(crate) schema_id: i64,
    pub(crate) schema_name: String,
    pub(crate) schema_path: String,
    pub(crate) schema_path_is_relative: bool,
    /// Where new files were written.
    pub(crate) written_in: WrittenIn,
}

/// The directory that paths of new files start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WrittenIn {
    /// `<schema>/<table>/` by their names, where `DuckLakeTableWriter` writes.
    Names,
    /// The table's own directory.
    OwnDirectory,
}

impl Table {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            begin_snapshot: row.get(1)?,
            name: row.get(2)?,
            path: row.get::<_, Option<String>>(3)?.unwrap_or_default(),
            path_is_relative: row.get::<_, Option<bool>>(4)?.unwrap_or(true),
            schema_id: row.get(5)?,
            schema_name: row.get(6)?,
            schema_path: row.get::<_, Option<String>>(7)?.unwrap_or_default(),
            schema_path_is_relative: row.get::<_, Option<bool>>(8)?.unwrap_or(true),
            written_in: WrittenIn::Names,
        })
    }

    /// The live table of this name.
    pub(crate) fn named(connection: &Connection, schema: &str, name: &str) -> Result<Option<Self>> {
        let mut statement = connection.prepare_cached(sql::FIND_TABLE_BY_NAME)?;
        Ok(statement.query_row([schema, name], Self::from_row).optional()?)
    }

    /// The live table with this id.
    pub(crate) fn with_id(connection: &Connection, id: i64) -> Result<Option<Self>> {
        let mut statement = connection.prepare_cached(sql::FIND_TABLE_BY_ID)?;
        Ok(statement.query_row([id], Self::from_row).optional()?)
    }

    /// The table with this id as it was last, whether it is live or not.
    pub(crate) fn that_was(connection: &Connection, id: i64) -> Result<Option<Self>> {
        let mut statement = connection.prepare_cached(sql::FIND_TABLE_THAT_WAS)?;
        Ok(statement.query_row([id], Self::from_row).optional()?)
    }

    /// The live table with this id, or a conflict: whoever asks had seen it.
    pub(crate) fn still_there(connection: &Connection, id: i64) -> Result<Self> {
        Self::with_id(connection, id)?
            .ok_or_else(|| CatalogError::Conflict(format!("table {id} was dropped since the write began")))
    }

    /// The directory of the table's files as readers resolve it, ending with `/`.
    pub(crate) fn directory(&self, data_path: &str) -> String {
        let schema = if self.schema_path_is_relative { data_path } else { "" };
        match self.path_is_relative {
            true => format!("{schema}{}{}", self.schema_path, self.path),
            false => self.path.clone(),
        }
    }

    /// How the catalog names a new file at `path`, and whether that is relative to the table.
    ///
    /// `DuckLakeTableWriter` builds directories from names. A table that was renamed, or that DuckDB keeps under
    /// an id because its name has special characters, lies elsewhere; its new files are named absolutely.
    pub(crate) fn file_path(&self, data_path: &str, path: &str, is_relative: bool) -> (String, bool) {
        if !is_relative || self.written_in == WrittenIn::OwnDirectory {
            return (path.to_owned(), is_relative);
        }
        let written_in = format!("{data_path}{}/{}/", self.schema_name, self.name);
        match self.directory(data_path) == written_in {
            true => (path.to_owned(), true),
            false => (format!("{written_in}{path}"), false),
        }
    }
}

/// A live schema and where its files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schema {
    pub(crate) id: i64,
    pub(crate) name: String,
    path: String,
    path_is_relative: bool,
}

impl Schema {
    /// The live schema of this name, or what to say when there is none.
    pub(crate) fn existing(connection: &Connection, name: &str) -> Result<Self> {
        find_schema(connection, name)?.ok_or_else(|| CatalogError::no_schema(name))
    }

    /// The directory of a table that is to be made here, ending with `/`.
    pub(crate) fn directory_of(&self, data_path: &str, table: &str, uuid: &str) -> String {
        let root = if self.path_is_relative { data_path } else { "" };
        format!("{root}{}{}", self.path, directory_name(table, uuid))
    }
}

/// The live schema of this name.
pub(crate) fn find_schema(connection: &Connection, name: &str) -> Result<Option<Schema>> {
    let mut statement = connection.prepare_cached(sql::FIND_SCHEMA)?;
    let found = statement.query_row([name], |row| {
        Ok(Schema {
            id: row.get(0)?,
            name: row.get(1)?,
            path: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
            path_is_relative: row.get::<_, Option<bool>>(3)?.unwrap_or(true),
        })
    });
    Ok(found.optional()?)
}

/// The id of a schema, which is made when it does not exist; and whether it was made.
pub(crate) fn ensure_schema(commit: &mut Commit<'_>, name: &str) -> Result<(i64, bool)> {
    if let Some(schema) = find_schema(commit.connection(), name)? {
        return Ok((schema.id, false));
    }
    validate_name(name, "Schema")?;
    let id = commit.next_catalog_id();
    let uuid = Uuid::now_v7().to_string();
    let path = directory_name(name, &uuid);
    commit.execute(sql::INSERT_SCHEMA, params![id, uuid, commit.snapshot(), name, path])?;
    commit.change_schema();
    commit.record(Change::CreatedSchema(name.to_owned()));
    Ok((id, true))
}

/// The directory of a schema or table, as DuckDB names it: a name with other characters than letters, digits,
/// `_` and `-` gives way to the uuid.
pub(crate) fn directory_name(name: &str, uuid: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    let name = if !name.is_empty() && name.chars().all(is_plain) { name } else { uuid };
    format!("{name}/")
}

/// Makes a table with columns 1, 2, …; the schema too when it does not exist. Returns the table's id.
pub(crate) fn create_table(
    commit: &mut Commit<'_>,
    schema: &str,
    name: &str,
    nodes: &[ColumnNode],
    ids: &[i64],
) -> Result<i64> {
    create_table_with_uuid(commit, schema, name, nodes, ids, &Uuid::now_v7().to_string())
}

/// As [`create_table`], for a table whose files are written already: its directory follows from the uuid.
pub(crate) fn create_table_with_uuid(
    commit: &mut Commit<'_>,
    schema: &str,
    name: &str,
    nodes: &[ColumnNode],
    ids: &[i64],
    uuid: &str,
) -> Result<i64> {
    validate_name(name, "Table")?;
    if nodes.is_empty() {
        return Err(CatalogError::Invalid(format!("table {name} has no columns")));
    }
    if view_id(commit.connection(), schema, name)?.is_some() {
        return Err(CatalogError::table_exists("view", format_args!("{schema}.{name}")));
    }
    let (schema_id, _) = ensure_schema(commit, schema)?;
    let id = commit.next_catalog_id();
    let path = directory_name(name, uuid);
    commit.execute(sql::INSERT_TABLE, params![id, uuid, commit.snapshot(), schema_id, name, path])?;
    for index in 0..nodes.len() {
        columns::insert_column(commit, id, nodes, ids, index)?;
    }
    commit.reshape_table(id);
    commit.record(Change::CreatedTable(schema.to_owned(), name.to_owned()));
    Ok(id)
}

/// The table that a write was staged for, brought to the columns it was staged with.
///
/// A negative `table_id` stands for a table that did not exist when the write began
/// ([`crate::Catalog`]): it is made now, or found when somebody made it meanwhile.
pub(crate) fn resolve_for_write(
    commit: &mut Commit<'_>,
    table_id: i64,
    schema: &str,
    name: &str,
    nodes: &[ColumnNode],
    ids: &[i64],
    mode: WriteMode,
) -> Result<Table> {
    let found = match table_id {
        0.. => Some(Table::still_there(commit.connection(), table_id)?),
        _ => Table::named(commit.connection(), schema, name)?,
    };
    if let Some(table) = found {
        let made_here = table.begin_snapshot == commit.snapshot();
        if table_id < 0 && mode == WriteMode::Replace && !made_here {
            return Err(CatalogError::Conflict(format!("{schema}.{name} was created since the write began")));
        }
        if columns::reconcile(commit, table.id, nodes, ids, mode)? {
            commit.reshape_table(table.id);
            if !made_here {
                commit.record(Change::AlteredTable(table.id));
            }
        }
        return Ok(table);
    }
    let expected: Vec<i64> = (1..).take(nodes.len()).collect();
    if ids != expected {
        return Err(CatalogError::Conflict(format!("{schema}.{name} was dropped since the write began")));
    }
    let id = create_table(commit, schema, name, nodes, ids)?;
    Table::still_there(commit.connection(), id)
}

/// The id of a live view.
pub(crate) fn view_id(connection: &Connection, schema: &str, name: &str) -> Result<Option<i64>> {
    Ok(find_view(connection, schema, name)?.map(|(id, _)| id))
}

/// The id and text of a live view.
pub(crate) fn find_view(connection: &Connection, schema: &str, name: &str) -> Result<Option<(i64, String)>> {
    let mut statement = connection.prepare_cached(sql::FIND_VIEW)?;
    Ok(statement.query_row([schema, name], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Makes a view, in place of the live one of that name; returns its id.
pub(crate) fn put_view(commit: &mut Commit<'_>, schema: &str, name: &str, text: &str) -> Result<i64> {
    validate_name(name, "View")?;
    if Table::named(commit.connection(), schema, name)?.is_some() {
        return Err(CatalogError::table_exists("table", format_args!("{schema}.{name}")));
    }
    let old = view_id(commit.connection(), schema, name)?;
    if let Some(old) = old {
        commit.execute(sql::END_VIEW, params![commit.snapshot(), old])?;
        commit.record(Change::DroppedView(old));
    }
    let (schema_id, _) = ensure_schema(commit, schema)?;
    let id = commit.next_catalog_id();
    let uuid = Uuid::now_v7().to_string();
    commit.execute(sql::INSERT_VIEW, params![id, uuid, commit.snapshot(), schema_id, name, text])?;
    commit.change_schema();
    commit.record(Change::CreatedView(schema.to_owned(), name.to_owned()));
    Ok(id)
}

/// The id of the live table of this name in a schema.
pub(crate) fn table_id_in(connection: &Connection, schema_id: i64, name: &str) -> Result<Option<i64>> {
    Ok(connection.query_row(sql::TABLE_IN_SCHEMA, params![schema_id, name], |row| row.get(0)).optional()?)
}
