//! Bringing tables and views to what they are to be, and counting what they hold.

use datafusion_ducklake::{NullOrder, PartitionTransform, SortDirection, SortField, WriteMode};
use rusqlite::{Connection, OptionalExtension};

use crate::catalog::{TableSpec, TableStatistics, ViewSpec};
use crate::changes::Change;
use crate::columns::{self, ColumnNode};
use crate::commit::Commit;
use crate::error::Result;
use crate::tables::{self, Table};
use crate::{files, settings, specs, sql};

/// Whether a table is missing, or lacks a column.
pub(crate) fn tables_are_missing(connection: &Connection, schema: &str, specs: &[TableSpec]) -> Result<bool> {
    for spec in specs {
        let Some(table) = Table::named(connection, schema, &spec.name)? else {
            return Ok(true);
        };
        let (_, ids) = nodes_and_ids(connection, table.id, spec)?;
        let live = columns::live_columns(connection, table.id)?;
        if ids.iter().any(|id| !live.iter().any(|column| column.id == *id)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes missing tables and columns.
pub(crate) fn tables(commit: &mut Commit<'_>, schema: &str, specs: &[TableSpec]) -> Result<()> {
    for spec in specs {
        match Table::named(commit.connection(), schema, &spec.name)? {
            None => make_table(commit, schema, spec)?,
            Some(table) => {
                let (nodes, ids) = nodes_and_ids(commit.connection(), table.id, spec)?;
                if columns::reconcile(commit, table.id, &nodes, &ids, WriteMode::Append)? {
                    commit.reshape_table(table.id);
                    commit.record(Change::AlteredTable(table.id));
                }
            }
        }
    }
    Ok(())
}

fn nodes_and_ids(
    connection: &Connection,
    table_id: i64,
    spec: &TableSpec,
) -> Result<(Vec<ColumnNode>, Vec<i64>)> {
    let nodes = columns::nodes_of_fields(spec.schema.fields().iter().map(AsRef::as_ref))?;
    let live = columns::live_columns(connection, table_id)?;
    let ids = columns::assign_ids(&nodes, &live, columns::next_column_id(connection, table_id)?)?;
    columns::check_write(&nodes, &ids, &live, WriteMode::Append)?;
    Ok((nodes, ids))
}

fn make_table(commit: &mut Commit<'_>, schema: &str, spec: &TableSpec) -> Result<()> {
    let nodes = columns::nodes_of_fields(spec.schema.fields().iter().map(AsRef::as_ref))?;
    let ids = columns::assign_ids(&nodes, &[], 1)?;
    let table_id = tables::create_table(commit, schema, &spec.name, &nodes, &ids)?;
    if let Some(column) = &spec.partition_by {
        specs::set_partition(commit, table_id, &[(column.clone(), PartitionTransform::Identity)])?;
    }
    if let Some(column) = &spec.sort_by {
        let key = SortField::column(0, column.clone(), SortDirection::Asc, NullOrder::NullsLast);
        specs::set_sort(commit, table_id, &[key])?;
    }
    Ok(())
}

/// Whether a view is missing or has another text or comment.
pub(crate) fn views_differ(connection: &Connection, schema: &str, views: &[ViewSpec]) -> Result<bool> {
    for view in views {
        match tables::find_view(connection, schema, &view.name)? {
            Some((id, text)) if text == view.sql && comment(connection, id)? == view.comment => {}
            _ => return Ok(true),
        }
    }
    Ok(false)
}

/// Makes missing views, and replaces those with another text or comment.
pub(crate) fn views(commit: &mut Commit<'_>, schema: &str, views: &[ViewSpec]) -> Result<()> {
    for view in views {
        if !views_differ(commit.connection(), schema, std::slice::from_ref(view))? {
            continue;
        }
        let id = tables::put_view(commit, schema, &view.name, &view.sql)?;
        if let Some(comment) = &view.comment {
            settings::tag_object(commit, id, "comment", Some(comment))?;
        }
    }
    Ok(())
}

fn comment(connection: &Connection, object_id: i64) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached(sql::FIND_TAG)?;
    let found: Option<Option<String>> =
        statement.query_row(rusqlite::params![object_id, "comment"], |row| row.get(0)).optional()?;
    Ok(found.flatten())
}

/// What a table holds at the head.
pub(crate) fn statistics(connection: &Connection, table_id: i64, name: String) -> Result<TableStatistics> {
    let mut statement = connection.prepare_cached(sql::LIVE_FILE_TOTALS)?;
    let (files, bytes): (i64, i64) = statement.query_row([table_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows = files::live_rows(connection, table_id)?;
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(TableStatistics { name, files: count(files), rows: count(rows), bytes: count(bytes) })
}
