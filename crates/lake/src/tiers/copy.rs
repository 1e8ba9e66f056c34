//! Rows of some files, copied into one file of another volume, which is read again to be sure.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion_ducklake::DataFileInfo;
use datafusion_ducklake::stats_collect::{accumulate_nan_flags, collect_column_stats};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use pintail_ducklake::{AppendTarget, LiveFile};
use pintail_types::{Error, Result};

use super::row_sum::RowSum;
use crate::journal::io_error;
use crate::maintenance::Stop;
use crate::maintenance::merge::{Shape, Source, Stoppable, merge_ordered};
use crate::new_file::{NewFile, parquet_error};
use crate::parquet_files::{TightPages, telemetry_properties};
use crate::user_tables::{Conversion, open, parquet_schema};
use crate::volume::Volume;
use crate::volume_files::ReadableFile;

/// Rows that are read at once to be verified.
const BATCH_ROWS: usize = 4096;

/// Where rows come from and where they go.
pub(super) struct Copier<'a> {
    pub(super) to: &'a Arc<Volume>,
    /// The table where the rows are.
    pub(super) shape: &'a Shape,
    /// The table where they go.
    pub(super) target: &'a AppendTarget,
    pub(super) target_shape: &'a Shape,
    /// The partition that they are of there.
    pub(super) partition: Option<(i64, String)>,
    /// What the names of the new files begin with.
    pub(super) prefix: &'a str,
    pub(super) row_group_bytes: usize,
    pub(super) stop: &'a Stop,
}

impl Copier<'_> {
    /// Opens files. Those that can't be read without loss are left out.
    pub(super) fn open<'f>(&self, files: &'f [ReadableFile]) -> Result<Vec<(&'f LiveFile, Source)>> {
        let mut sources = Vec::with_capacity(files.len());
        for ReadableFile { file, .. } in files.iter().filter(|readable| !readable.file.is_foreign) {
            sources.extend(Source::open(file, self.shape)?.map(|source| (file, source)));
        }
        Ok(sources)
    }

    /// Copies the live rows of the sources into the file of this number; none if there are no rows.
    pub(super) fn copy(
        &self,
        number: usize,
        sources: Vec<(&LiveFile, Source)>,
    ) -> Result<Option<DataFileInfo>> {
        let expected: i64 = sources.iter().map(|(file, _)| file.rows - file.deleted_rows()).sum();
        if expected == 0 {
            return Ok(None);
        }
        let schema = self.shape.with_lineage(false);
        let sources: Vec<Stoppable<'_>> = sources
            .into_iter()
            .map(|(_, source)| Stoppable { source: source.giving(&schema, false), stop: self.stop })
            .collect();
        let name = format!("{}{number}.parquet", self.prefix);
        let mut output = Output::create(self, name)?;
        merge_ordered(sources, self.shape.sorted_by, &schema, |batch| output.write(&batch))?;
        let (file, read) = output.close(self)?;
        if i64::try_from(read.rows).ok() != Some(expected) {
            return Err(Error::corrupt(format!(
                "{expected} rows of table {} were to be moved, {} were read: the catalog and the files disagree",
                self.target.table, read.rows
            )));
        }
        let path = format!("{}{}", self.target.directory, file.path);
        self.to.publish(&path)?;
        // As anybody would read it: from a bucket it comes back over the network.
        let copy = self.to.remote.as_ref().map(|remote| remote.fetch(&path)).transpose()?;
        self.verify(copy.as_ref().map_or(Path::new(&path), |copy| copy.0.as_path()), read)?;
        Ok(Some(file))
    }

    /// Reads a new file as anybody would, and compares its rows with those that were read.
    fn verify(&self, path: &Path, expected: RowSum) -> Result<()> {
        let failed = |error| parquet_error(path, error);
        let builder = open(path)?;
        let conversion = Conversion::new(builder.schema(), &self.target_shape.columns)?;
        let mut found = RowSum::default();
        for batch in builder.with_batch_size(BATCH_ROWS).build().map_err(failed)? {
            self.stop.check()?;
            let batch = batch.map_err(|error| parquet_error(path, error.into()))?;
            found.add(&conversion.apply(&batch)?)?;
        }
        match found == expected {
            true => Ok(()),
            false => Err(Error::corrupt(format!(
                "{}: it does not hold the rows that were copied into it: {} of {}, or other values; nothing was moved",
                path.display(),
                found.rows,
                expected.rows
            ))),
        }
    }
}

/// The file that is written.
struct Output {
    name: String,
    path: PathBuf,
    file: NewFile,
    writer: ArrowWriter<std::fs::File>,
    /// From the columns of the sources to those of the file.
    conversion: Conversion,
    source_columns: SchemaRef,
    nans: Vec<Option<bool>>,
    sum: RowSum,
}

impl Output {
    fn create(copier: &Copier<'_>, name: String) -> Result<Self> {
        let path = copier.to.written(&copier.target.directory).join(&name);
        let failed = |error| parquet_error(&path, error);
        let columns = &copier.target_shape.columns;
        let properties = telemetry_properties().set_max_row_group_bytes(Some(copier.row_group_bytes));
        let options = ArrowWriterOptions::new()
            .with_properties(properties.build())
            .with_skip_arrow_metadata(true)
            .with_page_store_factory(Arc::new(TightPages))
            .with_parquet_schema(parquet_schema(columns).map_err(failed)?);
        let file = NewFile::create(path.clone())?;
        let handle = file.file().try_clone().map_err(|error| io_error(&path, &error))?;
        let writer =
            ArrowWriter::try_new_with_options(handle, Arc::clone(columns), options).map_err(failed)?;
        let source_columns = Arc::clone(&copier.shape.columns);
        let conversion = Conversion::new(&source_columns, columns)?;
        Ok(Self {
            name,
            path,
            file,
            writer,
            conversion,
            source_columns,
            nans: Vec::new(),
            sum: RowSum::default(),
        })
    }

    /// Adds rows of the sources, which have their ids in the column after those of the table.
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = batch.columns()[..self.source_columns.fields().len()].to_vec();
        let rows = RecordBatch::try_new(Arc::clone(&self.source_columns), columns)
            .map_err(|error| Error::internal("rows do not fit their table").with_source(error))?;
        let rows = self.conversion.apply(&rows)?;
        accumulate_nan_flags(&mut self.nans, &rows, rows.num_columns());
        self.sum.add(&rows)?;
        self.writer.write(&rows).map_err(|error| parquet_error(&self.path, error))
    }

    fn close(self, copier: &Copier<'_>) -> Result<(DataFileInfo, RowSum)> {
        let Self { name, path, file, writer, nans, sum, .. } = self;
        writer.close().map_err(|error| parquet_error(&path, error))?;
        let rows = i64::try_from(sum.rows).unwrap_or(i64::MAX);
        let stats = collect_column_stats(file.hidden_path(), &copier.target_shape.column_ids, rows, &nans);
        let size = file.publish(&copier.to.data_path)?;
        let mut info =
            DataFileInfo::new(name, size.file, rows).with_footer_size(size.footer).with_column_stats(stats);
        info.partition_id = copier.partition.as_ref().map(|(id, _)| *id);
        info.partition_values = copier.partition.iter().map(|(_, date)| (0, Some(date.clone()))).collect();
        Ok((info, sum))
    }
}
