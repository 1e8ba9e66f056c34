//! The types that Grafana's datasources read: others they leave empty, and timestamps they take for nanoseconds.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::datatypes::{DataType, FieldRef, TimeUnit, TimestampNanosecondType};
use datafusion::arrow::error::ArrowError;

use super::{cast, json_column, retyped, wire_type as plain_type};

pub(super) fn wire_field(field: &FieldRef) -> FieldRef {
    retyped(field, wire_type(field.data_type()))
}

fn wire_type(data_type: &DataType) -> DataType {
    match plain_type(data_type) {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => nanoseconds(Some("UTC")),
        DataType::Decimal128(..) | DataType::Decimal256(..) => DataType::Float64,
        DataType::Binary
        | DataType::FixedSizeBinary(_)
        | DataType::List(_)
        | DataType::FixedSizeList(..)
        | DataType::Struct(_)
        | DataType::Map(..)
        | DataType::Interval(_)
        | DataType::Time32(_)
        | DataType::Time64(_) => DataType::Utf8,
        other => other,
    }
}

fn nanoseconds(zone: Option<&str>) -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, zone.map(Into::into))
}

/// The column in a type that leaves.
pub(super) fn converted(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    match data_type {
        DataType::Utf8 if column.data_type().is_nested() => json_column(column),
        DataType::Utf8 if column.data_type().is_binary() || is_fixed_binary(column) => text_of_bytes(column),
        // A time without a zone is in UTC.
        DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) if has_no_zone(column.data_type()) => {
            let column = cast(column, &nanoseconds(None))?;
            let column = column.as_primitive::<TimestampNanosecondType>().clone();
            Ok(Arc::new(column.with_timezone(Arc::clone(zone))))
        }
        _ => cast(column, data_type),
    }
}

fn is_fixed_binary(column: &ArrayRef) -> bool {
    matches!(column.data_type(), DataType::FixedSizeBinary(_))
}

const fn has_no_zone(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64)
}

/// Bytes that are text as that text, others as `\\x` and hexadecimal digits, as PostgreSQL shows them.
fn text_of_bytes(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let column = cast(column, &DataType::Binary)?;
    let mut text = StringBuilder::new();
    for bytes in column.as_binary::<i32>() {
        match bytes.map(|bytes| str::from_utf8(bytes).map_err(|_| bytes)) {
            None => text.append_null(),
            Some(Ok(valid)) => text.append_value(valid),
            Some(Err(bytes)) => {
                let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                text.append_value(format!("\\x{digits}"));
            }
        }
    }
    Ok(Arc::new(text.finish()))
}
