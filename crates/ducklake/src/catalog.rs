//! The catalog as the rest of Pintail uses it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use datafusion_ducklake::{MetadataWriter, SnapshotCommitMetadata};
use parking_lot::Mutex;
use pintail_types::{Result, SnapshotId};

use crate::check::{self, Depth, Problem};
use crate::commit::Snapshot;
use crate::database::Database;
use crate::error::{CatalogError, Result as CatalogResult};
use crate::moves::Moves;
use crate::writer::Writer;
use crate::{define, layout, settings, sql};

/// How a catalog is opened.
#[derive(Debug, Clone)]
pub struct CatalogOptions {
    /// Where the lake's files lie: a directory or a URL. Empty takes what the catalog has recorded,
    /// which a new catalog has not.
    pub data_path: String,
    /// Whether a catalog is made when there is none.
    pub create: bool,
    /// Whether `data_path` replaces another one that the catalog has recorded.
    pub override_data_path: bool,
    /// How long to wait for a lock that another process holds.
    pub busy_timeout: Duration,
}

impl Default for CatalogOptions {
    fn default() -> Self {
        Self {
            data_path: String::new(),
            create: false,
            override_data_path: false,
            busy_timeout: Duration::from_secs(5),
        }
    }
}

/// What a commit sets besides its tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitExtras {
    /// Global keys and values of `ducklake_metadata`, set in the same transaction.
    pub metadata: Vec<(String, String)>,
}

/// The newest state of a catalog, read in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The newest snapshot.
    pub snapshot: SnapshotId,
    /// Grows with every change of schemas, tables, columns, views or specs.
    pub schema_version: i64,
    /// The global metadata value that was asked for.
    pub value: Option<String>,
}

impl Head {
    pub(crate) fn read(connection: &rusqlite::Connection, metadata_key: &str) -> CatalogResult<Self> {
        let newest = Snapshot::head(connection)?;
        let value = layout::metadata(connection, metadata_key)?;
        Ok(Self { snapshot: SnapshotId(newest.id), schema_version: newest.schema_version, value })
    }
}

/// A table that a catalog is to have.
#[derive(Debug, Clone)]
pub struct TableSpec {
    /// The table's name.
    pub name: String,
    /// Its columns; text marked with the extension name `arrow.json` becomes `json`.
    pub schema: SchemaRef,
    /// The column whose value separates the files of the table.
    pub partition_by: Option<String>,
    /// The column that rows of a file are sorted by, ascending, NULLs last.
    pub sort_by: Option<String>,
}

/// A view that a catalog is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewSpec {
    /// The view's name.
    pub name: String,
    /// Its query in DuckDB's dialect, with `{DUCKLAKE_CATALOG}` for the name of the catalog.
    pub sql: String,
    /// What it is, for people.
    pub comment: Option<String>,
}

/// What a table holds at the head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStatistics {
    /// The table's name.
    pub name: String,
    /// Live data files.
    pub files: u64,
    /// Rows in them that are not deleted, and inlined rows.
    pub rows: u64,
    /// Bytes of the live data files.
    pub bytes: u64,
}

/// One SQLite DuckLake catalog, in the layout of official DuckDB 1.5.5. Clones share it.
///
/// DuckDB may read and write the same file at any moment. Nothing is cached here but the data path
/// and the head, which is read anew when anybody has written to the file; and every commit takes its ids from the head inside its own write
/// transaction. All calls block; they wait at most the busy timeout for another process.
#[derive(Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    data_path: Arc<str>,
    database: Database,
    placeholders: AtomicI64,
    rewrites: AtomicU64,
    last_head: Mutex<Option<LastHead>>,
    last_moves: LastMoves,
}

/// The moves, and SQLite's number of the state of the file that they were read from.
type LastMoves = Mutex<Option<(i64, Arc<Moves>)>>;

/// A head and the state of the file that it was read from.
struct LastHead {
    /// SQLite's number for the reading connection, which changes when any other connection commits.
    data_version: i64,
    metadata_key: String,
    head: Head,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog")
            .field("path", &self.inner.path)
            .field("data_path", &self.inner.data_path)
            .finish()
    }
}

