//! Changes of a table that keep its rows: names and columns.

use datafusion_ducklake::metadata_writer::validate_name;
use pintail_types::reason;
use rusqlite::params;

use crate::changes::Change;
use crate::columns::{self, LiveColumn};
use crate::commit::Commit;
use crate::error::{CatalogError, Result};
use crate::schema_changes::{NewColumn, TableName, nodes_of};
use crate::sql;
use crate::tables::{self, Table};

/// Gives a table another name. Its files stay where they are.
pub(crate) fn rename_table(commit: &mut Commit<'_>, name: &TableName, to: &str) -> Result<()> {
    let table = existing(commit, name)?;
    validate_name(to, "Table")?;
    let taken = Table::named(commit.connection(), &name.schema, to)?
        .is_some_and(|other| other.id != table.id)
        || tables::view_id(commit.connection(), &name.schema, to)?.is_some();
    if taken {
        return Err(CatalogError::table_exists("table", format_args!("{}.{to}", name.schema)));
    }
    commit.execute(sql::END_TABLE, params![commit.snapshot(), table.id])?;
    commit.execute(sql::RENAME_TABLE, params![commit.snapshot(), to, table.id])?;
    commit.reshape_table(table.id);
    // What DuckDB writes of a renamed table.
    commit.record(Change::CreatedTable(table.schema_name, to.to_owned()));
    Ok(())
}

/// Adds a column; older files have its default.
pub(crate) fn add_column(
    commit: &mut Commit<'_>,
    name: &TableName,
    column: &NewColumn,
    if_not_exists: bool,
) -> Result<()> {
    let table = existing(commit, name)?;
    validate_name(column.field.name(), "Column")?;
    let live = columns::live_columns(commit.connection(), table.id)?;
    if top_level(&live, column.field.name()).is_some() {
        return match if_not_exists {
            true => Ok(()),
            false => Err(CatalogError::column_exists(column.field.name(), name)),
        };
    }
    if !column.field.is_nullable() && column.default.is_none() {
        return Err(CatalogError::Invalid(format!(
            "column {} can't be NOT NULL without a default: older rows of {name} have no value",
            column.field.name()
        )));
    }
    let (nodes, _) = nodes_of(std::slice::from_ref(column))?;
    let first = columns::next_column_id(commit.connection(), table.id)?;
    let ids: Vec<i64> = (first..).take(nodes.len()).collect();
    for index in 0..nodes.len() {
        columns::insert_column(commit, table.id, &nodes, &ids, index)?;
    }
    reshaped(commit, table.id);
    Ok(())
}

/// Ends a column and what is nested in it.
pub(crate) fn drop_column(
    commit: &mut Commit<'_>,
    name: &TableName,
    column: &str,
    if_exists: bool,
) -> Result<()> {
    let table = existing(commit, name)?;
    let live = columns::live_columns(commit.connection(), table.id)?;
    let Some(found) = top_level(&live, column) else {
        return match if_exists {
            true => Ok(()),
            false => Err(no_column(name, column)),
        };
    };
    if live.iter().filter(|column| column.parent.is_none()).count() == 1 {
        return Err(CatalogError::Invalid(format!(
            "column {column} is the only one of {name}: drop the table"
        )));
    }
    refuse_spec_column(commit, name, &table, found)?;
    let mut ending = vec![found.id];
    while let Some(id) = ending.pop() {
        commit.execute(sql::END_COLUMN, params![commit.snapshot(), table.id, id])?;
        ending.extend(live.iter().filter(|column| column.parent == Some(id)).map(|column| column.id));
    }
    reshaped(commit, table.id);
    Ok(())
}

/// Gives a column another name; files know it by its id.
pub(crate) fn rename_column(commit: &mut Commit<'_>, name: &TableName, column: &str, to: &str) -> Result<()> {
    let table = existing(commit, name)?;
    validate_name(to, "Column")?;
    let live = columns::live_columns(commit.connection(), table.id)?;
    let found = top_level(&live, column).ok_or_else(|| no_column(name, column))?;
    if top_level(&live, to).is_some_and(|other| other.id != found.id) {
        return Err(CatalogError::column_exists(to, name));
    }
    refuse_spec_column(commit, name, &table, found)?;
    commit.execute(sql::END_COLUMN, params![commit.snapshot(), table.id, found.id])?;
    commit.execute(sql::RENAME_COLUMN, params![commit.snapshot(), to, table.id, found.id])?;
    reshaped(commit, table.id);
    Ok(())
}

fn existing(commit: &Commit<'_>, name: &TableName) -> Result<Table> {
    if let Some(table) = Table::named(commit.connection(), &name.schema, &name.name)? {
        return Ok(table);
    }
    match tables::view_id(commit.connection(), &name.schema, &name.name)? {
        Some(_) => Err(CatalogError::Unsupported(format!(
            "{name} is a view, which can't be altered: use CREATE OR REPLACE VIEW"
        ))),
        None => Err(CatalogError::no_table("table", name)),
    }
}

fn reshaped(commit: &mut Commit<'_>, table_id: i64) {
    commit.reshape_table(table_id);
    commit.record(Change::AlteredTable(table_id));
}

/// The column of this name, compared as DuckDB compares names.
fn top_level<'a>(live: &'a [LiveColumn], name: &str) -> Option<&'a LiveColumn> {
    live.iter().find(|column| column.parent.is_none() && column.name.to_lowercase() == name.to_lowercase())
}

fn no_column(name: &TableName, column: &str) -> CatalogError {
    CatalogError::NotFound(reason::UNDEFINED_COLUMN, format!("{name} has no column {column}"))
}

/// The table's layout names this column: files to come would not follow it.
fn refuse_spec_column(
    commit: &Commit<'_>,
    name: &TableName,
    table: &Table,
    column: &LiveColumn,
) -> Result<()> {
    let named: bool = commit.connection().query_row(
        sql::SPECS_ON_COLUMN,
        params![table.id, column.id, column.name],
        |row| row.get(0),
    )?;
    match named {
        true => Err(CatalogError::Invalid(format!(
            "{name} is partitioned or sorted by column {}: reset that first",
            column.name
        ))),
        false => Ok(()),
    }
}
