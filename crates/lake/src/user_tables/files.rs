//! Rows of a stream, written as Parquet files of a user table.
//!
//! Row groups are encoded side by side, one on each processor, and put into the file in the order in which their
//! rows came. So memory holds a few row groups at a time, however long the stream is. A file that has grown to
//! [`TARGET_FILE_BYTES`] is closed and another one begun. Until the commit every file belongs to a [`NewFiles`],
//! which removes them when it is dropped: a stream that breaks leaves nothing.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array as _, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion_ducklake::DataFileInfo;
use datafusion_ducklake::stats_collect::collect_column_stats;
use futures::StreamExt;
use futures::stream::BoxStream;
use parquet::file::writer::SerializedFileWriter;
use pintail_types::{Error, Result};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::columns::Conversion;
use super::encoder::{Encoder, RowGroup};
use super::new_files::NewFiles;
use crate::journal::io_error;
use crate::lake::blocking;
use crate::new_file::{NewFile, parquet_error};
use crate::parquet_files::{ROW_GROUP_BYTES, ROW_GROUP_ROWS};

/// A file is closed once it is this large, as DuckDB does it.
const TARGET_FILE_BYTES: u64 = 512 << 20;

/// What the files of one table are to be.
#[derive(Debug, Clone)]
pub(crate) struct FileSpec {
    /// The table's directory.
    pub(crate) directory: PathBuf,
    /// The directory up to which new files are made durable.
    pub(crate) root: PathBuf,
    /// The columns with their ids; one more than there are `column_ids` if the last one is the row id.
    pub(crate) schema: SchemaRef,
    /// The ids of the table's columns.
    pub(crate) column_ids: Vec<i64>,
}

impl FileSpec {
    fn embeds_row_ids(&self) -> bool {
        self.schema.fields().len() > self.column_ids.len()
    }
}

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) files: Vec<DataFileInfo>,
    pub(crate) rows: u64,
}

/// Writes all rows of `batches`, which `conversion` brings into the columns of the file.
pub(crate) async fn write(
    spec: FileSpec,
    conversion: Conversion,
    mut batches: BoxStream<'static, Result<RecordBatch>>,
    new_files: &NewFiles,
) -> Result<Written> {
    let mut writer = Writer::new(spec, conversion, new_files);
    let mut encoding: VecDeque<JoinHandle<Result<RowGroup>>> = VecDeque::new();
    let side_by_side = std::thread::available_parallelism().map_or(1, usize::from);
    let mut pending = Pending::default();
    loop {
        let next = batches.next().await.transpose()?;
        let ended = next.is_none();
        pending.rows.extend(next.into_iter().filter(|batch| batch.num_rows() > 0));
        while let Some(rows) = pending.take(ended) {
            if encoding.len() == side_by_side
                && let Some(first) = encoding.pop_front()
            {
                writer = writer.append(first).await?;
            }
            writer = writer.begin(&rows).await?;
            encoding.push_back(writer.encode(rows)?);
        }
        if ended {
            break;
        }
    }
    for group in encoding {
        writer = writer.append(group).await?;
    }
    writer.finish().await
}

/// Rows that do not fill a row group yet.
#[derive(Debug, Default)]
struct Pending {
    rows: VecDeque<RecordBatch>,
}

impl Pending {
    /// The rows of the next row group: a full one, or the last.
    fn take(&mut self, ended: bool) -> Option<Vec<RecordBatch>> {
        let (mut count, mut bytes, mut whole) = (0, 0, 0);
        for batch in &self.rows {
            if count >= ROW_GROUP_ROWS || bytes >= ROW_GROUP_BYTES {
                break;
            }
            count += batch.num_rows();
            bytes += sliced_bytes(batch);
            whole += 1;
        }
        let is_full = count >= ROW_GROUP_ROWS || bytes >= ROW_GROUP_BYTES;
        if whole == 0 || !is_full && !ended {
            return None;
        }
        let mut taken: Vec<RecordBatch> = self.rows.drain(..whole).collect();
        if let Some(last) = taken.pop() {
            let spare = count.saturating_sub(ROW_GROUP_ROWS);
            let fitting = last.num_rows() - spare;
            if spare > 0 {
                self.rows.push_front(last.slice(fitting, spare));
            }
            taken.push(last.slice(0, fitting));
        }
        Some(taken)
    }
}

fn sliced_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

/// The file that is being written, and those that are done.
struct Writer {
    spec: Arc<FileSpec>,
    /// None before the first rows.
    encoder: Option<Arc<Encoder>>,
    conversion: Conversion,
    new_files: NewFiles,
    open: Option<OpenFile>,
    written: Written,
}

struct OpenFile {
    name: String,
    path: PathBuf,
    file: NewFile,
    parquet: SerializedFileWriter<File>,
    rows: usize,
    nans: Vec<Option<bool>>,
}

impl Writer {
    fn new(spec: FileSpec, conversion: Conversion, new_files: &NewFiles) -> Self {
        let written = Written::default();
        Self {
            spec: Arc::new(spec),
            encoder: None,
            conversion,
            new_files: new_files.clone(),
            open: None,
            written,
        }
    }

