//! Which rows of a data file hold a text: an index in memory, so that looking up the messages of one call reads
//! the pages that hold them and no other.
//!
//! A data file never changes under its name, so neither does its index. It is made out of one column of the file
//! when a text is first looked for in it, and forgotten when others need its place. An index only leaves out rows
//! that cannot match: whoever asked applies the condition again. Rows are known by their place in the file, so
//! deletes, which DuckLake keeps by place too, are applied as always.
//!
//! A table of which not all files can be indexed at a time has a smaller thing for each of them first: a filter that
//! tells whether a text may be in the file at all, in a byte of memory for each row. Only the files that are left are
//! indexed.

mod decoded;
mod file_texts;
mod kept;
mod lookup;
mod narrow;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result as DataFusionResult;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory as _;
use datafusion::datasource::physical_plan::parquet::DefaultParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::TryStreamExt;
use object_store::ObjectStore;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::schema::types::SchemaDescriptor;

pub(crate) use self::kept::{LookedForTexts, RowIndexes};
pub(crate) use self::lookup::Lookup;
pub(crate) use self::narrow::{files_of, parquet_scan};
pub use self::narrow::{fresh_file_scan, is_file_scan};

/// Rows that are read at once while an index is made.
const BATCH_ROWS: usize = 8192;

/// The rows of one file by the texts of one column.
#[derive(Debug)]
pub(crate) struct RowIndex {
    /// How many rows the file has.
    count: usize,
    /// For each row that is not null the upper half of its text's hash, and below it the row's number; sorted.
    entries: Box<[u64]>,
}

impl RowIndex {
    /// Reads column `column_id` of a file. None when the file does not know that column by its id, or it is no text.
    async fn read(
        store: Arc<dyn ObjectStore>,
        file: &PartitionedFile,
        column_id: i64,
        hasher: &RandomState,
    ) -> DataFusionResult<Option<Self>> {
        let mut entries = Vec::new();
        let mut is_numbered = true;
        let count = read_texts(store, file, column_id, |row, text| match u32::try_from(row) {
            Ok(row) => entries.push(entry(hash(hasher, text), row)),
            Err(_) => is_numbered = false,
        });
        let Some(count) = count.await?.filter(|_| is_numbered) else { return Ok(None) };
        entries.sort_unstable();
        Ok(Some(Self { count, entries: entries.into_boxed_slice() }))
    }

    /// The rows whose texts have one of these hashes, in order.
    fn rows(&self, hashes: &[u32]) -> Vec<usize> {
        let mut found: Vec<usize> = hashes.iter().flat_map(|hash| self.rows_of(*hash)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// These rows, among all rows of the file.
    fn selection(&self, rows: &[usize]) -> RowSelection {
        let ranges = rows.chunk_by(|row, next| row + 1 == *next);
        let ranges = ranges.filter_map(|run| Some(*run.first()?..run.last()? + 1));
        RowSelection::from_consecutive_ranges(ranges, self.count)
    }

    fn rows_of(&self, hash: u32) -> impl Iterator<Item = usize> {
        let first = self.entries.partition_point(|candidate| *candidate < entry(hash, 0));
        let same =
            self.entries[first..].iter().take_while(move |candidate| **candidate >> 32 == u64::from(hash));
        same.map(|entry| (entry & u64::from(u32::MAX)) as usize)
    }
}

/// Hands every text of column `column_id` over with the number of its row, and gives the number of all rows. None when
/// the file does not know that column by its id, or it is no text.
async fn read_texts(
    store: Arc<dyn ObjectStore>,
    file: &PartitionedFile,
    column_id: i64,
    mut hand_over: impl FnMut(usize, &str),
) -> DataFusionResult<Option<usize>> {
    let readers = DefaultParquetFileReaderFactory::new(store);
    let metrics = ExecutionPlanMetricsSet::new();
    let reader: Box<dyn AsyncFileReader> =
        readers.create_reader(0, file.clone(), file.metadata_size_hint, &metrics)?;
    let builder = ParquetRecordBatchStreamBuilder::new(reader).await?;
    let Some(leaf) = leaf_of(builder.parquet_schema(), column_id) else { return Ok(None) };
    let column = ProjectionMask::leaves(builder.parquet_schema(), [leaf]);
    let mut batches = builder.with_projection(column).with_batch_size(BATCH_ROWS).build()?;
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        if !is_text(batch.column(0).data_type()) {
            return Ok(None);
        }
        let texts = cast(batch.column(0), &DataType::Utf8View)?;
        for (row, text) in (rows..).zip(texts.as_string_view()) {
            text.into_iter().for_each(|text| hand_over(row, text));
        }
        rows += texts.len();
    }
    Ok(Some(rows))
}

fn entry(hash: u32, row: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(row)
}

fn hash(hasher: &RandomState, text: &str) -> u32 {
    (hasher.hash_one(text) >> 32) as u32
}

const fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// The leaf that is the table's column of this id. By its name it could be another one that was renamed.
fn leaf_of(schema: &SchemaDescriptor, column_id: i64) -> Option<usize> {
    schema.columns().iter().position(|column| {
        let info = column.self_type().get_basic_info();
        column.path().parts().len() == 1 && info.has_id() && i64::from(info.id()) == column_id
    })
}

#[cfg(test)]
mod tests;
