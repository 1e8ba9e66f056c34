//! A data file as a source of a merge: its live rows in the columns of the file to be, each with its id and, where it
//! matters, the snapshot that added it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int64Type, Schema, SchemaRef};
use datafusion_ducklake::row_id::{ROW_ID_PARQUET_FIELD_ID, SNAPSHOT_ID_PARQUET_FIELD_ID};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::schema::types::SchemaDescriptor;
use pintail_ducklake::LiveFile;
use pintail_types::{Error, Result};

use super::Shape;
use crate::new_file::parquet_error;
use crate::user_tables::{Conversion, hidden_places, open};

/// Rows that are read at once: with payloads they are wide, and many files are read side by side.
const BATCH_ROWS: usize = 1024;

/// A file that is read.
pub(crate) struct Source {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    conversion: Conversion,
    /// The columns of the file that the table has, named as the table names them.
    columns: SchemaRef,
    /// Where these are among those that are read.
    places: Vec<usize>,
    row_ids: Ids,
    snapshots: Ids,
    /// Places of rows that are left out, in ascending order.
    hidden: Vec<i64>,
    /// The place of the next row.
    next: i64,
    /// The columns of what it gives.
    merged: SchemaRef,
}

/// Where a number of each row comes from.
#[derive(Debug, Clone, Copy)]
enum Ids {
    /// From this column of what is read.
    Column(usize),
    /// It is this and the row's place.
    From(i64),
    /// It is this.
    All(i64),
    /// It is not asked for.
    None,
}

/// Which columns a file has.
struct Found {
    /// Its columns that the table has: their place in the file and in the table.
    columns: Vec<(usize, usize)>,
    row_ids: Option<usize>,
    snapshots: Option<usize>,
}

impl Source {
    /// Opens a file. None if its rows cannot be brought into the table's columns without loss: it is left alone.
    pub(crate) fn open(file: &LiveFile, shape: &Shape) -> Result<Option<Self>> {
        let path = PathBuf::from(&file.path);
        let builder = open(&path)?;
        let Some(found) = Found::in_file(builder.parquet_schema(), shape) else { return Ok(None) };
        let roots = found.roots();
        let place = |root: usize| roots.binary_search(&root).ok();
        let row_ids = match (found.row_ids.and_then(place), file.row_id_start) {
            (Some(column), _) => Ids::Column(column),
            (None, Some(first)) => Ids::From(first),
            (None, None) => return Ok(None),
        };
        let snapshots = match (found.snapshots.and_then(place), file.partial_max) {
            (Some(column), _) => Ids::Column(column),
            (None, None) => Ids::All(file.begin_snapshot),
            // The catalog says that its rows come from several snapshots, and the file does not say which.
            (None, Some(_)) => return Ok(None),
        };
        let columns = found.named(builder.schema(), shape);
        let Ok(conversion) = Conversion::new(&columns, &shape.columns) else { return Ok(None) };
        let places = found.columns.iter().filter_map(|(root, _)| place(*root)).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots.iter().copied());
        let builder = builder.with_projection(mask).with_batch_size(BATCH_ROWS);
        let reader = builder.build().map_err(|error| parquet_error(&path, error))?;
        let (hidden, merged) = (hidden_rows(file)?, Arc::clone(&shape.columns));
        Ok(Some(Self {
            path,
            reader,
            conversion,
            columns,
            places,
            row_ids,
            snapshots,
            hidden,
            next: 0,
            merged,
        }))
    }

    /// Whether each of its rows says which snapshot added it.
    pub(crate) const fn embeds_snapshots(&self) -> bool {
        matches!(self.snapshots, Ids::Column(_))
    }

    /// What it is to give: the columns of the table and the id and, if there is one, the snapshot of each row.
    pub(crate) fn giving(self, merged: &SchemaRef, with_snapshots: bool) -> Self {
        let snapshots = if with_snapshots { self.snapshots } else { Ids::None };
        Self { merged: Arc::clone(merged), snapshots, ..self }
    }

    /// The next rows that are not hidden; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>> {
        while let Some(batch) = self.reader.next() {
            let batch = batch.map_err(|error| parquet_error(&self.path, error.into()))?;
            let first = self.next;
            self.next += rows_of(&batch);
            let merged = self.merged(&batch, first)?;
            let live = match self.live(first, self.next) {
                Some(live) => {
                    filter_record_batch(&merged, &live).map_err(|error| misfit(&self.path, error))?
                }
                None => merged,
            };
            if live.num_rows() > 0 {
                return Ok(Some(live));
            }
        }
        Ok(None)
    }

    /// A batch of the file whose first row is at `first`, in the columns to be.
    fn merged(&self, batch: &RecordBatch, first: i64) -> Result<RecordBatch> {
        let own = self.places.iter().map(|place| Arc::clone(batch.column(*place))).collect();
        let own = RecordBatch::try_new(Arc::clone(&self.columns), own)
            .map_err(|error| misfit(&self.path, error))?;
        let mut columns = self.conversion.apply(&own)?.columns().to_vec();
        for ids in [self.row_ids, self.snapshots] {
            columns.extend(self.numbers(ids, batch, first)?);
        }
        RecordBatch::try_new(Arc::clone(&self.merged), columns).map_err(|error| misfit(&self.path, error))
    }

    fn numbers(&self, ids: Ids, batch: &RecordBatch, first: i64) -> Result<Option<ArrayRef>> {
        let rows = rows_of(batch);
        Ok(match ids {
            Ids::None => None,
            Ids::All(id) => Some(Arc::new(Int64Array::from_value(id, batch.num_rows()))),
            Ids::From(start) => {
                Some(Arc::new(Int64Array::from_iter_values(start + first..start + first + rows)))
            }
            Ids::Column(place) => {
                let column = batch.column(place);
                let is_whole = column.null_count() == 0 && column.as_primitive_opt::<Int64Type>().is_some();
                if !is_whole {
                    return Err(Error::corrupt(format!(
                        "{}: rows do not say what their ids or snapshots are",
                        self.path.display()
                    )));
                }
                Some(Arc::clone(column))
            }
        })
    }

    /// Which of the rows from `first` to `past` are not hidden; none if all are.
    fn live(&self, first: i64, past: i64) -> Option<BooleanArray> {
        let from = self.hidden.partition_point(|place| *place < first);
        let to = self.hidden.partition_point(|place| *place < past);
        let mut hidden = self.hidden[from..to].iter().peekable();
        hidden.peek()?;
        let live = (first..past).map(|place| hidden.next_if(|next| **next == place).is_none());
        Some(live.collect::<Vec<_>>().into())
    }
}

