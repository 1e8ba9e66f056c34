//! Where the rows with certain ids lie in a table's files, and the delete files that hide them.
//!
//! A row's id is the file's first id and its place in the file, unless the file says the ids itself, as one does that
//! holds rewritten rows. A row that was rewritten leaves its id behind in the older file, where it is deleted: so
//! places that are deleted already never count.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use datafusion_ducklake::metadata_provider::DuckLakeFileData;
use datafusion_ducklake::row_id::ROW_ID_PARQUET_FIELD_ID;
use datafusion_ducklake::table::{DELETE_POS_COL, delete_file_schema};
use datafusion_ducklake::{DeleteFileEntry, DeleteFileInfo, DuckLakeTableFile};
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pintail_types::{Error, Result};
use uuid::Uuid;

use super::new_files::NewFiles;
use crate::journal::io_error;
use crate::new_file::{NewFile, parquet_error};
use crate::parquet_files::lake_properties;

/// Places that are written at once.
const PLACES_AT_ONCE: usize = 1 << 16;

/// The files of a table at one snapshot.
#[derive(Debug)]
pub(crate) struct TableFiles {
    /// The table's directory.
    pub(crate) directory: PathBuf,
    /// The directory up to which new files are made durable.
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<DuckLakeTableFile>,
    /// Places that are deleted in the catalog itself, by file.
    pub(crate) inlined_deletes: HashMap<i64, BTreeSet<i64>>,
}

/// The delete files that hide rows, and how many rows they hide that were not hidden before.
#[derive(Debug, Default)]
pub(crate) struct Deleted {
    pub(crate) entries: Vec<DeleteFileEntry>,
    pub(crate) rows: u64,
}

impl TableFiles {
    /// Writes the delete files that hide the rows with these ids, sorted and each once. Blocks.
    pub(crate) fn delete(&self, row_ids: &[i64], new_files: &NewFiles) -> Result<Deleted> {
        let mut deleted = Deleted::default();
        for file in &self.files {
            let places = self.places(file, row_ids)?;
            if places.is_empty() {
                continue;
            }
            let mut hidden = match &file.delete_file {
                Some(deletes) => hidden_places(&self.path(deletes))?,
                None => Vec::new(),
            };
            let inlined = self.inlined_deletes.get(&file.data_file_id);
            let is_live = |place: &i64| {
                hidden.binary_search(place).is_err() && inlined.is_none_or(|inlined| !inlined.contains(place))
            };
            let live: Vec<i64> = places.into_iter().filter(is_live).collect();
            if live.is_empty() {
                continue;
            }
            deleted.rows += live.len() as u64;
            hidden.extend(live);
            hidden.sort_unstable();
            deleted.entries.push(DeleteFileEntry {
                data_file_id: file.data_file_id,
                expected_prev_delete_file: file.delete_file_id,
                delete: self.delete_files().write(&self.path(&file.file), hidden.into_iter(), new_files)?,
            });
        }
        Ok(deleted)
    }

    fn path(&self, file: &DuckLakeFileData) -> PathBuf {
        match file.path_is_relative {
            true => self.directory.join(&file.path),
            false => PathBuf::from(&file.path),
        }
    }

    /// The places in `file` of rows with these ids, deleted ones too.
    fn places(&self, file: &DuckLakeTableFile, row_ids: &[i64]) -> Result<Vec<i64>> {
        let path = self.path(&file.file);
        if let Some(places) = embedded_places(&path, row_ids)? {
            return Ok(places);
        }
        let (Some(first), Some(rows)) = (file.row_id_start, file.max_row_count) else {
            return Err(Error::corrupt(format!("{}: the ids of its rows are not known", path.display())));
        };
        let from = row_ids.partition_point(|id| *id < first);
        let to = row_ids.partition_point(|id| *id < first.saturating_add(rows));
        Ok(row_ids[from..to].iter().map(|id| id - first).collect())
    }

    fn delete_files(&self) -> DeleteFiles<'_> {
        DeleteFiles { directory: &self.directory, root: &self.root }
    }
}

