//! What is kept of files, and its limits.

use std::collections::{HashMap, HashSet};
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
use super::file_texts::FileTexts;
use super::narrow::Search;
use super::{RowIndex, hash, narrow};

/// Rows of all files whose indexes are kept at a time; a row takes eight bytes of memory.
const MAX_ROWS: usize = 8 << 20;

/// What an index takes besides its rows counts as so many rows.
const ROWS_OF_A_FILE: usize = 32;

/// Bytes of the filters of all files together: for more than a hundred million rows.
const MAX_FILTER_BYTES: usize = 128 << 20;

/// What a filter takes besides its bits.
const BYTES_OF_A_FILE: usize = 256;

/// A file and the id of a column in it.
type Key = (Path, i64);

/// What is kept of a file, once it was made; none if its file cannot have it.
type Slot<T> = Arc<OnceCell<Option<Arc<T>>>>;

/// What is known of the texts in a lake's files. What was not used for longest makes room.
#[derive(Debug)]
pub(crate) struct RowIndexes {
    hasher: RandomState,
    rows: Kept<RowIndex>,
    texts: Kept<FileTexts>,
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

/// The indexes of the files of one scan, by path. A file without one is read whole.
pub(super) type Indexes = HashMap<Path, Arc<RowIndex>>;

/// A file of a scan, and its number of rows.
type CountedFile<'a> = (&'a PartitionedFile, usize);

impl Default for RowIndexes {
    fn default() -> Self {
        Self::new(MAX_ROWS, MAX_FILTER_BYTES)
    }
}

impl RowIndexes {
    pub(super) fn new(max_rows: usize, max_filter_bytes: usize) -> Self {
        let (hasher, decoded) = (RandomState::new(), DecodedFiles::default());
        Self { hasher, rows: Kept::new(max_rows), texts: Kept::new(max_filter_bytes), decoded }
    }

