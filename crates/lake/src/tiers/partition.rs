//! One day of one table: what moves as a whole.

use std::sync::Arc;

use chrono::NaiveDate;
use datafusion_ducklake::SnapshotCommitMetadata;
use pintail_ducklake::{LiveFile, LiveFiles, TableName};
use pintail_types::{Error, Result, TelemetryTable, reason};

use crate::flush::MAIN;
use crate::lake::Lake;
use crate::maintenance::Done;
use crate::volume::Volume;

/// One day of a telemetry table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) table: TableName,
    pub(crate) date: NaiveDate,
}

impl Partition {
    /// The day `date`, such as `2026-11-20`, of a table.
    ///
    /// # Errors
    /// `Unsupported` for a table that is not telemetry: user tables stay where they are. `Invalid` for what is no date.
    pub(crate) fn new(table: TableName, date: &str) -> Result<Self> {
        if !is_telemetry(&table) {
            return Err(Error::unsupported(format!(
                "table {table} can't be moved: only telemetry tables have days, user tables stay in the first volume"
            )));
        }
        let date = day_of(date).ok_or_else(|| {
            Error::invalid(format!("'{date}' is no date: write it as 2026-11-20"))
                .with_reason(reason::INVALID_PARAMETER_VALUE)
        })?;
        Ok(Self { table, date })
    }

    /// Its files in a volume, without those whose rows another volume shows; none if there is no such table.
    pub(super) fn files(&self, lake: &Lake, volume: &Arc<Volume>) -> Result<Option<LiveFiles>> {
        let hidden = lake.hidden_files(volume)?;
        let Some(mut live) = volume.catalog.live_files(&self.table, "")? else { return Ok(None) };
        live.files.retain(|file| day_of_file(file) == Some(self.date) && !hidden.contains(&file.id));
        Ok(Some(live))
    }

    /// Takes its rows out of a volume. Older snapshots still show them.
    pub(crate) fn drop_rows(&self, lake: &Arc<Lake>, volume: &Arc<Volume>) -> Result<Done> {
        let Some(live) = self.files(lake, volume)? else { return Ok(Done::default()) };
        if live.files.is_empty() {
            return Ok(Done::default());
        }
        let ids: Vec<i64> = live.files.iter().map(|file| file.id).collect();
        let about = SnapshotCommitMetadata::new().with_author("pintail").with_message("storage policy");
        volume.catalog.end_files(&self.table, &ids, &about)?;
        let what = format!("{} are older than the last volume keeps them and were removed", self.date);
        Ok(told(&live.files, what))
    }

    /// What [`Self::drop_rows`] would do.
    pub(crate) fn plan_drop(&self, lake: &Arc<Lake>, volume: &Arc<Volume>) -> Result<Done> {
        let live = self.files(lake, volume)?;
        let files = live.map(|live| live.files).unwrap_or_default();
        let what = format!("{} are older than the last volume keeps them and would be removed", self.date);
        Ok(told(&files, what))
    }
}

/// Files as they were found, and what becomes of them.
pub(super) fn told(files: &[LiveFile], what: String) -> Done {
    Done {
        files_in: files.len() as u64,
        rows: live_rows(files),
        bytes: files.iter().map(bytes).sum(),
        message: format!("{} rows of {what}", live_rows(files)),
        ..Done::default()
    }
}

/// Rows of files that are not deleted.
pub(super) fn live_rows(files: &[LiveFile]) -> u64 {
    files.iter().map(|file| u64::try_from(file.rows - file.deleted_rows()).unwrap_or(0)).sum()
}

/// The size of a file.
pub(super) fn bytes(file: &LiveFile) -> u64 {
    u64::try_from(file.bytes).unwrap_or(0)
}

/// The day whose rows a file holds, if it lies in a directory of its day.
pub(super) fn day_of_file(file: &LiveFile) -> Option<NaiveDate> {
    match file.partition.as_ref()?.values.as_slice() {
        [(_, Some(day))] => day_of(day),
        _ => None,
    }
}

/// Whether a table's rows come from packets.
pub(super) fn is_telemetry(table: &TableName) -> bool {
    table.schema == MAIN && TelemetryTable::from_name(&table.name).is_some()
}

fn day_of(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}
