//! The indexes that are kept, and their limit.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::Arc;

use datafusion::common::Result as DataFusionResult;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use hashlink::LruCache;
use object_store::ObjectStore;
use object_store::path::Path;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::decoded::DecodedFiles;
use super::narrow::Search;
use super::{RowIndex, hash, narrow};

/// Rows of all files whose indexes are kept at a time; a row takes eight bytes of memory.
const MAX_ROWS: usize = 8 << 20;

/// What an index takes besides its rows counts as so many rows.
const ROWS_OF_A_FILE: usize = 32;

/// A file and the id of a column in it.
type Key = (Path, i64);

/// An index, once it was made; none if its file cannot have one.
type Slot = Arc<OnceCell<Option<Arc<RowIndex>>>>;

/// The indexes of a lake's files. Those that were not used for longest make room.
#[derive(Debug)]
pub(crate) struct RowIndexes {
    hasher: RandomState,
    max_rows: usize,
    kept: Mutex<Kept>,
    decoded: DecodedFiles,
}

/// What is looked for in a scan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LookedForTexts<'a> {
    /// The column that is one of the texts.
    pub(crate) column_id: i64,
    pub(crate) texts: &'a [String],
    /// The ids of all columns of the table.
    pub(crate) column_ids: &'a HashMap<String, i64>,
}

#[derive(Debug)]
struct Kept {
    slots: LruCache<Key, (Slot, usize)>,
    rows: usize,
}

/// The indexes of the files of one scan, by path. A file without one is read whole.
pub(super) type Indexes = HashMap<Path, Arc<RowIndex>>;

impl Default for RowIndexes {
    fn default() -> Self {
        Self::new(MAX_ROWS)
    }
}

impl RowIndexes {
    fn new(max_rows: usize) -> Self {
        let kept = Kept { slots: LruCache::new_unbounded(), rows: 0 };
        let (hasher, decoded) = (RandomState::new(), DecodedFiles::default());
        Self { hasher, max_rows, kept: Mutex::new(kept), decoded }
    }

    /// A scan cut down to the rows that may hold what is looked for; none if it reads more rows than can be indexed at
    /// a time.
    ///
    /// # Errors
    /// When the scan can't be made again, or what is kept of its files can't be read.
    pub(crate) async fn narrowed(
        &self,
        store: &Arc<dyn ObjectStore>,
        scan: &Arc<dyn ExecutionPlan>,
        looked_for: LookedForTexts<'_>,
        context: &Arc<TaskContext>,
    ) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(files) = narrow::counted_files_of(scan).filter(|files| self.have_room_for(files)) else {
            return Ok(None);
        };
        let LookedForTexts { column_id, texts, column_ids } = looked_for;
        let mut indexes = Indexes::with_capacity(files.len());
        for (file, rows) in files {
            let location = &file.object_meta.location;
            let slot = self.slot((location.clone(), column_id), rows);
            let index = slot.get_or_init(|| self.read(store, file, column_id)).await;
            if let Some(index) = index {
                indexes.insert(location.clone(), Arc::clone(index));
            }
        }
        let hashes = texts.iter().map(|text| hash(&self.hasher, text)).collect();
        let search = Search { indexes, hashes, decoded: &self.decoded, column_ids, context };
        search.narrowed(scan).await.map(Some)
    }

    /// Whether a scan's files can all be indexed at once.
    pub(crate) fn have_room_for_all_of(&self, scan: &Arc<dyn ExecutionPlan>) -> bool {
        narrow::counted_files_of(scan).is_some_and(|files| self.have_room_for(&files))
    }

    fn have_room_for(&self, files: &[(&PartitionedFile, usize)]) -> bool {
        files.iter().map(|(_, rows)| rows + ROWS_OF_A_FILE).sum::<usize>() <= self.max_rows
    }

    /// A file that cannot be read has no index: the scan will say what is wrong with it.
    async fn read(
        &self,
        store: &Arc<dyn ObjectStore>,
        file: &PartitionedFile,
        column_id: i64,
    ) -> Option<Arc<RowIndex>> {
        let read = RowIndex::read(Arc::clone(store), file, column_id, &self.hasher).await;
        let read = read.inspect_err(|error| {
            tracing::debug!(%error, file = %file.object_meta.location, "a file's rows can't be indexed");
        });
        read.ok().flatten().map(Arc::new)
    }

    /// The place of an index. Others are forgotten until all together have few enough rows.
    fn slot(&self, key: Key, rows: usize) -> Slot {
        let mut kept = self.kept.lock();
        if let Some((slot, _)) = kept.slots.get(&key) {
            return Arc::clone(slot);
        }
        let slot = Slot::default();
        let rows = rows + ROWS_OF_A_FILE;
        kept.rows += rows;
        kept.slots.insert(key, (Arc::clone(&slot), rows));
        while kept.rows > self.max_rows {
            let Some((_, (_, forgotten))) = kept.slots.remove_lru() else { break };
            kept.rows -= forgotten;
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_unused_for_longest_makes_room() {
        let indexes = RowIndexes::new(400);
        let key = |name: &str| (Path::from(name), 1);
        let slot = |name: &str, rows: usize| indexes.slot(key(name), rows);
        let kept = |name: &str| indexes.kept.lock().slots.peek(&key(name)).is_some();
        let first = slot("a", 100);
        slot("b", 100);
        assert!(Arc::ptr_eq(&first, &slot("a", 100)), "one index for all who ask");
        slot("c", 132);
        assert_eq!(["a", "b", "c"].map(kept), [true, false, true]);
        assert_eq!(indexes.kept.lock().rows, 100 + 132 + 2 * ROWS_OF_A_FILE);
        slot("d", 368);
        assert_eq!(["a", "c", "d"].map(kept), [false, false, true]);
        for file in 0..1000 {
            slot(&file.to_string(), 0);
        }
        assert_eq!(indexes.kept.lock().slots.len(), 400 / ROWS_OF_A_FILE);
        slot("larger than all", 400);
        assert_eq!(indexes.kept.lock().rows, 0);
    }
}