    /// Looks at the first rows, from which the way follows how all are encoded.
    async fn begin(self, rows: &[RecordBatch]) -> Result<Self> {
        let Some(first) = rows.first().filter(|_| self.encoder.is_none()).cloned() else { return Ok(self) };
        blocking("looking at rows", move || {
            let encoder = Encoder::new(&self.spec, &self.conversion.apply_for_parquet(&first)?)?;
            Ok(Self { encoder: Some(Arc::new(encoder)), ..self })
        })
        .await
    }

    fn encode(&self, rows: Vec<RecordBatch>) -> Result<JoinHandle<Result<RowGroup>>> {
        let (spec, encoder, conversion) = (Arc::clone(&self.spec), self.encoder()?, self.conversion.clone());
        Ok(tokio::task::spawn_blocking(move || encoder.encode(&spec.directory, &conversion, &rows)))
    }

    fn encoder(&self) -> Result<Arc<Encoder>> {
        self.encoder.clone().ok_or_else(|| Error::internal("rows are encoded before they were looked at"))
    }

    async fn append(mut self, group: JoinHandle<Result<RowGroup>>) -> Result<Self> {
        let stopped = |error| Error::internal("encoding rows was stopped").with_source(error);
        let group = group.await.map_err(stopped)??;
        blocking("writing rows", move || {
            self.append_blocking(group)?;
            Ok(self)
        })
        .await
    }

    async fn finish(mut self) -> Result<Written> {
        blocking("closing a file", move || {
            self.close_blocking()?;
            Ok(self.written)
        })
        .await
    }

    fn append_blocking(&mut self, group: RowGroup) -> Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => OpenFile::create(&self.spec, &*self.encoder()?)?,
        };
        open.append(group)?;
        let is_full = open.parquet.bytes_written() as u64 >= TARGET_FILE_BYTES;
        self.open = Some(open);
        if is_full { self.close_blocking() } else { Ok(()) }
    }

    fn close_blocking(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        self.written.rows += open.rows as u64;
        self.written.files.push(open.close(&self.spec, &self.new_files)?);
        Ok(())
    }
}

impl OpenFile {
    fn create(spec: &FileSpec, encoder: &Encoder) -> Result<Self> {
        let name = format!("ducklake-{}.parquet", Uuid::now_v7());
        let path = spec.directory.join(&name);
        let file = NewFile::create(path.clone())?;
        let failed = |error| parquet_error(&path, error);
        let handle = file.file().try_clone().map_err(|error| io_error(&path, &error))?;
        let parquet = encoder.begin(handle).map_err(failed)?;
        Ok(Self { name, path, file, parquet, rows: 0, nans: Vec::new() })
    }

    fn append(&mut self, group: RowGroup) -> Result<()> {
        let failed = |error| parquet_error(&self.path, error);
        let mut row_group = self.parquet.next_row_group().map_err(failed)?;
        for chunk in group.chunks {
            chunk.append_to_row_group(&mut row_group).map_err(failed)?;
        }
        row_group.close().map_err(failed)?;
        self.rows += group.rows;
        merge_nans(&mut self.nans, &group.nans);
        Ok(())
    }

    fn close(self, spec: &FileSpec, new_files: &NewFiles) -> Result<DataFileInfo> {
        let Self { name, path, file, parquet, rows, nans } = self;
        let mut parquet = parquet;
        parquet.finish().map_err(|error| parquet_error(&path, error))?;
        drop(parquet);
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let stats = collect_column_stats(file.hidden_path(), &spec.column_ids, rows, &nans);
        let size = new_files.publish(file, &path, &spec.root)?;
        let info =
            DataFileInfo::new(name, size.file, rows).with_footer_size(size.footer).with_column_stats(stats);
        Ok(if spec.embeds_row_ids() { info.with_embedded_row_ids() } else { info })
    }
}

fn merge_nans(all: &mut Vec<Option<bool>>, more: &[Option<bool>]) {
    all.resize(more.len().max(all.len()), None);
    for (all, more) in all.iter_mut().zip(more) {
        *all = match (*all, *more) {
            (Some(one), Some(other)) => Some(one || other),
            (known, None) | (None, known) => known,
        };
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn batch(rows: usize) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
        RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![7; rows]))]).unwrap()
    }

    #[test]
    fn row_groups_are_full_but_for_the_last() {
        let mut pending = Pending::default();
        let mut sizes = Vec::new();
        for rows in [100_000, 100_000, 300_000, 5] {
            pending.rows.push_back(batch(rows));
            while let Some(group) = pending.take(false) {
                sizes.push(group.iter().map(RecordBatch::num_rows).sum::<usize>());
            }
        }
        while let Some(group) = pending.take(true) {
            sizes.push(group.iter().map(RecordBatch::num_rows).sum());
        }
        assert_eq!(sizes, [ROW_GROUP_ROWS, ROW_GROUP_ROWS, ROW_GROUP_ROWS, ROW_GROUP_ROWS, 8_485]);
    }
}
