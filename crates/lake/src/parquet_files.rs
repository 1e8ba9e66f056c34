//! Rows of a flush, written as Parquet files where DuckLake looks for them.
//!
//! One file per table and day, in time order. A file is written under a hidden name, synced, renamed, and its
//! directories synced, before a commit names it; what a crash leaves under a hidden name is no file of the lake.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use datafusion_ducklake::stats_collect::collect_column_stats;
use datafusion_ducklake::{DataFileInfo, PartitionTransform};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowWriterOptions, InMemoryPageStore, PageKey, PageStore, PageStoreArgs, PageStoreFactory,
};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use parquet::schema::types::ColumnPath;
use pintail_ducklake::{AppendTarget, AppendedFiles};
use pintail_types::{Error, Result};
use uuid::Uuid;

use crate::new_file::{FileSize, NewFile, parquet_error};
use crate::rows::{OrderedRows, TimeOrder};

/// Rows of one row group, as DuckDB writes them.
pub(crate) const ROW_GROUP_ROWS: usize = 122_880;

/// The same in bytes before compression: a reader holds a row group's column chunks at once, and rows with
/// payloads are wide.
pub(crate) const ROW_GROUP_BYTES: usize = 64 << 20;

/// Bytes of a data page before compression: small enough that encoding and compressing it stay in a core's cache.
const PAGE_BYTES: usize = 512 << 10;

/// Columns whose values hardly ever repeat, so that a dictionary of them is work for nothing, each with the
/// encoding that suits it: times and identifiers grow from row to row, long texts have nothing in common
/// that compression does not find. The messages of a call share some values; a dictionary of them took a twentieth
/// of all the work for a packet, and made files smaller by as little.
const UNIQUE_COLUMNS: [(&str, Encoding); 8] = [
    ("uuid", Encoding::DELTA_BYTE_ARRAY),
    ("timestamp", Encoding::DELTA_BINARY_PACKED),
    ("session_id", Encoding::DELTA_LENGTH_BYTE_ARRAY),
    ("cid", Encoding::DELTA_LENGTH_BYTE_ARRAY),
    ("caller", Encoding::DELTA_LENGTH_BYTE_ARRAY),
    ("callee", Encoding::DELTA_LENGTH_BYTE_ARRAY),
    ("payload", Encoding::DELTA_LENGTH_BYTE_ARRAY),
    ("data_extra", Encoding::DELTA_LENGTH_BYTE_ARRAY),
];

/// Writes the rows of one table below a data path, in the table's directory there, handing `batch_rows` rows to the
/// Parquet writer at once. Blocks.
///
/// # Errors
/// What the disk says; `Conflict` when the table is partitioned by something else than its day.
pub(crate) fn write(
    (data_path, directory): (&Path, &Path),
    target: AppendTarget,
    schema: &SchemaRef,
    batches: &[RecordBatch],
    batch_rows: usize,
) -> Result<AppendedFiles> {
    let partition_id = day_partition(&target, schema)?;
    let table = Table {
        root: data_path,
        directory: directory.to_owned(),
        schema: with_field_ids(schema, &target.column_ids),
        properties: telemetry_properties().build(),
        column_ids: &target.column_ids,
        batch_rows,
    };
    let order = TimeOrder::of(batches)?;
    let files =
        order.days().map(|(day, rows)| table.write_day(day, &rows, partition_id)).collect::<Result<_>>()?;
    Ok(AppendedFiles { target, files, deletes: Vec::new() })
}

/// The id of the partition spec, when it is the one that telemetry tables have.
pub(crate) fn day_partition(target: &AppendTarget, schema: &Schema) -> Result<Option<i64>> {
    let Some(spec) = &target.partition else { return Ok(None) };
    let date = schema.index_of("date").ok().and_then(|index| target.column_ids.get(index));
    if let [only] = spec.columns.as_slice()
        && only.transform == PartitionTransform::Identity
        && Some(&only.column_id) == date
    {
        return Ok(Some(spec.partition_id));
    }
    Err(Error::conflict(format!(
        "{} is partitioned by something else than its date: set it back with ALTER TABLE … SET PARTITIONED BY (date)",
        target.table
    )))
}

