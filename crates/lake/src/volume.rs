//! The DuckLake behind the buffer: one catalog file and its directory of Parquet files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use datafusion::datasource::TableProvider;
use datafusion_ducklake::{DuckLakeCatalog, MetadataProvider};
use object_store::ObjectStore;
use parking_lot::Mutex;
use pintail_ducklake::{BySnapshot, Catalog, CatalogOptions, Head, TableName};
use pintail_types::{Error, JournalPosition, Result, SnapshotId};

use crate::directories::create_directories;
use crate::durable_store::DurableLocalStore;
use crate::lake::blocking;
use crate::lookup_scans::KeptLookups;
use crate::options::VolumeOptions;
use crate::pins::Pins;
use crate::row_index::RowIndexes;
use crate::statistics::StoredTimes;
use crate::stores::{FilePlace, Remote};
use crate::writes::Writes;

/// How long a commit of ours waits for another program's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a schema holds at one snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SchemaListing {
    pub(crate) tables: Vec<String>,
    pub(crate) views: Vec<String>,
}

/// The schemas of a volume at one snapshot.
pub(crate) type Listing = BTreeMap<String, SchemaListing>;

/// What was read of one snapshot.
#[derive(Debug, Default)]
struct SnapshotCache {
    listing: Option<Arc<Listing>>,
    tables: HashMap<TableName, Arc<dyn TableProvider>>,
    lookups: KeptLookups,
    times: Option<Arc<StoredTimes>>,
}

/// Ids of data files whose rows are shown by another volume.
pub(crate) type Hidden = Arc<BTreeSet<i64>>;

/// What reads a catalog without some files.
type Hiding = Mutex<Option<(Hidden, Arc<dyn MetadataProvider>)>>;

#[derive(Debug)]
pub(crate) struct Volume {
    pub(crate) name: String,
    /// The name of its own catalog in SQL.
    pub(crate) catalog_name: String,
    /// How it was configured.
    pub(crate) options: VolumeOptions,
    pub(crate) catalog: Catalog,
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The directory in which Parquet files are written; they stay there unless the volume is a bucket.
    pub(crate) data_path: PathBuf,
    /// The bucket that it is, if it is one.
    pub(crate) remote: Option<Remote>,
    /// Where metadata is read on behalf of threads that block; a replay is such a thread.
    pub(crate) runtime: tokio::runtime::Handle,
    position_key: String,
    /// What running queries read.
    pub(crate) pins: Pins,
    /// What is being written by this process.
    pub(crate) writes: Writes,
    /// The newest snapshot that was ever read.
    newest: AtomicI64,
    pub(crate) provider: Arc<dyn MetadataProvider>,
    hiding: Hiding,
    /// Where the rows of calls are in the files.
    pub(crate) row_indexes: RowIndexes,
    cache: Mutex<BySnapshot<SnapshotCache>>,
}

impl Volume {
    /// Opens the volume of the lake `lake_name`, or makes it unless it is `read_only`. Blocks.
    pub(crate) fn open(
        options: &VolumeOptions,
        lake_name: &str,
        read_only: bool,
        position_key: String,
    ) -> Result<Self> {
        let data_path = options.files.directory().clone();
        let catalog_options = CatalogOptions {
            data_path: match &options.files {
                FilePlace::Directory(directory) => directory_url(directory)?,
                FilePlace::Bucket { bucket, .. } => bucket.directory(),
            },
            create: !read_only,
            override_data_path: options.override_data_path,
            busy_timeout: BUSY_TIMEOUT,
        };
        let catalog = if read_only {
            Catalog::open_read_only(&options.catalog_path, &catalog_options)?
        } else {
            if let FilePlace::Bucket { staging, .. } = &options.files {
                remove_directory(staging)?;
            }
            make_directory(&data_path)?;
            options.catalog_path.parent().map_or(Ok(()), make_directory)?;
            Catalog::open(&options.catalog_path, &catalog_options)?
        };
        let runtime = tokio::runtime::Handle::current();
        let provider = runtime.block_on(catalog.provider())?;
        let remote = match &options.files {
            FilePlace::Directory(_) => None,
            FilePlace::Bucket { bucket, staging } => {
                Some(Remote::new(&options.name, bucket, staging, runtime.clone())?)
            }
        };
        let store: Arc<dyn ObjectStore> = match &remote {
            Some(remote) => Arc::clone(&remote.store),
            None => Arc::new(DurableLocalStore::new(&data_path)),
        };
        Ok(Self {
            name: options.name.clone(),
            catalog_name: format!("{lake_name}_{}", options.name),
            options: options.clone(),
            store,
            data_path,
            remote,
            catalog,
            runtime,
            position_key,
            provider,
            hiding: Mutex::default(),
            pins: Pins::default(),
            writes: Writes::default(),
            newest: AtomicI64::new(0),
            row_indexes: RowIndexes::default(),
            cache: Mutex::default(),
        })
    }

