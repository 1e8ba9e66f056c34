//! Values of any type as JSON text.

use std::sync::Arc;

use arrow::json::writer::{EncoderOptions, make_encoder};
use datafusion::arrow::array::{Array, ArrayRef, StringBuilder};
use datafusion::arrow::datatypes::Field;
use datafusion::arrow::error::ArrowError;

/// Every value as JSON; a NULL stays NULL.
///
/// # Errors
/// If the type has no JSON form.
pub(crate) fn json_column(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let field = Arc::new(Field::new("value", column.data_type().clone(), true));
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(&field, column, &options)?;
    let mut json = StringBuilder::new();
    let mut bytes = Vec::new();
    for row in 0..column.len() {
        if column.is_null(row) {
            json.append_null();
            continue;
        }
        bytes.clear();
        encoder.encode(row, &mut bytes);
        let value = str::from_utf8(&bytes).map_err(|error| ArrowError::JsonError(error.to_string()))?;
        json.append_value(value);
    }
    Ok(Arc::new(json.finish()))
}
