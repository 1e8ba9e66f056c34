//! The catalogs as one principal sees them: what it may not see does not exist.

use std::sync::{Arc, Weak};

use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider};
use datafusion::execution::SessionState;
use pintail_identity::Principal;

use crate::grafana::for_clients_of;
use crate::storage::StorageCatalog;
use crate::system::{SYSTEM_SCHEMA, SystemSchema, SystemTables};
use crate::temporary::{TEMPORARY_CATALOG, TemporaryCatalog, TemporaryTables};
use crate::views::{ViewPlanner, WithViews};
use crate::wire::WireProfile;

/// The catalogs of one session. The first catalog also has schema `system`; temporary tables have one of their own,
/// once there are any.
#[derive(Debug)]
pub(crate) struct SessionCatalogs {
    catalogs: Vec<(String, Arc<dyn CatalogProvider>)>,
    temporary: TemporaryCatalog,
}

impl SessionCatalogs {
    /// The catalogs that `principal` may see, as clients of `profile` expect them. Views are planned in states made of
    /// `template`, and see them as they are.
    pub(crate) fn list(
        all: &[StorageCatalog],
        system: &Arc<SystemTables>,
        principal: &Principal,
        temporary: &Arc<TemporaryTables>,
        template: &SessionState,
        profile: WireProfile,
    ) -> Arc<dyn CatalogProviderList> {
        let temporary = TemporaryCatalog(Arc::clone(temporary));
        let catalogs = Arc::new_cyclic(|own| {
            let catalogs = Self::visible(all, system, principal, template, own);
            Self { catalogs, temporary }
        });
        for_clients_of(profile, catalogs)
    }

    fn visible(
        all: &[StorageCatalog],
        system: &Arc<SystemTables>,
        principal: &Principal,
        template: &SessionState,
        own: &Weak<Self>,
    ) -> Vec<(String, Arc<dyn CatalogProvider>)> {
        let mut catalogs: Vec<(String, Arc<dyn CatalogProvider>)> = all
            .iter()
            .filter(|catalog| !catalog.admin_only || principal.is_admin())
            .map(|catalog| (catalog.name.clone(), Arc::clone(&catalog.provider)))
            .collect();
        if let Some((name, first)) = catalogs.first_mut() {
            let planner = ViewPlanner::new(template.clone(), Weak::clone(own), name.clone());
            let inner = Arc::new(WithViews { inner: Arc::clone(first), planner: Arc::new(planner) });
            let system = SystemSchema { tables: Arc::clone(system), principal: principal.clone() };
            *first = Arc::new(WithSystem { inner, system: Arc::new(system) });
        }
        catalogs
    }
}

impl CatalogProviderList for SessionCatalogs {
    /// What there is comes from the storage: nothing is registered.
    fn register_catalog(
        &self,
        _name: String,
        _catalog: Arc<dyn CatalogProvider>,
    ) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        let temporary = (!self.temporary.is_empty()).then(|| TEMPORARY_CATALOG.to_owned());
        self.catalogs.iter().map(|(name, _)| name.clone()).chain(temporary).collect()
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        if name == TEMPORARY_CATALOG && !self.temporary.is_empty() {
            return Some(Arc::new(self.temporary.clone()));
        }
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
