//! Many small files become one: the same rows in the order of their time, each with its id and the snapshot that added
//! it, so that every snapshot shows what it showed before.
//!
//! Files without deleted rows are replaced for all snapshots and listed for deletion at once. Files with deleted rows
//! give way to what is left of them from now on, and stay for older snapshots until these expire. Memory holds a few
//! pages of each file that is read and one row group of the file that is written, however large they are.

mod ordered;
mod plan;
mod source;

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_ducklake::row_id::{embedded_rowid_field, embedded_snapshot_id_field};
use datafusion_ducklake::stats_collect::{accumulate_nan_flags, collect_column_stats};
use datafusion_ducklake::{
    CompactionOutputFile, CompactionSourceFile, DataFileInfo, DuckLakeTable, SnapshotCommitMetadata,
    SourceRetirement,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use pintail_ducklake::{AppendTarget, LiveFile, LiveFiles, Rewrite, TableName, catalog_now};
use pintail_types::{Error, ErrorKind, FaultPoint, Result, SnapshotId, TelemetryTable};
use uuid::Uuid;

use self::ordered::Batches;
use self::plan::{Bin, bins};
pub(crate) use self::source::Source;
use super::{ATTEMPTS, Done, Stop};
use crate::flush::MAIN;
use crate::lake::Lake;
use crate::new_file::{NewFile, parquet_error};
use crate::parquet_files::{TightPages, lake_properties, telemetry_properties};
use crate::user_tables::{Guard, NewFiles, file_schema, parquet_schema, remove_all};
use crate::volume::Volume;

pub(crate) use self::ordered::merge as merge_ordered;
pub(crate) use self::plan::{FILES_AT_ONCE, Zeal};

/// The columns of a table, for who reads and writes its files.
pub(crate) struct Shape {
    /// As files have them, each with its id.
    pub(crate) columns: SchemaRef,
    /// The ids of the columns.
    pub(crate) column_ids: Vec<i64>,
    /// The ids of columns that older rows, whose files lack them, do not have null in.
    filled_columns: BTreeSet<i64>,
    /// The column that rows are sorted by.
    pub(crate) sorted_by: Option<usize>,
    is_telemetry: bool,
}

impl Shape {
    /// The table at the snapshot of `live`, and where new files of it go; none if it is gone, or has columns that we do
    /// not write.
    pub(crate) fn of(
        volume: &Arc<Volume>,
        name: &TableName,
        live: &LiveFiles,
    ) -> Result<Option<(Self, AppendTarget)>> {
        let stored = volume.runtime.block_on(volume.table(live.snapshot, &name.schema, &name.name))?;
        let Some(stored) = stored.filter(|stored| stored.is::<DuckLakeTable>()) else { return Ok(None) };
        let stored = stored.schema();
        let target = match volume.catalog.append_target(&name.schema, &name.name, &stored) {
            Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(None),
            other => other?.based_on(live.snapshot),
        };
        let columns = file_schema(&without_views(&stored), &target.field_ids)?;
        let shape = Self {
            sorted_by: live.sorted_by.as_ref().and_then(|column| columns.index_of(column).ok()),
            columns,
            column_ids: target.column_ids.clone(),
            filled_columns: live.filled_columns.clone(),
            is_telemetry: name.schema == MAIN && TelemetryTable::from_name(&name.name).is_some(),
        };
        Ok(Some((shape, target)))
    }

    /// The columns, and what rows of files bring with them: their ids and, if they are asked for, their snapshots.
    pub(crate) fn with_lineage(&self, with_snapshots: bool) -> SchemaRef {
        let mut fields: Vec<Field> =
            self.columns.fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.push(embedded_rowid_field());
        if with_snapshots {
            fields.push(embedded_snapshot_id_field());
        }
        Arc::new(Schema::new(fields))
    }
}

/// A table whose files are merged.
struct Table<'a> {
    lake: &'a Arc<Lake>,
    volume: &'a Arc<Volume>,
    target: AppendTarget,
    shape: Shape,
}

/// Merges the files that a table has now until there is nothing left to merge of them. Blocks.
pub(super) fn compact(
    lake: &Arc<Lake>,
    volume: &Arc<Volume>,
    table: &TableName,
    zeal: Zeal,
    stop: &Stop,
) -> Result<Done> {
    if volume.remote.is_some() {
        let message = "files in a bucket are merged when they are moved, and not again".to_owned();
        return Ok(Done { message, ..Done::default() });
    }
    let options = &lake.options().maintenance.merging;
    let mut done = Done::default();
    let mut unfit = HashSet::new();
    let mut conflicts = 0;
    // What comes later is left for the next time: files may come as fast as they are merged.
    let mut taken = Taken { until: volume.head()?.0, own: HashSet::new() };
    while let Some(mut live) = volume.catalog.live_files(table, "")? {
        let hidden = lake.hidden_files(volume)?;
        live.files.retain(|file| taken.has(file) && !hidden.contains(&file.id));
        let bins = bins(&live.files, &unfit, options, zeal, catalog_now());
        if bins.is_empty() {
            break;
        }
        let Some(open) = Table::open(lake, volume, table, &live)? else { break };
        for bin in bins {
            stop.check()?;
            match open.merge(&bin, &mut unfit, &mut done, stop) {
                Ok(snapshot) => taken.own.extend(snapshot),
                // Somebody changed the files meanwhile: look again.
                Err(error) if error.kind() == ErrorKind::Conflict && conflicts + 1 < ATTEMPTS => {
                    conflicts += 1
                }
                Err(error) => return Err(error),
            }
            if zeal == Zeal::WorthIt && done.files_out >= options.max_outputs as u64 {
                return Ok(told(done, &unfit));
            }
        }
    }
    Ok(told(done, &unfit))
}

