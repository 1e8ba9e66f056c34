//! The past of a lake's catalogs: which snapshots show a moment, the tables as they were, and what changed in between.

use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, TableProvider};
use pintail_types::{Error, ErrorKind, Micros, Result, SnapshotId};

use crate::catalog::Provider;
use crate::change_feed::{ChangeFeed, Changes};
use crate::user_tables::TableName;
use crate::volume::Volume;

/// The first snapshot of a catalog, which has no tables.
const EMPTY: SnapshotId = SnapshotId(0);

/// A moment of the past, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// That of one snapshot.
    Snapshot(SnapshotId),
    /// The newest snapshot that was committed not later.
    Time(Micros),
}

/// The past of one catalog of a lake: what its files held. Rows in memory have none.
#[derive(Debug, Clone)]
pub struct LakePast(pub(crate) Provider);

impl LakePast {
    /// The snapshot of each volume that shows `moment`.
    ///
    /// # Errors
    /// `NotFound` for a snapshot that was expired or is not made yet, and for a time before the oldest one;
    /// `Invalid` for a number where several volumes have snapshots of their own.
    pub fn snapshots_at(&self, moment: Moment) -> Result<Vec<SnapshotId>> {
        match moment {
            Moment::Snapshot(snapshot) => {
                let (catalog, volume) = self.only_volume()?;
                volume.expect_snapshot(&catalog, snapshot)?;
                Ok(vec![snapshot])
            }
            Moment::Time(time) => {
                let volumes = self.volumes();
                match volumes.as_slice() {
                    [(catalog, only)] => Ok(vec![only.snapshot_at(catalog, time)?]),
                    several => at_one_time(several, time),
                }
            }
        }
    }

    /// The catalog as it was at these snapshots of its volumes; none if they are not one for each, or not there.
    pub fn catalog_at(&self, snapshots: &[SnapshotId]) -> Option<Arc<dyn CatalogProvider>> {
        let volumes = self.0.volumes();
        if volumes.len() != snapshots.len() {
            return None;
        }
        let look = || -> Result<Option<Provider>> {
            for (volume, snapshot) in volumes.iter().zip(snapshots) {
                if !volume.catalog.has_snapshot(*snapshot)? {
                    return Ok(None);
                }
            }
            self.0.in_the_past(snapshots).map(Some)
        };
        let found =
            look().inspect_err(|error| tracing::error!(%error, "snapshots can't be looked for")).ok()?;
        found.map(|provider| Arc::new(provider) as Arc<dyn CatalogProvider>)
    }

    /// What changed in a table from one moment to another, both included.
    ///
    /// # Errors
    /// As [`Self::snapshots_at`] for both moments; `Invalid` if the second is before the first; `NotFound` for a table
    /// that the later one does not have; `Unsupported` where rows changed that the catalog itself held.
    pub fn changes(
        &self,
        table: &TableName,
        changes: Changes,
        from: Moment,
        to: Moment,
    ) -> Result<Arc<dyn TableProvider>> {
        let (catalog, volume) = self.only_volume()?;
        let first = match from {
            Moment::Snapshot(snapshot) => snapshot,
            Moment::Time(time) => volume.snapshot_since(&catalog, time)?,
        };
        let last = match to {
            Moment::Snapshot(snapshot) => snapshot,
            Moment::Time(time) => volume.snapshot_at(&catalog, time)?,
        };
        if first > last {
            return Err(Error::invalid(format!(
                "no snapshot of {catalog} is in between: the first would be {first}, the last {last}"
            )));
        }
        let feed = ChangeFeed::new(catalog, volume, table, changes, first..=last)?;
        Ok(Arc::new(feed))
    }

    /// The volumes with the names to call them by: those of their own catalogs, but if there is one only, that of the
    /// catalog that is asked.
    fn volumes(&self) -> Vec<(String, Arc<Volume>)> {
        let volumes = self.0.volumes();
        let name = |volume: &Arc<Volume>| match volumes.len() {
            1 => self.0.catalog().to_owned(),
            _ => volume.catalog_name.clone(),
        };
        volumes.iter().map(|volume| (name(volume), Arc::clone(volume))).collect()
    }

    /// The volume whose numbers the snapshots of the catalog have.
    fn only_volume(&self) -> Result<(String, Arc<Volume>)> {
        only(self.0.catalog(), self.volumes())
    }
}

