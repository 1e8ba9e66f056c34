//! SQL names of Arrow types, and the column metadata that BI tools read.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// Prefix of the column metadata keys of Flight SQL.
const KEY_PREFIX: &str = "ARROW:FLIGHT:SQL:";

/// Marks a text column that holds JSON.
const EXTENSION_NAME: &str = "ARROW:extension:name";

/// The bare SQL type family of a column, as GetXdbcTypeInfo lists it (without precision or length).
pub(crate) fn type_name(field: &Field) -> &'static str {
    if field.metadata().get(EXTENSION_NAME).is_some_and(|name| name == "arrow.json") {
        return "JSON";
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

/// The schema of a table, as GetTables gives it: with the place of each column as well.
pub(crate) fn described_table(schema: &Schema, catalog: &str, db_schema: &str, table: &str) -> SchemaRef {
    with_metadata(schema, |field| {
        type_metadata(field)
            .chain([
                ("CATALOG_NAME", catalog.to_owned()),
                // The JDBC driver reads the schema's name under one of two keys, by its version.
                ("SCHEMA_NAME", db_schema.to_owned()),
                ("DB_SCHEMA_NAME", db_schema.to_owned()),
                ("TABLE_NAME", table.to_owned()),
                ("IS_AUTO_INCREMENT", "0".to_owned()),
                ("IS_CASE_SENSITIVE", "1".to_owned()),
                ("IS_READ_ONLY", "1".to_owned()),
                ("IS_SEARCHABLE", "1".to_owned()),
            ])
            .collect()
    })
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
