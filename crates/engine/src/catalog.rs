//! The catalogs as one principal sees them: what it may not see does not exist.

use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider};
use pintail_identity::Principal;

use crate::storage::StorageCatalog;
use crate::system::{SYSTEM_SCHEMA, SystemSchema, SystemTables};

/// The catalogs of one principal. The first catalog also has schema `system`.
#[derive(Debug)]
pub(crate) struct SessionCatalogs {
    catalogs: Vec<(String, Arc<dyn CatalogProvider>)>,
}

impl SessionCatalogs {
    pub(crate) fn new(all: &[StorageCatalog], system: &Arc<SystemTables>, principal: &Principal) -> Self {
        let mut catalogs: Vec<(String, Arc<dyn CatalogProvider>)> = all
            .iter()
            .filter(|catalog| !catalog.admin_only || principal.is_admin())
            .map(|catalog| (catalog.name.clone(), Arc::clone(&catalog.provider)))
            .collect();
        if let Some((_, first)) = catalogs.first_mut() {
            let system = SystemSchema { tables: Arc::clone(system), principal: principal.clone() };
            *first = Arc::new(WithSystem { inner: Arc::clone(first), system: Arc::new(system) });
        }
        Self { catalogs }
    }
}

impl CatalogProviderList for SessionCatalogs {
    /// Sessions only read: nothing is registered.
    fn register_catalog(
        &self,
        _name: String,
        _catalog: Arc<dyn CatalogProvider>,
    ) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        self.catalogs.iter().map(|(name, _)| name.clone()).collect()
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        self.catalogs.iter().find(|(own, _)| own == name).map(|(_, catalog)| Arc::clone(catalog))
    }
}

/// A catalog with schema `system` beside its own.
#[derive(Debug)]
struct WithSystem {
    inner: Arc<dyn CatalogProvider>,
    system: Arc<SystemSchema>,
}

impl CatalogProvider for WithSystem {
    fn schema_names(&self) -> Vec<String> {
        let mut names = self.inner.schema_names();
        names.retain(|name| name != SYSTEM_SCHEMA);
        names.push(SYSTEM_SCHEMA.to_owned());
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == SYSTEM_SCHEMA {
            let system: Arc<SystemSchema> = Arc::clone(&self.system);
            return Some(system);
        }
        self.inner.schema(name)
    }
}