/// The newest snapshot of each volume that was committed not later than `time`. A volume that was made later held nothing
/// then, which its first snapshot shows; but at least one must have been there.
fn at_one_time(volumes: &[(String, Arc<Volume>)], time: Micros) -> Result<Vec<SnapshotId>> {
    let mut snapshots = Vec::with_capacity(volumes.len());
    let (mut too_early, mut is_known) = (None, false);
    for (catalog, volume) in volumes {
        match volume.snapshot_at(catalog, time) {
            Err(error) if error.kind() == ErrorKind::NotFound && volume.catalog.has_snapshot(EMPTY)? => {
                too_early = Some(error);
                snapshots.push(EMPTY);
            }
            found => {
                snapshots.push(found?);
                is_known = true;
            }
        }
    }
    match too_early {
        Some(error) if !is_known => Err(error),
        _ => Ok(snapshots),
    }
}

/// The one of a catalog's volumes.
fn only<T>(catalog: &str, mut volumes: Vec<(String, T)>) -> Result<(String, T)> {
    match (volumes.pop(), volumes.is_empty()) {
        (Some(only), true) => Ok(only),
        (last, _) => {
            let names: Vec<String> = volumes.into_iter().chain(last).map(|(name, _)| name).collect();
            Err(Error::invalid(format!(
                "{catalog} is made of several volumes, whose snapshots have numbers of their own: ask one of {} for \
                 a number, or {catalog} for a time",
                names.join(", ")
            )))
        }
    }
}

impl Volume {
    /// Says when a snapshot is not there.
    pub(crate) fn expect_snapshot(&self, catalog: &str, snapshot: SnapshotId) -> Result<()> {
        if self.catalog.has_snapshot(snapshot)? {
            return Ok(());
        }
        let (oldest, newest) = self.catalog.snapshot_range()?;
        let when = if snapshot > newest.id { "yet" } else { "any more" };
        Err(Error::not_found(format!(
            "snapshot {snapshot} of {catalog} is not there {when}: the oldest one left is {oldest}, the newest {newest}"
        )))
    }

    /// Says when the past of a table can't be told.
    pub(crate) fn expect_past(&self, table: &TableName, snapshot: SnapshotId) -> Result<()> {
        let Some(id) = self.table_id(table, snapshot)? else { return Ok(()) };
        match self.catalog.file_deleted_from_twice(id, snapshot)? {
            None => Ok(()),
            Some(file) => Err(Error::corrupt(format!(
                "table {table} can't be read at snapshot {snapshot}: data file {file} has two delete files there, which \
                 another program has left behind"
            ))),
        }
    }

    /// The newest snapshot that was committed not later than `time`.
    fn snapshot_at(&self, catalog: &str, time: Micros) -> Result<SnapshotId> {
        self.catalog.snapshot_at(time)?.map_or_else(|| Err(self.no_snapshot(catalog, "before", time)), Ok)
    }

    /// The oldest snapshot that was committed not earlier than `time`.
    fn snapshot_since(&self, catalog: &str, time: Micros) -> Result<SnapshotId> {
        self.catalog.snapshot_since(time)?.map_or_else(|| Err(self.no_snapshot(catalog, "after", time)), Ok)
    }

    fn no_snapshot(&self, catalog: &str, side: &str, time: Micros) -> Error {
        let (oldest, newest) = match self.catalog.snapshot_range() {
            Ok(range) => range,
            Err(error) => return error,
        };
        let time = chrono::DateTime::from_timestamp_micros(time).map_or_else(
            || "that time".to_owned(),
            |time| time.format("%Y-%m-%d %H:%M:%S%.f+00").to_string(),
        );
        Error::not_found(format!(
            "there is no snapshot of {catalog} {side} {time}: the oldest one left is {oldest}, the newest {newest}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_snapshots_are_those_of_one_volume() {
        assert_eq!(only("lake", vec![("lake".to_owned(), 1)]).unwrap(), ("lake".to_owned(), 1));
        let volumes = vec![("lake_hot".to_owned(), 1), ("lake_cold".to_owned(), 2)];
        assert_eq!(
            only("lake", volumes).unwrap_err().message(),
            "lake is made of several volumes, whose snapshots have numbers of their own: ask one of lake_hot, lake_cold \
             for a number, or lake for a time"
        );
    }
}
