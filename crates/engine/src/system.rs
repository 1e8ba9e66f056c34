//! Tables of schema `system`: what the server knows about itself.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{SchemaProvider, Session, TableProvider};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::RwLock;
use pintail_identity::Principal;
use pintail_types::{Error, Micros, Result};

use crate::registry::{QueryInfo, QueryRegistry};

/// The schema of the lake's catalog that holds system tables.
pub const SYSTEM_SCHEMA: &str = "system";

/// A table of what the server knows about itself.
pub trait SystemTable: fmt::Debug + Send + Sync {
    /// Its name in schema `system`.
    fn name(&self) -> &'static str;

    /// Its columns; always the same.
    fn schema(&self) -> SchemaRef;

    /// The rows that `principal` may see, now, in [`Self::schema`]. It may block: it is called off the
    /// async threads.
    ///
    /// # Errors
    /// Whatever keeps the rows from being read; the query fails with it.
    fn rows(&self, principal: &Principal) -> Result<RecordBatch>;
}

/// The system tables of an engine; more can be added while sessions are open.
#[derive(Debug, Default)]
pub(crate) struct SystemTables(RwLock<Vec<Arc<dyn SystemTable>>>);

impl SystemTables {
    /// Adds a table, or takes the place of the one of the same name.
    pub(crate) fn register(&self, table: Arc<dyn SystemTable>) {
        let mut tables = self.0.write();
        tables.retain(|other| other.name() != table.name());
        tables.push(table);
    }

    fn get(&self, name: &str) -> Option<Arc<dyn SystemTable>> {
        self.0.read().iter().find(|table| table.name() == name).map(Arc::clone)
    }

    fn names(&self) -> Vec<String> {
        self.0.read().iter().map(|table| table.name().to_owned()).collect()
    }
}

/// Schema `system` as one principal sees it.
#[derive(Debug)]
pub(crate) struct SystemSchema {
    pub(crate) tables: Arc<SystemTables>,
    pub(crate) principal: Principal,
}

impl SystemSchema {
    /// The table of this name.
    pub(crate) fn provider(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        let table = self.tables.get(name)?;
        Some(Arc::new(SystemTableProvider { table, principal: self.principal.clone() }))
    }
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        self.tables.names()
    }

    async fn table(&self, name: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        Ok(self.provider(name))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.get(name).is_some()
    }
}

#[derive(Debug)]
struct SystemTableProvider {
    table: Arc<dyn SystemTable>,
    principal: Principal,
}

#[async_trait]
impl TableProvider for SystemTableProvider {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let (table, principal) = (Arc::clone(&self.table), self.principal.clone());
        let rows = tokio::task::spawn_blocking(move || table.rows(&principal))
            .await
            .map_err(|join| DataFusionError::ExecutionJoin(Box::new(join)))?
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        if rows.schema() != self.table.schema() {
            let message = format!("system.{} gave other columns than it has", self.table.name());
            return Err(DataFusionError::External(Box::new(Error::internal(message))));
        }
        Ok(MemorySourceConfig::try_new_exec(&[vec![rows]], self.table.schema(), projection.cloned())?)
    }
}

/// `system.queries`
pub(crate) struct QueriesTable {
    pub(crate) registry: Arc<QueryRegistry>,
}

impl fmt::Debug for QueriesTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueriesTable")
    }
}

impl SystemTable for QueriesTable {
    fn name(&self) -> &'static str {
        "queries"
    }

    fn schema(&self) -> SchemaRef {
        let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
        let time = |name: &str, nullable| {
            Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, None), nullable)
        };
        let number = |name: &str| Field::new(name, DataType::Int64, false);
        Arc::new(Schema::new(vec![
            text("query_id", false),
            text("state", false),
            text("door", false),
            text("principal", false),
            text("sql", false),
            time("submitted_at", false),
            time("started_at", true),
            time("finished_at", true),
            number("rows"),
            number("bytes"),
            number("peak_memory_bytes"),
            text("error", true),
        ]))
    }

    fn rows(&self, principal: &Principal) -> Result<RecordBatch> {
        let queries = self.registry.list(principal);
        let text = |of: fn(&QueryInfo) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(queries.iter().map(of)))
        };
        let time = |of: fn(&QueryInfo) -> Option<Micros>| -> ArrayRef {
            Arc::new(queries.iter().map(of).collect::<TimestampMicrosecondArray>())
        };
        let number = |of: fn(&QueryInfo) -> u64| -> ArrayRef {
            let numbers = queries.iter().map(|query| i64::try_from(of(query)).unwrap_or(i64::MAX));
            Arc::new(Int64Array::from_iter_values(numbers))
        };
        let columns = vec![
            text(|query| query.id.to_string()),
            text(|query| query.state.name().to_owned()),
            text(|query| query.door.to_owned()),
            text(|query| query.principal.clone()),
            text(|query| query.sql.to_string()),
            time(|query| Some(query.submitted_at)),
            time(|query| query.started_at),
            time(|query| query.finished_at),
            number(|query| query.rows),
            number(|query| query.bytes),
            number(|query| query.peak_memory_bytes),
            Arc::new(queries.iter().map(|query| query.error.as_deref()).collect::<StringArray>()),
        ];
        RecordBatch::try_new(self.schema(), columns)
            .map_err(|error| Error::internal(format!("system.queries: {error}")))
    }
}
