//! From rows to encoded row groups, each for itself, so that several are encoded at a time.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion_ducklake::stats_collect::accumulate_nan_flags;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves,
};
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::LogicalType;
use parquet::errors::Result as ParquetResult;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, SchemaDescriptor, Type, TypePtr};
use pintail_types::{Error, Result};

use super::columns::Conversion;
use super::files::FileSpec;
use crate::new_file::parquet_error;
use crate::parquet_files::{TightPages, lake_properties};

/// Rows by which it is decided which columns get a dictionary.
const SAMPLED_ROWS: usize = 16_384;

/// An encoded row group.
pub(super) struct RowGroup {
    pub(super) chunks: Vec<ArrowColumnChunk>,
    pub(super) rows: usize,
    /// For each column whether it has a NaN; `None` where that can't be.
    pub(super) nans: Vec<Option<bool>>,
}

/// Makes row groups and the files they go into.
pub(super) struct Encoder {
    schema: SchemaRef,
    columns: usize,
    options: ArrowWriterOptions,
    factory: ArrowRowGroupWriterFactory,
}

impl Encoder {
    /// An encoder for rows like those of `first`.
    pub(super) fn new(spec: &FileSpec, first: &RecordBatch) -> Result<Self> {
        let failed = |error| parquet_error(&spec.directory, error);
        let mut properties = lake_properties();
        for column in hardly_repeating(first)? {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
        }
        let properties = properties.build();
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true)
            .with_page_store_factory(Arc::new(TightPages))
            .with_parquet_schema(parquet_schema(&spec.schema).map_err(failed)?);
        let (_, factory) =
            low_level(std::io::sink(), Arc::clone(&spec.schema), options.clone()).map_err(failed)?;
        Ok(Self { schema: Arc::clone(&spec.schema), columns: spec.column_ids.len(), options, factory })
    }

    /// A file for row groups of this encoder.
    pub(super) fn begin(&self, file: File) -> ParquetResult<SerializedFileWriter<File>> {
        Ok(low_level(file, Arc::clone(&self.schema), self.options.clone())?.0)
    }

    /// Encodes the rows of one row group. Blocks.
    pub(super) fn encode(
        &self,
        directory: &Path,
        conversion: &Conversion,
        rows: &[RecordBatch],
    ) -> Result<RowGroup> {
        let failed = |error| parquet_error(directory, error);
        let mut writers = self.factory.create_column_writers(0).map_err(failed)?;
        let mut group = RowGroup { chunks: Vec::with_capacity(writers.len()), rows: 0, nans: Vec::new() };
        for batch in rows {
            let batch = conversion.apply_for_parquet(batch)?;
            accumulate_nan_flags(&mut group.nans, &batch, self.columns);
            let mut leaves = writers.iter_mut();
            for (field, column) in self.schema.fields().iter().zip(batch.columns()) {
                for leaf in compute_leaves(field, column).map_err(failed)? {
                    let writer = leaves.next().ok_or_else(|| Error::internal("a column has no writer"))?;
                    writer.write(&leaf).map_err(failed)?;
                }
            }
            group.rows += batch.num_rows();
        }
        for writer in writers {
            group.chunks.push(writer.close().map_err(failed)?);
        }
        Ok(group)
    }
}

/// The columns whose values hardly ever repeat: a dictionary of them is work for nothing.
fn hardly_repeating(rows: &RecordBatch) -> Result<Vec<String>> {
    let sample = rows.slice(0, rows.num_rows().min(SAMPLED_ROWS));
    let mut found = Vec::new();
    for (field, column) in sample.schema_ref().fields().iter().zip(sample.columns()) {
        if field.data_type().is_nested() || field.data_type() == &DataType::Boolean {
            continue;
        }
        let mut hashes = vec![0; sample.num_rows()];
        create_hashes([column], &RandomState::default(), &mut hashes)
            .map_err(|error| Error::internal("values can't be counted").with_source(error))?;
        hashes.sort_unstable();
        hashes.dedup();
        if hashes.len() * 4 > sample.num_rows() * 3 {
            found.push(field.name().clone());
        }
    }
    Ok(found)
}

/// A file without row groups yet, and what makes their columns.
fn low_level<W: Write + Send>(
    file: W,
    schema: SchemaRef,
    options: ArrowWriterOptions,
) -> ParquetResult<(SerializedFileWriter<W>, ArrowRowGroupWriterFactory)> {
    ArrowWriter::try_new_with_options(file, schema, options)?.into_serialized_writer()
}

/// The Parquet columns of `schema`, with sixteen bytes marked as the uuid they are: without that DuckDB would
/// read a blob.
pub(crate) fn parquet_schema(schema: &SchemaRef) -> ParquetResult<SchemaDescriptor> {
    let plain = ArrowSchemaConverter::new().convert(schema)?;
    Ok(SchemaDescriptor::new(with_uuids(plain.root_schema_ptr())?))
}

fn with_uuids(column: TypePtr) -> ParquetResult<TypePtr> {
    let info = column.get_basic_info();
    let id = info.has_id().then(|| info.id());
    let marked = match column.as_ref() {
        Type::PrimitiveType { physical_type, type_length: 16, .. }
            if *physical_type == parquet::basic::Type::FIXED_LEN_BYTE_ARRAY
                && info.logical_type_ref().is_none() =>
        {
            Type::primitive_type_builder(info.name(), *physical_type)
                .with_repetition(info.repetition())
                .with_length(16)
                .with_logical_type(Some(LogicalType::Uuid))
                .with_id(id)
                .build()?
        }
        Type::PrimitiveType { .. } => return Ok(column),
        Type::GroupType { fields, .. } => {
            let fields = fields.iter().map(|field| with_uuids(Arc::clone(field)));
            let mut group = Type::group_type_builder(info.name())
                .with_fields(fields.collect::<ParquetResult<_>>()?)
                .with_converted_type(info.converted_type())
                .with_logical_type(info.logical_type_ref().cloned())
                .with_id(id);
            if info.has_repetition() {
                group = group.with_repetition(info.repetition());
            }
            group.build()?
        }
    };
    Ok(Arc::new(marked))
}