impl Catalog {
    /// Opens the catalog in the file `path`, which is made when `options.create` is set.
    ///
    /// The file is switched to WAL, in which DuckDB keeps working. Unsupported for another format
    /// version, an encrypted lake, or tables of another shape; Invalid when the recorded data path is
    /// another one; NotFound when there is no catalog.
    pub fn open(path: &Path, options: &CatalogOptions) -> Result<Self> {
        Self::open_inner(path, options).map_err(|error| error.at(path.display()))
    }

    fn open_inner(path: &Path, options: &CatalogOptions) -> CatalogResult<Self> {
        if !options.create && !path.exists() {
            return Err(CatalogError::no_catalog("the file does not exist"));
        }
        let path = std::path::absolute(path).map_err(|error| CatalogError::Invalid(error.to_string()))?;
        let database = Database::open(&path, options.create, options.busy_timeout)?;
        let data_path = database.write(|connection| {
            if !layout::exists(connection)? {
                if !options.create {
                    return Err(CatalogError::no_catalog("the file holds no DuckLake catalog"));
                }
                if options.data_path.is_empty() {
                    return Err(CatalogError::Invalid("a new catalog needs a data path".to_owned()));
                }
                let wanted = normal_data_path(&options.data_path)?;
                layout::create(connection, &wanted)?;
                return Ok(wanted);
            }
            layout::verify(connection)?;
            Snapshot::head(connection)?;
            let recorded = settings::data_path(connection)?;
            let agreed = agreed_data_path(&recorded, options)?;
            if agreed != recorded {
                layout::set_metadata(connection, "data_path", &agreed)?;
            }
            Ok(agreed)
        })?;
        Ok(Self::over(path, &data_path, database))
    }

    /// Opens the catalog in the file `path` to look for damage, also one that [`Catalog::open`] refuses because its counters
    /// are damaged. The file is not changed.
    ///
    /// # Errors
    /// Otherwise as [`Catalog::open_read_only`].
    pub fn open_for_check(path: &Path, options: &CatalogOptions) -> Result<Self> {
        Self::open_damaged(path, options, |path| Database::open_read_only(path, options.busy_timeout))
    }

    /// The same, to repair it.
    ///
    /// # Errors
    /// Otherwise as [`Catalog::open`].
    pub fn open_for_repair(path: &Path, options: &CatalogOptions) -> Result<Self> {
        Self::open_damaged(path, options, |path| Database::open(path, false, options.busy_timeout))
    }

    fn open_damaged(
        path: &Path,
        options: &CatalogOptions,
        open: impl FnOnce(&Path) -> CatalogResult<Database>,
    ) -> Result<Self> {
        let opened = || {
            if !path.exists() {
                return Err(CatalogError::no_catalog("the file does not exist"));
            }
            let path = std::path::absolute(path).map_err(|error| CatalogError::Invalid(error.to_string()))?;
            let database = open(&path)?;
            let data_path = database.read(|connection| {
                if !layout::exists(connection)? {
                    return Err(CatalogError::no_catalog("the file holds no DuckLake catalog"));
                }
                layout::verify_format(connection)?;
                agreed_data_path(&settings::data_path(connection)?, options)
            })?;
            Ok(Self::over(path, &data_path, database))
        };
        opened().map_err(|error| error.at(path.display()))
    }

    /// Opens the catalog in the file `path` for reading only: the file is not changed in any way. Everything
    /// that writes fails with Unsupported.
    ///
    /// NotFound when there is no catalog; otherwise as [`Catalog::open`].
    pub fn open_read_only(path: &Path, options: &CatalogOptions) -> Result<Self> {
        Self::open_read_only_inner(path, options).map_err(|error| error.at(path.display()))
    }