/// Where delete files of a table go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeleteFiles<'a> {
    /// The table's directory.
    pub(crate) directory: &'a Path,
    /// The directory up to which new files are made durable.
    pub(crate) root: &'a Path,
}

impl DeleteFiles<'_> {
    /// Writes the file that hides these places, in ascending order, of a data file. Blocks.
    pub(crate) fn write(
        &self,
        data_file: &Path,
        places: impl Iterator<Item = i64>,
        new_files: &NewFiles,
    ) -> Result<DeleteFileInfo> {
        let name = format!("ducklake-{}-delete.parquet", Uuid::now_v7());
        let path = self.directory.join(&name);
        let failed = |error| parquet_error(&path, error);
        let new = NewFile::create(path.clone())?;
        let mut writer =
            ArrowWriter::try_new(new.file(), delete_file_schema(), Some(lake_properties().build()))
                .map_err(failed)?;
        let data_file = data_file.to_string_lossy();
        let mut places = places.peekable();
        let mut count = 0;
        while places.peek().is_some() {
            let some: Int64Array = places.by_ref().take(PLACES_AT_ONCE).collect();
            count += some.len();
            let names = StringArray::from_iter_values(std::iter::repeat_n(&data_file, some.len()));
            let batch = RecordBatch::try_new(delete_file_schema(), vec![Arc::new(names), Arc::new(some)])
                .map_err(|error| Error::internal("deletes do not fit their file").with_source(error))?;
            writer.write(&batch).map_err(failed)?;
        }
        writer.close().map_err(failed)?;
        let size = new_files.publish(new, &path, self.root)?;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        Ok(DeleteFileInfo::new(name, size.file, count).with_footer_size(size.footer))
    }
}

/// The places that a delete file hides, in ascending order. Blocks.
pub(crate) fn hidden_places(path: &Path) -> Result<Vec<i64>> {
    let failed = |error| parquet_error(path, error);
    let builder = open(path)?;
    let columns = ProjectionMask::columns(builder.parquet_schema(), [DELETE_POS_COL]);
    let mut places = Vec::new();
    for batch in builder.with_projection(columns).build().map_err(failed)? {
        let batch = batch.map_err(|error| parquet_error(path, error.into()))?;
        places.extend(int64s(path, &batch)?.iter().flatten());
    }
    places.sort_unstable();
    places.dedup();
    Ok(places)
}

/// A reader of a Parquet file. Blocks.
pub(crate) fn open(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).map_err(|error| io_error(path, &error))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| parquet_error(path, error))
}

/// The places of rows with these ids in a file that says the ids itself; `None` for other files.
fn embedded_places(path: &Path, row_ids: &[i64]) -> Result<Option<Vec<i64>>> {
    let builder = open(path)?;
    let columns = builder.parquet_schema().columns();
    let is_row_id =
        |info: &parquet::schema::types::BasicTypeInfo| info.has_id() && info.id() == ROW_ID_PARQUET_FIELD_ID;
    let Some(column) = columns.iter().position(|column| is_row_id(column.self_type().get_basic_info()))
    else {
        return Ok(None);
    };
    let only = ProjectionMask::leaves(builder.parquet_schema(), [column]);
    let reader = builder.with_projection(only).build().map_err(|error| parquet_error(path, error))?;
    let mut places = Vec::new();
    let mut place = 0;
    for batch in reader {
        let batch = batch.map_err(|error| parquet_error(path, error.into()))?;
        for id in int64s(path, &batch)? {
            if id.is_some_and(|id| row_ids.binary_search(&id).is_ok()) {
                places.push(place);
            }
            place += 1;
        }
    }
    Ok(Some(places))
}

fn int64s<'a>(path: &Path, batch: &'a RecordBatch) -> Result<&'a Int64Array> {
    batch.columns().first().and_then(|column| column.as_primitive_opt::<Int64Type>()).ok_or_else(|| {
        Error::corrupt(format!("{}: a column of whole numbers is of another type", path.display()))
    })
}
