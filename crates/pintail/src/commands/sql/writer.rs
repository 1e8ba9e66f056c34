//! One result in one form, in constant memory.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::writer::{JsonArray, WriterBuilder};
use pintail_types::{Error, Result};

use super::table::TableWriter;
use crate::cli::OutputForm;
use crate::output;

/// Writes the batches of one result to `W`.
pub(crate) enum ResultWriter<W: Write> {
    Table(Box<TableWriter<W>>),
    Csv(Box<csv::Writer<W>>),
    Json(Box<arrow::json::Writer<W, JsonArray>>),
}

impl<W: Write> ResultWriter<W> {
    /// A writer of results of `schema`; a CSV header and an empty JSON array come without rows too.
    pub(crate) fn new(form: OutputForm, schema: Schema, out: W) -> Result<Self> {
        let schema = SchemaRef::new(schema);
        Ok(match form {
            OutputForm::Table => Self::Table(Box::new(TableWriter::new(schema, out))),
            OutputForm::Csv => {
                let mut writer = csv::WriterBuilder::new().with_header(true).build(out);
                writer.write(&RecordBatch::new_empty(schema)).map_err(write_error)?;
                Self::Csv(Box::new(writer))
            }
            OutputForm::Json => Self::Json(Box::new(
                WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(out),
            )),
        })
    }

    /// Writes the rows of one batch.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Table(writer) => writer.write(batch),
            Self::Csv(writer) => writer.write(batch).map_err(write_error),
            Self::Json(writer) => writer.write(batch).map_err(write_error),
        }
    }

    /// Writes what is left, and gives the output back.
    pub(crate) fn finish(self) -> Result<W> {
        match self {
            Self::Table(writer) => writer.finish(),
            Self::Csv(writer) => Ok(writer.into_inner()),
            Self::Json(mut writer) => {
                writer.finish().map_err(write_error)?;
                let mut out = writer.into_inner();
                writeln!(out).map_err(output::failed)?;
                Ok(out)
            }
        }
    }
}

fn write_error(error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => output::failed(error),
        other => Error::internal(format!("the result can't be written: {other}")),
    }
}
