//! Where the tables come from.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::CatalogProvider;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::ObjectStore;
use datafusion::prelude::SessionConfig;
use pintail_lake::Lake;
use pintail_types::Result;

/// A catalog of tables, as sessions see it.
#[derive(Debug, Clone)]
pub struct StorageCatalog {
    /// Its name in SQL.
    pub name: String,
    /// Its schemas and tables.
    pub provider: Arc<dyn CatalogProvider>,
    /// Whether only admins see that it exists.
    pub admin_only: bool,
}

/// Where the tables come from: a lake, or a test's tables.
#[async_trait]
pub trait Storage: Send + Sync + fmt::Debug {
    /// All catalogs; the first one is what sessions start in.
    fn catalogs(&self) -> Vec<StorageCatalog>;

    /// The stores that scans read from.
    fn object_stores(&self) -> Vec<(ObjectStoreUrl, Arc<dyn ObjectStore>)>;

    /// Puts one consistent moment of all tables into `config`, for every scan of one execution to read.
    /// Gives a number that is another one whenever a table may have changed its columns.
    async fn pin(&self, config: &mut SessionConfig) -> Result<i64>;
}

/// A lake as the engine's storage.
#[derive(Clone)]
pub(crate) struct LakeStorage(pub(crate) Arc<Lake>);

impl fmt::Debug for LakeStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LakeStorage")
    }
}

#[async_trait]
impl Storage for LakeStorage {
    fn catalogs(&self) -> Vec<StorageCatalog> {
        let of_lake = self.0.catalogs();
        of_lake
            .into_iter()
            .map(|catalog| StorageCatalog {
                name: catalog.name,
                provider: catalog.provider,
                admin_only: catalog.admin_only,
            })
            .collect()
    }

    fn object_stores(&self) -> Vec<(ObjectStoreUrl, Arc<dyn ObjectStore>)> {
        self.0.object_stores()
    }

    async fn pin(&self, config: &mut SessionConfig) -> Result<i64> {
        let cut = self.0.cut().await?;
        let generation = cut.snapshot().0;
        config.set_extension(cut);
        Ok(generation)
    }
}
