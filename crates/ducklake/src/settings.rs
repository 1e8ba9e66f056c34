//! Write options of a table, and comments.

use datafusion_ducklake::{TagObjectType, TagTarget};
use rusqlite::{Connection, params};

use crate::changes::Change;
use crate::commit::Commit;
use crate::error::{CatalogError, Result};
use crate::layout;
use crate::sql;
use crate::tables::Table;

/// The write options that DuckLake knows for one table.
const TABLE_SETTINGS: [&str; 11] = [
    "auto_compact",
    "data_inlining_row_limit",
    "hive_file_pattern",
    "parquet_compression",
    "parquet_compression_level",
    "parquet_row_group_size",
    "parquet_row_group_size_bytes",
    "parquet_version",
    "rewrite_delete_threshold",
    "sort_on_insert",
    "target_file_size",
];

/// Sets a write option of a table.
pub(crate) fn set_of_table(connection: &Connection, table_id: i64, key: &str, value: &str) -> Result<()> {
    let key = key.to_ascii_lowercase();
    if !TABLE_SETTINGS.contains(&key.as_str()) {
        return Err(CatalogError::Unsupported(format!("unknown table option '{key}'")));
    }
    if Table::with_id(connection, table_id)?.is_none() {
        return Err(CatalogError::no_table("table", table_id));
    }
    if connection.execute(sql::UPDATE_TABLE_SETTING, params![value, key, table_id])? == 0 {
        connection.execute(sql::INSERT_TABLE_SETTING, params![key, value, table_id])?;
    }
    Ok(())
}

/// Sets a tag of a table, a view or a column. DuckDB knows `comment` only, and none of a schema.
pub(crate) fn set_tag(
    commit: &mut Commit<'_>,
    target: TagTarget,
    key: &str,
    value: Option<&str>,
) -> Result<()> {
    match target {
        TagTarget::Object { object_type: TagObjectType::Schema, .. } => {
            return Err(CatalogError::Unsupported("DuckLake has no comments on schemas".to_owned()));
        }
        TagTarget::Object { object_type: TagObjectType::Table, object_id } => {
            Table::still_there(commit.connection(), object_id)?;
            tag_object(commit, object_id, key, value)?;
            commit.record(Change::AlteredTable(object_id));
        }
        TagTarget::Object { object_type: TagObjectType::View, object_id } => {
            tag_object(commit, object_id, key, value)?;
            commit.record(Change::AlteredView(object_id));
        }
        TagTarget::Column { table_id, column_id } => {
            if key != "comment" {
                return Err(CatalogError::Unsupported(format!(
                    "a column takes the tag 'comment' only, not '{key}'"
                )));
            }
            Table::still_there(commit.connection(), table_id)?;
            let snapshot = commit.snapshot();
            commit.execute(sql::END_COLUMN_TAG, params![snapshot, table_id, column_id, key])?;
            commit.execute(sql::INSERT_COLUMN_TAG, params![table_id, column_id, snapshot, key, value])?;
            commit.record(Change::AlteredTable(table_id));
        }
    }
    commit.change_schema();
    Ok(())
}

/// Sets a tag of a table or view without recording a change.
pub(crate) fn tag_object(commit: &Commit<'_>, object_id: i64, key: &str, value: Option<&str>) -> Result<()> {
    let snapshot = commit.snapshot();
    commit.execute(sql::END_TAG, params![snapshot, object_id, key])?;
    commit.execute(sql::INSERT_TAG, params![object_id, snapshot, key, value])?;
    Ok(())
}

/// The path under which the lake's files lie.
pub(crate) fn data_path(connection: &Connection) -> Result<String> {
    layout::metadata(connection, "data_path")?
        .ok_or_else(|| CatalogError::Corrupt("no data_path in ducklake_metadata".to_owned()))
}
