//! Rows that are not in a file yet, as Arrow batches that queries read in place.
//!
//! The buffer is two generations: `open` takes new batches; at the barrier of a flush everything in it
//! becomes `flushing` and stays readable until the flush has committed. Small neighbours in `open` are
//! merged, so that a slow trickle of rows does not become thousands of tiny batches.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use parking_lot::Mutex;
use pintail_types::{Error, JournalPosition, Micros, Result, TelemetryTable};

use crate::statistics::times_of;

/// Batches that together reach this are not merged with their neighbours any more.
const MERGED_ROWS: usize = 8192;

/// The same in bytes; far below the 2 GiB of a text column.
const MERGED_BYTES: usize = 32 << 20;

/// How much may be held.
#[derive(Debug, Clone, Copy)]
pub struct HotBufferOptions {
    /// Rows beyond this are not admitted.
    pub max_bytes: usize,
    /// The share of `max_bytes` at which a flush begins before its time.
    pub high_water: f64,
}

impl Default for HotBufferOptions {
    fn default() -> Self {
        Self { max_bytes: 256 << 20, high_water: 0.5 }
    }
}

impl HotBufferOptions {
    /// The number of bytes at which a flush begins before its time.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn high_water_bytes(&self) -> usize {
        (self.max_bytes as f64 * self.high_water.clamp(0.05, 1.0)) as usize
    }
}

/// Some rows of one table.
#[derive(Debug, Clone)]
pub(crate) struct HotBatch {
    pub(crate) rows: RecordBatch,
    /// The newest journal record in it: the batch is in the lake once the lake has passed this.
    pub(crate) last: JournalPosition,
    /// The times of its rows, if any row has one.
    pub(crate) times: Option<RangeInclusive<Micros>>,
    bytes: usize,
}

/// The batches of every table, each list shared and never changed once a reader has it.
pub(crate) type Generation = BTreeMap<TelemetryTable, Arc<Vec<HotBatch>>>;

/// The hot rows of one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct HotCut {
    flushing: Generation,
    open: Generation,
}

impl HotCut {
    /// The batches of a table that hold records from `from` on, oldest first.
    pub(crate) fn batches(&self, table: TelemetryTable, from: JournalPosition) -> Vec<RecordBatch> {
        [&self.flushing, &self.open]
            .into_iter()
            .filter_map(|generation| generation.get(&table))
            .flat_map(|batches| batches.iter())
            .filter(|batch| batch.last >= from)
            .map(|batch| batch.rows.clone())
            .collect()
    }

    /// The batches of all tables.
    pub(crate) fn all_batches(&self) -> impl Iterator<Item = &HotBatch> {
        self.flushing.values().chain(self.open.values()).flat_map(|batches| batches.iter())
    }

    /// The tables that have rows.
    pub(crate) fn tables(&self) -> impl Iterator<Item = TelemetryTable> {
        self.flushing.keys().chain(self.open.keys()).copied()
    }
}

/// What the buffer holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HotStats {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    /// When the oldest batch arrived.
    pub(crate) oldest: Option<Micros>,
}

#[derive(Debug, Default)]
struct State {
    flushing: Generation,
    open: Generation,
    flushing_stats: HotStats,
    open_stats: HotStats,
}

/// The hot rows of all telemetry tables of one lake.
#[derive(Debug, Default)]
pub(crate) struct HotBuffer {
    state: Mutex<State>,
}

impl HotBuffer {
    /// Adds rows of `table` whose newest record is at `last`; returns the bytes now held.
    pub(crate) fn append(
        &self,
        table: TelemetryTable,
        rows: RecordBatch,
        last: JournalPosition,
        now: Micros,
    ) -> Result<usize> {
        if rows.schema_ref().fields() != table.schema().fields() {
            return Err(Error::internal(format!(
                "rows for {} have other columns than the table",
                table.name()
            )));
        }
        let bytes = rows.get_array_memory_size();
        let batch = HotBatch { bytes, times: times_of(&rows), rows, last };
        let mut state = self.state.lock();
        state.open_stats.rows += batch.rows.num_rows();
        state.open_stats.bytes += bytes;
        state.open_stats.oldest.get_or_insert(now);
        let batches = Arc::make_mut(state.open.entry(table).or_default());
        batches.push(batch);
        let freed = merge_small(batches);
        state.open_stats.bytes = state.open_stats.bytes.saturating_sub(freed);
        Ok(state.open_stats.bytes + state.flushing_stats.bytes)
    }

    /// The rows of this moment.
    pub(crate) fn cut(&self) -> HotCut {
        let state = self.state.lock();
        HotCut { flushing: state.flushing.clone(), open: state.open.clone() }
    }

