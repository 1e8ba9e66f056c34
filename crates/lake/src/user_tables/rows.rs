//! Changing and removing rows of user tables.
//!
//! Rows are found by a query of whoever plans statements, which gives their ids. Their places in the files are hidden
//! by delete files, and their new versions go into new files that say the ids themselves; one commit names both.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array as _, AsArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::datasource::TableProvider;
use datafusion_ducklake::row_id::embedded_rowid_field;
use datafusion_ducklake::{DataFileInfo, DuckLakeTable, DuckLakeTableWriter};
use futures::StreamExt;
use parking_lot::Mutex;
use pintail_ducklake::{AppendTarget, AppendedFiles, TableName};
use pintail_types::{Error, Result, SnapshotId};

use super::columns::{Conversion, file_schema, shown};
use super::files;
use super::new_files::Guard;
use super::positions::TableFiles;
use super::{Author, Rows};
use crate::cut::Cut;
use crate::lake::{Lake, blocking};
use crate::table::{LakeTable, Part, ROW_ID, Shows};
use crate::volume::from_ducklake;

/// How rows that are there change. The batches hold what is needed, with [`Lake::ROW_ID`] as last column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowChange {
    /// The batches have the row ids only.
    Delete,
    /// The batches have the new values of all columns before the row ids.
    Update,
}

impl Lake {
    /// The column of the ids of rows, in the tables of [`Lake::rows_with_ids`].
    pub const ROW_ID: &str = ROW_ID;

    /// A table as it is at the cut, with the ids of its rows as last column.
    ///
    /// # Errors
    /// `NotFound` when there is no such table; `Unsupported` for a view.
    pub async fn rows_with_ids(
        self: &Arc<Self>,
        table: &TableName,
        cut: &Cut,
    ) -> Result<Arc<dyn TableProvider>> {
        let stored = self.stored(table, cut.snapshot()).await?;
        let shows = Shows::FilesWithRowIds;
        let part = Part { index: 0, volume: Arc::clone(&self.volume), stored: Some(stored) };
        Ok(Arc::new(LakeTable::new(Arc::clone(self), table.clone(), shows, vec![part])))
    }

    /// Puts rows that another program keeps in the catalog into files, where rows can be changed.
    ///
    /// # Errors
    /// `NotFound` when there is no such table; `Conflict` when somebody changes them at the same time.
    pub async fn settle_rows(self: &Arc<Self>, table: &TableName) -> Result<()> {
        let (snapshot, _) = self.head().await?;
        let stored = self.stored(table, snapshot).await?;
        let (volume, name) = (Arc::clone(&self.volume), table.clone());
        let inlined = blocking("reading inlined rows", move || volume.inlined_rows(&name, snapshot)).await?;
        if inlined.is_empty() || !stored.is::<DuckLakeTable>() {
            return Ok(());
        }
        let _write = self.volume.writes.begin();
        let writer = DuckLakeTableWriter::new(self.volume.catalog.writer(), Arc::clone(&self.volume.store))
            .map_err(|error| from_ducklake("inlined rows can't be put into files", error))?;
        writer
            .flush_inlined_data(&table.schema, &table.name, &inlined, snapshot.0)
            .await
            .map_err(|error| from_ducklake("inlined rows can't be put into files", error))?;
        Ok(())
    }

    /// Changes rows of a table as it is at the cut, as one commit; gives their number.
    ///
    /// # Errors
    /// `Conflict` when somebody else changed the same rows or the table's columns since the cut; `Invalid` when a
    /// row is to be changed twice, and for values that do not fit; the first error of `rows`. Nothing is changed
    /// then.
    pub async fn change_rows(
        self: &Arc<Self>,
        table: &TableName,
        change: RowChange,
        cut: &Cut,
        rows: Rows,
        author: &Author,
    ) -> Result<u64> {
        self.expect_directory(table)?;
        let stored = self.stored(table, cut.snapshot()).await?;
        let target = self.target(table, &stored.schema()).await?.based_on(cut.snapshot());
        let (guard, write) = (Guard::default(), self.volume.writes.begin());
        let (rows, ids) = collect_ids(rows);
        let files = match change {
            RowChange::Delete => {
                drain(rows).await?;
                Vec::new()
            }
            RowChange::Update => self.write_new_versions(&target, &stored.schema(), rows, &guard).await?,
        };
        let mut ids = std::mem::take(&mut *ids.lock());
        if ids.is_empty() {
            return Ok(0);
        }
        let found = ids.len();
        ids.sort_unstable();
        ids.dedup();
        if change == RowChange::Update && ids.len() < found {
            return Err(Error::invalid("the statement changes a row several times"));
        }
        let changed = ids.len();
        let table_files = self.table_files(table, &target, &stored, cut.snapshot()).await?;
        let new_files = guard.0.clone();
        let deleted = blocking("writing deletes", move || table_files.delete(&ids, &new_files)).await?;
        if deleted.rows != changed as u64 {
            if self.head().await?.0 != cut.snapshot() {
                return Err(Error::conflict(format!(
                    "the files of table {table} changed while its rows were read: send the statement again"
                )));
            }
            return Err(Error::internal(format!(
                "table {table}: {changed} rows were to be changed, {} were found in its files",
                deleted.rows
            )));
        }
        self.commit(AppendedFiles { target, files, deletes: deleted.entries }, author, &guard, write).await?;
        Ok(deleted.rows)
    }

