//! Schemas and tables.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables};
use pintail_engine::{Session, TableFilter, TableInfo};
use pintail_types::Result;

use super::{TABLE_TYPES, internal};
use crate::columns::described_table;
use crate::service::encoded_schema;

pub(super) fn db_schemas_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, false),
    ]))
}

/// Four columns, or five with the tables' schemas.
pub(super) fn tables_schema(include_schema: bool) -> SchemaRef {
    let mut fields = vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("table_type", DataType::Utf8, false),
    ];
    if include_schema {
        fields.push(Field::new("table_schema", DataType::Binary, false));
    }
    Arc::new(Schema::new(fields))
}

pub(super) fn db_schemas(session: &Session, command: &CommandGetDbSchemas) -> Result<RecordBatch> {
    let mut found = match command.catalog.as_deref() {
        // Everything is in a catalog.
        Some("") => Vec::new(),
        catalog => session.schemas(catalog, command.db_schema_filter_pattern.as_deref()),
    };
    found.sort_unstable();
    let (catalogs, schemas): (Vec<String>, Vec<String>) = found.into_iter().unzip();
    RecordBatch::try_new(
        db_schemas_schema(),
        vec![Arc::new(StringArray::from(catalogs)), Arc::new(StringArray::from(schemas))],
    )
    .map_err(internal)
}

pub(super) async fn tables(
    session: &Session,
    command: CommandGetTables,
    read_only: bool,
) -> Result<RecordBatch> {
    let with_schema = command.include_schema;
    let mut found = match command.catalog.as_deref() {
        Some("") => Vec::new(),
        _ => session.tables(&filter(command)).await?,
    };
    found.sort_unstable_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    let text = |of: fn(&TableInfo) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(found.iter().map(of)))
    };
    let mut columns = vec![
        text(|table| &table.catalog),
        text(|table| &table.schema_name),
        text(|table| &table.name),
        text(|table| table.table_type),
    ];
    if with_schema {
        let encoded = |table| encoded_schema(described_table(table, read_only)?.as_ref());
        let schemas = found.iter().map(encoded).collect::<Result<Vec<_>>>()?;
        columns.push(Arc::new(BinaryArray::from_iter_values(schemas)));
    }
    RecordBatch::try_new(tables_schema(with_schema), columns).map_err(internal)
}

fn filter(command: CommandGetTables) -> TableFilter {
    TableFilter {
        catalog: command.catalog,
        schema_pattern: command.db_schema_filter_pattern,
        table_pattern: command.table_name_filter_pattern,
        table_types: command.table_types.into_iter().map(table_type).collect(),
        with_schema: command.include_schema,
    }
}

/// JDBC tools ask for `TABLE` where the standard says `BASE TABLE`, in any case of letters.
fn table_type(asked: String) -> String {
    if asked.eq_ignore_ascii_case("TABLE") {
        return "BASE TABLE".to_owned();
    }
    TABLE_TYPES.into_iter().find(|known| asked.eq_ignore_ascii_case(known)).map_or(asked, str::to_owned)
}

fn sort_key(table: &TableInfo) -> (&str, &str, &str, &str) {
    (&table.catalog, &table.schema_name, &table.name, table.table_type)
}
