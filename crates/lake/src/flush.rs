//! From the hot buffer into Parquet files and one DuckLake commit.

use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion_ducklake::{DuckLakeTableWriter, SnapshotCommitMetadata, TableWriteOptions, WriteMode};
use parquet::basic::{Compression, ZstdLevel};
use pintail_ducklake::{CommitExtras, TableSpec};
use pintail_types::{Error, JournalId, JournalPosition, Result, SnapshotId, TelemetryTable};

use crate::hot::Generation;
use crate::rows::{conform, ordered_by_time, plain_text};
use crate::volume::{Volume, from_ducklake};

/// The schema of the telemetry tables.
pub(crate) const MAIN: &str = "main";

/// Rows of one Parquet row group, as DuckDB writes them.
const ROW_GROUP_ROWS: usize = 122_880;

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
    let rows: usize =
        sealed.values().flat_map(|batches| batches.iter()).map(|batch| batch.rows.num_rows()).sum();
    if rows == 0 {
        return pass_over(volume, position);
    }
    let specs: Vec<TableSpec> = sealed.keys().map(|table| table_spec(*table)).collect();
    volume.catalog.ensure_tables(MAIN, &specs)?;
    let runtime = tokio::runtime::Handle::current();
    let (files, snapshot) = runtime.block_on(commit(volume, journal, sealed, position, batch_rows))?;
    let elapsed = started.elapsed();
    tracing::info!(rows, files, %snapshot, journal_position = %position, ?elapsed, "flushed");
    Ok(FlushReport { rows, files, snapshot: Some(snapshot), position })
}

/// Journal records without rows need no snapshot: only the position moves.
fn pass_over(volume: &Volume, position: JournalPosition) -> Result<FlushReport> {
    let (_, flushed) = volume.head()?;
    if position > flushed {
        volume.catalog.set_metadata(volume.position_key(), &position.to_string())?;
    }
    Ok(FlushReport { position, ..FlushReport::default() })
}

async fn commit(
    volume: &Arc<Volume>,
    journal: JournalId,
    sealed: &Generation,
    position: JournalPosition,
    batch_rows: usize,
) -> Result<(usize, SnapshotId)> {
    let failed = |error| from_ducklake("the flush can't be written", error);
    let extras = CommitExtras { metadata: vec![(volume.position_key().to_owned(), position.to_string())] };
    let writer = DuckLakeTableWriter::new(volume.catalog.writer_with(extras), Arc::clone(&volume.store))
        .map_err(failed)?
        .with_options(&write_options());
    let (head, _) = volume.head()?;
    let mut transaction = writer.transaction().with_options(&TableWriteOptions {
        commit_metadata: SnapshotCommitMetadata::new()
            .with_author("pintail")
            .with_message("flush")
            .with_extra_info(format!("journal {journal} position {position}")),
        expected_base_snapshot_id: None,
    });
    for (table, batches) in sealed {
        let stored = stored_schema(volume, head, *table).await?;
        let batches =
            batches.iter().map(|batch| conform(&batch.rows, &stored)).collect::<Result<Vec<_>>>()?;
        let ordered: Vec<RecordBatch> = ordered_by_time(&batches, batch_rows)?;
        transaction
            .stage_write(MAIN, &table.name(), &stored, WriteMode::Append, &ordered)
            .await
            .map_err(failed)?;
    }
    let results = transaction.commit().await.map_err(failed)?;
    let snapshot = results.first().map(|result| SnapshotId(result.snapshot_id));
    let snapshot = snapshot.ok_or_else(|| Error::internal("a flush with rows committed nothing"))?;
    Ok((results.iter().map(|result| result.files_written).sum(), snapshot))
}

/// The table's live columns: another program may have added some.
async fn stored_schema(volume: &Arc<Volume>, head: SnapshotId, table: TelemetryTable) -> Result<SchemaRef> {
    let stored = volume.table(head, MAIN, &table.name()).await?;
    stored
        .map(|stored| plain_text(&table.schema(), &stored.schema()))
        .ok_or_else(|| Error::internal(format!("table {} vanished during a flush", table.name())))
}

fn write_options() -> datafusion_ducklake::DuckLakeWriteOptions {
    let mut options = datafusion_ducklake::DuckLakeWriteOptions::default().with_data_inlining_row_limit(0);
    options.compression = ZstdLevel::try_new(1).ok().map(Compression::ZSTD);
    options.max_row_group_rows = Some(ROW_GROUP_ROWS);
    // The rows come in order already, each copied once instead of twice.
    options.sort_on_insert = Some(false);
    options
}
