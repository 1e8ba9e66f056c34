//! Appending files that the caller wrote, to several tables in one snapshot.

use datafusion_ducklake::{
    ColumnDef, DataFileInfo, MetadataWriter as _, PartitionSpec, SnapshotCommitMetadata, WriteMode,
};
use pintail_types::{Error, Result, SnapshotId};

use crate::catalog::{Catalog, CommitExtras};
use crate::error::CatalogError;
use crate::stage::Stage;
use crate::writer::Writer;

/// Where files of a table go, and what it needs to know to take them.
#[derive(Debug, Clone)]
pub struct AppendTarget {
    /// The schema's name.
    pub schema_name: String,
    /// The table's name.
    pub table_name: String,
    /// The ids of the columns, in the order in which they were given: the field ids of the Parquet columns.
    pub column_ids: Vec<i64>,
    /// The live partition spec, if the table has one.
    pub partition: Option<PartitionSpec>,
    table_id: i64,
    base_snapshot: i64,
    columns: Vec<ColumnDef>,
}

/// The files of one table.
#[derive(Debug, Clone)]
pub struct AppendedFiles {
    /// The table.
    pub target: AppendTarget,
    /// Its new files, complete and durable, with paths relative to the table's directory.
    pub files: Vec<DataFileInfo>,
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
        columns: &arrow::datatypes::Schema,
    ) -> Result<AppendTarget> {
        let writer = Writer::new(self.clone(), CommitExtras::default());
        let failed = |error| from_lake(&format!("{schema_name}.{table_name} can't be appended to"), error);
        let columns = columns
            .fields()
            .iter()
            .map(|field| ColumnDef::from_arrow(field.name(), field.data_type(), field.is_nullable()))
            .collect::<datafusion_ducklake::Result<Vec<_>>>()
            .map_err(failed)?;
        let setup = writer
            .begin_write_transaction(schema_name, table_name, &columns, WriteMode::Append)
            .map_err(failed)?;
        if setup.table_id < 0 {
            return Err(Error::not_found(format!("table {schema_name}.{table_name} does not exist")));
        }
        let partition = writer.live_partition_spec(setup.table_id).map_err(failed)?;
        Ok(AppendTarget {
            schema_name: schema_name.to_owned(),
            table_name: table_name.to_owned(),
            column_ids: setup.column_ids,
            partition,
            table_id: setup.table_id,
            base_snapshot: setup.base_snapshot_id,
            columns,
        })
    }

    /// Commits files of several tables in one snapshot, and the extras with them.
    ///
    /// # Errors
    /// `Conflict` when a table was dropped, or its columns or partitioning changed, since its target was
    /// asked for; nothing is committed then.
    pub fn append_files(
        &self,
        appends: &[AppendedFiles],
        about: &SnapshotCommitMetadata,
        extras: CommitExtras,
    ) -> Result<SnapshotId> {
        let stages: Vec<Stage<'_>> = appends
            .iter()
            .map(|AppendedFiles { target, files }| Stage {
                files,
                ..Stage::new(
                    target.table_id,
                    &target.schema_name,
                    &target.table_name,
                    WriteMode::Append,
                    target.base_snapshot,
                    &target.columns,
                    &target.column_ids,
                )
            })
            .collect();
        let committed = Writer::new(self.clone(), extras).commit_stages(&stages, about, None);
        committed
            .map(|commit| SnapshotId(commit.snapshot_id))
            .map_err(|error| from_lake("the appended files can't be committed", error))
    }
}

fn from_lake(what: &str, error: datafusion_ducklake::DuckLakeError) -> Error {
    CatalogError::Lake(error).at(what)
}
