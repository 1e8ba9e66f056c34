//! Temporary tables: they belong to a session, live in memory and end with it.

mod table;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::Result as PlanResult;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use futures::StreamExt;
use parking_lot::Mutex;
use pintail_lake::{Conversion, Existing, NewColumn, Rows, TableName};
use pintail_types::{Error, Result, reason};

use self::table::{Table, default_of};
use crate::dialect::DEFAULT_SCHEMA;
use crate::error::from_datafusion;

/// The catalog of temporary tables, in which they are found when a name has one part.
pub(crate) const TEMPORARY_CATALOG: &str = "temp";

/// A session's temporary tables hold at most this part of the memory for queries.
const MEMORY_SHARE: usize = 4;

/// The temporary tables of a session.
pub(crate) struct TemporaryTables {
    tables: Mutex<BTreeMap<String, Table>>,
    /// Another number whenever a table has changed.
    generation: AtomicU64,
    memory: Mutex<MemoryReservation>,
    limit: usize,
}

impl TemporaryTables {
    /// No tables yet; what they hold will be taken from `pool`, of `memory_bytes` in all.
    pub(crate) fn new(pool: &Arc<dyn MemoryPool>, memory_bytes: usize) -> Self {
        Self {
            tables: Mutex::default(),
            generation: AtomicU64::new(0),
            memory: Mutex::new(MemoryConsumer::new("temporary tables").register(pool)),
            limit: memory_bytes / MEMORY_SHARE,
        }
    }

    /// Whether there is a table of this name.
    pub(crate) fn exists(&self, name: &str) -> bool {
        self.tables.lock().contains_key(name)
    }

    /// A number that is another one whenever a table has changed.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn get(&self, name: &str) -> Result<Table> {
        let table = self.tables.lock().get(name).cloned();
        table.ok_or_else(|| missing(name))
    }

    /// Puts `new` in the place of the state of version `base`, or of no table. Gives back the memory of the old one.
    fn put(&self, name: &str, base: Option<u64>, new: Table) -> Result<()> {
        let mut tables = self.tables.lock();
        let current = tables.get(name);
        if current.map(|table| table.version) != base {
            return Err(Error::conflict(format!("temporary table {name} was changed at the same time")));
        }
        let released = current.map_or(0, |table| table.bytes);
        let version = self.generation.fetch_add(1, Ordering::AcqRel) + 1;
        tables.insert(name.to_owned(), Table { version, ..new });
        drop(tables);
        self.memory.lock().shrink(released);
        Ok(())
    }

    fn remove(&self, name: &str) -> Option<Table> {
        let removed = self.tables.lock().remove(name)?;
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.memory.lock().shrink(removed.bytes);
        Some(removed)
    }

    /// Takes memory for rows that are to be kept.
    fn charge(&self, bytes: usize) -> Result<Charge<'_>> {
        let memory = self.memory.lock();
        if memory.size().saturating_add(bytes) > self.limit {
            return Err(Error::exhausted(format!(
                "the temporary tables of the session would hold more than {} bytes",
                self.limit
            )));
        }
        memory.try_grow(bytes).map_err(|error| from_datafusion(&error))?;
        Ok(Charge { tables: self, bytes })
    }

    /// The rows of a stream in the columns of `schema`, and the memory they take.
    async fn collect(
        &self,
        schema: &SchemaRef,
        incoming: &Schema,
        mut rows: Rows,
    ) -> Result<(Vec<RecordBatch>, Charge<'_>)> {
        let conversion = Conversion::new(incoming, schema)?;
        let mut charge = self.charge(0)?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = conversion.apply(&batch?)?;
            charge.add(self.charge(batch.get_array_memory_size())?);
            batches.push(batch);
        }
        Ok((batches, charge))
    }

    fn create(&self, table: &TableName, columns: &[NewColumn], existing: Existing) -> Result<bool> {
        let base = self.tables.lock().get(&table.name).map(|table| table.version);
        match existing {
            Existing::Keep if base.is_some() => return Ok(false),
            Existing::Fail if base.is_some() => {
                return Err(exists(&table.name));
            }
            _ => {}
        }
        let mut defaults = HashMap::new();
        for column in columns {
            if let Some(value) = default_of(column)? {
                defaults.insert(column.field.name().clone(), value);
            }
        }
        let fields: Vec<_> = columns.iter().map(|column| Arc::clone(&column.field)).collect();
        let new = Table::new(Arc::new(Schema::new(fields)), defaults, Vec::new(), 0);
        self.put(&table.name, base, new)?;
        Ok(true)
    }

    fn drop_table(&self, table: &TableName, if_exists: bool) -> Result<bool> {
        match self.remove(&table.name) {
            Some(_) => Ok(true),
            None if if_exists => Ok(false),
            None => Err(missing(&table.name)),
        }
    }

    fn rename(&self, table: &TableName, to: &str) -> Result<bool> {
        let mut tables = self.tables.lock();
        if tables.contains_key(to) {
            return Err(exists(to));
        }
        let Some(found) = tables.remove(&table.name) else {
            return Err(missing(&table.name));
        };
        tables.insert(to.to_owned(), found);
        self.generation.fetch_add(1, Ordering::AcqRel);
        Ok(true)
    }
}

fn exists(name: &str) -> Error {
    Error::conflict(format!("temporary table {name} exists already")).with_reason(reason::DUPLICATE_TABLE)
}

fn missing(name: &str) -> Error {
    Error::not_found(format!("temporary table {name} does not exist")).with_reason(reason::UNDEFINED_TABLE)
}

impl fmt::Debug for TemporaryTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.tables.lock().keys()).finish()
    }
}

/// Memory that was taken for rows; given back unless it is kept.
#[derive(Debug)]
struct Charge<'a> {
    tables: &'a TemporaryTables,
    bytes: usize,
}

impl Charge<'_> {
    fn add(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// The memory belongs to a table from now on.
    fn keep(mut self) -> usize {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.tables.memory.lock().shrink(self.bytes);
    }
}

/// Catalog `temp` of a session.
#[derive(Debug, Clone)]
pub(crate) struct TemporaryCatalog(pub(crate) Arc<TemporaryTables>);

impl TemporaryCatalog {
    /// Whether there is anything in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.tables.lock().is_empty()
    }
}

impl CatalogProvider for TemporaryCatalog {
    fn schema_names(&self) -> Vec<String> {
        vec![DEFAULT_SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        (name == DEFAULT_SCHEMA).then(|| Arc::new(self.clone()) as Arc<dyn SchemaProvider>)
    }
}

#[async_trait]
impl SchemaProvider for TemporaryCatalog {
    fn table_names(&self) -> Vec<String> {
        self.0.tables.lock().keys().cloned().collect()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        let table = self.0.tables.lock().get(name).cloned();
        table.map(|table| table.provider()).transpose()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.0.exists(name)
    }
}
