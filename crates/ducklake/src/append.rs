//! Files that the caller wrote, for several tables in one snapshot.

use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use datafusion_ducklake::{
    ColumnDef, DataFileInfo, DeleteFileEntry, MetadataWriter as _, PartitionSpec, SnapshotCommitMetadata,
    WriteMode,
};
use pintail_types::{Error, Result, SnapshotId, reason};
use uuid::Uuid;

use crate::catalog::{Catalog, CommitExtras};
use crate::columns;
use crate::commit::{Commit, Snapshot};
use crate::error::{CatalogError, Result as CatalogResult};
use crate::schema_changes::{Existing, NewColumn, TableName, make_room, nodes_of};
use crate::stage::{self, Stage};
use crate::tables::{self, Schema, Table, WrittenIn};
use crate::writer::Writer;
use crate::{files, inlined};

/// Where files of a table go, and what it needs to know to take them.
#[derive(Debug, Clone)]
pub struct AppendTarget {
    /// The table.
    pub table: TableName,
    /// The directory of its files, absolute or a URL, ending with `/`.
    pub directory: String,
    /// The ids of the columns, in the order in which they were given: the field ids of the Parquet columns.
    pub column_ids: Vec<i64>,
    /// The ids of the columns and of what is nested in them, depth first.
    pub field_ids: Vec<i64>,
    /// The live partition spec, if the table has one.
    pub partition: Option<PartitionSpec>,
    place: Place,
    base_snapshot: i64,
    columns: Vec<ColumnDef>,
}

/// Whether the table is there.
#[derive(Debug, Clone)]
enum Place {
    Table(i64),
    New { uuid: String, columns: Vec<NewColumn>, existing: Existing },
}

/// The files of one table.
#[derive(Debug, Clone)]
pub struct AppendedFiles {
    /// The table.
    pub target: AppendTarget,
    /// Its new files, complete and durable, with paths relative to the table's directory.
    pub files: Vec<DataFileInfo>,
    /// What the new files take the place of: delete files for older ones, with paths relative to the table's directory.
    pub deletes: Vec<DeleteFileEntry>,
}

impl Catalog {
    /// The table as an append of these columns finds it now.
    ///
    /// # Errors
    /// `Conflict` when its columns are others; `NotFound` when there is no such table.
    pub fn append_target(
        &self,
        schema_name: &str,
        table_name: &str,
        columns: &ArrowSchema,
    ) -> Result<AppendTarget> {
        let writer = Writer::new(self.clone(), CommitExtras::default());
        let failed = |error| from_lake(&format!("{schema_name}.{table_name} can't be appended to"), error);
        let columns = definitions(columns.fields().iter().map(AsRef::as_ref)).map_err(failed)?;
        let setup = writer
            .begin_write_transaction(schema_name, table_name, &columns, WriteMode::Append)
            .map_err(failed)?;
        if setup.table_id < 0 {
            return Err(Error::not_found(format!("table {schema_name}.{table_name} does not exist"))
                .with_reason(reason::UNDEFINED_TABLE));
        }
        let table = self.read(|connection| Table::still_there(connection, setup.table_id))?;
        let partition = writer.live_partition_spec(setup.table_id).map_err(failed)?;
        Ok(AppendTarget {
            directory: table.directory(&self.data_path()),
            table: TableName { schema: schema_name.to_owned(), name: table_name.to_owned() },
            column_ids: setup.column_ids,
            field_ids: setup.field_ids,
            partition,
            place: Place::Table(setup.table_id),
            base_snapshot: setup.base_snapshot_id,
            columns,
        })
    }

    /// A table that [`Catalog::append_files`] makes together with its first files, of which there may be none.
    ///
    /// # Errors
    /// `NotFound` when there is no such schema; `Conflict` when there is such a table, unless `existing` replaces it;
    /// `Unsupported` for types that DuckLake does not have.
    pub fn new_table_target(
        &self,
        table: &TableName,
        columns: &[NewColumn],
        existing: Existing,
    ) -> Result<AppendTarget> {
        let uuid = Uuid::now_v7().to_string();
        let (nodes, ids) = self.at(nodes_of(columns))?;
        let fields = columns.iter().map(|column| column.field.as_ref());
        let definitions =
            definitions(fields).map_err(|error| from_lake(&format!("table {table} can't be made"), error))?;
        let (directory, base_snapshot) = self.read(|connection| {
            let schema = Schema::existing(connection, &table.schema)?;
            let found = Table::named(connection, &table.schema, &table.name)?;
            if found.is_some() && existing != Existing::Replace {
                return Err(CatalogError::table_exists("table", table));
            }
            let directory = schema.directory_of(&self.data_path(), &table.name, &uuid);
            Ok((directory, Snapshot::head(connection)?.id))
        })?;
        Ok(AppendTarget {
            table: table.clone(),
            directory,
            column_ids: columns::top_level_ids(&nodes, &ids),
            field_ids: ids,
            partition: None,
            place: Place::New { uuid, columns: columns.to_vec(), existing },
            base_snapshot,
            columns: definitions,
        })
    }

