//! The history of a catalog: for people, and to find the snapshot of a moment.

use std::fmt;
use std::ops::RangeInclusive;

use pintail_types::{Micros, Result, SnapshotId};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::catalog::Catalog;
use crate::changes::touches;
use crate::error::{CatalogError, Result as CatalogResult};
use crate::time::parse_time;
use crate::{inlined, sql};

const SNAPSHOTS: &str = "SELECT s.snapshot_id, s.snapshot_time, s.schema_version, c.author, c.commit_message, \
     c.changes_made, c.commit_extra_info FROM ducklake_snapshot s \
     LEFT JOIN ducklake_snapshot_changes c ON c.snapshot_id = s.snapshot_id ORDER BY s.snapshot_id";

/// The changes of rows that the catalog itself holds.
const INLINED_CHANGES: [&str; 2] = ["inlined_insert", "inlined_delete"];

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Its number.
    pub id: SnapshotId,
    /// When it was committed, as the catalog has it.
    pub time: String,
    /// The schema version after it.
    pub schema_version: i64,
    /// Who committed, if they said so.
    pub author: Option<String>,
    /// What they said about it.
    pub message: Option<String>,
    /// What changed, in the catalog's grammar.
    pub changes: Option<String>,
    /// What a program noted for programs.
    pub extra_info: Option<String>,
}

impl SnapshotInfo {
    /// When it was committed; `None` when the catalog's text is no time with an offset.
    pub fn committed_at(&self) -> Option<Micros> {
        parse_time(&self.time)
    }
}

/// A snapshot, and when it was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotTime {
    /// Its number.
    pub id: SnapshotId,
    /// When it was committed, as the catalog has it.
    pub time: String,
}

impl SnapshotTime {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { id: SnapshotId(row.get(0)?), time: row.get(1)? })
    }

    fn committed_at(&self) -> CatalogResult<Micros> {
        let Self { id, time } = self;
        parse_time(time).ok_or_else(|| {
            CatalogError::Corrupt(format!("ducklake_snapshot: the time of snapshot {id} is '{time}'"))
        })
    }
}

impl fmt::Display for SnapshotTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.id, self.time)
    }
}

/// The first snapshot in the order of `query` that `is_wanted` by its time.
///
/// Times are text of any offset, which SQLite cannot compare; they are read until one fits.
fn first_by_time(
    connection: &Connection,
    query: &str,
    is_wanted: impl Fn(Micros) -> bool,
) -> CatalogResult<Option<SnapshotId>> {
    let mut statement = connection.prepare_cached(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let snapshot = SnapshotTime::of(row)?;
        if is_wanted(snapshot.committed_at()?) {
            return Ok(Some(snapshot.id));
        }
    }
    Ok(None)
}

impl Catalog {
    /// Every snapshot that was not expired, oldest first.
    ///
    /// # Errors
    /// `Corrupt` when the catalog can't be read.
    pub fn snapshots(&self) -> Result<Vec<SnapshotInfo>> {
        let read = self.database().read(|connection| {
            let mut statement = connection.prepare_cached(SNAPSHOTS)?;
            let rows = statement.query_map([], |row| {
                Ok(SnapshotInfo {
                    id: SnapshotId(row.get(0)?),
                    time: row.get(1)?,
                    schema_version: row.get(2)?,
                    author: row.get(3)?,
                    message: row.get(4)?,
                    changes: row.get(5)?,
                    extra_info: row.get(6)?,
                })
            })?;
            Ok(rows.collect::<std::result::Result<Vec<_>, _>>()?)
        });
        read.map_err(|error: CatalogError| error.at(self.path().display()))
    }

    /// The newest snapshot that was committed not later than `time`.
    ///
    /// # Errors
    /// `Corrupt` when the catalog can't be read.
    pub fn snapshot_at(&self, time: Micros) -> Result<Option<SnapshotId>> {
        self.read(|connection| {
            first_by_time(connection, sql::SNAPSHOTS_NEWEST_FIRST, |committed| committed <= time)
        })
    }

    /// The oldest snapshot that was committed not earlier than `time`.
    ///
    /// # Errors
    /// `Corrupt` when the catalog can't be read.
    pub fn snapshot_since(&self, time: Micros) -> Result<Option<SnapshotId>> {
        self.read(|connection| {
            first_by_time(connection, sql::SNAPSHOTS_OLDEST_FIRST, |committed| committed >= time)
        })
    }

    /// Whether a snapshot is there: it may have been expired, or not be made yet.
    ///
    /// # Errors
    /// `Corrupt` when the catalog can't be read.
    pub fn has_snapshot(&self, snapshot: SnapshotId) -> Result<bool> {
        self.read(|connection| {
            Ok(connection.prepare_cached(sql::SNAPSHOT_EXISTS)?.query_row([snapshot.0], |row| row.get(0))?)
        })
    }