/// The columns with the ids by which DuckLake knows them.
fn with_field_ids(schema: &Schema, column_ids: &[i64]) -> SchemaRef {
    let fields = schema.fields().iter().zip(column_ids).map(|(field, id)| {
        let id = ("PARQUET:field_id".to_owned(), id.to_string());
        field.as_ref().clone().with_metadata(HashMap::from([id]))
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// How every file of a lake is written.
pub(crate) fn lake_properties() -> WriterPropertiesBuilder {
    let level = ZstdLevel::try_new(1).unwrap_or_default();
    WriterProperties::builder()
        // Its pages are compressed from where they were encoded; those of version 1 are copied twice before.
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(level))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
}

/// How files of telemetry tables are written.
pub(crate) fn telemetry_properties() -> WriterPropertiesBuilder {
    let mut properties = lake_properties();
    for (column, encoding) in UNIQUE_COLUMNS {
        let column = ColumnPath::from(column);
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, encoding);
    }
    for column in ["payload", "data_extra"] {
        // No page of them is ever skipped by a bound.
        properties =
            properties.set_column_statistics_enabled(ColumnPath::from(column), EnabledStatistics::Chunk);
    }
    properties
}

/// Keeps the finished pages of a row group in memory, each in no more than it needs: the writer hands them over
/// in buffers as large as the page was before compression.
#[derive(Debug)]
pub(crate) struct TightPages;

impl PageStoreFactory for TightPages {
    fn create(&self, _: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>, ParquetError> {
        Ok(Box::new(TightPageStore::default()))
    }
}

#[derive(Debug, Default)]
struct TightPageStore(InMemoryPageStore);

impl PageStore for TightPageStore {
    fn put(&mut self, page: Bytes) -> Result<PageKey, ParquetError> {
        self.0.put(Bytes::copy_from_slice(&page))
    }

    fn take(&mut self, key: PageKey) -> Result<Bytes, ParquetError> {
        self.0.take(key)
    }

    fn memory_size(&self) -> usize {
        self.0.memory_size()
    }
}

struct Table<'a> {
    root: &'a Path,
    directory: PathBuf,
    schema: SchemaRef,
    properties: WriterProperties,
    column_ids: &'a [i64],
    batch_rows: usize,
}

impl Table<'_> {
    /// One day's rows as one file.
    fn write_day(&self, day: i32, rows: &OrderedRows<'_>, partition_id: Option<i64>) -> Result<DataFileInfo> {
        let date = arrow::temporal_conversions::date32_to_datetime(day)
            .ok_or_else(|| Error::internal(format!("day {day} is no date")))?
            .format("%Y-%m-%d")
            .to_string();
        let name = format!("ducklake-{}.parquet", Uuid::now_v7());
        let relative = if partition_id.is_some() { format!("date={date}/{name}") } else { name };
        let path = self.directory.join(&relative);
        let size = self.write_file(&path, rows)?;
        let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let stats = collect_column_stats(&path, self.column_ids, count, &[]);
        let mut file = DataFileInfo::new(relative, size.file, count)
            .with_footer_size(size.footer)
            .with_column_stats(stats);
        file.partition_id = partition_id;
        file.partition_values = partition_id.map(|_| (0, Some(date))).into_iter().collect();
        Ok(file)
    }

    fn write_file(&self, path: &Path, rows: &OrderedRows<'_>) -> Result<FileSize> {
        let new = NewFile::create(path.to_owned())?;
        let failed = |error| parquet_error(path, error);
        let options = ArrowWriterOptions::new()
            .with_properties(self.properties.clone())
            .with_page_store_factory(Arc::new(TightPages));
        let mut writer = ArrowWriter::try_new_with_options(new.file(), Arc::clone(&self.schema), options)
            .map_err(failed)?;
        for batch in rows.batches(self.batch_rows) {
            let columns = batch?.columns().to_vec();
            let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
                .map_err(|error| Error::internal("rows do not fit their file").with_source(error))?;
            writer.write(&batch).map_err(failed)?;
        }
        writer.close().map_err(failed)?;
        new.publish(self.root)
    }
}
