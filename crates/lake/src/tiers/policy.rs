//! Which days move where by the storage policy.
//!
//! By age: what is older than its volume keeps it goes to the next colder one, and out of the lake from the coldest. By
//! size: of a volume that holds more than its share the oldest days go to the next colder one, until it holds less than
//! nine tenths of the share.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Days, NaiveDate};
use pintail_ducklake::TableName;
use pintail_types::Result;

use super::partition::{Partition, bytes, day_of_file, is_telemetry};
use super::transfer::Transfer;
use crate::lake::Lake;
use crate::volume::Volume;

/// Of the share past which rows leave a volume, what is to be left.
const LEFT_OF_SHARE: f64 = 0.9;

/// Something that the policy wants done.
#[derive(Debug)]
pub(crate) enum Planned {
    Move(Transfer),
    /// The rows leave the lake.
    Drop(Arc<Volume>, Partition),
}

/// The days of a volume, oldest first, with the bytes of their files.
type DaySizes = BTreeMap<(NaiveDate, String), u64>;

/// What is to be done with the lake as it is. Blocks.
pub(crate) fn plan(lake: &Arc<Lake>) -> Result<Vec<Planned>> {
    let today = DateTime::from_timestamp_micros(lake.clock().now()).map(|now| now.date_naive());
    let mut planned = Vec::new();
    for (index, volume) in lake.volumes.iter().enumerate() {
        let options = &volume.options;
        if options.max_age_days == 0 && options.max_bytes == 0 {
            continue;
        }
        let colder = lake.volumes.get(index + 1);
        let (days, total) = sizes(lake, volume)?;
        let oldest_kept = today.and_then(|today| today.checked_sub_days(Days::new(options.max_age_days)));
        let limits = Limits {
            last_day_to_go: oldest_kept.filter(|_| options.max_age_days > 0),
            share: share(options.max_bytes, lake.options().policy.move_factor).filter(|_| colder.is_some()),
        };
        for (date, table) in limits.leaving(&days, total) {
            let partition = Partition { table, date };
            planned.push(match colder {
                Some(colder) => Planned::Move(Transfer::new(partition, volume, colder)?),
                None => Planned::Drop(Arc::clone(volume), partition),
            });
        }
    }
    Ok(planned)
}

/// What a volume keeps.
struct Limits {
    /// This day and those before it go.
    last_day_to_go: Option<NaiveDate>,
    /// Bytes past which the oldest days go.
    share: Option<f64>,
}

impl Limits {
    /// The days that go, oldest first. `total` are the bytes of all files, also of those that have no day.
    fn leaving(&self, days: &DaySizes, total: u64) -> Vec<(NaiveDate, TableName)> {
        let is_old = |date: &NaiveDate| self.last_day_to_go.is_some_and(|last| *date <= last);
        let old: u64 = days.iter().filter(|((date, _), _)| is_old(date)).map(|(_, bytes)| bytes).sum();
        let mut left = as_float(total.saturating_sub(old));
        let is_too_large = self.share.is_some_and(|share| left > share);
        let mut leaving = Vec::new();
        for ((date, name), bytes) in days {
            let is_too_much = is_too_large && self.share.is_some_and(|share| left >= share * LEFT_OF_SHARE);
            if !is_old(date) && !is_too_much {
                continue;
            }
            if !is_old(date) {
                left -= as_float(*bytes);
            }
            leaving.push((*date, TableName { schema: crate::flush::MAIN.to_owned(), name: name.clone() }));
        }
        leaving
    }
}

fn share(max_bytes: u64, move_factor: f64) -> Option<f64> {
    (max_bytes > 0).then(|| as_float(max_bytes) * move_factor)
}

#[allow(clippy::cast_precision_loss, reason = "a size that is compared with a share needs no exact bytes")]
const fn as_float(bytes: u64) -> f64 {
    bytes as f64
}

/// The bytes of each day of each telemetry table, and those of all files of the volume.
fn sizes(lake: &Arc<Lake>, volume: &Arc<Volume>) -> Result<(DaySizes, u64)> {
    let hidden = lake.hidden_files(volume)?;
    let (mut days, mut total) = (DaySizes::new(), 0);
    for table in volume.catalog.tables()? {
        let Some(live) = volume.catalog.live_files(&table, "")? else { continue };
        for file in live.files.iter().filter(|file| !hidden.contains(&file.id)) {
            total += bytes(file);
            if let Some(day) = day_of_file(file).filter(|_| is_telemetry(&table)) {
                *days.entry((day, table.name.clone())).or_default() += bytes(file);
            }
        }
    }
    Ok((days, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
    }

    /// Days 1 to 4 of two tables, ten bytes each.
    fn leaving(last_day_to_go: Option<u32>, share: Option<f64>) -> Vec<String> {
        let tables = ["calls", "logs"];
        let days = (1..=4).flat_map(|number| tables.map(|table| ((day(number), table.to_owned()), 10)));
        let limits = Limits { last_day_to_go: last_day_to_go.map(day), share };
        let leaving = limits.leaving(&days.collect(), 80);
        leaving.iter().map(|(date, table)| format!("{} {}", date.format("%d"), table.name)).collect()
    }

    #[test]
    fn days_leave_by_age_and_the_oldest_by_size() {
        let none: [&str; 0] = [];
        assert_eq!(leaving(None, None), none);
        assert_eq!(leaving(Some(1), None), ["01 calls", "01 logs"]);
        assert_eq!(leaving(None, Some(80.0)), none, "as much as it may hold");
        assert_eq!(leaving(None, Some(79.0)), ["01 calls"], "70 is less than nine tenths of 79");
        assert_eq!(leaving(None, Some(50.0)), ["01 calls", "01 logs", "02 calls", "02 logs"]);
        assert_eq!(leaving(Some(1), Some(70.0)), ["01 calls", "01 logs"], "what goes by age makes room");
        assert_eq!(leaving(Some(1), Some(50.0)), ["01 calls", "01 logs", "02 calls", "02 logs"]);
        assert_eq!(leaving(None, Some(0.0)).len(), 8);
    }
}