/// Which files are merged.
struct Taken {
    /// Those of this snapshot,
    until: SnapshotId,
    /// and those that were made of them: the snapshots of these.
    own: HashSet<SnapshotId>,
}

impl Taken {
    fn has(&self, file: &LiveFile) -> bool {
        let begin = SnapshotId(file.begin_snapshot);
        begin <= self.until || self.own.contains(&begin)
    }
}

fn told(mut done: Done, unfit: &HashSet<i64>) -> Done {
    done.message = match done.files_in {
        0 => "nothing to merge".to_owned(),
        // Files that were made may be read again, to be merged with each other.
        files => format!("{files} files read, {} written in their place", done.files_out),
    };
    if !unfit.is_empty() {
        done.message.push_str(&format!("; {} were left alone because of their columns", unfit.len()));
    }
    done
}

impl<'a> Table<'a> {
    /// As [`Shape::of`].
    fn open(
        lake: &'a Arc<Lake>,
        volume: &'a Arc<Volume>,
        name: &TableName,
        live: &LiveFiles,
    ) -> Result<Option<Self>> {
        let found = Shape::of(volume, name, live)?;
        Ok(found.map(|(shape, target)| Self { lake, volume, target, shape }))
    }

    /// Makes one file of those in `bin`, and commits it; gives the snapshot. Files that can't be read for it are noted in
    /// `unfit`.
    fn merge(
        &self,
        bin: &Bin<'_>,
        unfit: &mut HashSet<i64>,
        done: &mut Done,
        stop: &Stop,
    ) -> Result<Option<SnapshotId>> {
        let mut files = Vec::with_capacity(bin.files.len());
        let mut sources = Vec::with_capacity(bin.files.len());
        for file in &bin.files {
            match Source::open(file, &self.shape)? {
                Some(source) => {
                    files.push(*file);
                    sources.push(source);
                }
                None => {
                    unfit.insert(file.id);
                }
            }
        }
        if files.is_empty() || files.len() == 1 && !bin.have_deletes {
            return Ok(None);
        }
        let _write = self.volume.writes.begin();
        let guard = Guard::default();
        let output = self.write(&files, sources, bin.have_deletes, &guard.0, stop)?;
        let made = output.as_ref().map(|output| &output.file);
        let more = Done {
            files_in: files.len() as u64,
            files_out: u64::from(made.is_some()),
            rows: made.map_or(0, |made| u64::try_from(made.record_count).unwrap_or(0)),
            bytes: made.map_or(0, |made| u64::try_from(made.file_size_bytes).unwrap_or(0)),
            message: String::new(),
        };
        let snapshot = self.commit(&files, output, bin.have_deletes, &guard)?;
        done.add(&more);
        Ok(Some(snapshot))
    }

    fn commit(
        &self,
        files: &[&LiveFile],
        output: Option<CompactionOutputFile>,
        have_deletes: bool,
        guard: &Guard,
    ) -> Result<SnapshotId> {
        let source = |file: &&LiveFile| CompactionSourceFile {
            data_file_id: file.id,
            delete_file_id: file.deletes.as_ref().map(|deletes| deletes.id),
        };
        let rewrite = Rewrite {
            sources: files.iter().map(source).collect(),
            outputs: output.into_iter().collect(),
            retirement: if have_deletes { SourceRetirement::Retire } else { SourceRetirement::Remove },
        };
        let about = SnapshotCommitMetadata::new().with_author("pintail").with_message("compact");
        let paths = guard.0.take();
        FaultPoint::CompactFile.pass();
        let committed = self.volume.catalog.rewrite_files(&self.target, &rewrite, &about);
        if let Err(error) = &committed
            && error.kind() == ErrorKind::Conflict
        {
            // Any other error may have come after the commit was durable.
            remove_all(&paths);
        }
        committed.inspect(|_| FaultPoint::CompactCommitted.pass())
    }