    /// The head snapshot and the journal position that it reaches, of one moment.
    pub(crate) fn head(&self) -> Result<(SnapshotId, JournalPosition)> {
        let Head { snapshot, value, .. } = self.catalog.head(&self.position_key)?;
        self.newest.fetch_max(snapshot.0, Ordering::AcqRel);
        Ok((snapshot, self.position_of(value.as_deref())?))
    }

    /// The journal position that a commit has recorded; the beginning if none has.
    pub(crate) fn position_of(&self, recorded: Option<&str>) -> Result<JournalPosition> {
        let Some(text) = recorded else { return Ok(JournalPosition(0)) };
        let position = text.parse().map_err(|_| {
            Error::corrupt(format!("ducklake_metadata: {} is '{text}', not a position", self.position_key))
        })?;
        Ok(JournalPosition(position))
    }

    /// The newest snapshot that was ever read: the head is that one or a later one.
    pub(crate) fn newest_seen(&self) -> SnapshotId {
        SnapshotId(self.newest.load(Ordering::Acquire))
    }

    /// The key under which a commit records the journal position.
    pub(crate) fn position_key(&self) -> &str {
        &self.position_key
    }

    /// What look-ups keep of a snapshot.
    pub(crate) fn kept_lookups<T>(
        &self,
        snapshot: SnapshotId,
        with: impl FnOnce(&mut KeptLookups) -> T,
    ) -> T {
        with(&mut self.cache.lock().at(snapshot.0, self.catalog.rewrites()).lookups)
    }

    /// What is known of where in time the rows of a snapshot lie.
    pub(crate) fn kept_times(&self, snapshot: SnapshotId) -> Option<Arc<StoredTimes>> {
        self.cache.lock().at(snapshot.0, self.catalog.rewrites()).times.clone()
    }

    pub(crate) fn keep_times(&self, snapshot: SnapshotId, times: Arc<StoredTimes>) {
        self.cache.lock().at(snapshot.0, self.catalog.rewrites()).times = Some(times);
    }

    /// What a snapshot holds.
    pub(crate) fn listing(&self, snapshot: SnapshotId) -> Result<Arc<Listing>> {
        let rewrites = self.catalog.rewrites();
        if let Some(listing) = &self.cache.lock().at(snapshot.0, rewrites).listing {
            return Ok(Arc::clone(listing));
        }
        let listing = Arc::new(self.read_listing(snapshot)?);
        self.cache.lock().at(snapshot.0, rewrites).listing = Some(Arc::clone(&listing));
        Ok(listing)
    }

    fn read_listing(&self, snapshot: SnapshotId) -> Result<Listing> {
        let unreadable = |error| from_ducklake("the catalog's tables can't be listed", error);
        let mut listing = Listing::new();
        for schema in self.provider.list_schemas(snapshot.0).map_err(unreadable)? {
            let tables = self.provider.list_tables(schema.schema_id, snapshot.0).map_err(unreadable)?;
            let views = self.provider.list_views(schema.schema_id, snapshot.0).map_err(unreadable)?;
            let names = SchemaListing {
                tables: tables.into_iter().map(|table| table.table_name).collect(),
                views: views.into_iter().map(|view| view.view_name).collect(),
            };
            listing.insert(schema.schema_name, names);
        }
        Ok(listing)
    }

