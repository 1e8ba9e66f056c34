//! An `information_schema` that tells what a client of one profile gets.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::information_schema::{INFORMATION_SCHEMA, InformationSchemaProvider};
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::TableType;

use super::overlay::Overlaid;
use crate::wire::{WireProfile, wire_schema};

/// Catalogs with an `information_schema` in which columns have the types in which they leave.
pub(super) fn with_information_schema(
    catalogs: Arc<dyn CatalogProviderList>,
    profile: WireProfile,
) -> Arc<dyn CatalogProviderList> {
    let announced =
        Overlaid::list(Arc::clone(&catalogs), move |_, inner| Arc::new(AnnouncedCatalog { inner, profile }));
    let information = Arc::new(InformationSchemaProvider::new(announced));
    Overlaid::list(catalogs, move |_, inner| {
        Arc::new(InformedCatalog { inner, information: Arc::clone(&information) })
    })
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
    information: Arc<InformationSchemaProvider>,
}

impl CatalogProvider for InformedCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.inner.schema_names()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == INFORMATION_SCHEMA {
            let information: Arc<InformationSchemaProvider> = Arc::clone(&self.information);
            return Some(information);
        }
        self.inner.schema(name)
    }
}