    /// Begins a flush: everything held now, also what an earlier flush could not commit.
    pub(crate) fn begin_flush(&self) -> Generation {
        let mut state = self.state.lock();
        let State { flushing, open, flushing_stats, open_stats } = &mut *state;
        for (table, batches) in std::mem::take(open) {
            Arc::make_mut(flushing.entry(table).or_default()).extend(batches.iter().cloned());
        }
        flushing_stats.rows += open_stats.rows;
        flushing_stats.bytes += open_stats.bytes;
        flushing_stats.oldest = flushing_stats.oldest.or(open_stats.oldest);
        *open_stats = HotStats::default();
        flushing.clone()
    }

    /// Ends a flush that committed: its rows are in the lake.
    pub(crate) fn end_flush(&self) {
        let mut state = self.state.lock();
        state.flushing = Generation::new();
        state.flushing_stats = HotStats::default();
    }

    /// What is held.
    pub(crate) fn stats(&self) -> HotStats {
        let state = self.state.lock();
        HotStats {
            rows: state.open_stats.rows + state.flushing_stats.rows,
            bytes: state.open_stats.bytes + state.flushing_stats.bytes,
            oldest: state.flushing_stats.oldest.or(state.open_stats.oldest),
        }
    }
}

/// Merges the newest batches while they are small and of similar size, so that each row is copied a
/// logarithmic number of times; returns the bytes that this saved.
fn merge_small(batches: &mut Vec<HotBatch>) -> usize {
    let mut freed = 0;
    while let [.., before, newest] = batches.as_slice() {
        let (rows_before, rows_newest) = (before.rows.num_rows(), newest.rows.num_rows());
        let is_large = rows_before + rows_newest > MERGED_ROWS || before.bytes + newest.bytes > MERGED_BYTES;
        if rows_before > 2 * rows_newest || is_large {
            break;
        }
        // Rows that can't be merged stay as they are: nothing is lost by it.
        let Ok(rows) = concat_batches(newest.rows.schema_ref(), [&before.rows, &newest.rows]) else { break };
        let merged = HotBatch {
            bytes: rows.get_array_memory_size(),
            times: times_of(&rows),
            rows,
            last: before.last.max(newest.last),
        };
        freed += (before.bytes + newest.bytes).saturating_sub(merged.bytes);
        batches.truncate(batches.len() - 2);
        batches.push(merged);
    }
    freed
}

#[cfg(test)]
mod tests {
    use arrow::array::new_null_array;

    use super::*;

    fn rows(count: usize) -> RecordBatch {
        let schema = TelemetryTable::Log.schema();
        let columns = schema.fields().iter().map(|field| new_null_array(field.data_type(), count)).collect();
        RecordBatch::try_new(schema, columns).unwrap()
    }

    fn count(cut: &HotCut, from: u64) -> usize {
        cut.batches(TelemetryTable::Log, JournalPosition(from)).iter().map(RecordBatch::num_rows).sum()
    }

    #[test]
    fn a_cut_keeps_its_rows_through_flush_and_append() {
        let buffer = HotBuffer::default();
        buffer.append(TelemetryTable::Log, rows(3), JournalPosition(10), 100).unwrap();
        let before = buffer.cut();
        buffer.begin_flush();
        buffer.append(TelemetryTable::Log, rows(2), JournalPosition(20), 200).unwrap();
        let during = buffer.cut();
        buffer.end_flush();
        let after = buffer.cut();
        assert_eq!([count(&before, 0), count(&during, 0), count(&after, 0)], [3, 5, 2]);
        // Whoever has seen the commit up to 11 takes only what lies behind it.
        assert_eq!([count(&before, 11), count(&during, 11), count(&after, 11)], [0, 2, 2]);
        assert_eq!(buffer.stats().oldest, Some(200));
    }

    #[test]
    fn a_flush_that_failed_is_taken_up_by_the_next() {
        let buffer = HotBuffer::default();
        buffer.append(TelemetryTable::Log, rows(3), JournalPosition(10), 100).unwrap();
        buffer.begin_flush();
        buffer.append(TelemetryTable::Log, rows(2), JournalPosition(20), 200).unwrap();
        let again = buffer.begin_flush();
        assert_eq!(again[&TelemetryTable::Log].iter().map(|batch| batch.rows.num_rows()).sum::<usize>(), 5);
        assert_eq!((buffer.stats().rows, buffer.stats().oldest), (5, Some(100)));
    }

    #[test]
    fn a_trickle_of_rows_becomes_few_batches() {
        let buffer = HotBuffer::default();
        for position in 0..10_000 {
            buffer.append(TelemetryTable::Log, rows(1), JournalPosition(position), 0).unwrap();
        }
        let batches = buffer.cut().batches(TelemetryTable::Log, JournalPosition(0));
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 10_000);
        assert!(batches.len() < 20, "{} batches", batches.len());
    }

    #[test]
    fn rows_of_another_shape_are_refused() {
        let buffer = HotBuffer::default();
        assert!(buffer.append(TelemetryTable::Call, rows(1), JournalPosition(0), 0).is_err());
    }
}
