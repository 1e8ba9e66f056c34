//! Which Arrow types may leave, decided in one place: what a door announces and what it streams are equal.

mod grafana;
mod json;

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringBuilder, UnionArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::FormatOptions;
use datafusion_functions_json::{JSON_UNION_DATA_TYPE, JsonUnionEncoder, JsonUnionValue};
use pintail_types::{Error, Result};

use crate::error::from_datafusion;

pub(crate) use json::json_column;

/// What the clients of a door can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WireProfile {
    /// What JDBC, ADBC, pyarrow and JSON writers all read.
    #[default]
    Standard,
    /// What Grafana's datasources read.
    Grafana,
}

/// The schema in which rows of `schema` leave under `profile`.
///
/// Names, nullability and metadata stay. Views, dictionaries, run ends and 64-bit offsets become
/// their plain forms, half floats and short decimals the next common size, zones `UTC`, and the
/// union that JSON accessors give becomes JSON text. For Grafana, moreover, all timestamps and dates become nanoseconds
/// in UTC, decimals doubles, and whatever it has no column for text, lists and structures as JSON.
pub fn wire_schema(schema: &Schema, profile: WireProfile) -> SchemaRef {
    let fields = match profile {
        WireProfile::Standard => wire_fields(schema.fields()),
        WireProfile::Grafana => schema.fields().iter().map(grafana::wire_field).collect(),
    };
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn wire_fields(fields: &Fields) -> Fields {
    fields.iter().map(wire_field).collect()
}

fn wire_field(field: &FieldRef) -> FieldRef {
    retyped(field, wire_type(field.data_type()))
}

/// The field with another type.
fn retyped(field: &FieldRef, data_type: DataType) -> FieldRef {
    if data_type == *field.data_type() {
        return Arc::clone(field);
    }
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(field.metadata().clone()))
}

fn wire_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("UTC".into())),
        DataType::Dictionary(_, values) => wire_type(values),
        DataType::RunEndEncoded(_, values) => wire_type(values.data_type()),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => DataType::List(wire_field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(wire_field(item), *size),
        DataType::Struct(fields) => DataType::Struct(wire_fields(fields)),
        DataType::Map(entries, sorted) => DataType::Map(wire_field(entries), *sorted),
        DataType::Union(..) if *data_type == *JSON_UNION_DATA_TYPE => DataType::Utf8,
        other => other.clone(),
    }
}

/// `batch` in the types, names and nullability of `schema`; columns that fit are not copied.
pub(crate) fn to_wire(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        return Err(Error::internal(format!(
            "the plan gave {} columns where {} were announced",
            batch.num_columns(),
            schema.fields().len()
        )));
    }
    let columns: Vec<ArrayRef> = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| wire_column(column, field))
        .collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| from_datafusion(&error.into()))
}

fn wire_column(column: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    if let Some(union) = column.as_any().downcast_ref::<UnionArray>() {
        return json_text(union);
    }
    grafana::converted(column, field.data_type())
        .map_err(|error| from_datafusion(&error.into()).context(format!("column {}", field.name())))
}

/// A value that does not fit is an error, never a silent null.
fn cast(column: &dyn Array, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    cast_with_options(column, data_type, &options)
}

/// The JSON union of `datafusion-functions-json` as text: strings bare, as `->>` gives them, all
/// else as JSON, JSON's null as NULL.
fn json_text(union: &UnionArray) -> Result<ArrayRef> {
    let encoder = JsonUnionEncoder::from_union(union.clone())
        .ok_or_else(|| Error::unsupported("a column of type union cannot be sent"))?;
    let mut text = StringBuilder::with_capacity(union.len(), union.len() * 8);
    for row in 0..encoder.len() {
        match encoder.get_value(row) {
            JsonUnionValue::JsonNull => text.append_null(),
            JsonUnionValue::Bool(value) => text.append_value(if value { "true" } else { "false" }),
            JsonUnionValue::Int(value) => text.append_value(value.to_string()),
            JsonUnionValue::Float(value) => text.append_value(value.to_string()),
            JsonUnionValue::Str(value) | JsonUnionValue::Array(value) | JsonUnionValue::Object(value) => {
                text.append_value(value);
            }
        }
    }
    Ok(Arc::new(text.finish()))
}

#[cfg(test)]
mod tests;
