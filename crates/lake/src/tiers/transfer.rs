//! One move, step by step.

use std::sync::Arc;

use arrow::datatypes::Field;
use pintail_ducklake::{AppendTarget, AppendedFiles, LiveFile, LiveFiles, Move, TableSpec, Taken};
use pintail_types::{Error, FaultPoint, Result, TelemetryTable};
use uuid::Uuid;

use super::copy::Copier;
use super::partition::{Partition, bytes, live_rows, told};
use super::settle::{Ended, about, end, given_back, settle};
use super::watch::MoveWatch;
use crate::flush::{MAIN, table_spec};
use crate::lake::Lake;
use crate::maintenance::merge::{FILES_AT_ONCE, Shape};
use crate::maintenance::{Done, Stop};
use crate::parquet_files::day_partition;
use crate::rows::plain_text;
use crate::volume::Volume;

/// A day of a table on its way from one volume to another.
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    pub(crate) partition: Partition,
    pub(crate) from: Arc<Volume>,
    pub(crate) to: Arc<Volume>,
}

/// What was copied, and is not committed yet.
struct Copied {
    files: AppendedFiles,
    taken: Taken,
    /// Files that stay because of their columns.
    unfit: usize,
}

impl Transfer {
    /// A move between two volumes of a lake.
    ///
    /// # Errors
    /// `Invalid` when both are the same.
    pub(crate) fn new(partition: Partition, from: &Arc<Volume>, to: &Arc<Volume>) -> Result<Self> {
        if Arc::ptr_eq(from, to) {
            return Err(Error::invalid(format!("the rows are in volume {} already", from.name)));
        }
        Ok(Self { partition, from: Arc::clone(from), to: Arc::clone(to) })
    }

    /// What it would move.
    pub(crate) fn plan(&self, lake: &Arc<Lake>) -> Result<Done> {
        let live = self.partition.files(lake, &self.from)?;
        let files = live.map(|live| live.files).unwrap_or_default();
        Ok(told(
            &files,
            format!("{} would move from {} to {}", self.partition.date, self.from.name, self.to.name),
        ))
    }

    /// Moves it. What fails on the way is rolled back or finished at once, if that is possible. Blocks.
    pub(crate) fn run(&self, lake: &Arc<Lake>, stop: &Stop) -> Result<Done> {
        let moved = self.moved(lake, stop);
        if moved.is_err()
            && let Err(error) = settle(lake)
        {
            tracing::warn!(%error, "a move that failed could not be settled; it is tried again later");
        }
        moved
    }

    fn moved(&self, lake: &Arc<Lake>, stop: &Stop) -> Result<Done> {
        let nothing = || Done {
            message: format!(
                "volume {} has no files of {} for {}",
                self.from.name, self.partition.table, self.partition.date
            ),
            ..Done::default()
        };
        let Some(live) = self.partition.files(lake, &self.from)? else { return Ok(nothing()) };
        if live.files.is_empty() {
            return Ok(nothing());
        }
        self.make_room()?;
        let id = Uuid::now_v7().to_string();
        let watch = lake.options().policy.watch.as_ref();
        // Until the commit the files belong to this write: no cleanup takes them for lost.
        let _write = self.to.writes.begin();
        let copied = self.copy(lake, &id, &live, stop)?;
        MoveWatch::pass(watch, FaultPoint::MoveVerified)?;
        let mut done = Done {
            files_in: copied.taken.files.len() as u64,
            files_out: copied.files.files.len() as u64,
            rows: copied.taken.rows,
            bytes: copied.files.files.iter().map(|file| file.file_size_bytes).sum::<i64>().unsigned_abs(),
            message: String::new(),
        };
        if copied.taken.files.is_empty() {
            self.to.catalog.forget_begun_move(&id)?;
            done.message = format!("{} files stay because of their columns", copied.unfit);
            return Ok(done);
        }
        let since = self.to.catalog.take_over(&id, &copied.files, &copied.taken, &about(&id))?;
        MoveWatch::pass(watch, FaultPoint::MoveTakenOver)?;
        let moved = Move { id, taken: copied.taken, since, undone: None };
        let ended = end(&self.from, &self.to, &moved)?;
        MoveWatch::pass(watch, FaultPoint::MoveHandedOver)?;
        done.message = match ended {
            Ended::GivenBack => given_back(&self.from, &self.to, &moved),
            Ended::Moved => format!(
                "{} rows of {} moved from {} to {} and were verified there{}",
                moved.taken.rows,
                self.partition.date,
                self.from.name,
                self.to.name,
                match copied.unfit {
                    0 => String::new(),
                    unfit => format!("; {unfit} files stay because of their columns"),
                }
            ),
        };
        Ok(done)
    }

