//! Changes of schemas, tables and views that are no rows, each one snapshot.

use arrow::datatypes::{Field, FieldRef};
use datafusion_ducklake::SnapshotCommitMetadata;
use pintail_types::{Result, reason};

use crate::catalog::Catalog;
use crate::columns::{self, ColumnNode};
use crate::commit::Commit;
use crate::error::{CatalogError, Result as CatalogResult};
use crate::tables::{self, Schema, Table};
use crate::{alter, drops};

/// A table or view in its schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableName {
    /// The schema.
    pub schema: String,
    /// The table or view.
    pub name: String,
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// What happens when the thing to be made is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// `Conflict`.
    Fail,
    /// It stays, and nothing is made.
    Keep,
    /// It is dropped first.
    Replace,
}

/// A column that a table is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewColumn {
    /// Name, type and nullability. Text with the extension name `arrow.json` or `arrow.uuid` has that type.
    pub field: FieldRef,
    /// The literal that rows without a value have, as the catalog writes it.
    pub default: Option<String>,
}

impl From<&Field> for NewColumn {
    fn from(field: &Field) -> Self {
        Self { field: FieldRef::new(field.clone()), default: None }
    }
}

/// A change of what there is, but not of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaChange {
    /// Makes a schema.
    CreateSchema {
        /// Its name.
        name: String,
        /// `Fail` or `Keep`; a schema is never replaced.
        existing: Existing,
    },
    /// Ends a schema.
    DropSchema {
        /// Its name.
        name: String,
        /// Whether it is no error when there is none.
        if_exists: bool,
        /// Whether its tables and views end too; else it must be empty.
        cascade: bool,
    },
    /// Makes a table without rows.
    CreateTable {
        /// Its name.
        table: TableName,
        /// Its columns.
        columns: Vec<NewColumn>,
        /// What happens when it is there.
        existing: Existing,
    },
    /// Ends a table.
    DropTable {
        /// Its name.
        table: TableName,
        /// Whether it is no error when there is none.
        if_exists: bool,
    },
    /// Gives a table another name in its schema.
    RenameTable {
        /// Its name.
        table: TableName,
        /// Its new name.
        to: String,
    },
    /// Adds a column, which older rows have with its default.
    AddColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: NewColumn,
        /// Whether it is no error when there is one of that name.
        if_not_exists: bool,
    },
    /// Ends a column.
    DropColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Whether it is no error when there is none.
        if_exists: bool,
    },
    /// Gives a column another name.
    RenameColumn {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Its new name.
        to: String,
    },
    /// Makes a view.
    CreateView {
        /// Its name.
        view: TableName,
        /// Its query, with `{DUCKLAKE_CATALOG}` for the name of the catalog.
        sql: String,
        /// What happens when it is there.
        existing: Existing,
    },
    /// Ends a view.
    DropView {
        /// Its name.
        view: TableName,
        /// Whether it is no error when there is none.
        if_exists: bool,
    },
}

impl Catalog {
    /// Makes one change, as one snapshot. Returns whether there was anything to do.
    ///
    /// # Errors
    /// `NotFound` and `Conflict` as the names in `change` are there or not; `Invalid` and `Unsupported` for what
    /// DuckLake can't hold.
    pub fn change(&self, change: &SchemaChange, about: &SnapshotCommitMetadata) -> Result<bool> {
        let done = self.database().commit_if_changed(about, |commit| apply(commit, change));
        Ok(self.at(done)?.is_some())
    }
}

fn apply(commit: &mut Commit<'_>, change: &SchemaChange) -> CatalogResult<()> {
    match change {
        SchemaChange::CreateSchema { name, existing } => create_schema(commit, name, *existing),
        SchemaChange::DropSchema { name, if_exists, cascade } => {
            drops::schema(commit, name, *if_exists, *cascade)
        }
        SchemaChange::CreateTable { table, columns, existing } => {
            if make_room(commit, table, *existing)? {
                let (nodes, ids) = nodes_of(columns)?;
                tables::create_table(commit, &table.schema, &table.name, &nodes, &ids)?;
            }
            Ok(())
        }
        SchemaChange::DropTable { table, if_exists } => drops::table(commit, table, *if_exists),
        SchemaChange::RenameTable { table, to } => alter::rename_table(commit, table, to),
        SchemaChange::AddColumn { table, column, if_not_exists } => {
            alter::add_column(commit, table, column, *if_not_exists)
        }
        SchemaChange::DropColumn { table, column, if_exists } => {
            alter::drop_column(commit, table, column, *if_exists)
        }
        SchemaChange::RenameColumn { table, column, to } => alter::rename_column(commit, table, column, to),
        SchemaChange::CreateView { view, sql, existing } => create_view(commit, view, sql, *existing),
        SchemaChange::DropView { view, if_exists } => drops::view(commit, view, *if_exists),
    }
}

fn create_schema(commit: &mut Commit<'_>, name: &str, existing: Existing) -> CatalogResult<()> {
    let (_, made) = tables::ensure_schema(commit, name)?;
    match made || existing == Existing::Keep {
        true => Ok(()),
        false => Err(CatalogError::Exists(reason::DUPLICATE_SCHEMA, format!("schema {name} exists already"))),
    }
}

fn create_view(
    commit: &mut Commit<'_>,
    view: &TableName,
    sql: &str,
    existing: Existing,
) -> CatalogResult<()> {
    Schema::existing(commit.connection(), &view.schema)?;
    let exists = tables::view_id(commit.connection(), &view.schema, &view.name)?.is_some();
    match existing {
        Existing::Keep if exists => return Ok(()),
        Existing::Fail if exists => {
            return Err(CatalogError::table_exists("view", view));
        }
        _ => {}
    }
    tables::put_view(commit, &view.schema, &view.name, sql)?;
    Ok(())
}

/// Sees to it that there is no table of this name; whether one is to be made.
pub(crate) fn make_room(
    commit: &mut Commit<'_>,
    table: &TableName,
    existing: Existing,
) -> CatalogResult<bool> {
    Schema::existing(commit.connection(), &table.schema)?;
    let Some(found) = Table::named(commit.connection(), &table.schema, &table.name)? else {
        return Ok(true);
    };
    match existing {
        Existing::Fail => Err(CatalogError::table_exists("table", table)),
        Existing::Keep => Ok(false),
        Existing::Replace => {
            drops::end_table(commit, found.id)?;
            Ok(true)
        }
    }
}

/// The catalog's rows for new columns, numbered from 1.
pub(crate) fn nodes_of(columns: &[NewColumn]) -> CatalogResult<(Vec<ColumnNode>, Vec<i64>)> {
    let mut nodes = columns::nodes_of_fields(columns.iter().map(|column| column.field.as_ref()))?;
    let top_level = nodes.iter_mut().filter(|node| node.parent.is_none());
    for (node, column) in top_level.zip(columns) {
        node.default.clone_from(&column.default);
    }
    let ids = columns::assign_ids(&nodes, &[], 1)?;
    Ok((nodes, ids))
}
