//! Staged changes of tables, and their commit in one snapshot.

use datafusion_ducklake::{
    ColumnDef, DataFileInfo, DeleteFileEntry, InlinedRowRef, StagedTableData, StagedTableWrite, WriteMode,
};

use crate::changes::Change;
use crate::columns::{ColumnNode, nodes_of_definitions};
use crate::commit::Commit;
use crate::error::{CatalogError, Result};
use crate::tables::{self, Table, WrittenIn};
use crate::{deletes, files, inlined};

/// What is to happen to one table.
#[derive(Debug, Clone)]
pub(crate) struct Stage<'a> {
    /// Negative for a table that did not exist when the write began.
    pub(crate) table_id: i64,
    pub(crate) schema_name: &'a str,
    pub(crate) table_name: &'a str,
    pub(crate) mode: WriteMode,
    /// The head when the write began.
    pub(crate) base_snapshot: i64,
    /// Empty when the table's columns are not looked at.
    pub(crate) columns: &'a [ColumnDef],
    pub(crate) column_ids: &'a [i64],
    pub(crate) files: &'a [DataFileInfo],
    pub(crate) positional_deletes: &'a [DeleteFileEntry],
    pub(crate) inlined_deletes: &'a [InlinedRowRef],
    /// Whether the files hold the rows that the inlined deletes end.
    pub(crate) inlined_flush: bool,
    /// Where the files and delete files were written.
    pub(crate) written_in: WrittenIn,
}

impl<'a> Stage<'a> {
    /// A stage without files or deletes.
    pub(crate) const fn new(
        table_id: i64,
        schema_name: &'a str,
        table_name: &'a str,
        mode: WriteMode,
        base_snapshot: i64,
        columns: &'a [ColumnDef],
        column_ids: &'a [i64],
    ) -> Self {
        Self {
            table_id,
            schema_name,
            table_name,
            mode,
            base_snapshot,
            columns,
            column_ids,
            files: &[],
            positional_deletes: &[],
            inlined_deletes: &[],
            inlined_flush: false,
            written_in: WrittenIn::Names,
        }
    }

    /// The stage that a write transaction made.
    pub(crate) fn of_write(write: &'a StagedTableWrite) -> Result<Self> {
        let files: &[DataFileInfo] = match write.data() {
            StagedTableData::Files(files) if !files.is_empty() => files,
            StagedTableData::None => &[],
            StagedTableData::Files(_) => {
                return Err(CatalogError::Invalid(format!(
                    "the stage of {} has no files",
                    write.table_name()
                )));
            }
            _ => return Err(CatalogError::Unsupported("rows are not inlined into this catalog".to_owned())),
        };
        Ok(Self {
            files,
            positional_deletes: write.positional_deletes(),
            inlined_deletes: write.inlined_deletes(),
            inlined_flush: write.inlined_flush(),
            ..Self::new(
                write.table_id(),
                write.schema_name(),
                write.table_name(),
                write.mode(),
                write.base_snapshot_id(),
                write.columns(),
                write.column_ids(),
            )
        })
    }

    /// Refuses what could never be committed.
    pub(crate) fn check(&self) -> Result<()> {
        deletes::check_entries(self.mode, self.positional_deletes)
    }
}

/// Commits staged changes of several tables; returns the tables, in the order of the stages.
///
/// Appends commute with everything but a change of the columns or of the partitioning. A replacement,
/// and every stage when `expected_base` is given, conflicts with any change of the table's rows.
pub(crate) fn commit(
    commit: &mut Commit<'_>,
    data_path: &str,
    stages: &[Stage<'_>],
    expected_base: Option<i64>,
) -> Result<Vec<Table>> {
    let mut tables: Vec<Table> = Vec::with_capacity(stages.len());
    for stage in stages {
        let nodes = nodes_of_definitions(stage.columns)?;
        let table = commit_one(commit, data_path, stage, &nodes, expected_base)?;
        if tables.iter().any(|before| before.id == table.id) {
            return Err(CatalogError::Invalid(format!("two stages for table {}", table.name)));
        }
        tables.push(table);
    }
    Ok(tables)
}

fn commit_one(
    commit: &mut Commit<'_>,
    data_path: &str,
    stage: &Stage<'_>,
    nodes: &[ColumnNode],
    expected_base: Option<i64>,
) -> Result<Table> {
    if stage.table_id >= 0 {
        if let Some(base) = expected_base {
            files::fence_unchanged(commit, stage.table_id, base)?;
        }
        if stage.mode == WriteMode::Replace {
            files::fence_unchanged(commit, stage.table_id, stage.base_snapshot)?;
            files::end_all(commit, stage.table_id)?;
        }
    }
    let table = match nodes {
        [] => Table::still_there(commit.connection(), stage.table_id)?,
        _ => tables::resolve_for_write(
            commit,
            stage.table_id,
            stage.schema_name,
            stage.table_name,
            nodes,
            stage.column_ids,
            stage.mode,
        )?,
    };
    let table = Table { written_in: stage.written_in, ..table };
    deletes::apply(commit, &table, data_path, stage.positional_deletes)?;
    let ended = inlined::end_rows(commit, table.id, stage.base_snapshot, stage.inlined_deletes)?;
    let (files, empty): (Vec<_>, Vec<_>) =
        stage.files.iter().cloned().partition(|file| file.record_count > 0);
    for file in &empty {
        files::discard(commit, &table, data_path, file)?;
    }
    if stage.inlined_flush {
        if ended != stage.inlined_deletes.len() {
            return Err(CatalogError::Conflict(format!(
                "inlined rows of {} changed during the flush",
                table.name
            )));
        }
        commit.record(Change::InlineFlush(table.id));
    } else if ended > 0 {
        commit.record(Change::InlinedDelete(table.id));
    }
    if files.is_empty() {
        return Ok(table);
    }
    files::add(commit, &table, data_path, stage.column_ids, &files, !stage.inlined_flush)?;
    if !stage.inlined_flush {
        commit.record(Change::InsertedInto(table.id));
    }
    Ok(table)
}
