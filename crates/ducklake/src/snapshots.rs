//! The history of a catalog, for people.

use pintail_types::{Micros, Result, SnapshotId};

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::time::parse_time;

const SNAPSHOTS: &str = "SELECT s.snapshot_id, s.snapshot_time, s.schema_version, c.author, c.commit_message, \
     c.changes_made, c.commit_extra_info FROM ducklake_snapshot s \
     LEFT JOIN ducklake_snapshot_changes c ON c.snapshot_id = s.snapshot_id ORDER BY s.snapshot_id";

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
}