    fn open_read_only_inner(path: &Path, options: &CatalogOptions) -> CatalogResult<Self> {
        if !path.exists() {
            return Err(CatalogError::no_catalog("the file does not exist"));
        }
        let path = std::path::absolute(path).map_err(|error| CatalogError::Invalid(error.to_string()))?;
        let database = Database::open_read_only(&path, options.busy_timeout)?;
        let data_path = database.read(|connection| {
            if !layout::exists(connection)? {
                return Err(CatalogError::no_catalog("the file holds no DuckLake catalog"));
            }
            layout::verify(connection)?;
            Snapshot::head(connection)?;
            agreed_data_path(&settings::data_path(connection)?, options)
        })?;
        Ok(Self::over(path, &data_path, database))
    }

    fn over(path: PathBuf, data_path: &str, database: Database) -> Self {
        let inner = Inner {
            path,
            data_path: data_path.into(),
            database,
            placeholders: AtomicI64::new(-1),
            rewrites: AtomicU64::new(0),
            last_head: Mutex::default(),
            last_moves: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The catalog's file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Where the lake's files lie, ending with `/`.
    pub fn data_path(&self) -> Arc<str> {
        Arc::clone(&self.inner.data_path)
    }

    /// The URL of the catalog for `datafusion_ducklake::SqliteMetadataProvider`.
    pub fn provider_url(&self) -> String {
        let path = self.inner.path.to_string_lossy();
        let path = path.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
        let mode = if self.database().is_read_only() { "?mode=ro" } else { "" };
        format!("sqlite:{path}{mode}")
    }

    /// The head snapshot and one global metadata value, read in one transaction.
    ///
    /// While nobody has written to the file since the last call, the answer is that of the last call.
    pub fn head(&self, metadata_key: &str) -> Result<Head> {
        self.read(|connection| {
            let data_version =
                connection.prepare_cached(sql::DATA_VERSION)?.query_row([], |row| row.get(0))?;
            let mut last = self.inner.last_head.lock();
            if let Some(last) = last.as_ref()
                && last.data_version == data_version
                && last.metadata_key == metadata_key
            {
                return Ok(last.head.clone());
            }
            let head = Head::read(connection, metadata_key)?;
            *last =
                Some(LastHead { data_version, metadata_key: metadata_key.to_owned(), head: head.clone() });
            Ok(head)
        })
    }

    /// A global metadata value.
    pub fn metadata(&self, key: &str) -> Result<Option<String>> {
        self.read(|connection| layout::metadata(connection, key))
    }

    /// Sets a global metadata value. This makes no snapshot.
    pub fn set_metadata(&self, key: &str, value: &str) -> Result<()> {
        self.at(self.database().write(|connection| layout::set_metadata(connection, key, value)))
    }

    /// Makes the tables that are missing, with their specs, and adds columns that existing ones lack,
    /// all in one snapshot; the schema too. Returns whether there was anything to do.
    ///
    /// An added column is NULL in older rows. Columns that the spec does not have stay. Invalid when a
    /// column exists with another type.
    pub fn ensure_tables(&self, schema: &str, tables: &[TableSpec]) -> Result<bool> {
        let missing = self.read(|connection| define::tables_are_missing(connection, schema, tables))?;
        if !missing {
            return Ok(false);
        }
        let change = self.database().commit_if_changed(&SnapshotCommitMetadata::default(), |commit| {
            define::tables(commit, schema, tables)
        });
        Ok(self.at(change)?.is_some())
    }

    /// Makes the views that are missing or have another text, in one snapshot. Returns whether there
    /// was anything to do.
    pub fn ensure_views(&self, schema: &str, views: &[ViewSpec]) -> Result<bool> {
        let missing = self.read(|connection| define::views_differ(connection, schema, views))?;
        if !missing {
            return Ok(false);
        }
        let change = self.database().commit_if_changed(&SnapshotCommitMetadata::default(), |commit| {
            define::views(commit, schema, views)
        });
        Ok(self.at(change)?.is_some())
    }

    /// A writer for `datafusion_ducklake`.
    pub fn writer(&self) -> Arc<dyn MetadataWriter> {
        self.writer_with(CommitExtras::default())
    }

    /// A writer whose next successful commit sets `extras` in its own transaction.
    pub fn writer_with(&self, extras: CommitExtras) -> Arc<dyn MetadataWriter> {
        Arc::new(Writer::new(self.clone(), extras))
    }

    /// What the live tables of a schema hold at the head, by name.
    pub fn statistics(&self, schema: &str) -> Result<Vec<TableStatistics>> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(sql::LIVE_TABLES)?;
            let tables = statement.query_map([schema], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let tables = tables.collect::<Result<Vec<(i64, String)>, _>>()?;
            tables.into_iter().map(|(id, name)| define::statistics(connection, id, name)).collect()
        })
    }

