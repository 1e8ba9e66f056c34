//! What changes of user tables read from the volume's catalog.

use std::collections::{BTreeSet, HashMap};

use datafusion_ducklake::metadata_provider::DuckLakeInlinedData;
use pintail_ducklake::TableName;
use pintail_types::{Result, SnapshotId};

use crate::volume::{Volume, from_ducklake};

impl Volume {
    /// The places that are deleted in the catalog itself, by file.
    pub(super) fn inlined_deletes(
        &self,
        table: &TableName,
        snapshot: SnapshotId,
    ) -> Result<HashMap<i64, BTreeSet<i64>>> {
        let mut deletes: HashMap<i64, BTreeSet<i64>> = HashMap::new();
        let Some(id) = self.table_id(table, snapshot)? else { return Ok(deletes) };
        let read = self.provider.get_inlined_deletes(id, snapshot.0);
        for delete in read.map_err(|error| from_ducklake("inlined deletes can't be read", error))? {
            deletes.entry(delete.data_file_id).or_default().insert(delete.row_id);
        }
        Ok(deletes)
    }

    /// The rows that another program keeps in the catalog itself.
    pub(super) fn inlined_rows(
        &self,
        table: &TableName,
        snapshot: SnapshotId,
    ) -> Result<Vec<DuckLakeInlinedData>> {
        let failed = |error| from_ducklake("inlined rows can't be read", error);
        let Some(id) = self.table_id(table, snapshot)? else { return Ok(Vec::new()) };
        let columns = self.provider.get_table_structure(id, snapshot.0).map_err(failed)?;
        let rows = self.provider.get_inlined_data_with_row_ids(id, snapshot.0, &columns).map_err(failed)?;
        Ok(rows.into_iter().filter(|part| part.batch.num_rows() > 0).collect())
    }

    /// The text of a view at a snapshot.
    pub(crate) fn view_text(&self, view: &TableName, snapshot: SnapshotId) -> Result<Option<String>> {
        let failed = |error| from_ducklake("the catalog can't be read", error);
        let schema = self.provider.get_schema_by_name(&view.schema, snapshot.0).map_err(failed)?;
        let Some(schema) = schema else { return Ok(None) };
        let found = self.provider.get_view_by_name(schema.schema_id, &view.name, snapshot.0);
        Ok(found.map_err(failed)?.map(|view| view.sql))
    }

    pub(crate) fn table_id(&self, table: &TableName, snapshot: SnapshotId) -> Result<Option<i64>> {
        let failed = |error| from_ducklake("the catalog can't be read", error);
        let schema = self.provider.get_schema_by_name(&table.schema, snapshot.0).map_err(failed)?;
        let Some(schema) = schema else { return Ok(None) };
        let found = self.provider.get_table_by_name(schema.schema_id, &table.name, snapshot.0);
        Ok(found.map_err(failed)?.map(|table| table.table_id))
    }
}
