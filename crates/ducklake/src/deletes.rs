//! Positional deletes: delete files beside data files.

use datafusion_ducklake::{DeleteFileEntry, DeleteFileInfo, WriteMode};
use rusqlite::{OptionalExtension, params};

use crate::changes::Change;
use crate::commit::Commit;
use crate::error::{CatalogError, Result};
use crate::sql;
use crate::tables::Table;

/// Applies deletes to live data files: each new delete file takes the place of the one before it.
///
/// [`CatalogError::Conflict`] when a data file has left the head, or when its live delete file is not
/// the one that the new one was made from.
pub(crate) fn apply(
    commit: &mut Commit<'_>,
    table: &Table,
    data_path: &str,
    entries: &[DeleteFileEntry],
) -> Result<()> {
    for entry in entries {
        fence(commit, table.id, entry.data_file_id, entry.expected_prev_delete_file)?;
        commit.execute(sql::END_DELETE_FILE, params![commit.snapshot(), entry.data_file_id])?;
        insert(commit, table, data_path, entry.data_file_id, &entry.delete)?;
    }
    if !entries.is_empty() {
        commit.record(Change::DeletedFrom(table.id));
    }
    Ok(())
}

/// A conflict unless the data file is live with exactly this live delete file.
pub(crate) fn fence(commit: &Commit<'_>, table_id: i64, file_id: i64, expected: Option<i64>) -> Result<()> {
    let connection = commit.connection();
    let file: Option<String> =
        connection.query_row(sql::LIVE_FILE, [table_id, file_id], |row| row.get(0)).optional()?;
    if file.is_none() {
        return Err(CatalogError::Conflict(format!("data file {file_id} of table {table_id} was replaced")));
    }
    let live: Option<i64> =
        connection.query_row(sql::LIVE_DELETE_FILE, [table_id, file_id], |row| row.get(0)).optional()?;
    if live != expected {
        return Err(CatalogError::Conflict(format!(
            "rows of data file {file_id} were deleted by somebody else"
        )));
    }
    Ok(())
}

fn insert(
    commit: &mut Commit<'_>,
    table: &Table,
    data_path: &str,
    data_file_id: i64,
    delete: &DeleteFileInfo,
) -> Result<()> {
    let id = commit.next_file_id();
    let (path, is_relative) = table.file_path(data_path, &delete.path, delete.path_is_relative);
    commit.execute(
        sql::INSERT_DELETE_FILE,
        params![
            id,
            table.id,
            commit.snapshot(),
            data_file_id,
            path,
            is_relative,
            delete.delete_count,
            delete.file_size_bytes,
            delete.footer_size,
        ],
    )?;
    Ok(())
}

/// Refuses delete entries that cannot be applied, before anything is done.
pub(crate) fn check_entries(mode: WriteMode, entries: &[DeleteFileEntry]) -> Result<()> {
    if mode == WriteMode::Replace && !entries.is_empty() {
        return Err(CatalogError::Invalid(
            "a replacement cannot also delete from the files it ends".to_owned(),
        ));
    }
    for (index, entry) in entries.iter().enumerate() {
        if entries[..index].iter().any(|before| before.data_file_id == entry.data_file_id) {
            return Err(CatalogError::Invalid(format!(
                "two delete entries for data file {}",
                entry.data_file_id
            )));
        }
    }
    Ok(())
}
