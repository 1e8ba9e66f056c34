//! The same rows in other files, and files whose rows are all to go.

use datafusion_ducklake::{
    CompactionOutputFile, CompactionSourceFile, SnapshotCommitMetadata, SourceRetirement,
};
use pintail_types::{Result, SnapshotId};
use rusqlite::params;

use crate::append::AppendTarget;
use crate::catalog::Catalog;
use crate::changes::Change;
use crate::commit::Commit;
use crate::error::{CatalogError, Result as CatalogResult};
use crate::schema_changes::TableName;
use crate::tables::{Table, WrittenIn};
use crate::{compaction, sql};

/// Files that take the place of others.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// The files that were read, with the delete files that were applied.
    pub sources: Vec<CompactionSourceFile>,
    /// What holds their rows, complete and durable, with paths relative to the table's directory.
    pub outputs: Vec<CompactionOutputFile>,
    /// Whether older snapshots still need the sources.
    pub retirement: SourceRetirement,
}

impl Catalog {
    /// Puts files in the place of others, as one snapshot.
    ///
    /// # Errors
    /// `Conflict` when a source was replaced, lost rows, or the table got other columns since the target's base;
    /// nothing is committed then.
    pub fn rewrite_files(
        &self,
        target: &AppendTarget,
        rewrite: &Rewrite,
        about: &SnapshotCommitMetadata,
    ) -> Result<SnapshotId> {
        let data_path = self.data_path();
        let committed = self.database().commit(about, &[], |commit| {
            let table = target.existing(commit)?;
            fence_columns(commit, &table, target.base())?;
            let table = Table { written_in: WrittenIn::OwnDirectory, ..table };
            let Rewrite { sources, outputs, retirement } = rewrite;
            compaction::apply(commit, &table, &data_path, target.base(), sources, outputs, *retirement)
        });
        let (snapshot, ()) = self.at(committed)?;
        self.note_rewrite();
        Ok(SnapshotId(snapshot))
    }

    /// Ends files with all their rows, as one snapshot. Older snapshots still show them.
    ///
    /// # Errors
    /// `NotFound` when there is no such table; `Conflict` when one of the files has been replaced.
    pub fn end_files(
        &self,
        table: &TableName,
        file_ids: &[i64],
        about: &SnapshotCommitMetadata,
    ) -> Result<SnapshotId> {
        let committed = self.database().commit(about, &[], |commit| {
            let found = Table::named(commit.connection(), &table.schema, &table.name)?
                .ok_or_else(|| CatalogError::no_table("table", table))?;
            for id in file_ids {
                if commit.execute(sql::END_FILE, params![commit.snapshot(), id])? == 0 {
                    return Err(CatalogError::Conflict(format!("data file {id} of {table} was replaced")));
                }
                commit.execute(sql::END_DELETE_FILE, params![commit.snapshot(), id])?;
            }
            commit.record(Change::DeletedFrom(found.id));
            Ok(())
        });
        let (snapshot, ()) = self.at(committed)?;
        Ok(SnapshotId(snapshot))
    }
}

/// A conflict when the table's columns or partitions changed after `base`: the files were written for the old ones.
fn fence_columns(commit: &Commit<'_>, table: &Table, base: i64) -> CatalogResult<()> {
    let reshaped: bool =
        commit.connection().query_row(sql::RESHAPED_SINCE, [table.id, base], |row| row.get(0))?;
    match reshaped {
        true => Err(CatalogError::Conflict(format!(
            "the columns of {}.{} changed after snapshot {base}",
            table.schema_name, table.name
        ))),
        false => Ok(()),
    }
}
