//! Columns of a table: a list, map or struct is a parent row with child rows, and every row's
//! `column_id` is the Parquet field id, counted per table from 1.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field};
use datafusion_ducklake::types::{
    arrow_to_ducklake_type, ducklake_to_arrow_type, is_promotable, types_equal_canonical,
};
use datafusion_ducklake::{ColumnDef, DuckLakeError, TypeChangeOperation, TypeChangeWriteMode, WriteMode};
use rusqlite::{Connection, params};

use crate::commit::Commit;
use crate::error::{CatalogError, Result};
use crate::sql;

/// A column, or a part of a nested one, that is to be: parents stand before their children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnNode {
    pub(crate) name: String,
    pub(crate) column_type: String,
    pub(crate) nullable: bool,
    /// Index of the parent among the nodes.
    pub(crate) parent: Option<usize>,
    /// The literal that stands in rows which have no value of their own.
    pub(crate) default: Option<String>,
}

/// A live row of `ducklake_column`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveColumn {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) column_type: String,
    pub(crate) nullable: bool,
    pub(crate) parent: Option<i64>,
    pub(crate) initial_default: Option<String>,
}

/// The nodes of Arrow fields, depth first. Text with the extension name `arrow.json` is `json`, with `arrow.uuid`
/// it is `uuid`.
pub(crate) fn nodes_of_fields<'a>(fields: impl IntoIterator<Item = &'a Field>) -> Result<Vec<ColumnNode>> {
    let mut nodes = Vec::new();
    for field in fields {
        let first = nodes.len();
        push_nodes(field.name(), field.data_type(), field.is_nullable(), None, &mut nodes)?;
        if nodes[first].column_type == "varchar" {
            match field.metadata().get("ARROW:extension:name").map(String::as_str) {
                Some("arrow.json") => "json".clone_into(&mut nodes[first].column_type),
                Some("arrow.uuid") => "uuid".clone_into(&mut nodes[first].column_type),
                _ => {}
            }
        }
    }
    Ok(nodes)
}

/// The nodes of column definitions, depth first.
pub(crate) fn nodes_of_definitions(columns: &[ColumnDef]) -> Result<Vec<ColumnNode>> {
    let mut nodes = Vec::new();
    for column in columns {
        let data_type = ducklake_to_arrow_type(column.ducklake_type())?;
        push_nodes(column.name(), &data_type, column.is_nullable(), None, &mut nodes)?;
    }
    Ok(nodes)
}

fn push_nodes(
    name: &str,
    data_type: &DataType,
    nullable: bool,
    parent: Option<usize>,
    nodes: &mut Vec<ColumnNode>,
) -> Result<()> {
    let index = nodes.len();
    let column_type = official_type(data_type)?;
    nodes.push(ColumnNode { name: name.to_owned(), column_type, nullable, parent, default: None });
    match data_type {
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            push_nodes("element", element.data_type(), element.is_nullable(), Some(index), nodes)
        }
        DataType::Struct(fields) => fields.iter().try_for_each(|field| {
            push_nodes(field.name(), field.data_type(), field.is_nullable(), Some(index), nodes)
        }),
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else {
                return Err(CatalogError::Unsupported(format!("column {name}: map without entries")));
            };
            let [key, value] = fields.as_ref() else {
                return Err(CatalogError::Unsupported(format!(
                    "column {name}: map entries are not key and value"
                )));
            };
            push_nodes("key", key.data_type(), false, Some(index), nodes)?;
            push_nodes("value", value.data_type(), value.is_nullable(), Some(index), nodes)
        }
        _ => Ok(()),
    }
}

/// The type's name in `ducklake_column.column_type`.
fn official_type(data_type: &DataType) -> Result<String> {
    let name = match data_type {
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "list".to_owned(),
        DataType::Struct(_) => "struct".to_owned(),
        DataType::Map(..) => "map".to_owned(),
        other => arrow_to_ducklake_type(other)?,
    };
    match name.as_str() {
        // DuckLake 1.0 has no nanoseconds with a time zone; DuckDB would refuse the whole catalog.
        "timestamptz_ns" => Err(CatalogError::Unsupported(
            "timestamps with a time zone have microseconds in DuckLake, not nanoseconds".to_owned(),
        )),
        _ => Ok(name.replace(", ", ",")),
    }
}

