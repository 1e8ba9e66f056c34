//! Statements on temporary tables.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Int64Type, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionConfig;
use futures::StreamExt;
use pintail_lake::{Author, Destination, RowChange, Rows, SchemaChange, TableName};
use pintail_types::{Error, Result};

use super::table::Table;
use super::{TemporaryTables, exists, missing};
use crate::error::from_datafusion;
use crate::storage::TableWriter;

#[async_trait]
impl TableWriter for TemporaryTables {
    fn admit(&self, _table: &TableName) -> Result<()> {
        Ok(())
    }

    async fn change_schema(&self, change: SchemaChange, _author: &Author) -> Result<bool> {
        let (table, new) = match &change {
            SchemaChange::CreateTable { table, columns, existing } => {
                return self.create(table, columns, *existing);
            }
            SchemaChange::DropTable { table, if_exists } => return self.drop_table(table, *if_exists),
            SchemaChange::RenameTable { table, to } => return self.rename(table, to),
            SchemaChange::AddColumn { table, column, if_not_exists } => {
                (table, self.get(&table.name)?.add_column(table, column, *if_not_exists)?)
            }
            SchemaChange::DropColumn { table, column, if_exists } => {
                (table, self.get(&table.name)?.drop_column(table, column, *if_exists)?)
            }
            SchemaChange::RenameColumn { table, column, to } => {
                (table, Some(self.get(&table.name)?.rename_column(table, column, to)?))
            }
            SchemaChange::CreateView { .. }
            | SchemaChange::DropView { .. }
            | SchemaChange::CreateSchema { .. }
            | SchemaChange::DropSchema { .. } => {
                return Err(Error::unsupported("catalog temp holds temporary tables only"));
            }
        };
        let Some(new) = new else { return Ok(false) };
        // The columns that are kept share their memory with the old state: what it is charged stays.
        let bytes = new.bytes;
        let charge = self.charge(bytes)?;
        self.put(&table.name, Some(new.version), new)?;
        charge.keep();
        Ok(true)
    }

    async fn load(
        &self,
        table: &TableName,
        destination: Destination,
        columns: SchemaRef,
        rows: Rows,
        _author: &Author,
    ) -> Result<u64> {
        let current = self.tables.lock().get(&table.name).cloned();
        let base = current.as_ref().map(|table| table.version);
        let (schema, defaults, before) = match (destination, current) {
            (Destination::Append, Some(current)) => (current.schema, current.defaults, current.batches),
            (Destination::Append, None) => {
                return Err(missing(&table.name));
            }
            (Destination::Create, Some(_)) => {
                return Err(exists(&table.name));
            }
            (Destination::Create | Destination::CreateOrReplace, _) => {
                (Arc::clone(&columns), HashMap::new(), Arc::default())
            }
        };
        let (added, mut charge) = self.collect(&schema, &columns, rows).await?;
        let count = added.iter().map(RecordBatch::num_rows).sum::<usize>();
        let kept = before.iter().map(RecordBatch::get_array_memory_size).sum();
        charge.add(self.charge(kept)?);
        let batches = before.iter().cloned().chain(added).collect();
        self.put(&table.name, base, Table::new(schema, defaults, batches, charge.bytes))?;
        charge.keep();
        Ok(count as u64)
    }

    async fn settle_rows(&self, _table: &TableName) -> Result<()> {
        Ok(())
    }

    async fn rows_with_ids(
        &self,
        table: &TableName,
        _config: &SessionConfig,
    ) -> Result<Arc<dyn TableProvider>> {
        self.get(&table.name)?.with_ids().map_err(|error| from_datafusion(&error))
    }

    async fn change_rows(
        &self,
        table: &TableName,
        change: RowChange,
        _config: &SessionConfig,
        mut rows: Rows,
        _author: &Author,
    ) -> Result<u64> {
        let current = self.get(&table.name)?;
        let mut ids = Vec::new();
        let mut new = Vec::new();
        let mut charge = self.charge(0)?;
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let Some((id, values)) = batch.columns().split_last() else { continue };
            ids.extend(id.as_primitive_opt::<Int64Type>().into_iter().flatten().flatten());
            if change == RowChange::Update {
                let given = Schema::new(current.schema.fields().clone());
                let values = RecordBatch::try_new(Arc::new(given), values.to_vec())
                    .map_err(|error| Error::invalid(error.to_string()))?;
                charge.add(self.charge(values.get_array_memory_size())?);
                new.push(values);
            }
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let found = ids.len();
        ids.sort_unstable();
        ids.dedup();
        if change == RowChange::Update && ids.len() < found {
            return Err(Error::invalid("the statement changes a row several times"));
        }
        let mut batches = current.without(&ids)?;
        let kept = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        charge.add(self.charge(kept)?);
        batches.extend(new);
        let state = Table::new(Arc::clone(&current.schema), current.defaults, batches, charge.bytes);
        self.put(&table.name, Some(current.version), state)?;
        charge.keep();
        Ok(ids.len() as u64)
    }

    async fn truncate(&self, table: &TableName, _config: &SessionConfig, _author: &Author) -> Result<u64> {
        let current = self.get(&table.name)?;
        let rows: usize = current.batches.iter().map(RecordBatch::num_rows).sum();
        let empty = Table::new(Arc::clone(&current.schema), current.defaults, Vec::new(), 0);
        self.put(&table.name, Some(current.version), empty)?;
        Ok(rows as u64)
    }
}
