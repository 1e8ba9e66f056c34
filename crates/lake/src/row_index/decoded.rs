//! Columns of files that rows are looked up in again and again, decoded and kept.
//!
//! Texts of a row group share a dictionary, so decoding five rows of a column costs nearly as much as decoding all.
//! For a file that is looked into more than a few times its columns are therefore kept as they are decoded, up to a
//! limit; rows are then only taken out of them.

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use datafusion::common::Result as DataFusionResult;
use hashlink::LruCache;
use object_store::path::Path;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

/// Bytes of all columns that are kept.
const MAX_BYTES: usize = 256 << 20;

/// Columns of one file that take a larger share of the limit than this are not kept.
const MAX_SHARE: usize = 4;

/// Look-ups in a file before its columns are kept: a call that nobody asks for again is not worth it.
const LOOKUPS_BEFORE: u32 = 4;

/// Files of which it is known how often they were looked into.
const MAX_FILES: usize = 16 << 10;

/// A file, and the columns that a scan makes of it: their names, the ids by which files know them, and their types.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) file: Path,
    pub(super) columns: Arc<str>,
}

/// All rows of a file in their order.
type Rows = Arc<Vec<RecordBatch>>;

/// The rows, once they were decoded; none if they are too large to be kept.
type Slot = Arc<OnceCell<Option<Rows>>>;

/// The files of a lake whose columns are kept. Those that were not used for longest make room.
#[derive(Debug)]
pub(crate) struct DecodedFiles {
    max_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    files: LruCache<Key, File>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct File {
    lookups: u32,
    rows: Slot,
    bytes: usize,
}

impl Default for DecodedFiles {
    fn default() -> Self {
        Self::new(MAX_BYTES)
    }
}

impl DecodedFiles {
    fn new(max_bytes: usize) -> Self {
        Self { max_bytes, kept: Mutex::new(Kept { files: LruCache::new(MAX_FILES), bytes: 0 }) }
    }

    /// All rows of a file, if it is looked into often enough for `decode` to be worth it, and they are few enough.
    ///
    /// # Errors
    /// Those of `decode`.
    pub(super) async fn rows(
        &self,
        key: &Key,
        decode: impl Future<Output = DataFusionResult<Vec<RecordBatch>>>,
    ) -> DataFusionResult<Option<Rows>> {
        let Some(slot) = self.slot_of_next_lookup(key) else { return Ok(None) };
        let rows = slot.get_or_try_init(|| async {
            let rows = decode.await?;
            let bytes = rows.iter().map(RecordBatch::get_array_memory_size).sum();
            DataFusionResult::Ok(self.make_room(key, bytes).then(|| Arc::new(rows)))
        });
        rows.await.cloned()
    }

    fn slot_of_next_lookup(&self, key: &Key) -> Option<Slot> {
        let mut kept = self.kept.lock();
        let kept = &mut *kept;
        if let Some(file) = kept.files.get_mut(key) {
            file.lookups = file.lookups.saturating_add(1);
            return (file.lookups > LOOKUPS_BEFORE).then(|| Arc::clone(&file.rows));
        }
        if kept.files.len() == MAX_FILES
            && let Some((_, forgotten)) = kept.files.remove_lru()
        {
            kept.bytes -= forgotten.bytes;
        }
        kept.files.insert(key.clone(), File { lookups: 1, ..File::default() });
        None
    }

    /// Forgets others until there is room for so many bytes of a file; `false` if they are too many.
    fn make_room(&self, key: &Key, bytes: usize) -> bool {
        if bytes > self.max_bytes / MAX_SHARE {
            return false;
        }
        let mut kept = self.kept.lock();
        let kept = &mut *kept;
        // A file that was forgotten meanwhile is decoded for those who wait for it, and not kept.
        let Some(file) = kept.files.get_mut(key) else { return true };
        file.bytes = bytes;
        kept.bytes += bytes;
        while kept.bytes > self.max_bytes {
            let Some((_, forgotten)) = kept.files.remove_lru() else { break };
            kept.bytes -= forgotten.bytes;
        }
        true
    }
}

/// The rows of these numbers, which are in order.
pub(super) fn taken(all: &[RecordBatch], rows: &[usize]) -> DataFusionResult<Vec<RecordBatch>> {
    let (mut first, mut rest, mut taken) = (0, rows, Vec::new());
    for batch in all {
        let (here, behind) = rest.split_at(rest.partition_point(|row| *row < first + batch.num_rows()));
        if !here.is_empty() {
            let places = here.iter().map(|row| u32::try_from(row - first).unwrap_or(u32::MAX));
            taken.push(take_record_batch(batch, &UInt32Array::from_iter_values(places))?);
        }
        (first, rest) = (first + batch.num_rows(), behind);
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use datafusion::common::internal_err;

    use super::*;

    fn batch(numbers: std::ops::Range<i64>) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers));
        RecordBatch::try_from_iter([("n", numbers)]).unwrap()
    }

    fn key(name: &str) -> Key {
        Key { file: Path::from(name), columns: "n".into() }
    }

    /// Looks into a file until its columns are kept, or would be.
    async fn look(files: &DecodedFiles, name: &str, rows: i64) -> bool {
        for _ in 0..LOOKUPS_BEFORE {
            let early = async { internal_err!("too early") };
            if files.rows(&key(name), early).await.unwrap_or_default().is_some() {
                return true;
            }
        }
        files.rows(&key(name), async { Ok(vec![batch(0..rows)]) }).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn files_are_kept_that_are_looked_into_often_up_to_the_limit() {
        let one = batch(0..1000).get_array_memory_size();
        let files = DecodedFiles::new(5 * one);
        for name in ["a", "b", "c", "d", "e"] {
            assert!(look(&files, name, 1000).await, "{name}");
        }
        assert_eq!(files.kept.lock().bytes, 5 * one);
        // Another one takes the place of the one unused for longest; one that is too large takes none.
        assert!(look(&files, "f", 1000).await);
        assert!(!look(&files, "large", 2000).await);
        let kept = |name: &str| files.kept.lock().files.peek(&key(name)).is_some_and(|file| file.bytes > 0);
        assert_eq!(["a", "b", "f", "large"].map(kept), [false, true, true, false]);
        assert_eq!(files.kept.lock().bytes, 5 * one);
        for file in 0..2 * MAX_FILES {
            files.slot_of_next_lookup(&key(&file.to_string()));
        }
        let kept = files.kept.lock();
        assert_eq!((kept.files.len(), kept.bytes), (MAX_FILES, 0));
    }

    #[tokio::test]
    async fn what_fails_is_tried_again() {
        let files = DecodedFiles::default();
        for _ in 0..LOOKUPS_BEFORE {
            assert!(files.rows(&key("a"), async { Ok(vec![batch(0..1)]) }).await.unwrap().is_none());
        }
        assert!(files.rows(&key("a"), async { internal_err!("the disk") }).await.is_err());
        assert!(files.rows(&key("a"), async { Ok(vec![batch(0..1)]) }).await.unwrap().is_some());
    }

    #[test]
    fn rows_are_taken_out_of_all_batches() {
        let all = [batch(0..3), batch(3..3), batch(3..5), batch(5..9)];
        for (rows, expected) in [
            (&[][..], vec![]),
            (&[0, 2], vec![vec![0, 2]]),
            (&[2, 3, 8], vec![vec![2], vec![3], vec![8]]),
            (&[4], vec![vec![4]]),
        ] {
            let taken = taken(&all, rows).unwrap();
            let numbers = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
            assert_eq!(taken.iter().map(numbers).collect::<Vec<_>>(), expected, "{rows:?}");
        }
    }
}
