//! Rows as JSON objects.
//!
//! | Arrow | JSON |
//! |---|---|
//! | NULL | `null`; every row has every key |
//! | integers of any size, decimals | numbers with all their digits |
//! | floats | numbers; NaN and infinities are `null`, which JSON cannot tell apart |
//! | boolean, text | as they are |
//! | JSON (`arrow.json`), such as `data_extra` | the JSON value itself; text that is no JSON stays text |
//! | timestamp | `"YYYY-MM-DDTHH:MM:SS"` with as many digits of a second as its unit has (`.ffffff` for microseconds); with a time zone it is in UTC and ends in `Z` |
//! | date | `"YYYY-MM-DD"` |
//! | time, interval, duration | text, as Arrow displays them |
//! | binary | lower-case hexadecimal digits |
//! | list, struct, map | array, object, object |
//!
//! Columns of the same name get `_1`, `_2`, … from the second one on, since a JSON object has a key once.
//! A timestamp beyond the years that a calendar library counts is its number of units, as text.

mod json_text;
#[cfg(test)]
mod tests;
mod timestamp;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};
use pintail_types::{Error, Result};

/// A chunk ends with the row that makes it this long.
pub(crate) const CHUNK_BYTES: usize = 128 << 10;

/// Writes the rows of one result.
#[derive(Debug)]
pub(crate) struct RowEncoder {
    schema: SchemaRef,
    names: Vec<String>,
    /// What stands before each value: the opening brace or comma, the key and its colon.
    prefixes: Vec<Vec<u8>>,
    options: EncoderOptions,
    rows: u64,
}

impl RowEncoder {
    /// An encoder for rows of `schema`.
    ///
    /// # Errors
    /// `Unsupported` if a column's type cannot be JSON.
    pub(crate) fn new(schema: &SchemaRef) -> Result<Self> {
        let names = unique_names(schema);
        let mut prefixes = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let mut prefix = vec![if index == 0 { b'{' } else { b',' }];
            push_string(&mut prefix, name)?;
            prefix.push(b':');
            prefixes.push(prefix);
        }
        let options =
            EncoderOptions::default().with_explicit_nulls(true).with_encoder_factory(Arc::new(OwnEncoders));
        let encoder = Self { schema: Arc::clone(schema), names, prefixes, options, rows: 0 };
        // Finds out about types that cannot be JSON before anything was sent.
        columns(schema, &RecordBatch::new_empty(Arc::clone(schema)), &encoder.options)?;
        Ok(encoder)
    }

    /// The keys of a row, in order.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Rows written so far.
    pub(crate) const fn rows(&self) -> u64 {
        self.rows
    }

    /// Appends rows of `batch` from row `start` on, until `out` is a chunk long, and gives the row after the
    /// last one written. Rows are separated by commas, also from those written before.
    ///
    /// # Errors
    /// `Internal` if the batch is not of the schema.
    pub(crate) fn write(&mut self, batch: &RecordBatch, start: usize, out: &mut Vec<u8>) -> Result<usize> {
        if batch.schema_ref().fields() != self.schema.fields() {
            return Err(Error::internal("a batch has another schema than its result"));
        }
        let Self { schema, prefixes, options, rows, .. } = self;
        let mut columns = columns(schema, batch, options)?;
        let mut row = start;
        while row < batch.num_rows() && out.len() < CHUNK_BYTES {
            out.extend_from_slice(if *rows == 0 { b"" } else { b",\n" });
            if columns.is_empty() {
                out.push(b'{');
            }
            for (prefix, column) in prefixes.iter().zip(&mut columns) {
                out.extend_from_slice(prefix);
                if column.is_null(row) {
                    out.extend_from_slice(b"null");
                } else {
                    column.encode(row, out);
                }
            }
            out.push(b'}');
            row += 1;
            *rows += 1;
        }
        Ok(row)
    }
}

/// What writes the values of each column.
fn columns<'a>(
    schema: &'a Schema,
    batch: &'a RecordBatch,
    options: &'a EncoderOptions,
) -> Result<Vec<NullableEncoder<'a>>> {
    schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            make_encoder(field, column.as_ref(), options).map_err(|error| {
                let message = format!("column {} of type {}: {error}", field.name(), field.data_type());
                Error::unsupported(message).with_source(error)
            })
        })
        .collect()
}

/// The columns' names, made different from each other.
fn unique_names(schema: &Schema) -> Vec<String> {
    let given: HashSet<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let mut used = HashSet::new();
    schema
        .fields()
        .iter()
        .map(|field| {
            let mut name = field.name().clone();
            let mut number = 0;
            while !used.insert(name.clone()) {
                number += 1;
                name = format!("{}_{number}", field.name());
                // A number that makes another column's own name is passed over.
                while given.contains(name.as_str()) {
                    number += 1;
                    name = format!("{}_{number}", field.name());
                }
            }
            name
        })
        .collect()
}

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) -> Result<()> {
    serde_json::to_writer(out, text)
        .map_err(|error| Error::internal("a text could not be written as JSON").with_source(error))
}

/// The types that are written in our own way.
#[derive(Debug)]
struct OwnEncoders;

impl EncoderFactory for OwnEncoders {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        match array.data_type() {
            DataType::Timestamp(unit, zone) => Ok(timestamp::encoder(array, *unit, zone.is_some())),
            DataType::Utf8 if json_text::is_json(field) => Ok(json_text::encoder(array)),
            _ => Ok(None),
        }
    }
}
