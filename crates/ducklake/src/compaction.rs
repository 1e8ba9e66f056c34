//! Compaction: the same rows in other files.

use datafusion_ducklake::{CompactionOutputFile, CompactionSourceFile, SourceRetirement};
use rusqlite::params;

use crate::changes::Change;
use crate::columns::live_columns;
use crate::commit::Commit;
use crate::error::Result;
use crate::expiry::remove_data_files;
use crate::files::{self, Placement};
use crate::sql;
use crate::statistics::TableTotals;
use crate::tables::Table;
use crate::{deletes, inlined};

/// Puts `outputs` in the place of `sources`.
///
/// The rows of the sources must be those that were read at `base`: a source that was replaced, or that
/// lost rows since, is a conflict. Files that came meanwhile do not matter.
pub(crate) fn apply(
    commit: &mut Commit<'_>,
    table: &Table,
    data_path: &str,
    base: i64,
    sources: &[CompactionSourceFile],
    outputs: &[CompactionOutputFile],
    retirement: SourceRetirement,
) -> Result<()> {
    let ids: Vec<i64> = sources.iter().map(|source| source.data_file_id).collect();
    for source in sources {
        deletes::fence(commit, table.id, source.data_file_id, source.delete_file_id)?;
    }
    inlined::fence_deletes(commit, table.id, base, &ids)?;

    let before = TableTotals::of(commit.connection(), table.id)?;
    let mut totals = before.unwrap_or_default();
    for id in &ids {
        totals.file_size_bytes -= file_bytes(commit, *id)?;
        if retirement == SourceRetirement::Retire {
            commit.execute(sql::END_DELETE_FILE, params![commit.snapshot(), id])?;
            commit.execute(sql::END_FILE, params![commit.snapshot(), id])?;
        }
    }
    if retirement == SourceRetirement::Remove {
        // The outputs stand for the sources at every snapshot: nobody needs these any more.
        remove_data_files(commit.connection(), &ids)?;
    }
    let columns = live_columns(commit.connection(), table.id)?;
    for output in outputs {
        let placement = Placement {
            // The rows carry their ids in a column of the file.
            row_id_start: None,
            begin_snapshot: output.begin_snapshot.unwrap_or_else(|| commit.snapshot()),
            partial_max: output.partial_max,
        };
        files::insert(commit, table, data_path, &output.file, &columns, placement)?;
        totals.file_size_bytes += output.file.file_size_bytes;
    }
    totals.store(commit, table.id, before.is_none())?;
    commit.record(match retirement {
        SourceRetirement::Remove => Change::MergeAdjacent(table.id),
        SourceRetirement::Retire => Change::RewriteDelete(table.id),
    });
    // DuckDB does not look for a merge when it commits deletes that it keeps in the catalog itself: they would name a file
    // that is gone, and its rows would be back. It does look for this.
    commit.record(Change::InlineFlush(table.id));
    Ok(())
}

fn file_bytes(commit: &Commit<'_>, file_id: i64) -> Result<i64> {
    Ok(commit.connection().query_row(sql::FILE_BYTES, [file_id], |row| row.get(0))?)
}
