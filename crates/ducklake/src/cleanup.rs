//! What may be deleted on disk: files that are listed for deletion, and files that the catalog does not name.

use pintail_types::{Micros, Result, SnapshotId};
use rusqlite::Connection;

use crate::catalog::Catalog;
use crate::commit::Snapshot;
use crate::error::Result as CatalogResult;
use crate::expiry::delete_where;
use crate::sql;
use crate::time::parse_time;

/// A file that is listed for deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledFile {
    /// The id that the file had.
    pub id: i64,
    /// Where it is: an absolute path or a URL.
    pub path: String,
    /// When it was listed; none where the catalog's text is no time.
    pub since: Option<Micros>,
}

/// The files that a catalog speaks of at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownFiles {
    /// Paths of data and delete files that some snapshot shows.
    pub named: Vec<String>,
    /// Files that are listed for deletion, longest listed first.
    pub scheduled: Vec<ScheduledFile>,
}

impl Catalog {
    /// Every file that the catalog names or has listed for deletion.
    ///
    /// # Errors
    /// When the catalog can't be read.
    pub fn known_files(&self) -> Result<KnownFiles> {
        let data_path = self.data_path();
        self.read(|connection| {
            Ok(KnownFiles {
                named: named(connection, &data_path)?,
                scheduled: scheduled(connection, &data_path)?,
            })
        })
    }

    /// Takes files off the list of those to be deleted: they are gone, or named again.
    ///
    /// # Errors
    /// `Unavailable` when another process holds the write lock for too long.
    pub fn unschedule(&self, ids: &[i64]) -> Result<()> {
        self.at(self.database().write(|connection| {
            delete_where(connection, "ducklake_files_scheduled_for_deletion", "data_file_id", ids)
        }))
    }

    /// The newest snapshot.
    ///
    /// # Errors
    /// When the catalog can't be read.
    pub fn newest_snapshot(&self) -> Result<SnapshotId> {
        self.read(|connection| Ok(SnapshotId(Snapshot::head(connection)?.id)))
    }
}

fn named(connection: &Connection, data_path: &str) -> CatalogResult<Vec<String>> {
    let mut statement = connection.prepare_cached(sql::NAMED_FILES)?;
    let rows = statement.query_map([data_path], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn scheduled(connection: &Connection, data_path: &str) -> CatalogResult<Vec<ScheduledFile>> {
    let mut statement = connection.prepare_cached(sql::SCHEDULED_FILES)?;
    let rows = statement.query_map([data_path], |row| {
        Ok(ScheduledFile {
            id: row.get(0)?,
            path: row.get(1)?,
            since: row.get::<_, Option<String>>(2)?.as_deref().and_then(parse_time),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
