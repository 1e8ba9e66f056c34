//! Which texts may be in a data file: a filter in memory, so that a file without them is not opened.

use std::sync::Arc;

use datafusion::common::Result as DataFusionResult;
use datafusion::datasource::listing::PartitionedFile;
use object_store::ObjectStore;
use parquet::bloom_filter::Sbbf;

use super::read_texts;

/// Bytes of a block of a split block Bloom filter, which a text sets bits of.
const BLOCK_BYTES: usize = 32;

/// The texts of one column of a file, perhaps with a few others.
#[derive(Debug)]
pub(super) struct FileTexts(Sbbf);

impl FileTexts {
    /// The bytes that are taken by a file of so many rows. The rows of a call have one text, so each text has some
    /// bytes: of ten thousand files without it, one or two are opened.
    pub(super) const fn bytes(rows: usize) -> usize {
        rows.div_ceil(BLOCK_BYTES).saturating_add(1).saturating_mul(BLOCK_BYTES)
    }

    /// Reads column `column_id` of a file of `rows` rows. None when the file does not know that column by its id, or it
    /// is no text.
    pub(super) async fn read(
        store: Arc<dyn ObjectStore>,
        file: &PartitionedFile,
        column_id: i64,
        rows: usize,
    ) -> DataFusionResult<Option<Self>> {
        let mut filter = Sbbf::new(&vec![0; Self::bytes(rows)]);
        let read = read_texts(store, file, column_id, |_, text| filter.insert(text)).await?;
        Ok(read.map(|_| Self(filter)))
    }

    /// Whether one of the texts may be in the file.
    pub(super) fn may_hold_one_of(&self, texts: &[String]) -> bool {
        texts.iter().any(|text| self.0.check(text.as_str()))
    }
}
