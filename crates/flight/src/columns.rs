//! SQL names of Arrow types, and the column metadata that BI tools read.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use pintail_engine::TableInfo;
use pintail_types::{Error, Result, column_remarks, is_telemetry_table};

/// Prefix of the column metadata keys of Flight SQL.
const KEY_PREFIX: &str = "ARROW:FLIGHT:SQL:";

/// Marks a column whose values mean more than their type says, such as text that is JSON.
const EXTENSION_NAME: &str = "ARROW:extension:name";

/// The bare SQL type family of a column, as GetXdbcTypeInfo lists it (without precision or length).
pub(crate) fn type_name(field: &Field) -> &'static str {
    match field.metadata().get(EXTENSION_NAME).map(String::as_str) {
        Some("arrow.json") => return "JSON",
        Some("arrow.uuid") => return "UUID",
        _ => {}
    }
    match field.data_type() {
        DataType::Null => "NULL",
        DataType::Boolean => "BOOLEAN",
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INTEGER",
        DataType::Int64 => "BIGINT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INTEGER UNSIGNED",
        DataType::UInt64 => "BIGINT UNSIGNED",
        DataType::Float16 | DataType::Float32 => "REAL",
        DataType::Float64 => "DOUBLE",
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => "DECIMAL",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR",
        DataType::FixedSizeBinary(_) => "BINARY",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "VARBINARY",
        DataType::Date32 | DataType::Date64 => "DATE",
        DataType::Time32(_) | DataType::Time64(_) => "TIME",
        DataType::Timestamp(_, None) => "TIMESTAMP",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE",
        DataType::Duration(_) | DataType::Interval(_) => "INTERVAL",
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => "ARRAY",
        DataType::Struct(_) => "STRUCT",
        DataType::Map(..) => "MAP",
        DataType::Union(..) => "UNION",
        DataType::Dictionary(_, values) => {
            type_name(&Field::new(field.name(), values.as_ref().clone(), field.is_nullable()))
        }
        DataType::RunEndEncoded(_, values) => type_name(values),
    }
}

/// The schema with the SQL type of each column in its metadata. Types and nullability stay as the engine
/// decided; Power BI refuses a column whose type name it cannot find.
pub(crate) fn described(schema: &Schema) -> SchemaRef {
    with_metadata(schema, |field| type_metadata(field).collect())
}

/// The schema of a table, as GetTables gives it: with the place of each column as well, and what it means if that is
/// known. `read_only` says that this listener changes nothing.
///
/// # Errors
/// `Internal` if the schema was not looked up.
pub(crate) fn described_table(table: &TableInfo, read_only: bool) -> Result<SchemaRef> {
    let TableInfo { catalog, schema_name, name, table_type, schema } = table;
    let schema = schema.as_ref().ok_or_else(|| {
        Error::internal(format!("the schema of {catalog}.{schema_name}.{name} was not looked up"))
    })?;
    let is_telemetry = is_telemetry_table(name);
    let read_only = read_only || *table_type != "BASE TABLE" || is_telemetry;
    let place = |field: &Field| {
        let remarks = column_remarks(field.name()).filter(|_| is_telemetry);
        type_metadata(field)
            .chain(remarks.map(|remarks| ("REMARKS", remarks.to_owned())))
            .chain([
                ("CATALOG_NAME", catalog.clone()),
                // The JDBC driver reads the schema's name under one of two keys, by its version.
                ("SCHEMA_NAME", schema_name.clone()),
                ("DB_SCHEMA_NAME", schema_name.clone()),
                ("TABLE_NAME", name.clone()),
                ("IS_AUTO_INCREMENT", "0".to_owned()),
                ("IS_CASE_SENSITIVE", "1".to_owned()),
                ("IS_READ_ONLY", if read_only { "1" } else { "0" }.to_owned()),
                ("IS_SEARCHABLE", "1".to_owned()),
            ])
            .collect()
    };
    Ok(with_metadata(schema, place))
}

fn with_metadata(schema: &Schema, metadata: impl Fn(&Field) -> Vec<(&'static str, String)>) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let mut all: HashMap<String, String> = field.metadata().clone();
        all.extend(metadata(field).into_iter().map(|(key, value)| (format!("{KEY_PREFIX}{key}"), value)));
        Arc::new(field.as_ref().clone().with_metadata(all))
    });
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

fn type_metadata(field: &Field) -> impl Iterator<Item = (&'static str, String)> + use<> {
    let size = match field.data_type() {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            Some([("PRECISION", precision.to_string()), ("SCALE", scale.to_string())])
        }
        _ => None,
    };
    [("TYPE_NAME", type_name(field).to_owned())].into_iter().chain(size.into_iter().flatten())
}
