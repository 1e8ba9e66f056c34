//! Removing rows that are older than they are to be kept.
//!
//! A file whose rows are all too old leaves the head as it is, without being read. Of a file at the border the places of
//! the old rows are hidden by a delete file; a later merge leaves them out. Older snapshots still show the rows, and the
//! space returns when these are expired and the files deleted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use chrono::DateTime;
use datafusion_ducklake::{DeleteFileEntry, SnapshotCommitMetadata};
use parquet::arrow::ProjectionMask;
use pintail_ducklake::{AppendedFiles, CommitExtras, LiveFile, LiveFiles, TableName};
use pintail_types::{Error, ErrorKind, Micros, Result};

use super::{ATTEMPTS, Done};
use crate::lake::Lake;
use crate::new_file::parquet_error;
use crate::statistics::{TIMESTAMP, time_of};
use crate::user_tables::{DeleteFiles, Guard, NewFiles, hidden_places, open, remove_all};
use crate::volume::Volume;

/// Removes the rows of a table that are too old. Blocks.
pub(super) fn retain(lake: &Arc<Lake>, volume: &Arc<Volume>, table: &TableName) -> Result<Done> {
    let Some(limit) = lake.rows_kept_since(table) else { return Ok(Done::default()) };
    let mut attempt = 1;
    loop {
        match retain_once(lake, volume, table, limit) {
            Err(error) if error.kind() == ErrorKind::Conflict && attempt < ATTEMPTS => attempt += 1,
            other => return other,
        }
    }
}

fn retain_once(lake: &Arc<Lake>, volume: &Arc<Volume>, table: &TableName, limit: Micros) -> Result<Done> {
    let Some(mut live) = volume.catalog.live_files(table, TIMESTAMP)? else { return Ok(Done::default()) };
    let hidden = lake.hidden_files(volume)?;
    live.files.retain(|file| !hidden.contains(&file.id));
    let (old, rest): (Vec<&LiveFile>, Vec<&LiveFile>) =
        live.files.iter().partition(|file| time_bounds(file).is_some_and(|(_, newest)| newest < limit));
    let border: Vec<&LiveFile> =
        rest.into_iter().filter(|file| time_bounds(file).is_none_or(|(oldest, _)| oldest < limit)).collect();
    let mut done = Done::default();
    if !old.is_empty() {
        let ids: Vec<i64> = old.iter().map(|file| file.id).collect();
        volume.catalog.end_files(table, &ids, &about())?;
        done.files_in = old.len() as u64;
        done.rows = old.iter().map(|file| count(file.rows - file.deleted_rows())).sum();
        done.bytes = old.iter().map(|file| count(file.bytes)).sum();
    }
    let dropped = done.rows;
    // A file in a bucket goes when all its rows are old: it is not copied to hide some.
    let border = if volume.remote.is_some() { Vec::new() } else { border };
    let deleted = hide_old_rows(volume, table, &live, &border, limit)?;
    done.rows += deleted;
    let before = DateTime::from_timestamp_micros(limit).map_or_else(String::new, |time| time.to_rfc3339());
    done.message = format!(
        "rows before {before}: {dropped} left with their files, {deleted} were deleted in others; the space returns \
         when older snapshots are expired and their files deleted"
    );
    Ok(done)
}

