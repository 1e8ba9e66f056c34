//! How a lake keeps itself in shape.

use std::collections::BTreeMap;
use std::time::Duration;

use pintail_types::Micros;

use crate::parquet_files::ROW_GROUP_BYTES;

const SECOND: Micros = 1_000_000;
const HOUR: Micros = 3600 * SECOND;
const DAY: Micros = 24 * HOUR;

/// How a lake keeps itself in shape.
#[derive(Debug, Clone)]
pub struct MaintenanceOptions {
    /// How often the lake looks after itself; never if absent.
    pub interval: Option<Duration>,
    /// How long a snapshot is kept after its commit; for ever if absent.
    pub keep_snapshots: Option<Duration>,
    /// How long a file that no snapshot shows stays on disk: other programs may still read it.
    pub grace: Duration,
    /// How long rows are kept.
    pub retention: Retention,
    /// How small files become larger ones.
    pub merging: MergeOptions,
}

/// How long rows are kept, by the name of their table.
#[derive(Debug, Clone, Default)]
pub struct Retention {
    /// For telemetry tables that are not named; 0 is for ever.
    pub default: u64,
    /// For these tables; 0 is for ever.
    pub by_table: BTreeMap<String, u64>,
    /// What the numbers count.
    pub unit: RetentionUnit,
}

/// What a retention counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetentionUnit {
    /// Days of the calendar, in UTC.
    #[default]
    Days,
    /// Hours up to this moment.
    Hours,
}

/// Which files are merged, and into what.
#[derive(Debug, Clone)]
pub struct MergeOptions {
    /// Files whose rows were committed later than so long ago are left alone by the lake itself.
    pub min_age: Duration,
    /// Smaller files are left alone.
    pub min_file_bytes: u64,
    /// Files of this size or more are left alone.
    pub max_file_bytes: u64,
    /// About how large a merged file becomes.
    pub target_bytes: u64,
    /// Files made of one table in one round of the lake's own.
    pub max_outputs: usize,
    /// Bytes of a row group before compression.
    pub row_group_bytes: usize,
}

impl Default for MaintenanceOptions {
    fn default() -> Self {
        Self {
            interval: Some(Duration::from_secs(3600)),
            keep_snapshots: Some(Duration::from_secs(3600)),
            grace: Duration::from_secs(3600),
            retention: Retention::default(),
            merging: MergeOptions::default(),
        }
    }
}

impl Default for MergeOptions {
    fn default() -> Self {
        Self {
            min_age: Duration::from_secs(300),
            min_file_bytes: 0,
            max_file_bytes: 512 << 20,
            target_bytes: 512 << 20,
            max_outputs: 32,
            row_group_bytes: ROW_GROUP_BYTES,
        }
    }
}

impl Retention {
    /// The time before which rows of the table are to go; none if they stay for ever. A table that is not named goes
    /// by the default only if it `is_telemetry`: nobody's own tables are emptied unasked.
    pub(crate) fn limit(&self, table: &str, is_telemetry: bool, now: Micros) -> Option<Micros> {
        let default = if is_telemetry { self.default } else { 0 };
        let kept = self.by_table.get(table).copied().unwrap_or(default);
        let kept = Micros::try_from(kept).ok().filter(|kept| *kept > 0)?;
        match self.unit {
            RetentionUnit::Days => {
                let today = now.div_euclid(DAY).checked_mul(DAY)?;
                today.checked_sub(kept.checked_mul(DAY)?)
            }
            RetentionUnit::Hours => now.checked_sub(kept.checked_mul(HOUR)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_end_at_midnight_and_hours_now_and_own_tables_are_spared() {
        let mut retention = Retention {
            default: 2,
            by_table: BTreeMap::from([("calls".to_owned(), 1), ("kept".to_owned(), 0)]),
            unit: RetentionUnit::Days,
        };
        let now = 10 * DAY + 5 * HOUR;
        assert_eq!(retention.limit("other", true, now), Some(8 * DAY));
        assert_eq!(retention.limit("other", false, now), None);
        assert_eq!(retention.limit("calls", false, now), Some(9 * DAY));
        assert_eq!(retention.limit("kept", true, now), None);
        retention.unit = RetentionUnit::Hours;
        assert_eq!(retention.limit("other", true, now), Some(now - 2 * HOUR));
        retention.default = u64::MAX;
        assert_eq!(retention.limit("other", true, now), None);
    }
}