    /// Looks for damage in the catalog and in its local files. Empty when all is well.
    pub fn check(&self) -> Result<Vec<Problem>> {
        self.look(Depth::Full).map(|(problems, _)| problems)
    }

    /// Looks for damage in the catalog, and whether local files have their sizes, for about as long as `limit`. Also says
    /// whether it came to the end.
    pub fn check_quickly(&self, limit: Duration) -> Result<(Vec<Problem>, bool)> {
        self.look(Depth::Until(Instant::now() + limit))
    }

    fn look(&self, depth: Depth) -> Result<(Vec<Problem>, bool)> {
        self.at(check::check(&self.inner.path, &self.inner.data_path, self.database().busy_timeout(), depth))
    }

    /// Mends what can be mended of `problems`, in one transaction, after it has copied the catalog as it is to `copy`. Gives
    /// how many problems that were; look again for what is left.
    ///
    /// # Errors
    /// `Unavailable` when another process holds the write lock for too long. Nothing is changed then.
    pub fn repair(&self, problems: &[Problem], copy: &Path) -> Result<usize> {
        self.at(self.database().copy_to(copy))?;
        let mended = self.at(self.database().write(|connection| check::repair(connection, problems)))?;
        self.note_rewrite();
        Ok(mended)
    }

    /// Another number whenever files of older snapshots may have given way to others that hold the same rows: what was
    /// read of a snapshot before is right still, until those files are deleted.
    pub fn rewrites(&self) -> u64 {
        self.inner.rewrites.load(Ordering::Acquire)
    }

    pub(crate) fn note_rewrite(&self) {
        self.inner.rewrites.fetch_add(1, Ordering::AcqRel);
    }

    /// A negative number that stands for a table that does not exist yet.
    pub(crate) fn placeholder_id(&self) -> i64 {
        self.inner.placeholders.fetch_sub(1, Ordering::Relaxed)
    }

    pub(crate) fn last_moves(&self) -> &LastMoves {
        &self.inner.last_moves
    }

    pub(crate) fn database(&self) -> &Database {
        &self.inner.database
    }

    pub(crate) fn read<T>(&self, read: impl FnOnce(&rusqlite::Connection) -> CatalogResult<T>) -> Result<T> {
        self.at(self.database().read(read))
    }

    pub(crate) fn at<T>(&self, result: CatalogResult<T>) -> Result<T> {
        result.map_err(|error| error.of_request(self.inner.path.display()))
    }
}

/// The data path that counts: the recorded one, unless `options` names another and may.
fn agreed_data_path(recorded: &str, options: &CatalogOptions) -> CatalogResult<String> {
    if options.data_path.is_empty() {
        return Ok(recorded.to_owned());
    }
    let wanted = normal_data_path(&options.data_path)?;
    if normal_data_path(recorded)? == wanted {
        return Ok(recorded.to_owned());
    }
    if options.override_data_path {
        return Ok(wanted);
    }
    Err(CatalogError::Invalid(format!(
        "the catalog has recorded data path {recorded}, not {wanted}; ask for an override if the files were moved"
    )))
}

/// A data path as a catalog records it: absolute if it is a directory, ending with `/`.
fn normal_data_path(path: &str) -> CatalogResult<String> {
    let mut path = match path.contains("://") {
        true => path.to_owned(),
        false => {
            let absolute =
                std::path::absolute(path).map_err(|error| CatalogError::Invalid(error.to_string()))?;
            absolute.to_string_lossy().into_owned()
        }
    };
    if !path.ends_with('/') {
        path.push('/');
    }
    Ok(path)
}
