//! User tables: what statements create, change and fill, in the volume of a lake.
//!
//! Every call is one commit of the catalog, or none. Files are complete and durable before it; a call that fails
//! or is given up leaves no file behind.

mod columns;
mod encoder;
mod files;
mod new_files;
mod positions;
mod reading;
mod rows;
mod stored_view;
mod uuid_text;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::datasource::TableProvider;
use datafusion_ducklake::{DuckLakeTable, SnapshotCommitMetadata};
use futures::stream::BoxStream;
use pintail_ducklake::{AppendTarget, AppendedFiles, CommitExtras};
use pintail_types::{Error, ErrorKind, JournalPosition, Result, SnapshotId, TelemetryTable, reason};

use self::columns::storable;
use self::files::FileSpec;
use crate::flush::MAIN;
use crate::lake::{Lake, blocking};
use crate::views::View;
use crate::writes::Write;

pub use self::columns::Conversion;
pub(crate) use self::columns::{file_schema, is_uuid, shown};
pub(crate) use self::encoder::parquet_schema;
pub(crate) use self::new_files::{Guard, NewFiles, remove_all};
pub(crate) use self::positions::{DeleteFiles, hidden_places, open};
pub use self::rows::RowChange;
pub(crate) use self::rows::with_row_ids;
pub use self::stored_view::StoredView;
pub(crate) use self::uuid_text::uuid_text;
pub use pintail_ducklake::{Existing, NewColumn, SchemaChange, TableName};

/// Rows on their way into a table; an error ends them.
pub type Rows = BoxStream<'static, Result<RecordBatch>>;

/// Who changes something, and with what kind of statement: the catalog keeps it with the snapshot.
#[derive(Debug, Clone)]
pub struct Author {
    /// The principal's name.
    pub name: String,
    /// The statement's first words.
    pub statement: String,
}

impl Author {
    fn metadata(&self) -> SnapshotCommitMetadata {
        SnapshotCommitMetadata::new().with_author(&self.name).with_message(&self.statement)
    }
}

/// What a load is to do with its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Add to the table, which is there.
    Append,
    /// Make the table.
    Create,
    /// Make the table, in place of one of that name.
    CreateOrReplace,
}

impl Lake {
    /// Says no to statements that would change what the server itself keeps up.
    ///
    /// # Errors
    /// `Forbidden` for telemetry tables and the views that come with the lake.
    pub fn admit_change(table: &TableName) -> Result<()> {
        if !table.schema.eq_ignore_ascii_case(MAIN) {
            return Ok(());
        }
        let name = table.name.to_lowercase();
        if TelemetryTable::from_name(&name).is_some() {
            return Err(Error::forbidden(format!(
                "table {name}: telemetry tables are written by ingest only"
            )));
        }
        match View::of_name(&name) {
            Some(_) => Err(Error::forbidden(format!("view {name} comes with the lake and can't be changed"))),
            None => Ok(()),
        }
    }

    /// Changes schemas, tables or views. Returns whether there was anything to do.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `Invalid` and `Unsupported` as the change says; `Forbidden` for schema `main`.
    pub async fn change_schema(self: &Arc<Self>, change: SchemaChange, author: &Author) -> Result<bool> {
        if let SchemaChange::DropSchema { name, .. } = &change
            && name.eq_ignore_ascii_case(MAIN)
        {
            return Err(Error::forbidden("schema main holds the telemetry tables and can't be dropped"));
        }
        let change = with_storable_columns(change)?;
        let (lake, about) = (Arc::clone(self), author.metadata());
        blocking("a change of the catalog", move || lake.volume.catalog.change(&change, &about)).await
    }

    /// Writes rows into a table, as one commit; gives their number. Columns are found by their names, absent ones
    /// are null.
    ///
    /// # Errors
    /// `Invalid` for columns and values that do not fit; `NotFound` and `Conflict` as `destination` says; the first
    /// error of `rows`. Nothing is changed then.
    pub async fn load(
        self: &Arc<Self>,
        table: &TableName,
        destination: Destination,
        columns: &Schema,
        rows: Rows,
        author: &Author,
    ) -> Result<u64> {
        let (target, stored) = self.load_target(table, destination, columns).await?;
        let file_schema = file_schema(&stored, &target.field_ids)?;
        let conversion = Conversion::new(columns, &file_schema)?;
        let spec = self.file_spec(&target, file_schema)?;
        let (guard, write) = (Guard::default(), self.volume.writes.begin());
        let written = files::write(spec, conversion, rows, &guard.0).await?;
        if written.rows > 0 || destination != Destination::Append {
            let append = AppendedFiles { target, files: written.files, deletes: Vec::new() };
            self.commit(append, author, &guard, write).await?;
        }
        Ok(written.rows)
    }

