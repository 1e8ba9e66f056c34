//! The catalog's tables as official DuckDB 1.5.5 (DuckLake 1.0) makes them in SQLite.
//!
//! DuckDB inserts whole rows by position, so names, number and order of the columns must be exactly
//! these; no column may be added. Booleans are BIGINT 0 and 1, times are text.

use rusqlite::{Connection, params};

use crate::error::{CatalogError, Result};
use crate::sql;
use crate::time::snapshot_time;

/// The format version that this crate reads and writes.
pub(crate) const FORMAT_VERSION: &str = "1.0";

/// Every table of a catalog with its column definitions.
pub(crate) const TABLES: [(&str, &str); 28] = [
    ("ducklake_metadata", "key VARCHAR NOT NULL, value VARCHAR NOT NULL, scope VARCHAR, scope_id BIGINT"),
    (
        "ducklake_snapshot",
        "snapshot_id BIGINT PRIMARY KEY, snapshot_time VARCHAR, schema_version BIGINT, next_catalog_id BIGINT, \
         next_file_id BIGINT",
    ),
    (
        "ducklake_snapshot_changes",
        "snapshot_id BIGINT PRIMARY KEY, changes_made VARCHAR, author VARCHAR, commit_message VARCHAR, \
         commit_extra_info VARCHAR",
    ),
    (
        "ducklake_schema",
        "schema_id BIGINT PRIMARY KEY, schema_uuid VARCHAR, begin_snapshot BIGINT, end_snapshot BIGINT, \
         schema_name VARCHAR, path VARCHAR, path_is_relative BIGINT",
    ),
    (
        "ducklake_table",
        "table_id BIGINT, table_uuid VARCHAR, begin_snapshot BIGINT, end_snapshot BIGINT, schema_id BIGINT, \
         table_name VARCHAR, path VARCHAR, path_is_relative BIGINT",
    ),
    (
        "ducklake_view",
        "view_id BIGINT, view_uuid VARCHAR, begin_snapshot BIGINT, end_snapshot BIGINT, schema_id BIGINT, \
         view_name VARCHAR, dialect VARCHAR, sql VARCHAR, column_aliases VARCHAR",
    ),
    (
        "ducklake_tag",
        "object_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, key VARCHAR, value VARCHAR",
    ),
    (
        "ducklake_column_tag",
        "table_id BIGINT, column_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, key VARCHAR, value VARCHAR",
    ),
    (
        "ducklake_data_file",
        "data_file_id BIGINT PRIMARY KEY, table_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, \
         file_order BIGINT, path VARCHAR, path_is_relative BIGINT, file_format VARCHAR, record_count BIGINT, \
         file_size_bytes BIGINT, footer_size BIGINT, row_id_start BIGINT, partition_id BIGINT, \
         encryption_key VARCHAR, mapping_id BIGINT, partial_max BIGINT",
    ),
    (
        "ducklake_file_column_stats",
        "data_file_id BIGINT, table_id BIGINT, column_id BIGINT, column_size_bytes BIGINT, value_count BIGINT, \
         null_count BIGINT, min_value VARCHAR, max_value VARCHAR, contains_nan BIGINT, extra_stats VARCHAR",
    ),
    (
        "ducklake_file_variant_stats",
        "data_file_id BIGINT, table_id BIGINT, column_id BIGINT, variant_path VARCHAR, shredded_type VARCHAR, \
         column_size_bytes BIGINT, value_count BIGINT, null_count BIGINT, min_value VARCHAR, max_value VARCHAR, \
         contains_nan BIGINT, extra_stats VARCHAR",
    ),
    (
        "ducklake_delete_file",
        "delete_file_id BIGINT PRIMARY KEY, table_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, \
         data_file_id BIGINT, path VARCHAR, path_is_relative BIGINT, format VARCHAR, delete_count BIGINT, \
         file_size_bytes BIGINT, footer_size BIGINT, encryption_key VARCHAR, partial_max BIGINT",
    ),
    (
        "ducklake_column",
        "column_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, table_id BIGINT, column_order BIGINT, \
         column_name VARCHAR, column_type VARCHAR, initial_default VARCHAR, default_value VARCHAR, \
         nulls_allowed BIGINT, parent_column BIGINT, default_value_type VARCHAR, default_value_dialect VARCHAR",
    ),
    (
        "ducklake_table_stats",
        "table_id BIGINT, record_count BIGINT, next_row_id BIGINT, file_size_bytes BIGINT",
    ),
    (
        "ducklake_table_column_stats",
        "table_id BIGINT, column_id BIGINT, contains_null BIGINT, contains_nan BIGINT, min_value VARCHAR, \
         max_value VARCHAR, extra_stats VARCHAR",
    ),
    (
        "ducklake_partition_info",
        "partition_id BIGINT, table_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT",
    ),
    (
        "ducklake_partition_column",
        "partition_id BIGINT, table_id BIGINT, partition_key_index BIGINT, column_id BIGINT, transform VARCHAR",
    ),
    (
        "ducklake_file_partition_value",
        "data_file_id BIGINT, table_id BIGINT, partition_key_index BIGINT, partition_value VARCHAR",
    ),
    (
        "ducklake_files_scheduled_for_deletion",
        "data_file_id BIGINT, path VARCHAR, path_is_relative BIGINT, schedule_start VARCHAR",
    ),
    ("ducklake_inlined_data_tables", "table_id BIGINT, table_name VARCHAR, schema_version BIGINT"),
    ("ducklake_column_mapping", "mapping_id BIGINT, table_id BIGINT, type VARCHAR"),
    (
        "ducklake_name_mapping",
        "mapping_id BIGINT, column_id BIGINT, source_name VARCHAR, target_field_id BIGINT, parent_column BIGINT, \
         is_partition BIGINT",
    ),
    ("ducklake_schema_versions", "begin_snapshot BIGINT, schema_version BIGINT, table_id BIGINT"),
    (
        "ducklake_macro",
        "schema_id BIGINT, macro_id BIGINT, macro_name VARCHAR, begin_snapshot BIGINT, end_snapshot BIGINT",
    ),
    ("ducklake_macro_impl", "macro_id BIGINT, impl_id BIGINT, dialect VARCHAR, sql VARCHAR, type VARCHAR"),
    (
        "ducklake_macro_parameters",
        "macro_id BIGINT, impl_id BIGINT, column_id BIGINT, parameter_name VARCHAR, parameter_type VARCHAR, \
         default_value VARCHAR, default_value_type VARCHAR",
    ),
    ("ducklake_sort_info", "sort_id BIGINT, table_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT"),
    (
        "ducklake_sort_expression",
        "sort_id BIGINT, table_id BIGINT, sort_key_index BIGINT, expression VARCHAR, dialect VARCHAR, \
         sort_direction VARCHAR, null_order VARCHAR",
    ),
];