/// The live columns of a table, in order.
pub(crate) fn live_columns(connection: &Connection, table_id: i64) -> Result<Vec<LiveColumn>> {
    let mut statement = connection.prepare_cached(sql::LIVE_COLUMNS)?;
    let rows = statement.query_map([table_id], |row| {
        Ok(LiveColumn {
            id: row.get(0)?,
            name: row.get(1)?,
            column_type: row.get(2)?,
            nullable: row.get::<_, Option<bool>>(3)?.unwrap_or(true),
            parent: row.get(4)?,
            initial_default: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The lowest column id that no version of the table's columns has had.
pub(crate) fn next_column_id(connection: &Connection, table_id: i64) -> Result<i64> {
    Ok(connection.query_row(sql::NEXT_COLUMN_ID, [table_id], |row| row.get(0))?)
}

/// The column ids of `nodes`: that of the live column with the same path, names compared as DuckDB
/// compares them, else the next free one.
pub(crate) fn assign_ids(nodes: &[ColumnNode], live: &[LiveColumn], next_id: i64) -> Result<Vec<i64>> {
    let known: HashMap<(Option<i64>, String), i64> =
        live.iter().map(|column| ((column.parent, column.name.to_lowercase()), column.id)).collect();
    let mut free = next_id;
    let mut ids: Vec<i64> = Vec::with_capacity(nodes.len());
    let mut taken = std::collections::HashSet::with_capacity(nodes.len());
    for node in nodes {
        let path = (node.parent.map(|parent| ids[parent]), node.name.to_lowercase());
        let id = known.get(&path).copied().unwrap_or_else(|| {
            free += 1;
            free - 1
        });
        if !taken.insert(id) {
            return Err(CatalogError::Invalid(format!("column {} stands twice", node.name)));
        }
        ids.push(id);
    }
    Ok(ids)
}

/// The ids of the nodes that are columns themselves.
pub(crate) fn top_level_ids(nodes: &[ColumnNode], ids: &[i64]) -> Vec<i64> {
    nodes.iter().zip(ids).filter(|(node, _)| node.parent.is_none()).map(|(_, id)| *id).collect()
}

/// Refuses data whose columns have other types than the table, and new columns that old rows cannot have.
pub(crate) fn check_write(
    nodes: &[ColumnNode],
    ids: &[i64],
    live: &[LiveColumn],
    mode: WriteMode,
) -> Result<()> {
    if live.is_empty() {
        return Ok(());
    }
    for (node, id) in nodes.iter().zip(ids) {
        let Some(column) = live.iter().find(|column| column.id == *id) else {
            if mode == WriteMode::Append && node.parent.is_none() && !node.nullable {
                return Err(CatalogError::Invalid(format!("new column {} must allow NULL", node.name)));
            }
            continue;
        };
        if !same_type(&column.column_type, &node.column_type) {
            return Err(CatalogError::Lake(DuckLakeError::UnsupportedTypeChange {
                operation: TypeChangeOperation::DataWrite {
                    mode: match mode {
                        WriteMode::Replace => TypeChangeWriteMode::Replace,
                        WriteMode::Append => TypeChangeWriteMode::Append,
                    },
                },
                column: node.name.clone(),
                from: column.column_type.clone(),
                to: node.column_type.clone(),
            }));
        }
    }
    let missing =
        live.iter().find(|column| column.parent.is_none() && !column.nullable && !ids.contains(&column.id));
    match missing {
        Some(column) if mode == WriteMode::Append && column.initial_default.is_none() => {
            Err(CatalogError::Invalid(format!("column {} is NOT NULL and has no value", column.name)))
        }
        _ => Ok(()),
    }
}

fn same_type(live: &str, staged: &str) -> bool {
    live.eq_ignore_ascii_case(staged) || types_equal_canonical(live, staged)
}

/// Brings the live columns of a table to what a write was staged with.
///
/// An append adds new columns and leaves the others, also those it has no values for: readers fill
/// them with their default. A replacement also ends the columns that it does not have. Returns whether
/// the columns changed. [`CatalogError::Conflict`] when the staged field ids no longer fit.
pub(crate) fn reconcile(
    commit: &mut Commit<'_>,
    table_id: i64,
    nodes: &[ColumnNode],
    ids: &[i64],
    mode: WriteMode,
) -> Result<bool> {
    let live = live_columns(commit.connection(), table_id)?;
    let next_id = next_column_id(commit.connection(), table_id)?;
    if assign_ids(nodes, &live, next_id)? != ids {
        return Err(CatalogError::Conflict(format!(
            "the columns of table {table_id} changed since the write began"
        )));
    }
    let mut changed = false;
    for (index, id) in ids.iter().enumerate() {
        match live.iter().find(|column| column.id == *id) {
            None => {
                insert_column(commit, table_id, nodes, ids, index)?;
                changed = true;
            }
            // A type that grew meanwhile still takes the narrower values: readers cast them.
            Some(column) if is_compatible(&nodes[index].column_type, &column.column_type) => {}
            Some(column) => {
                return Err(CatalogError::Conflict(format!(
                    "column {} of table {table_id} became {} since the write began",
                    column.name, column.column_type
                )));
            }
        }
    }
    if mode == WriteMode::Replace {
        for column in live.iter().filter(|column| !ids.contains(&column.id)) {
            commit.execute(sql::END_COLUMN, params![commit.snapshot(), table_id, column.id])?;
            changed = true;
        }
    } else if let Some(column) = live.iter().find(|column| {
        column.parent.is_none()
            && !column.nullable
            && column.initial_default.is_none()
            && !ids.contains(&column.id)
    }) {
        return Err(CatalogError::Conflict(format!(
            "column {} of table {table_id} became NOT NULL since the write began",
            column.name
        )));
    }
    Ok(changed)
}

fn is_compatible(staged: &str, live: &str) -> bool {
    same_type(live, staged) || is_promotable(staged, live)
}

/// Adds the row of one column, or part of a column.
pub(crate) fn insert_column(
    commit: &Commit<'_>,
    table_id: i64,
    nodes: &[ColumnNode],
    ids: &[i64],
    index: usize,
) -> Result<()> {
    let node = &nodes[index];
    let nested = matches!(node.column_type.as_str(), "list" | "struct" | "map");
    commit.execute(
        sql::INSERT_COLUMN,
        params![
            ids[index],
            commit.snapshot(),
            table_id,
            ids[index],
            node.name,
            node.column_type,
            node.default,
            node.default.as_deref().unwrap_or("NULL"),
            node.nullable,
            node.parent.map(|parent| ids[parent]),
            if nested { "" } else { "literal" },
        ],
    )?;
    Ok(())
}

/// Gives a column a wider type, which loses no value; older files are cast when they are read.
pub(crate) fn promote(commit: &mut Commit<'_>, table_id: i64, name: &str, column_type: &str) -> Result<()> {
    let live = live_columns(commit.connection(), table_id)?;
    let column = live
        .iter()
        .find(|column| column.parent.is_none() && column.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| CatalogError::Invalid(format!("table {table_id} has no column {name}")))?;
    let column_type = official_type(&ducklake_to_arrow_type(column_type)?)?;
    if same_type(&column.column_type, &column_type) || !is_promotable(&column.column_type, &column_type) {
        return Err(CatalogError::Lake(DuckLakeError::UnsupportedTypeChange {
            operation: TypeChangeOperation::PromoteColumnType,
            column: column.name.clone(),
            from: column.column_type.clone(),
            to: column_type,
        }));
    }
    commit.execute(sql::END_COLUMN, params![commit.snapshot(), table_id, column.id])?;
    commit.execute(sql::RETYPE_COLUMN, params![commit.snapshot(), column_type, table_id, column.id])?;
    commit.reshape_table(table_id);
    Ok(())
}
