//! How many rows a lake holds, and where in time they lie, told without reading one.
//!
//! What is told never leaves out a row that a query of the same moment would find. It may hold more time than there are
//! rows: the bounds of a file stay when rows of it are deleted.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{max, min};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, NaiveDateTime};
use pintail_types::{Error, JournalPosition, Micros, Result, TelemetryTable};

use crate::flush::MAIN;
use crate::lake::{Lake, blocking};
use crate::tiers::Heads;
use crate::volume::Volume;

/// The column that says how old a row is.
pub(crate) const TIMESTAMP: &str = "timestamp";

/// Readings of the volumes that may be disturbed by commits.
const ATTEMPTS: usize = 100;

/// The time of rows of which the catalog knows nothing.
const ANY_TIME: RangeInclusive<Micros> = Micros::MIN..=Micros::MAX;

/// What a lake holds of telemetry, in memory and in files, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryStatistics {
    /// Its rows.
    pub rows: u64,
    /// Where in time they lie, oldest first, without overlaps.
    pub times: Vec<RangeInclusive<Micros>>,
    /// The kind of database that the catalog is in.
    pub catalog_type: &'static str,
    /// Where the files lie: a directory or a URL.
    pub data_path: String,
}

impl TelemetryStatistics {
    /// The times of the oldest and the newest row; none if there are no rows.
    pub fn bounds(&self) -> Option<(Micros, Micros)> {
        Some((*self.times.first()?.start(), *self.times.last()?.end()))
    }

    /// Whether there may be rows from `oldest` up to `newest`, both included.
    pub fn may_hold(&self, oldest: Micros, newest: Micros) -> bool {
        self.times.iter().any(|range| *range.start() <= newest && oldest <= *range.end())
    }
}

/// The rows of a volume's files, and where in time they lie.
#[derive(Debug)]
pub(crate) struct StoredTimes {
    rows: u64,
    times: Vec<RangeInclusive<Micros>>,
}

impl Lake {
    /// How many rows of telemetry there are and where in time they lie, by the statistics of the catalog and what is
    /// known of the batches in memory.
    ///
    /// # Errors
    /// When the catalog can't be read.
    pub async fn telemetry_statistics(self: &Arc<Self>) -> Result<TelemetryStatistics> {
        // As for a cut: what is flushed after this is in the catalog, and known there.
        let hot = self.hot_cut();
        let lake = Arc::clone(self);
        let (stored, flushed) =
            blocking("reading the catalogs' statistics", move || lake.stored_times()).await?;
        let StoredTimes { mut rows, mut times } = stored;
        for batch in hot.all_batches().filter(|batch| batch.last >= flushed) {
            rows += batch.rows.num_rows() as u64;
            times.extend(batch.times.clone());
        }
        Ok(TelemetryStatistics {
            rows,
            times: joined(times),
            catalog_type: "sqlite",
            data_path: self.volume.place(),
        })
    }

    /// What is in the files of all volumes, and the journal position that the first one reaches. Rows of a move that goes
    /// on are counted in both. Blocks.
    fn stored_times(&self) -> Result<(StoredTimes, JournalPosition)> {
        for _ in 0..ATTEMPTS {
            let before = Heads::of(&self.volumes)?;
            let mut all = StoredTimes { rows: 0, times: Vec::new() };
            for volume in &self.volumes {
                let (stored, _) = volume.stored_times()?;
                all.rows += stored.rows;
                all.times.extend(stored.times.iter().cloned());
            }
            // What moved in between might have been passed over.
            if Heads::of(&self.volumes)?.snapshots == before.snapshots {
                return Ok((all, before.flushed));
            }
        }
        Err(Error::unavailable("the volumes change faster than their statistics can be read: try again"))
    }
}

impl Volume {
    /// What is in the files of the head, and the journal position that they reach. Blocks.
    fn stored_times(&self) -> Result<(Arc<StoredTimes>, JournalPosition)> {
        let (head, flushed) = self.head()?;
        if let Some(kept) = self.kept_times(head) {
            return Ok((kept, flushed));
        }
        let read = self.catalog.column_bounds(MAIN, TIMESTAMP, self.position_key())?;
        let flushed = self.position_of(read.head.value.as_deref())?;
        let mut stored = StoredTimes { rows: 0, times: Vec::new() };
        for table in read.tables.iter().filter(|table| TelemetryTable::from_name(&table.name).is_some()) {
            stored.rows += table.rows;
            stored.times.extend(table.bounds.iter().map(|bounds| {
                let bounds = bounds.as_ref().and_then(|(min, max)| time_of(min).zip(time_of(max)));
                bounds.map_or(ANY_TIME, |(oldest, newest)| oldest..=newest)
            }));
        }
        stored.times = joined(stored.times);
        let stored = Arc::new(stored);
        self.keep_times(read.head.snapshot, Arc::clone(&stored));
        Ok((stored, flushed))
    }
}

/// The time of the oldest row up to that of the newest; none if no row has one.
pub(crate) fn times_of(rows: &RecordBatch) -> Option<RangeInclusive<Micros>> {
    let times = rows.column_by_name(TIMESTAMP)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    Some(min(times)?..=max(times)?)
}

/// A time as statistics have it, with an offset or without.
pub(crate) fn time_of(text: &str) -> Option<Micros> {
    let plain = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok();
    let plain = plain.map(|time| time.and_utc().timestamp_micros());
    plain.or_else(|| {
        DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z").ok().map(|time| time.timestamp_micros())
    })
}

/// The same times in order, with those that overlap or touch as one.
fn joined(mut times: Vec<RangeInclusive<Micros>>) -> Vec<RangeInclusive<Micros>> {
    times.sort_unstable_by_key(|range| *range.start());
    let mut joined: Vec<RangeInclusive<Micros>> = Vec::with_capacity(times.len());
    for range in times {
        match joined.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*range.end().max(last.end());
            }
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_statistics_are_read_with_and_without_an_offset() {
        assert_eq!(time_of("1970-01-01 00:00:01.5"), Some(1_500_000));
        assert_eq!(time_of("1970-01-01 00:00:01"), Some(1_000_000));
        assert_eq!(time_of("1970-01-01 01:00:01+01"), Some(1_000_000));
        assert_eq!(time_of("soon"), None);
    }

    #[test]
    fn times_that_overlap_or_touch_are_one() {
        let check = |times: &[(Micros, Micros)], expect: &[(Micros, Micros)]| {
            let ranges = |times: &[(Micros, Micros)]| times.iter().map(|(from, to)| *from..=*to).collect();
            assert_eq!(joined(ranges(times)), ranges(expect), "{times:?}");
        };
        check(&[], &[]);
        check(&[(5, 9), (1, 3)], &[(1, 3), (5, 9)]);
        check(&[(1, 3), (4, 9)], &[(1, 9)]);
        check(&[(1, 9), (2, 3), (20, 30)], &[(1, 9), (20, 30)]);
        check(&[(5, 9), (Micros::MIN, Micros::MAX)], &[(Micros::MIN, Micros::MAX)]);
    }
}