fn about() -> SnapshotCommitMetadata {
    SnapshotCommitMetadata::new().with_author("pintail").with_message("retention")
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The oldest and the newest row of a file, if the catalog knows.
fn time_bounds(file: &LiveFile) -> Option<(Micros, Micros)> {
    let (oldest, newest) = file.bounds.as_ref()?;
    Some((time_of(oldest)?, time_of(newest)?))
}

/// Hides the rows before `limit` of files that have younger ones too; gives their number.
fn hide_old_rows(
    volume: &Arc<Volume>,
    table: &TableName,
    live: &LiveFiles,
    border: &[&LiveFile],
    limit: Micros,
) -> Result<u64> {
    if border.is_empty() {
        return Ok(0);
    }
    let stored = volume.runtime.block_on(volume.table(live.snapshot, &table.schema, &table.name))?;
    let Some(stored) = stored else { return Ok(0) };
    let Some(column) = stored.schema().index_of(TIMESTAMP).ok() else { return Ok(0) };
    let target = volume.catalog.append_target(&table.schema, &table.name, &stored.schema())?;
    let target = target.based_on(live.snapshot);
    let Some(column_id) = target.column_ids.get(column).copied() else { return Ok(0) };
    let directory = PathBuf::from(&target.directory);
    let delete_files = DeleteFiles { directory: &directory, root: &volume.data_path };
    let _write = volume.writes.begin();
    let guard = Guard::default();
    let mut deletes = Vec::new();
    let mut rows = 0;
    for file in border {
        let Some((entry, hidden)) = hide_in_file(file, column_id, limit, &delete_files, &guard.0)? else {
            continue;
        };
        deletes.push(entry);
        rows += hidden;
    }
    if deletes.is_empty() {
        return Ok(0);
    }
    let append = AppendedFiles { target, files: Vec::new(), deletes };
    let paths = guard.0.take();
    let committed = volume.catalog.append_files(&[append], &about(), CommitExtras::default());
    if let Err(error) = &committed
        && error.kind() == ErrorKind::Conflict
    {
        // Any other error may have come after the commit was durable.
        remove_all(&paths);
    }
    committed?;
    Ok(rows)
}

/// The delete file that hides the rows before `limit` besides those that are hidden already, and how many they are;
/// none if there are none.
fn hide_in_file(
    file: &LiveFile,
    column_id: i64,
    limit: Micros,
    delete_files: &DeleteFiles<'_>,
    new_files: &NewFiles,
) -> Result<Option<(DeleteFileEntry, u64)>> {
    let path = Path::new(&file.path);
    let mut hidden = match &file.deletes {
        Some(deletes) => hidden_places(Path::new(&deletes.path))?,
        None => Vec::new(),
    };
    let is_live = |place: &i64| hidden.binary_search(place).is_err() && !file.inlined_deletes.contains(place);
    let old: Vec<i64> = old_places(path, column_id, limit)?.into_iter().filter(is_live).collect();
    if old.is_empty() {
        return Ok(None);
    }
    let more = old.len() as u64;
    hidden.extend(old);
    hidden.sort_unstable();
    let delete = delete_files.write(path, hidden.into_iter(), new_files)?;
    let expected_prev_delete_file = file.deletes.as_ref().map(|deletes| deletes.id);
    Ok(Some((DeleteFileEntry { data_file_id: file.id, expected_prev_delete_file, delete }, more)))
}

/// The places of rows before `limit`. Only their times are read.
fn old_places(path: &Path, column_id: i64, limit: Micros) -> Result<Vec<i64>> {
    let failed = |error| parquet_error(path, error);
    let builder = open(path)?;
    let roots = builder.parquet_schema().root_schema().get_fields();
    let is_time = |column: &Arc<parquet::schema::types::Type>| {
        let info = column.get_basic_info();
        info.has_id() && i64::from(info.id()) == column_id
    };
    let Some(column) = roots.iter().position(is_time) else {
        return Err(Error::corrupt(format!("{}: it has no column of times", path.display())));
    };
    let only = ProjectionMask::roots(builder.parquet_schema(), [column]);
    let mut places = Vec::new();
    let mut place = 0;
    for batch in builder.with_projection(only).build().map_err(failed)? {
        let batch = batch.map_err(|error| parquet_error(path, error.into()))?;
        let times = micros(path, batch.column(0))?;
        for row in 0..times.len() {
            if times.is_valid(row) && times.as_primitive::<TimestampMicrosecondType>().value(row) < limit {
                places.push(place);
            }
            place += 1;
        }
    }
    Ok(places)
}

fn micros(path: &Path, times: &ArrayRef) -> Result<ArrayRef> {
    cast(times, &DataType::Timestamp(TimeUnit::Microsecond, None)).map_err(|error| {
        Error::corrupt(format!("{}: its times are no times", path.display())).with_source(error)
    })
}
