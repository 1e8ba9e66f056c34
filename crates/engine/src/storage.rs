//! Where the tables come from.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{CatalogProvider, TableProvider};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::ObjectStore;
use datafusion::prelude::SessionConfig;
use pintail_lake::{
    Author, Changes, Cut, Destination, Lake, LakePast, Moment, RowChange, Rows, SchemaChange, TableName,
    TelemetryStatistics,
};
use pintail_types::{Error, Result, SnapshotId};

use crate::maintenance::{LakeMaintainer, Maintainer};

/// A catalog of tables, as sessions see it.
#[derive(Debug, Clone)]
pub struct StorageCatalog {
    /// Its name in SQL.
    pub name: String,
    /// Its schemas and tables.
    pub provider: Arc<dyn CatalogProvider>,
    /// Whether only admins see that it exists.
    pub admin_only: bool,
    /// What it was, if it keeps that.
    pub past: Option<Arc<dyn Past>>,
}

/// What a catalog was. Calls read the catalog's own files and are short.
pub trait Past: Send + Sync + fmt::Debug {
    /// The snapshots that show `moment`: one for each of the stores that the catalog is made of.
    ///
    /// # Errors
    /// `NotFound` for a moment of which nothing is left, or that is not there yet; `Invalid` for a number that several
    /// stores have.
    fn snapshots_at(&self, moment: Moment) -> Result<Vec<SnapshotId>>;

    /// The catalog as it was at these snapshots; none if they are not one for each of its stores.
    fn catalog_at(&self, snapshots: &[SnapshotId]) -> Option<Arc<dyn CatalogProvider>>;

    /// What changed in a table from one moment to another, both included.
    ///
    /// # Errors
    /// As [`Self::snapshots_at`]; `Unsupported` for changes that can't be told.
    fn changes(
        &self,
        table: &TableName,
        changes: Changes,
        from: Moment,
        to: Moment,
    ) -> Result<Arc<dyn TableProvider>>;
}

impl Past for LakePast {
    fn snapshots_at(&self, moment: Moment) -> Result<Vec<SnapshotId>> {
        Self::snapshots_at(self, moment)
    }

    fn catalog_at(&self, snapshots: &[SnapshotId]) -> Option<Arc<dyn CatalogProvider>> {
        Self::catalog_at(self, snapshots)
    }

    fn changes(
        &self,
        table: &TableName,
        changes: Changes,
        from: Moment,
        to: Moment,
    ) -> Result<Arc<dyn TableProvider>> {
        Self::changes(self, table, changes, from, to)
    }
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

    /// Whether a plan over a table of these catalogs reads the moment that is pinned when it runs, and holds until
    /// [`Self::pin`] gives another number. Plans over other tables are made for each execution.
    fn follows_pin(&self, _table: &dyn TableProvider) -> bool {
        false
    }

    /// Whether a table shows the past. Plans over such a table are made anew for each execution: what they read may have
    /// been expired, and moments such as an hour ago are other ones.
    fn is_of_the_past(&self, _table: &dyn TableProvider) -> bool {
        false
    }

    /// What statements write to; none if all tables can only be read.
    fn writer(&self) -> Option<Arc<dyn TableWriter>> {
        None
    }

    /// What keeps the tables in shape; none if they need nothing.
    fn maintainer(&self) -> Option<Arc<dyn Maintainer>> {
        None
    }

    /// How many rows of telemetry there are and where in time they lie, told without reading one; none if there is no
    /// telemetry.
    async fn telemetry_statistics(&self) -> Result<Option<TelemetryStatistics>> {
        Ok(None)
    }
}

/// The tables that statements make, fill and change. Every call changes all that it says or nothing.
#[async_trait]
pub trait TableWriter: Send + Sync + fmt::Debug {
    /// Says no to statements that would change what the server itself keeps up.
    ///
    /// # Errors
    /// `Forbidden`.
    fn admit(&self, table: &TableName) -> Result<()>;