    async fn head(self: &Arc<Self>) -> Result<(SnapshotId, JournalPosition)> {
        let lake = Arc::clone(self);
        blocking("reading the catalog's head", move || lake.volume.head()).await
    }

    /// The table at a snapshot.
    async fn stored(&self, table: &TableName, snapshot: SnapshotId) -> Result<Arc<dyn TableProvider>> {
        let found = self.volume.table(snapshot, &table.schema, &table.name).await?;
        let found = found.ok_or_else(|| {
            Error::not_found(format!("table {table} does not exist")).with_reason(reason::UNDEFINED_TABLE)
        })?;
        match found.is::<DuckLakeTable>() {
            true => Ok(found),
            false => Err(Error::invalid(format!("{table} is a view, whose rows can't be changed"))),
        }
    }

    async fn target(self: &Arc<Self>, table: &TableName, stored: &SchemaRef) -> Result<AppendTarget> {
        let (lake, name, columns) = (Arc::clone(self), table.clone(), Arc::clone(stored));
        let read = move || lake.volume.catalog.append_target(&name.schema, &name.name, &columns);
        blocking("reading a table's metadata", read).await
    }

    /// The target of a load, and the columns of its table.
    async fn load_target(
        self: &Arc<Self>,
        table: &TableName,
        destination: Destination,
        columns: &Schema,
    ) -> Result<(AppendTarget, SchemaRef)> {
        let existing = match destination {
            Destination::Append => {
                let (snapshot, _) = self.head().await?;
                let stored = self.stored(table, snapshot).await?.schema();
                return Ok((self.target(table, &stored).await?, stored));
            }
            Destination::Create => Existing::Fail,
            Destination::CreateOrReplace => Existing::Replace,
        };
        let fields = columns.fields().iter().map(|field| storable(field)).collect::<Result<Vec<_>>>()?;
        let new_columns: Vec<NewColumn> = fields.iter().map(NewColumn::from).collect();
        let (lake, name) = (Arc::clone(self), table.clone());
        let make = move || lake.volume.catalog.new_table_target(&name, &new_columns, existing);
        Ok((blocking("reading the catalog", make).await?, Arc::new(Schema::new(fields))))
    }

    /// Says no where the files of user tables would lie in a bucket.
    fn expect_directory(&self, table: &TableName) -> Result<()> {
        match &self.volume.remote {
            None => Ok(()),
            Some(remote) => Err(Error::unsupported(format!(
                "table {table} can't be written: user tables lie in the first volume, {}, whose files are in {}; make a \
                 volume on a local disk the first one",
                self.volume.name, remote.url
            ))),
        }
    }

    /// What new files of the table are to be.
    fn file_spec(&self, target: &AppendTarget, schema: SchemaRef) -> Result<FileSpec> {
        self.expect_directory(&target.table)?;
        if target.partition.is_some() {
            return Err(Error::unsupported(format!(
                "table {} is partitioned, and DuckDB only adds rows to such tables: reset its partitioning first",
                target.table
            )));
        }
        Ok(FileSpec {
            directory: PathBuf::from(&target.directory),
            root: self.volume.data_path.clone(),
            schema,
            column_ids: target.column_ids.clone(),
        })
    }

    /// Commits what was written. Its files stay unless it is certain that no commit names them: they belong to
    /// the commit from now on, which goes on also when nobody waits for it any more.
    async fn commit(
        self: &Arc<Self>,
        append: AppendedFiles,
        author: &Author,
        guard: &Guard,
        write: Write,
    ) -> Result<()> {
        let (lake, about, paths) = (Arc::clone(self), author.metadata(), guard.0.take());
        let commit = move || {
            let _write = write;
            let done = lake.volume.catalog.append_files(&[append], &about, CommitExtras::default());
            let not_done =
                [ErrorKind::Conflict, ErrorKind::Invalid, ErrorKind::NotFound, ErrorKind::Unsupported];
            // Any other error may have come after the commit was durable.
            if done.as_ref().err().is_some_and(|error| not_done.contains(&error.kind())) {
                remove_all(&paths);
            }
            done
        };
        blocking("a commit", commit).await.map(|_| ())
    }
}

/// New columns with the nearest types that DuckLake has.
fn with_storable_columns(change: SchemaChange) -> Result<SchemaChange> {
    let storable_column = |column: NewColumn| -> Result<NewColumn> {
        Ok(NewColumn { field: Arc::new(storable(&column.field)?), ..column })
    };
    Ok(match change {
        SchemaChange::CreateTable { table, columns, existing } => {
            let columns = columns.into_iter().map(storable_column).collect::<Result<_>>()?;
            SchemaChange::CreateTable { table, columns, existing }
        }
        SchemaChange::AddColumn { table, column, if_not_exists } => {
            SchemaChange::AddColumn { table, column: storable_column(column)?, if_not_exists }
        }
        other => other,
    })
}