/// The column names of one of [`TABLES`], in order.
pub(crate) fn column_names(columns: &str) -> Vec<&str> {
    columns.split(',').filter_map(|column| column.split_whitespace().next()).collect()
}

/// Whether the database holds a DuckLake catalog.
pub(crate) fn exists(connection: &Connection) -> Result<bool> {
    Ok(connection.query_row(sql::TABLE_EXISTS, ["ducklake_metadata"], |row| row.get(0))?)
}

/// Makes the tables and the rows of a new, empty catalog.
pub(crate) fn create(connection: &Connection, data_path: &str) -> Result<()> {
    for (name, columns) in TABLES {
        connection.execute_batch(&format!("CREATE TABLE {name}({columns})"))?;
    }
    let created_by = format!("Pintail {}", env!("CARGO_PKG_VERSION"));
    for (key, value) in [
        ("version", FORMAT_VERSION),
        ("created_by", created_by.as_str()),
        ("data_path", data_path),
        ("encrypted", "false"),
    ] {
        connection.execute(sql::INSERT_METADATA, params![key, value])?;
    }
    connection.execute(sql::INSERT_SNAPSHOT, params![0, snapshot_time(), 0, 1, 0])?;
    connection.execute(
        sql::INSERT_SNAPSHOT_CHANGES,
        params![0, "created_schema:\"main\"", None::<String>, None::<String>, None::<String>],
    )?;
    let uuid = uuid::Uuid::now_v7().to_string();
    connection.execute(sql::INSERT_SCHEMA, params![0, uuid, 0, "main", "main/"])?;
    Ok(())
}

/// Refuses a catalog that this crate would not write as DuckDB does.
pub(crate) fn verify(connection: &Connection) -> Result<()> {
    verify_format(connection)?;
    for (name, columns) in TABLES {
        let found = table_columns(connection, name)?;
        if found != column_names(columns) {
            return Err(CatalogError::Unsupported(format!(
                "table {name} has the columns ({}), not those of DuckLake {FORMAT_VERSION}: ({})",
                found.join(", "),
                column_names(columns).join(", ")
            )));
        }
    }
    Ok(())
}

/// Refuses a catalog of another format version.
pub(crate) fn verify_format(connection: &Connection) -> Result<()> {
    let version = metadata(connection, "version")?;
    match version.as_deref() {
        Some(FORMAT_VERSION) => {}
        Some(other) => {
            return Err(CatalogError::Unsupported(format!(
                "DuckLake format version '{other}'; this version of Pintail knows {FORMAT_VERSION} only"
            )));
        }
        None => return Err(CatalogError::Corrupt("no format version in ducklake_metadata".to_owned())),
    }
    if metadata(connection, "encrypted")?.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(CatalogError::Unsupported("the lake is encrypted".to_owned()));
    }
    Ok(())
}

/// The columns of a table as the database has them; empty when it does not exist.
pub(crate) fn table_columns(connection: &Connection, table: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info($1) ORDER BY cid")?;
    let names = statement.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(names)
}

/// A global value of `ducklake_metadata`.
pub(crate) fn metadata(connection: &Connection, key: &str) -> Result<Option<String>> {
    use rusqlite::OptionalExtension;
    Ok(connection.query_row(sql::METADATA, [key], |row| row.get(0)).optional()?)
}

/// Sets a global value of `ducklake_metadata`.
pub(crate) fn set_metadata(connection: &Connection, key: &str, value: &str) -> Result<()> {
    if connection.execute(sql::UPDATE_METADATA, params![value, key])? == 0 {
        connection.execute(sql::INSERT_METADATA, params![key, value])?;
    }
    Ok(())
}