    /// Ends all rows of a table, in one snapshot; gives their number.
    ///
    /// # Errors
    /// `NotFound` when there is no such table; `Conflict` when its rows changed after the snapshot `base`.
    pub fn truncate(
        &self,
        table: &TableName,
        base: SnapshotId,
        about: &SnapshotCommitMetadata,
    ) -> Result<u64> {
        let mut rows = 0;
        let done = self.database().commit_if_changed(about, |commit| {
            let found = Table::named(commit.connection(), &table.schema, &table.name)?
                .ok_or_else(|| CatalogError::no_table("table", table))?;
            files::fence_unchanged(commit, found.id, base.0)?;
            rows = files::live_rows(commit.connection(), found.id)?;
            files::end_all(commit, found.id)?;
            Ok(())
        });
        self.at(done)?;
        Ok(u64::try_from(rows).unwrap_or(0))
    }

    /// Commits files of several tables in one snapshot, and the extras with them.
    ///
    /// # Errors
    /// `Conflict` when a table was dropped, its columns or partitioning changed, or rows that deletes name were
    /// changed, since its target was asked for; nothing is committed then.
    pub fn append_files(
        &self,
        appends: &[AppendedFiles],
        about: &SnapshotCommitMetadata,
        extras: CommitExtras,
    ) -> Result<SnapshotId> {
        self.append_files_and(appends, about, &extras.metadata, |_| Ok(()))
    }

    /// The same, and what `also` does in the same transaction.
    pub(crate) fn append_files_and(
        &self,
        appends: &[AppendedFiles],
        about: &SnapshotCommitMetadata,
        metadata: &[(String, String)],
        also: impl FnOnce(&mut Commit<'_>) -> CatalogResult<()>,
    ) -> Result<SnapshotId> {
        let data_path = self.data_path();
        let committed = self.database().commit(about, metadata, |commit| {
            let tables = appends
                .iter()
                .map(|append| append.target.resolve(commit))
                .collect::<CatalogResult<Vec<i64>>>()?;
            let mut stages = Vec::with_capacity(appends.len());
            for (append, table_id) in appends.iter().zip(tables) {
                let stage = append.stage(table_id);
                stage.check()?;
                if !append.files.is_empty() {
                    let replaced: Vec<i64> = append.deletes.iter().map(|entry| entry.data_file_id).collect();
                    inlined::fence_deletes(commit, table_id, append.target.base_snapshot, &replaced)?;
                }
                stages.push(stage);
            }
            stage::commit(commit, &data_path, &stages, None)?;
            also(commit)
        });
        let (snapshot, _) = self.at(committed)?;
        Ok(SnapshotId(snapshot))
    }
}

impl AppendTarget {
    /// As it was at `snapshot`, from which the rows to be replaced were read.
    #[must_use]
    pub fn based_on(mut self, snapshot: SnapshotId) -> Self {
        self.base_snapshot = snapshot.0;
        self
    }

    /// The snapshot that it was asked for at.
    pub(crate) const fn base(&self) -> i64 {
        self.base_snapshot
    }

    /// The table, which was there when the target was asked for.
    pub(crate) fn existing(&self, commit: &Commit<'_>) -> CatalogResult<Table> {
        match &self.place {
            Place::Table(id) => Table::still_there(commit.connection(), *id),
            Place::New { .. } => Err(CatalogError::Invalid(format!("table {} is not there yet", self.table))),
        }
    }

    /// The table's id; the table is made if it is to be.
    fn resolve(&self, commit: &mut Commit<'_>) -> CatalogResult<i64> {
        match &self.place {
            Place::Table(id) => Ok(*id),
            Place::New { uuid, columns, existing } => {
                if !make_room(commit, &self.table, *existing)? {
                    return Err(CatalogError::table_exists("table", &self.table));
                }
                let (nodes, ids) = nodes_of(columns)?;
                let TableName { schema, name } = &self.table;
                tables::create_table_with_uuid(commit, schema, name, &nodes, &ids, uuid)
            }
        }
    }
}

impl AppendedFiles {
    fn stage(&self, table_id: i64) -> Stage<'_> {
        let Self { target, files, deletes } = self;
        Stage {
            files,
            positional_deletes: deletes,
            written_in: WrittenIn::OwnDirectory,
            ..Stage::new(
                table_id,
                &target.table.schema,
                &target.table.name,
                WriteMode::Append,
                target.base_snapshot,
                &target.columns,
                &target.field_ids,
            )
        }
    }
}

fn definitions<'a>(fields: impl Iterator<Item = &'a Field>) -> datafusion_ducklake::Result<Vec<ColumnDef>> {
    let definition = |field: &Field| {
        let is_uuid = field.metadata().get("ARROW:extension:name").is_some_and(|name| name == "arrow.uuid");
        let data_type = if is_uuid { &DataType::FixedSizeBinary(16) } else { field.data_type() };
        ColumnDef::from_arrow(field.name(), data_type, field.is_nullable())
    };
    fields.map(definition).collect()
}

fn from_lake(what: &str, error: datafusion_ducklake::DuckLakeError) -> Error {
    CatalogError::Lake(error).at(what)
}