    /// The oldest and the newest snapshot that are there.
    ///
    /// # Errors
    /// `Corrupt` when the catalog can't be read, or has no snapshot.
    pub fn snapshot_range(&self) -> Result<(SnapshotTime, SnapshotTime)> {
        self.read(|connection| {
            let first = |query: &str| {
                let found = connection.prepare_cached(query)?.query_row([], SnapshotTime::of).optional()?;
                found.ok_or_else(|| CatalogError::Corrupt("ducklake_snapshot is empty".to_owned()))
            };
            Ok((first(sql::SNAPSHOTS_OLDEST_FIRST)?, first(sql::SNAPSHOTS_NEWEST_FIRST)?))
        })
    }

    /// A data file of a table that has two delete files at a snapshot, and would be read once with each.
    ///
    /// DuckDB leaves such behind when it flushes rows that were deleted in the catalog itself before another program wrote
    /// a delete file. The newest snapshot is never among those.
    ///
    /// # Errors
    /// `Corrupt` when the catalog can't be read.
    pub fn file_deleted_from_twice(&self, table_id: i64, snapshot: SnapshotId) -> Result<Option<i64>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql::FILE_DELETED_FROM_TWICE)?;
            Ok(statement.query_row([table_id, snapshot.0], |row| row.get(0)).optional()?)
        })
    }

    /// Whether rows of a table came or went in the catalog itself, where other programs keep few rows, in one of
    /// `snapshots`.
    ///
    /// # Errors
    /// `Corrupt` when the catalog can't be read.
    pub fn has_inlined_changes(&self, table_id: i64, snapshots: RangeInclusive<i64>) -> Result<bool> {
        self.read(|connection| {
            // What was put into files since is told by its record only, and what was expired by its rows only.
            let mut statement = connection.prepare_cached(sql::CHANGES_SINCE)?;
            let mut rows = statement.query([snapshots.start() - 1])?;
            while let Some(row) = rows.next()? {
                let (snapshot, changes): (i64, Option<String>) = (row.get(0)?, row.get(1)?);
                if snapshot > *snapshots.end() {
                    break;
                }
                if changes.is_some_and(|changes| touches(&changes, &INLINED_CHANGES, table_id)) {
                    return Ok(true);
                }
            }
            inlined::changed_in(connection, table_id, &snapshots)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_any_offset_are_read() {
        let at = |time: &str| {
            let info = SnapshotInfo {
                id: SnapshotId(0),
                time: time.into(),
                schema_version: 0,
                author: None,
                message: None,
                changes: None,
                extra_info: None,
            };
            info.committed_at()
        };
        assert_eq!(at("1970-01-01 00:00:01.5+00"), Some(1_500_000));
        assert_eq!(at("1970-01-01 01:00:01+01"), Some(1_000_000));
        assert_eq!(at("1970-01-01 01:30:01+01:30"), Some(1_000_000));
        assert_eq!(at("yesterday"), None);
    }

    #[test]
    fn snapshots_are_found_by_time_whatever_its_offset() {
        let connection = Connection::open_in_memory().unwrap();
        let rows = "CREATE TABLE ducklake_snapshot (snapshot_id BIGINT, snapshot_time VARCHAR);
            INSERT INTO ducklake_snapshot VALUES (3, '1970-01-01 00:00:01+00'),
                (4, '1970-01-01 01:00:02.5+01'), (6, '1970-01-01 00:00:03+00')";
        connection.execute_batch(rows).unwrap();
        for (time, not_later, not_earlier) in [
            (999_999, None, Some(3)),
            (1_000_000, Some(3), Some(3)),
            (2_499_999, Some(3), Some(4)),
            (2_500_000, Some(4), Some(4)),
            (2_500_001, Some(4), Some(6)),
            (9_000_000, Some(6), None),
        ] {
            let newest = first_by_time(&connection, sql::SNAPSHOTS_NEWEST_FIRST, |at| at <= time);
            assert_eq!(newest.unwrap(), not_later.map(SnapshotId), "{time}");
            let oldest = first_by_time(&connection, sql::SNAPSHOTS_OLDEST_FIRST, |at| at >= time);
            assert_eq!(oldest.unwrap(), not_earlier.map(SnapshotId), "{time}");
        }
        connection
            .execute("UPDATE ducklake_snapshot SET snapshot_time = 'noon' WHERE snapshot_id = 6", [])
            .unwrap();
        let unreadable = first_by_time(&connection, sql::SNAPSHOTS_NEWEST_FIRST, |_| true).unwrap_err();
        assert_eq!(unreadable.to_string(), "ducklake_snapshot: the time of snapshot 6 is 'noon'");
    }
}
