//! An `information_schema` that tells what a client of one profile gets, with the tables about constraints that
//! DataFusion's own lacks.

mod constraints;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::information_schema::{INFORMATION_SCHEMA, InformationSchemaProvider};
use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, SchemaProvider, TableFunction, TableProvider,
};
use datafusion::common::Result;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlanBuilder, TableType, ident, lit};

use crate::overlay::Overlaid;
use crate::wire::{WireProfile, wire_schema};

/// The table that lists tables.
const TABLES: &str = "tables";

/// Catalogs with an `information_schema` in which columns have the types in which they leave, and `functions` are
/// listed.
pub(crate) fn with_information_schema(
    catalogs: Arc<dyn CatalogProviderList>,
    functions: &HashMap<String, Arc<TableFunction>>,
    profile: WireProfile,
) -> Arc<dyn CatalogProviderList> {
    let announced = match profile {
        WireProfile::Standard => Arc::clone(&catalogs),
        WireProfile::Grafana => Overlaid::list(Arc::clone(&catalogs), move |_, inner| {
            Arc::new(AnnouncedCatalog { inner, profile })
        }),
    };
    let inner = InformationSchemaProvider::new(announced).with_table_functions(functions.clone());
    let information = Arc::new(Information { inner, catalogs: Arc::clone(&catalogs) });
    Overlaid::list(catalogs, move |_, inner| {
        Arc::new(InformedCatalog { inner, information: Arc::clone(&information) })
    })
}

/// DataFusion's `information_schema` with more tables.
#[derive(Debug)]
struct Information {
    inner: InformationSchemaProvider,
    /// Whose catalogs each have an `information_schema`.
    catalogs: Arc<dyn CatalogProviderList>,
}

impl Information {
    /// What lists tables, with ours beside the others of `information_schema`.
    fn with_constraints(&self, listed: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
        let columns: Vec<String> =
            listed.schema().fields().iter().map(|field| field.name().clone()).collect();
        let mut plan = LogicalPlanBuilder::scan(TABLES, provider_as_source(listed), None)?;
        let rows = self.catalogs.catalog_names().into_iter().flat_map(|catalog| {
            let row = move |name| vec![lit(catalog.clone()), lit(INFORMATION_SCHEMA), lit(name), lit("VIEW")];
            constraints::names().map(row)
        });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            let values = LogicalPlanBuilder::values(rows)?;
            let names = values.schema().columns().into_iter().zip(&columns);
            let names: Vec<_> = names.map(|(column, name)| ident(column.name()).alias(name)).collect();
            plan = plan.union(values.project(names)?.build()?)?;
        }
        Ok(Arc::new(ViewTable::new(plan.build()?, None)))
    }
}

#[async_trait]
impl SchemaProvider for Information {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.inner.table_names();
        names.extend(constraints::names().map(str::to_owned));
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let name = name.to_ascii_lowercase();
        match self.inner.table(&name).await? {
            Some(table) if name == TABLES => self.with_constraints(table).map(Some),
            Some(table) => Ok(Some(table)),
            None => Ok(constraints::table(&name)),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.inner.table_exist(name) || constraints::table(&name.to_ascii_lowercase()).is_some()
    }
}

/// A catalog as `information_schema` sees it.
#[derive(Debug)]
struct AnnouncedCatalog {
    inner: Arc<dyn CatalogProvider>,
    profile: WireProfile,
}

impl CatalogProvider for AnnouncedCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.inner.schema_names()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let inner = self.inner.schema(name)?;
        Some(Arc::new(AnnouncedSchema { inner, profile: self.profile }))
    }
}

#[derive(Debug)]
struct AnnouncedSchema {
    inner: Arc<dyn SchemaProvider>,
    profile: WireProfile,
}

#[async_trait]
impl SchemaProvider for AnnouncedSchema {
    fn table_names(&self) -> Vec<String> {
        self.inner.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.inner.table(name).await? else { return Ok(None) };
        let schema = wire_schema(&table.schema(), self.profile);
        let table: Arc<dyn TableProvider> = Arc::new(EmptyTable::new(schema));
        Ok(Some(table))
    }

    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        self.inner.table_type(name).await
    }

    fn table_exist(&self, name: &str) -> bool {
        self.inner.table_exist(name)
    }
}

/// A catalog with a given `information_schema`.
#[derive(Debug)]
struct InformedCatalog {
    inner: Arc<dyn CatalogProvider>,
    information: Arc<Information>,
}

impl CatalogProvider for InformedCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.inner.schema_names()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == INFORMATION_SCHEMA {
            let information: Arc<Information> = Arc::clone(&self.information);
            return Some(information);
        }
        self.inner.schema(name)
    }
}