    /// Removes all rows of a table, as one commit; gives their number.
    ///
    /// # Errors
    /// `NotFound` when there is no such table; `Conflict` when somebody changed its rows since the cut.
    pub async fn truncate(self: &Arc<Self>, table: &TableName, cut: &Cut, author: &Author) -> Result<u64> {
        let (lake, table, about) = (Arc::clone(self), table.clone(), author.metadata());
        let base = cut.snapshot();
        blocking("removing rows", move || lake.volume.catalog.truncate(&table, base, &about)).await
    }

    /// Writes the new versions of rows, which keep their ids.
    async fn write_new_versions(
        &self,
        target: &AppendTarget,
        stored: &Schema,
        rows: Rows,
        guard: &Guard,
    ) -> Result<Vec<DataFileInfo>> {
        let columns = file_schema(stored, &target.field_ids)?;
        let with_ids = |columns: &Schema, id: Field| {
            Arc::new(Schema::new(columns.fields().iter().cloned().chain([Arc::new(id)]).collect::<Vec<_>>()))
        };
        let file_schema = with_ids(&columns, embedded_rowid_field());
        let id = Field::new(embedded_rowid_field().name(), DataType::Int64, true);
        let incoming = with_ids(&shown(stored), id);
        let conversion = Conversion::new(&incoming, &file_schema)?;
        let spec = self.file_spec(target, file_schema)?;
        let written = files::write(spec, conversion, rows, &guard.0).await?;
        Ok(written.files)
    }

    async fn table_files(
        self: &Arc<Self>,
        table: &TableName,
        target: &AppendTarget,
        stored: &Arc<dyn TableProvider>,
        snapshot: SnapshotId,
    ) -> Result<TableFiles> {
        let directory = PathBuf::from(&target.directory);
        let (volume, stored, name) = (Arc::clone(&self.volume), Arc::clone(stored), table.clone());
        let read = move || {
            let root = volume.data_path.clone();
            let files = ducklake_table(&stored)?
                .files()
                .map_err(|error| from_ducklake("a table's files can't be listed", error))?;
            let inlined_deletes = volume.inlined_deletes(&name, snapshot)?;
            Ok(TableFiles { directory, root, files, inlined_deletes })
        };
        blocking("listing a table's files", read).await
    }
}

/// The volume's table with the ids of its rows as last column.
pub(crate) fn with_row_ids(stored: &Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(ducklake_table(stored)?.clone().with_row_lineage(true)))
}

fn ducklake_table(stored: &Arc<dyn TableProvider>) -> Result<&DuckLakeTable> {
    stored
        .downcast_ref::<DuckLakeTable>()
        .ok_or_else(|| Error::internal("a table of the volume is not DuckLake's"))
}

type RowIds = Arc<Mutex<Vec<i64>>>;

/// The rows, and the ids in their last column as they pass by.
fn collect_ids(rows: Rows) -> (Rows, RowIds) {
    let ids = RowIds::default();
    let seen = Arc::clone(&ids);
    let rows = rows.map(move |batch| {
        let batch = batch?;
        let column = batch.columns().last().and_then(|column| column.as_primitive_opt::<Int64Type>());
        let column = column.ok_or_else(|| Error::internal("rows to be changed come without their ids"))?;
        if column.null_count() > 0 {
            return Err(Error::internal("a row to be changed has no id"));
        }
        seen.lock().extend_from_slice(column.values());
        Ok(batch)
    });
    (rows.boxed(), ids)
}

async fn drain(mut rows: Rows) -> Result<()> {
    while let Some(batch) = rows.next().await {
        batch?;
    }
    Ok(())
}
