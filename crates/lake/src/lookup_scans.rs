//! What look-ups of rows by an index share at one snapshot: scans to cut down, and the ids of columns.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::Result as DataFusionResult;
use datafusion::datasource::TableProvider;
use datafusion::physical_plan::ExecutionPlan;
use pintail_ducklake::TableName;
use pintail_types::{Result, SnapshotId};

use crate::lake::blocking;
use crate::volume::{Volume, from_ducklake};

/// A table, and which of its columns.
type ScanKey = (TableName, Vec<usize>);

/// Scans that are kept of a snapshot; when there are more, all are made anew.
const MAX_KEPT_SCANS: usize = 64;

/// What was made for look-ups at one snapshot.
#[derive(Debug, Default)]
pub(crate) struct KeptLookups {
    column_ids: HashMap<TableName, Arc<HashMap<String, i64>>>,
    /// None for a table whose rows are too many to be indexed.
    scans: HashMap<ScanKey, Option<Arc<dyn ExecutionPlan>>>,
}

impl Volume {
    /// The ids by which files know the columns of a table, however they call them.
    pub(crate) async fn column_ids(
        self: &Arc<Self>,
        snapshot: SnapshotId,
        table: &TableName,
    ) -> Result<Arc<HashMap<String, i64>>> {
        if let Some(ids) = self.kept_lookups(snapshot, |kept| kept.column_ids.get(table).map(Arc::clone)) {
            return Ok(ids);
        }
        let (volume, name) = (Arc::clone(self), table.clone());
        let read = move || volume.read_column_ids(snapshot, &name);
        let ids = Arc::new(blocking("reading a table's columns", read).await?);
        self.kept_lookups(snapshot, |kept| kept.column_ids.insert(table.clone(), Arc::clone(&ids)));
        Ok(ids)
    }

    fn read_column_ids(&self, snapshot: SnapshotId, table: &TableName) -> Result<HashMap<String, i64>> {
        let Some(id) = self.table_id(table, snapshot)? else { return Ok(HashMap::new()) };
        let columns = self.provider.get_table_structure(id, snapshot.0);
        let columns = columns.map_err(|error| from_ducklake("a table's columns can't be read", error))?;
        Ok(columns.into_iter().map(|column| (column.column_name, column.column_id)).collect())
    }

    /// The scan of every file of a table, to be cut down before it runs; none if it has too many rows to be indexed.
    pub(crate) async fn every_file(
        &self,
        state: &dyn Session,
        snapshot: SnapshotId,
        key: ScanKey,
        table: &Arc<dyn TableProvider>,
    ) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
        if let Some(scan) = self.kept_lookups(snapshot, |kept| kept.scans.get(&key).cloned()) {
            return Ok(scan);
        }
        let scan = table.scan(state, Some(&key.1), &[], None).await?;
        let scan = Some(scan).filter(|scan| self.row_indexes.have_room_for_all_of(scan));
        self.kept_lookups(snapshot, |kept| {
            if kept.scans.len() >= MAX_KEPT_SCANS {
                kept.scans.clear();
            }
            kept.scans.insert(key, scan.clone());
        });
        Ok(scan)
    }
}