impl Found {
    /// The columns of a file; none if it lacks one that is not null in old rows, or has one that the table has not any
    /// more: older snapshots still show that.
    fn in_file(file: &SchemaDescriptor, shape: &Shape) -> Option<Self> {
        let mut found = Self { columns: Vec::new(), row_ids: None, snapshots: None };
        for (root, column) in file.root_schema().get_fields().iter().enumerate() {
            let info = column.get_basic_info();
            let id = info.has_id().then(|| info.id())?;
            match id {
                ROW_ID_PARQUET_FIELD_ID => found.row_ids = Some(root),
                SNAPSHOT_ID_PARQUET_FIELD_ID => found.snapshots = Some(root),
                id => {
                    let id = i64::from(id);
                    let place = shape.column_ids.iter().position(|column| *column == id)?;
                    found.columns.push((root, place));
                }
            }
        }
        let has = |id: &i64| {
            let place = shape.column_ids.iter().position(|column| column == id);
            place.is_none_or(|place| found.columns.iter().any(|(_, column)| *column == place))
        };
        shape.filled_columns.iter().all(has).then_some(found)
    }

    /// All columns of the file that are read, in their order there.
    fn roots(&self) -> Vec<usize> {
        let mut roots: Vec<usize> = self.columns.iter().map(|(root, _)| *root).collect();
        roots.extend([self.row_ids, self.snapshots].into_iter().flatten());
        roots.sort_unstable();
        roots
    }

    /// The columns that the table has, under the names that it gives them.
    fn named(&self, in_file: &Schema, shape: &Shape) -> SchemaRef {
        let fields = self.columns.iter().map(|(root, column)| {
            let name = shape.columns.field(*column).name();
            in_file.field(*root).clone().with_name(name)
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

/// The places of a file's rows that are deleted, in ascending order.
fn hidden_rows(file: &LiveFile) -> Result<Vec<i64>> {
    let mut hidden = match &file.deletes {
        Some(deletes) => hidden_places(Path::new(&deletes.path))?,
        None => Vec::new(),
    };
    hidden.extend(&file.inlined_deletes);
    hidden.sort_unstable();
    hidden.dedup();
    Ok(hidden)
}

fn rows_of(batch: &RecordBatch) -> i64 {
    i64::try_from(batch.num_rows()).unwrap_or(i64::MAX)
}

fn misfit(path: &Path, error: arrow::error::ArrowError) -> Error {
    Error::corrupt(format!("{}: its rows do not fit its columns", path.display())).with_source(error)
}
