//! What Grafana and other clients of InfluxDB expect of the catalogs: the tables of the default schema in a schema `iox`,
//! with their time in a column `time`.
//!
//! Every session finds `iox.t`. Sessions with Grafana's profile, moreover, have the schema in their lists, have the
//! column in the default schema too, and are told the types in which columns leave.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableType, ident};
use datafusion::physical_plan::ExecutionPlan;

use crate::dialect::{DEFAULT_SCHEMA, TIME, TIMESTAMP};
use crate::overlay::Overlaid;
use crate::wire::WireProfile;

/// The schema that InfluxDB has its tables in.
pub(crate) const IOX: &str = "iox";

/// The catalogs as clients of `profile` expect them; those of `lake`, the first one, are listed in [`IOX`] too. The
/// catalogs of single volumes hold the same tables, and would list each once more.
pub(crate) fn for_clients_of(
    profile: WireProfile,
    catalogs: Arc<dyn CatalogProviderList>,
    lake: String,
) -> Arc<dyn CatalogProviderList> {
    Overlaid::list(catalogs, move |name, inner| {
        let is_listed = profile == WireProfile::Grafana && name == lake;
        Arc::new(WithIox { inner, profile, is_listed })
    })
}

/// A catalog with schema [`IOX`].
#[derive(Debug)]
struct WithIox {
    inner: Arc<dyn CatalogProvider>,
    profile: WireProfile,
    is_listed: bool,
}

impl CatalogProvider for WithIox {
    fn schema_names(&self) -> Vec<String> {
        let mut names = self.inner.schema_names();
        if self.is_listed && names.iter().any(|name| name == DEFAULT_SCHEMA) {
            names.push(IOX.to_owned());
        }
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            IOX => {
                let inner = self.inner.schema(DEFAULT_SCHEMA)?;
                Some(Arc::new(WithTime { inner, is_alias: true }))
            }
            DEFAULT_SCHEMA if self.profile == WireProfile::Grafana => {
                let inner = self.inner.schema(DEFAULT_SCHEMA)?;
                Some(Arc::new(WithTime { inner, is_alias: false }))
            }
            other => self.inner.schema(other),
        }
    }
}

/// A schema whose tables with a time have it in column [`TIME`].
#[derive(Debug)]
struct WithTime {
    inner: Arc<dyn SchemaProvider>,
    /// Its tables are those of another schema, and are listed as views, so that a list of tables has each once.
    is_alias: bool,
}

#[async_trait]
impl SchemaProvider for WithTime {
    fn table_names(&self) -> Vec<String> {
        self.inner.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.inner.table(name).await? else { return Ok(None) };
        let schema = table.schema();
        let Some(time) = time_of(&schema) else { return Ok(Some(table)) };
        let view = ViewTable::new(timed_plan(name, &table, time)?, None);
        Ok(Some(Arc::new(TimedTable { view, table_type: self.listed(table.table_type()) })))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.inner.table_type(name).await?.map(|table_type| self.listed(table_type)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.inner.table_exist(name)
    }
}

impl WithTime {
    const fn listed(&self, table_type: TableType) -> TableType {
        if self.is_alias { TableType::View } else { table_type }
    }
}

/// The column that is a table's time: [`TIMESTAMP`], else the first one with times. None if there is none, or if there
/// is a column [`TIME`] already.
fn time_of(schema: &SchemaRef) -> Option<&str> {
    if schema.field_with_name(TIME).is_ok() {
        return None;
    }
    let times =
        || schema.fields().iter().filter(|field| matches!(field.data_type(), DataType::Timestamp(..)));
    let time = times().find(|field| field.name() == TIMESTAMP).or_else(|| times().next())?;
    Some(time.name())
}

/// The table with its column `time` in front, in another name.
fn timed_plan(name: &str, table: &Arc<dyn TableProvider>, time: &str) -> Result<LogicalPlan> {
    let mut columns = vec![ident(time).alias(TIME)];
    columns.extend(table.schema().fields().iter().map(|field| ident(field.name())));
    LogicalPlanBuilder::scan(name, provider_as_source(Arc::clone(table)), None)?.project(columns)?.build()
}

/// A view that may be listed as a table.
#[derive(Debug)]
struct TimedTable {
    view: ViewTable,
    table_type: TableType,
}

#[async_trait]
impl TableProvider for TimedTable {
    fn schema(&self) -> SchemaRef {
        self.view.schema()
    }

    fn table_type(&self) -> TableType {
        self.table_type
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.view.get_logical_plan()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.view.scan(state, projection, filters, limit).await
    }
}
