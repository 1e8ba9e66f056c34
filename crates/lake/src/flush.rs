//! From the hot buffer into Parquet files and one DuckLake commit.

use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::SchemaRef;
use datafusion_ducklake::SnapshotCommitMetadata;
use pintail_ducklake::{CommitExtras, TableSpec};
use pintail_types::{
    Error, ErrorKind, FaultPoint, JournalId, JournalPosition, Result, SnapshotId, TelemetryTable,
};

use crate::hot::{Generation, HotBatch};
use crate::parquet_files;
use crate::rows::{conform, plain_text};
use crate::volume::Volume;

/// The schema of the telemetry tables.
pub(crate) const MAIN: &str = "main";

/// What a flush did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// Rows that are in files now.
    pub rows: usize,
    /// Files written.
    pub files: usize,
    /// The snapshot committed; none when there was nothing to commit.
    pub snapshot: Option<SnapshotId>,
    /// Journal records before this are in the lake.
    pub position: JournalPosition,
}

/// How telemetry tables are laid out: a directory per day, each file in time order.
pub(crate) fn table_spec(table: TelemetryTable) -> TableSpec {
    TableSpec {
        name: table.name().into_owned(),
        schema: table.schema(),
        partition_by: Some("date".to_owned()),
        sort_by: Some("timestamp".to_owned()),
    }
}

/// Writes and commits everything that was sealed before `position`. Blocks; runs on a thread of its own.
pub(crate) fn write(
    volume: &Arc<Volume>,
    journal: JournalId,
    sealed: &Generation,
    position: JournalPosition,
    batch_rows: usize,
) -> Result<FlushReport> {
    let started = Instant::now();
    let sealed = &not_committed(sealed, volume.head()?.1);
    let rows: usize =
        sealed.values().flat_map(|batches| batches.iter()).map(|batch| batch.rows.num_rows()).sum();
    if rows == 0 {
        return pass_over(volume, position);
    }
    let specs: Vec<TableSpec> = sealed.keys().map(|table| table_spec(*table)).collect();
    volume.catalog.ensure_tables(MAIN, &specs)?;
    let (files, snapshot) = commit(volume, journal, sealed, position, batch_rows)?;
    let elapsed = started.elapsed();
    tracing::info!(rows, files, %snapshot, journal_position = %position, ?elapsed, "flushed");
    Ok(FlushReport { rows, files, snapshot: Some(snapshot), position })
}

/// The batches that the lake has not reached yet. A commit may have become durable although it was reported
/// as failed; its rows come again with the next flush. Batches never straddle a flush's line.
fn not_committed(sealed: &Generation, flushed: JournalPosition) -> Generation {
    let pending = |batches: &Vec<HotBatch>| {
        Arc::new(batches.iter().filter(|batch| batch.last >= flushed).cloned().collect::<Vec<_>>())
    };
    sealed
        .iter()
        .map(|(table, batches)| (*table, pending(batches)))
        .filter(|(_, batches)| !batches.is_empty())
        .collect()
}

/// Journal records without rows need no snapshot: only the position moves.
fn pass_over(volume: &Volume, position: JournalPosition) -> Result<FlushReport> {
    let (_, flushed) = volume.head()?;
    if position > flushed {
        volume.catalog.set_metadata(volume.position_key(), &position.to_string())?;
    }
    Ok(FlushReport { position, ..FlushReport::default() })
}

/// Writes the files of all tables, then commits them together with the position.
fn commit(
    volume: &Arc<Volume>,
    journal: JournalId,
    sealed: &Generation,
    position: JournalPosition,
    batch_rows: usize,
) -> Result<(usize, SnapshotId)> {
    let _write = volume.writes.begin();
    let (head, _) = volume.head()?;
    let mut appends = Vec::with_capacity(sealed.len());
    for (table, batches) in sealed {
        let schema = stored_schema(volume, head, *table)?;
        let target = volume.catalog.append_target(MAIN, &table.name(), &schema)?;
        let batches =
            batches.iter().map(|batch| conform(&batch.rows, &schema)).collect::<Result<Vec<_>>>()?;
        let directory = volume.written(&target.directory);
        let place = (volume.data_path.as_path(), directory.as_path());
        appends.push(parquet_files::write(place, target, &schema, &batches, batch_rows)?);
    }
    volume.publish_all(&appends)?;
    FaultPoint::FlushFiles.pass();
    let about = SnapshotCommitMetadata::new()
        .with_author("pintail")
        .with_message("flush")
        .with_extra_info(format!("journal {journal} position {position}"));
    let extras = CommitExtras { metadata: vec![(volume.position_key().to_owned(), position.to_string())] };
    let snapshot = volume.catalog.append_files(&appends, &about, extras).inspect_err(|error| {
        // Any other error may have come after the commit was durable: then the files must stay.
        if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Invalid | ErrorKind::Unsupported) {
            volume.discard(&appends);
        }
    })?;
    Ok((appends.iter().map(|append| append.files.len()).sum(), snapshot))
}

/// The table's live columns: another program may have added some.
fn stored_schema(volume: &Arc<Volume>, head: SnapshotId, table: TelemetryTable) -> Result<SchemaRef> {
    let stored = volume.runtime.block_on(volume.table(head, MAIN, &table.name()))?;
    stored
        .map(|stored| plain_text(&table.schema(), &stored.schema()))
        .ok_or_else(|| Error::internal(format!("table {} vanished during a flush", table.name())))
}
