//! Catalogs that are seen through something.

use std::fmt;
use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, CatalogProviderList};

/// The catalogs of a list, each made another by its name when it is looked up.
pub(crate) struct Overlaid<F> {
    catalogs: Arc<dyn CatalogProviderList>,
    overlay: F,
}

impl<F> Overlaid<F>
where
    F: Fn(&str, Arc<dyn CatalogProvider>) -> Arc<dyn CatalogProvider> + Send + Sync + 'static,
{
    pub(crate) fn list(catalogs: Arc<dyn CatalogProviderList>, overlay: F) -> Arc<dyn CatalogProviderList> {
        Arc::new(Self { catalogs, overlay })
    }
}

impl<F> CatalogProviderList for Overlaid<F>
where
    F: Fn(&str, Arc<dyn CatalogProvider>) -> Arc<dyn CatalogProvider> + Send + Sync + 'static,
{
    /// What there is comes from the storage: nothing is registered.
    fn register_catalog(
        &self,
        _name: String,
        _catalog: Arc<dyn CatalogProvider>,
    ) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        self.catalogs.catalog_names()
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        self.catalogs.catalog(name).map(|catalog| (self.overlay)(name, catalog))
    }
}

impl<F> fmt::Debug for Overlaid<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlaid").field("catalogs", &self.catalogs).finish_non_exhaustive()
    }
}