    /// A table or view as it is at `snapshot`; none when the snapshot does not have it.
    pub(crate) async fn table(
        self: &Arc<Self>,
        snapshot: SnapshotId,
        schema: &str,
        name: &str,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        let key = TableName { schema: schema.to_owned(), name: name.to_owned() };
        if let Some(table) = self.cache.lock().at(snapshot.0, self.catalog.rewrites()).tables.get(&key) {
            return Ok(Some(Arc::clone(table)));
        }
        let volume = Arc::clone(self);
        let runtime = tokio::runtime::Handle::current();
        let read = move || {
            let rewrites = volume.catalog.rewrites();
            let table = runtime.block_on(read_table(&volume.provider, snapshot, &key))?;
            if let Some(table) = &table {
                volume.cache.lock().at(snapshot.0, rewrites).tables.insert(key, Arc::clone(table));
            }
            Ok(table)
        };
        blocking("reading a table's metadata", read).await
    }

    /// The same without some of its files, whose rows another volume shows.
    pub(crate) async fn table_without(
        self: &Arc<Self>,
        snapshot: SnapshotId,
        hidden: &Hidden,
        table: &TableName,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        if hidden.is_empty() {
            return self.table(snapshot, &table.schema, &table.name).await;
        }
        let provider = self.provider_without(hidden).await?;
        let (runtime, table) = (tokio::runtime::Handle::current(), table.clone());
        let read = move || runtime.block_on(read_table(&provider, snapshot, &table));
        blocking("reading a table's metadata", read).await
    }

    /// What reads the catalog without `hidden`. The last one is kept: files are hidden for the moments of a move.
    async fn provider_without(&self, hidden: &Hidden) -> Result<Arc<dyn MetadataProvider>> {
        if let Some((known, provider)) = &*self.hiding.lock()
            && known == hidden
        {
            return Ok(Arc::clone(provider));
        }
        let provider = self.catalog.provider_without(Arc::clone(hidden)).await?;
        *self.hiding.lock() = Some((Arc::clone(hidden), Arc::clone(&provider)));
        Ok(provider)
    }
}

async fn read_table(
    provider: &Arc<dyn MetadataProvider>,
    snapshot: SnapshotId,
    key: &TableName,
) -> Result<Option<Arc<dyn TableProvider>>> {
    use datafusion::catalog::CatalogProvider as _;
    let catalog = DuckLakeCatalog::with_snapshot(Arc::clone(provider), snapshot.0)
        .map_err(|error| from_ducklake("the catalog can't be read", error))?;
    let Some(schema) = catalog.schema(&key.schema) else { return Ok(None) };
    schema
        .table(&key.name)
        .await
        .map_err(|error| Error::unavailable(format!("table {key} can't be read from the catalog: {error}")))
}

/// Removes what the last process left where files wait to be sent: no catalog names it.
fn remove_directory(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(crate::journal::io_error(path, &error))
        }
        _ => Ok(()),
    }
}

fn make_directory(path: &Path) -> Result<()> {
    create_directories(path).map_err(|error| crate::journal::io_error(path, &error))
}

/// The directory as DuckLake records it: absolute, with a slash at the end.
fn directory_url(path: &Path) -> Result<String> {
    let absolute = std::path::absolute(path).map_err(|error| crate::journal::io_error(path, &error))?;
    let text = absolute.to_str().ok_or_else(|| {
        Error::invalid(format!(
            "data path {} is not UTF-8, which a DuckLake catalog can't hold",
            path.display()
        ))
    })?;
    Ok(format!("{}/", text.trim_end_matches('/')))
}

/// What went wrong in the DuckLake crate, as one of our kinds.
pub(crate) fn from_ducklake(what: &str, error: datafusion_ducklake::DuckLakeError) -> Error {
    use datafusion_ducklake::DuckLakeError as Inner;
    let message = format!("{what}: {error}");
    match error {
        Inner::Conflict(_) => Error::conflict(message),
        Inner::InvalidConfig(_) => Error::invalid(message),
        Inner::Unsupported(_) => Error::unsupported(message),
        other => Error::unavailable(message).with_source(other),
    }
}