    /// A scan cut down to the rows that may hold what is looked for; none if it reads more rows than something can be
    /// kept of at a time.
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
        let Some(mut files) = narrow::counted_files_of(scan) else { return Ok(None) };
        let LookedForTexts { column_id, texts, column_ids } = looked_for;
        let mut absent = HashSet::new();
        if !self.have_room_for_rows_of(&files) {
            if !self.have_room_for_texts_of(&files) {
                return Ok(None);
            }
            files = self.files_with(store, files, looked_for, &mut absent).await;
        }
        let mut indexes = Indexes::with_capacity(files.len());
        if self.have_room_for_rows_of(&files) {
            for (file, rows) in files {
                let read = RowIndex::read(Arc::clone(store), file, column_id, &self.hasher);
                let cost = rows + ROWS_OF_A_FILE;
                if let Some(index) = self.rows.of(file, column_id, cost, read).await {
                    indexes.insert(file.object_meta.location.clone(), index);
                }
            }
        }
        let hashes = texts.iter().map(|text| hash(&self.hasher, text)).collect();
        let search = Search { absent, indexes, hashes, decoded: &self.decoded, column_ids, context };
        search.narrowed(scan).await.map(Some)
    }

    /// The files that may hold one of the texts; the others become `absent`.
    async fn files_with<'a>(
        &self,
        store: &Arc<dyn ObjectStore>,
        files: Vec<CountedFile<'a>>,
        looked_for: LookedForTexts<'_>,
        absent: &mut HashSet<Path>,
    ) -> Vec<CountedFile<'a>> {
        let LookedForTexts { column_id, texts, .. } = looked_for;
        let mut found = Vec::new();
        for (file, rows) in files {
            let read = FileTexts::read(Arc::clone(store), file, column_id, rows);
            let cost = FileTexts::bytes(rows) + BYTES_OF_A_FILE;
            let filter = self.texts.of(file, column_id, cost, read).await;
            if filter.is_none_or(|filter| filter.may_hold_one_of(texts)) {
                found.push((file, rows));
            } else {
                absent.insert(file.object_meta.location.clone());
            }
        }
        found
    }

    /// Whether something can be kept of all files of a scan at once.
    pub(crate) fn have_room_for_all_of(&self, scan: &Arc<dyn ExecutionPlan>) -> bool {
        narrow::counted_files_of(scan)
            .is_some_and(|files| self.have_room_for_rows_of(&files) || self.have_room_for_texts_of(&files))
    }

    fn have_room_for_rows_of(&self, files: &[CountedFile<'_>]) -> bool {
        files.iter().map(|(_, rows)| rows + ROWS_OF_A_FILE).sum::<usize>() <= self.rows.limit
    }

    fn have_room_for_texts_of(&self, files: &[CountedFile<'_>]) -> bool {
        let bytes = files.iter().map(|(_, rows)| FileTexts::bytes(*rows) + BYTES_OF_A_FILE);
        bytes.sum::<usize>() <= self.texts.limit
    }
}

/// Things that are kept of files until all together cost more than the limit. Those that were not used for longest
/// make room.
#[derive(Debug)]
struct Kept<T> {
    limit: usize,
    slots: Mutex<Slots<T>>,
}

#[derive(Debug)]
struct Slots<T> {
    slots: LruCache<Key, (Slot<T>, usize)>,
    cost: usize,
}

impl<T> Kept<T> {
    fn new(limit: usize) -> Self {
        Self { limit, slots: Mutex::new(Slots { slots: LruCache::new_unbounded(), cost: 0 }) }
    }

    /// What is kept of a column of a file, read when it is wanted for the first time. Of a file that cannot be read
    /// nothing is kept: the scan will say what is wrong with it.
    async fn of(
        &self,
        file: &PartitionedFile,
        column_id: i64,
        cost: usize,
        read: impl Future<Output = DataFusionResult<Option<T>>>,
    ) -> Option<Arc<T>> {
        let location = &file.object_meta.location;
        let slot = self.slot((location.clone(), column_id), cost);
        let kept = slot.get_or_init(|| async {
            let read = read.await.inspect_err(|error| {
                tracing::debug!(%error, file = %location, "a file's texts can't be indexed");
            });
            read.ok().flatten().map(Arc::new)
        });
        kept.await.clone()
    }

    /// The place of what is kept. Others are forgotten until all together cost little enough.
    fn slot(&self, key: Key, cost: usize) -> Slot<T> {
        let mut kept = self.slots.lock();
        if let Some((slot, _)) = kept.slots.get(&key) {
            return Arc::clone(slot);
        }
        let slot = Slot::default();
        kept.cost += cost;
        kept.slots.insert(key, (Arc::clone(&slot), cost));
        while kept.cost > self.limit {
            let Some((_, (_, forgotten))) = kept.slots.remove_lru() else { break };
            kept.cost -= forgotten;
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unused_for_longest_makes_room() {
        let kept = Kept::<RowIndex>::new(400);
        let key = |name: &str| (Path::from(name), 1);
        let slot = |name: &str, cost: usize| kept.slot(key(name), cost);
        let is_kept = |name: &str| kept.slots.lock().slots.peek(&key(name)).is_some();
        let first = slot("a", 132);
        slot("b", 132);
        assert!(Arc::ptr_eq(&first, &slot("a", 132)), "one index for all who ask");
        slot("c", 164);
        assert_eq!(["a", "b", "c"].map(is_kept), [true, false, true]);
        assert_eq!(kept.slots.lock().cost, 132 + 164);
        slot("d", 400);
        assert_eq!(["a", "c", "d"].map(is_kept), [false, false, true]);
        for file in 0..1000 {
            slot(&file.to_string(), 32);
        }
        assert_eq!(kept.slots.lock().slots.len(), 400 / 32);
        slot("larger than all", 432);
        assert_eq!(kept.slots.lock().cost, 0);
    }
}
