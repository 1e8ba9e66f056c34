//! The catalog commands of Flight SQL: small results, made when they are fetched.
//!
//! Names, order, types and nullability of the columns are those of FlightSql.proto; clients compare them.

mod keys;
mod sql_info;
mod tables;
mod xdbc;

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow_flight::sql::Command;
use pintail_engine::Session;
use pintail_types::{Error, Result};

use crate::command::name_of;

/// The table types there are.
const TABLE_TYPES: [&str; 3] = ["BASE TABLE", "SYSTEM TABLE", "VIEW"];

/// The schema of a catalog command's result.
///
/// # Errors
/// `Unsupported` for other commands; they are named in the message.
pub(crate) fn schema(command: &Command) -> Result<SchemaRef> {
    Ok(match command {
        Command::CommandGetCatalogs(_) => catalogs_schema(),
        Command::CommandGetDbSchemas(_) => tables::db_schemas_schema(),
        Command::CommandGetTables(command) => tables::tables_schema(command.include_schema),
        Command::CommandGetTableTypes(_) => table_types_schema(),
        Command::CommandGetPrimaryKeys(_) => keys::primary_keys_schema(),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => keys::foreign_keys_schema(),
        Command::CommandGetSqlInfo(_) => sql_info::schema(),
        Command::CommandGetXdbcTypeInfo(_) => xdbc::schema()?,
        other => return Err(not_served(other)),
    })
}

/// The rows of a catalog command, as this session sees them at a listener that changes nothing, or one that does.
///
/// # Errors
/// As [`schema`], and those of looking into the catalogs.
pub(crate) async fn rows(session: &Session, command: Command, read_only: bool) -> Result<RecordBatch> {
    match command {
        Command::CommandGetCatalogs(_) => text_column(catalogs_schema(), session.catalogs()),
        Command::CommandGetDbSchemas(command) => tables::db_schemas(session, &command),
        Command::CommandGetTables(command) => tables::tables(session, command, read_only).await,
        Command::CommandGetTableTypes(_) => text_column(table_types_schema(), TABLE_TYPES.map(str::to_owned)),
        // No table of a lake has keys.
        Command::CommandGetPrimaryKeys(_) => Ok(RecordBatch::new_empty(keys::primary_keys_schema())),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => Ok(RecordBatch::new_empty(keys::foreign_keys_schema())),
        Command::CommandGetSqlInfo(command) => sql_info::rows(&command.info, read_only),
        Command::CommandGetXdbcTypeInfo(command) => xdbc::rows(command.data_type),
        other => Err(not_served(&other)),
    }
}

pub(crate) fn not_served(command: &Command) -> Error {
    Error::unsupported(format!("{} is not served here", name_of(command)))
}

fn catalogs_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("catalog_name", DataType::Utf8, false)]))
}

fn table_types_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("table_type", DataType::Utf8, false)]))
}

fn text_column(schema: SchemaRef, values: impl IntoIterator<Item = String>) -> Result<RecordBatch> {
    let mut values = values.into_iter().collect::<Vec<_>>();
    values.sort_unstable();
    RecordBatch::try_new(schema, vec![Arc::new(StringArray::from(values))]).map_err(internal)
}

fn internal(error: ArrowError) -> Error {
    Error::internal("the catalog's rows do not fit their schema").with_source(error)
}

#[cfg(test)]
mod tests;
