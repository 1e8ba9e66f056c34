//! The catalogs as one principal sees them: what it may not see does not exist.

use std::sync::{Arc, Weak};

use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider};
use datafusion::execution::SessionState;
use pintail_identity::Principal;

use crate::grafana::for_clients_of;
use crate::information::with_information_schema;
use crate::past::PastCatalogs;
use crate::storage::StorageCatalog;
use crate::system::{SYSTEM_SCHEMA, SystemSchema};
use crate::temporary::{TEMPORARY_CATALOG, TemporaryCatalog, TemporaryTables};
use crate::views::{ViewPlanner, WithViews};
use crate::wire::WireProfile;

/// The catalogs of one session. The first catalog also has schema `system`; temporary tables have one of their own,
/// once there are any. Catalogs as they were are found by their names, which nothing lists.
#[derive(Debug)]
pub(crate) struct SessionCatalogs {
    catalogs: Vec<(String, Arc<dyn CatalogProvider>)>,
    past: Arc<PastCatalogs>,
    /// What plans the views of the first catalog.
    views: Arc<ViewPlanner>,
    temporary: TemporaryCatalog,
}

impl SessionCatalogs {
    /// The catalogs that `principal` may see, as clients of `profile` expect them. Views are planned in states made of
    /// `template`, and see them as they are.
    pub(crate) fn list(
        all: &[StorageCatalog],
        system: &Arc<SystemSchema>,
        principal: &Principal,
        temporary: &Arc<TemporaryTables>,
        template: &SessionState,
        profile: WireProfile,
    ) -> Arc<dyn CatalogProviderList> {
        let mut catalogs: Vec<(String, Arc<dyn CatalogProvider>)> = visible(all, principal)
            .map(|catalog| (catalog.name.clone(), Arc::clone(&catalog.provider)))
            .collect();
        let first = catalogs.first().map_or_else(String::new, |(name, _)| name.clone());
        let past = PastCatalogs::of(template);
        let temporary = TemporaryCatalog(Arc::clone(temporary));
        let catalogs = Arc::new_cyclic(|own: &Weak<Self>| {
            let views = ViewPlanner::new(Arc::new(template.clone()), Weak::clone(own), first.clone());
            let views = Arc::new(views);
            if let Some((_, first)) = catalogs.first_mut() {
                let inner = Arc::new(WithViews { inner: Arc::clone(first), planner: Arc::clone(&views) });
                *first = Arc::new(WithSystem { inner, system: Arc::clone(system) });
            }
            Self { catalogs, past, views, temporary }
        });
        let catalogs = for_clients_of(profile, catalogs, first);
        with_information_schema(catalogs, template.table_functions(), profile)
    }

    /// A catalog as it was.
    fn in_the_past(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        let (present, inner) = self.past.catalog(name)?;
        if self.catalogs.first().is_none_or(|(first, _)| first != present) {
            return Some(inner);
        }
        let planner = Arc::new(self.views.of_the_past(name.to_owned()));
        Some(Arc::new(WithViews { inner, planner }))
    }
}

/// The catalogs that `principal` may see.
pub(crate) fn visible<'a>(
    all: &'a [StorageCatalog],
    principal: &Principal,
) -> impl Iterator<Item = &'a StorageCatalog> {
    all.iter().filter(|catalog| !catalog.admin_only || principal.is_admin())
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
        let found = self.catalogs.iter().find(|(own, _)| own == name);
        found.map_or_else(|| self.in_the_past(name), |(_, catalog)| Some(Arc::clone(catalog)))
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