    /// Makes the table in the other volume, or the columns that it lacks: no column of a row is lost.
    fn make_room(&self) -> Result<()> {
        let table = &self.partition.table;
        let Some(telemetry) = TelemetryTable::from_name(&table.name) else { return Ok(()) };
        let (snapshot, _) = self.from.head()?;
        let stored = self.from.runtime.block_on(self.from.table(snapshot, &table.schema, &table.name))?;
        let Some(stored) = stored else { return Ok(()) };
        let columns = plain_text(&telemetry.schema(), &stored.schema());
        let nullable = columns.fields().iter().map(|field| Field::clone(field).with_nullable(true));
        let schema = Arc::new(arrow::datatypes::Schema::new(nullable.collect::<Vec<_>>()));
        let spec = TableSpec { schema, ..table_spec(telemetry) };
        self.to.catalog.ensure_tables(MAIN, &[spec])?;
        Ok(())
    }

    /// Writes the rows into files of the other volume and verifies these.
    fn copy(&self, lake: &Arc<Lake>, id: &str, live: &LiveFiles, stop: &Stop) -> Result<Copied> {
        let table = &self.partition.table;
        let watch = lake.options().policy.watch.as_ref();
        let unknown = |volume: &Volume| {
            Error::unsupported(format!(
                "table {table} of volume {} has columns of types that Pintail does not write",
                volume.name
            ))
        };
        let (shape, _) = Shape::of(&self.from, table, live)?.ok_or_else(|| unknown(&self.from))?;
        let there = self.to.catalog.live_files(table, "")?.ok_or_else(|| unknown(&self.to))?;
        let (target_shape, target) = Shape::of(&self.to, table, &there)?.ok_or_else(|| unknown(&self.to))?;
        let partition_id = day_partition(&target, &target_shape.columns)?;
        let prefix = match partition_id {
            Some(_) => format!("date={}/ducklake-{id}-", self.partition.date),
            None => format!("ducklake-{id}-"),
        };
        self.to.catalog.begin_move(id, &format!("{}{prefix}", target.directory))?;
        MoveWatch::pass(watch, FaultPoint::MoveBegun)?;
        let copier = Copier {
            to: &self.to,
            shape: &shape,
            target: &target,
            target_shape: &target_shape,
            partition: partition_id.map(|id| (id, self.partition.date.to_string())),
            prefix: &prefix,
            row_group_bytes: lake.options().maintenance.merging.row_group_bytes,
            stop,
        };
        let (mut files, mut taken, mut unfit) = (Vec::new(), Vec::new(), 0);
        let mut rows = 0;
        for run in runs(&live.files, lake.options().maintenance.merging.target_bytes) {
            let readable = run.iter().map(|file| self.from.readable(file)).collect::<Result<Vec<_>>>()?;
            let sources = copier.open(&readable)?;
            unfit += run.len() - sources.len();
            let read: Vec<LiveFile> = sources.iter().map(|(file, _)| LiveFile::clone(file)).collect();
            files.extend(copier.copy(files.len(), sources)?);
            rows += live_rows(&read);
            taken.extend(read.iter().map(|file| (file.id, file.deletes.as_ref().map(|deletes| deletes.id))));
            MoveWatch::pass(watch, FaultPoint::MoveCopied)?;
        }
        let (from, table, base) = (self.from.name.clone(), table.clone(), live.snapshot);
        let taken = Taken { from, table, base, files: taken, rows };
        Ok(Copied { files: appended(target, files), taken, unfit })
    }
}

const fn appended(target: AppendTarget, files: Vec<datafusion_ducklake::DataFileInfo>) -> AppendedFiles {
    AppendedFiles { target, files, deletes: Vec::new() }
}

/// Neighbours, as many as make a file of the target size and can be read at once.
fn runs(files: &[LiveFile], target_bytes: u64) -> Vec<&[LiveFile]> {
    let mut runs = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (place, file) in files.iter().enumerate() {
        let is_full = place - start == FILES_AT_ONCE || place > start && size + bytes(file) > target_bytes;
        if is_full {
            runs.push(&files[start..place]);
            (start, size) = (place, 0);
        }
        size += bytes(file);
    }
    runs.push(&files[start..]);
    runs
}