    /// Writes the rows of `sources`; none if there are none left.
    fn write(
        &self,
        files: &[&LiveFile],
        sources: Vec<Source>,
        have_deletes: bool,
        new_files: &NewFiles,
        stop: &Stop,
    ) -> Result<Option<CompactionOutputFile>> {
        let expected: i64 = files.iter().map(|file| file.rows - file.deleted_rows()).sum();
        if expected == 0 {
            return Ok(None);
        }
        let begin = files.iter().map(|file| file.begin_snapshot).min();
        let one_origin =
            files.iter().all(|file| Some(file.begin_snapshot) == begin && file.partial_max.is_none());
        let several_origins = !one_origin || sources.iter().any(Source::embeds_snapshots);
        // What is written anew without its deleted rows begins with this commit.
        let with_snapshots = several_origins && !have_deletes;
        let schema = self.shape.with_lineage(with_snapshots);
        let sources = sources
            .into_iter()
            .map(|source| Stoppable { source: source.giving(&schema, with_snapshots), stop })
            .collect();
        let mut output = OutputFile::create(self, &schema, files[0], with_snapshots)?;
        ordered::merge(sources, self.shape.sorted_by, &schema, |batch| output.write(&batch))?;
        if output.rows != expected {
            return Err(Error::corrupt(format!(
                "{}: {expected} rows were to be merged into it, {} were read: the catalog and the files disagree",
                output.path.display(),
                output.rows
            )));
        }
        let partial_max = with_snapshots.then_some(output.newest_snapshot);
        let file = output.close(self, new_files)?;
        let file = match &files[0].partition {
            Some(partition) => file.with_partition(partition.spec, partition.values.clone()),
            None => file,
        };
        let begin_snapshot = if have_deletes { None } else { begin };
        Ok(Some(CompactionOutputFile { file, partial_max, begin_snapshot }))
    }
}

/// The columns with plain text and bytes: views of them would keep whole pages in memory.
fn without_views(schema: &Schema) -> Schema {
    let plain = |field: &Arc<Field>| {
        let data_type = match field.data_type() {
            DataType::Utf8View => DataType::Utf8,
            DataType::BinaryView => DataType::Binary,
            other => other.clone(),
        };
        field.as_ref().clone().with_data_type(data_type)
    };
    Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>())
}

/// A source that ends with an error when nobody waits for its rows any more.
pub(crate) struct Stoppable<'a> {
    pub(crate) source: Source,
    pub(crate) stop: &'a Stop,
}

impl Batches for Stoppable<'_> {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.stop.check()?;
        self.source.next()
    }
}

/// The file that is written.
struct OutputFile {
    /// Where it is below the table's directory.
    name: String,
    path: PathBuf,
    file: NewFile,
    writer: ArrowWriter<std::fs::File>,
    columns: usize,
    /// The place of the column of snapshots.
    snapshots: Option<usize>,
    nans: Vec<Option<bool>>,
    rows: i64,
    newest_snapshot: i64,
}

impl OutputFile {
    fn create(
        table: &Table<'_>,
        schema: &SchemaRef,
        beside: &LiveFile,
        with_snapshots: bool,
    ) -> Result<Self> {
        let name = format!("{}ducklake-{}.parquet", beside.subdirectory, Uuid::now_v7());
        let path = PathBuf::from(&table.target.directory).join(&name);
        let failed = |error| parquet_error(&path, error);
        let row_group_bytes = table.lake.options().maintenance.merging.row_group_bytes;
        let properties = if table.shape.is_telemetry { telemetry_properties() } else { lake_properties() };
        let options = ArrowWriterOptions::new()
            .with_properties(properties.set_max_row_group_bytes(Some(row_group_bytes)).build())
            .with_skip_arrow_metadata(true)
            .with_page_store_factory(Arc::new(TightPages))
            .with_parquet_schema(parquet_schema(schema).map_err(failed)?);
        let file = NewFile::create(path.clone())?;
        let handle = file.file().try_clone().map_err(|error| crate::journal::io_error(&path, &error))?;
        let writer =
            ArrowWriter::try_new_with_options(handle, Arc::clone(schema), options).map_err(failed)?;
        let columns = table.shape.columns.fields().len();
        let snapshots = with_snapshots.then_some(columns + 1);
        Ok(Self {
            name,
            path,
            file,
            writer,
            columns,
            snapshots,
            nans: Vec::new(),
            rows: 0,
            newest_snapshot: 0,
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        use arrow::array::AsArray as _;
        accumulate_nan_flags(&mut self.nans, batch, self.columns);
        self.rows += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        if let Some(column) = self.snapshots {
            let snapshots = batch.column(column).as_primitive::<arrow::datatypes::Int64Type>();
            self.newest_snapshot = self.newest_snapshot.max(arrow::compute::max(snapshots).unwrap_or(0));
        }
        self.writer.write(batch).map_err(|error| parquet_error(&self.path, error))
    }

    fn close(self, table: &Table<'_>, new_files: &NewFiles) -> Result<DataFileInfo> {
        let Self { name, path, file, writer, nans, rows, .. } = self;
        writer.close().map_err(|error| parquet_error(&path, error))?;
        let stats = collect_column_stats(file.hidden_path(), &table.shape.column_ids, rows, &nans);
        let size = new_files.publish(file, &path, &table.volume.data_path)?;
        Ok(DataFileInfo::new(name, size.file, rows)
            .with_footer_size(size.footer)
            .with_column_stats(stats)
            .with_embedded_row_ids())
    }
}