    /// Changes schemas, tables or views. Gives whether there was anything to do.
    async fn change_schema(&self, change: SchemaChange, author: &Author) -> Result<bool>;

    /// Writes rows into a table and gives their number. Columns are found by name, absent ones are null.
    async fn load(
        &self,
        table: &TableName,
        destination: Destination,
        columns: SchemaRef,
        rows: Rows,
        author: &Author,
    ) -> Result<u64>;

    /// Makes the rows of a table ready to be changed; to be called before the moment is pinned.
    async fn settle_rows(&self, table: &TableName) -> Result<()>;

    /// A table at the moment pinned in `config`, with [`Lake::ROW_ID`] as last column.
    async fn rows_with_ids(
        &self,
        table: &TableName,
        config: &SessionConfig,
    ) -> Result<Arc<dyn TableProvider>>;

    /// Changes rows that were read at the moment pinned in `config` and gives their number.
    async fn change_rows(
        &self,
        table: &TableName,
        change: RowChange,
        config: &SessionConfig,
        rows: Rows,
        author: &Author,
    ) -> Result<u64>;

    /// Removes all rows as of the moment pinned in `config` and gives their number.
    async fn truncate(&self, table: &TableName, config: &SessionConfig, author: &Author) -> Result<u64>;
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
                past: Some(Arc::new(catalog.past)),
            })
            .collect()
    }

    fn object_stores(&self) -> Vec<(ObjectStoreUrl, Arc<dyn ObjectStore>)> {
        self.0.object_stores()
    }

    async fn pin(&self, config: &mut SessionConfig) -> Result<i64> {
        let cut = self.0.cut().await?;
        let generation = cut.generation();
        config.set_extension(cut);
        Ok(generation)
    }

    fn follows_pin(&self, table: &dyn TableProvider) -> bool {
        Lake::is_table(table)
    }

    fn is_of_the_past(&self, table: &dyn TableProvider) -> bool {
        Lake::is_of_the_past(table)
    }

    fn writer(&self) -> Option<Arc<dyn TableWriter>> {
        Some(Arc::new(self.clone()))
    }

    fn maintainer(&self) -> Option<Arc<dyn Maintainer>> {
        Some(Arc::new(LakeMaintainer(Arc::clone(&self.0))))
    }

    async fn telemetry_statistics(&self) -> Result<Option<TelemetryStatistics>> {
        self.0.telemetry_statistics().await.map(Some)
    }
}

#[async_trait]
impl TableWriter for LakeStorage {
    fn admit(&self, table: &TableName) -> Result<()> {
        Lake::admit_change(table)
    }

    async fn change_schema(&self, change: SchemaChange, author: &Author) -> Result<bool> {
        self.0.change_schema(change, author).await
    }

    async fn load(
        &self,
        table: &TableName,
        destination: Destination,
        columns: SchemaRef,
        rows: Rows,
        author: &Author,
    ) -> Result<u64> {
        self.0.load(table, destination, &columns, rows, author).await
    }

    async fn settle_rows(&self, table: &TableName) -> Result<()> {
        self.0.settle_rows(table).await
    }

    async fn rows_with_ids(
        &self,
        table: &TableName,
        config: &SessionConfig,
    ) -> Result<Arc<dyn TableProvider>> {
        self.0.rows_with_ids(table, pinned(config)?.as_ref()).await
    }

    async fn change_rows(
        &self,
        table: &TableName,
        change: RowChange,
        config: &SessionConfig,
        rows: Rows,
        author: &Author,
    ) -> Result<u64> {
        self.0.change_rows(table, change, pinned(config)?.as_ref(), rows, author).await
    }

    async fn truncate(&self, table: &TableName, config: &SessionConfig, author: &Author) -> Result<u64> {
        self.0.truncate(table, pinned(config)?.as_ref(), author).await
    }
}

fn pinned(config: &SessionConfig) -> Result<Arc<Cut>> {
    config.get_extension::<Cut>().ok_or_else(|| Error::internal("no moment of the lake is pinned"))
}
