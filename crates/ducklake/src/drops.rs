//! Ending tables, views and schemas. Their rows stay for older snapshots.

use rusqlite::params;

use crate::changes::Change;
use crate::commit::Commit;
use crate::error::{CatalogError, Result};
use crate::inlined;
use crate::schema_changes::TableName;
use crate::sql;
use crate::tables::{self, Table};

/// Ends a table.
pub(crate) fn table(commit: &mut Commit<'_>, name: &TableName, if_exists: bool) -> Result<()> {
    if let Some(table) = Table::named(commit.connection(), &name.schema, &name.name)? {
        return end_table(commit, table.id);
    }
    if tables::view_id(commit.connection(), &name.schema, &name.name)?.is_some() {
        return Err(CatalogError::Invalid(format!("{name} is a view: use DROP VIEW")));
    }
    missing("table", name, if_exists)
}

/// Ends a view.
pub(crate) fn view(commit: &mut Commit<'_>, name: &TableName, if_exists: bool) -> Result<()> {
    if let Some(id) = tables::view_id(commit.connection(), &name.schema, &name.name)? {
        return end_view(commit, id);
    }
    if Table::named(commit.connection(), &name.schema, &name.name)?.is_some() {
        return Err(CatalogError::Invalid(format!("{name} is a table: use DROP TABLE")));
    }
    missing("view", name, if_exists)
}

fn missing(kind: &str, name: &TableName, if_exists: bool) -> Result<()> {
    match if_exists {
        true => Ok(()),
        false => Err(CatalogError::no_table(kind, name)),
    }
}

/// Ends a schema, with what is in it if `cascade`.
pub(crate) fn schema(commit: &mut Commit<'_>, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
    let Some(schema) = tables::find_schema(commit.connection(), name)? else {
        return match if_exists {
            true => Ok(()),
            false => Err(CatalogError::no_schema(name)),
        };
    };
    let tables = ids(commit, sql::LIVE_TABLES, name)?;
    let views = ids(commit, sql::LIVE_VIEWS, name)?;
    if !cascade && let Some((_, entry)) = tables.iter().chain(&views).next() {
        return Err(CatalogError::Conflict(format!(
            "schema {name} holds {entry}: drop that first, or use DROP SCHEMA {name} CASCADE"
        )));
    }
    for (id, _) in tables {
        end_table(commit, id)?;
    }
    for (id, _) in views {
        end_view(commit, id)?;
    }
    commit.execute(sql::END_SCHEMA, params![commit.snapshot(), schema.id])?;
    commit.change_schema();
    commit.record(Change::DroppedSchema(schema.id));
    Ok(())
}

fn ids(commit: &Commit<'_>, statement: &str, schema: &str) -> Result<Vec<(i64, String)>> {
    let mut statement = commit.connection().prepare_cached(statement)?;
    let rows = statement.query_map([schema], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Ends everything that belongs to a live table.
pub(crate) fn end_table(commit: &mut Commit<'_>, id: i64) -> Result<()> {
    let snapshot = commit.snapshot();
    for statement in [
        sql::END_TABLE,
        sql::END_COLUMNS,
        sql::END_PARTITION,
        sql::END_SORT,
        sql::END_TABLE_FILES,
        sql::END_TABLE_DELETE_FILES,
        sql::END_TAGS,
        sql::END_COLUMN_TAGS,
    ] {
        commit.execute(statement, params![snapshot, id])?;
    }
    inlined::end_all(commit, id)?;
    commit.change_schema();
    commit.record(Change::DroppedTable(id));
    Ok(())
}

fn end_view(commit: &mut Commit<'_>, id: i64) -> Result<()> {
    commit.execute(sql::END_VIEW, params![commit.snapshot(), id])?;
    commit.execute(sql::END_TAGS, params![commit.snapshot(), id])?;
    commit.change_schema();
    commit.record(Change::DroppedView(id));
    Ok(())
}
