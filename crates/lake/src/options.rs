//! How a lake is kept.

use std::path::PathBuf;
use std::time::Duration;

use crate::hot::HotBufferOptions;
use crate::journal::JournalOptions;
use crate::maintenance::MaintenanceOptions;
use crate::stores::FilePlace;
use crate::tiers::MoveWatch;

/// Where a lake lies and how it takes rows.
#[derive(Debug, Clone)]
pub struct LakeOptions {
    /// The catalog name in SQL.
    pub name: String,
    /// The places of its files, hottest first. Rows are flushed into the first one, which also holds the user tables.
    pub volumes: Vec<VolumeOptions>,
    /// When rows move from one volume to another.
    pub policy: StoragePolicy,
    /// Leaves catalog and data as they are, which must exist: another process writes them.
    pub read_only: bool,
    /// The write-ahead journal.
    pub journal: JournalOptions,
    /// Rows that are not in a file yet.
    pub hot_buffer: HotBufferOptions,
    /// The longest time rows wait for a flush.
    pub flush_interval: Duration,
    /// Rows handed to the Parquet writer at once.
    pub batch_size: usize,
    /// How it keeps itself in shape.
    pub maintenance: MaintenanceOptions,
}

/// One place of a lake's files, with a DuckLake catalog of its own.
#[derive(Debug, Clone)]
pub struct VolumeOptions {
    /// The volume's name: its own catalog is `<lake>_<name>`.
    pub name: String,
    /// The DuckLake catalog, a SQLite file.
    pub catalog_path: PathBuf,
    /// Where its files lie.
    pub files: FilePlace,
    /// Opens a catalog that was made for another place of files.
    pub override_data_path: bool,
    /// Its place among the others, as it was configured: the lower, the hotter.
    pub priority: i64,
    /// Days after which rows leave it; 0 is never.
    pub max_age_days: u64,
    /// Bytes that it is to hold; 0 is no limit.
    pub max_bytes: u64,
}

impl VolumeOptions {
    /// A volume without limits, whose Parquet files lie in the directory `data_path`.
    pub fn new(
        name: impl Into<String>,
        catalog_path: impl Into<PathBuf>,
        data_path: impl Into<PathBuf>,
    ) -> Self {
        Self {
            name: name.into(),
            catalog_path: catalog_path.into(),
            files: FilePlace::Directory(data_path.into()),
            override_data_path: false,
            priority: 0,
            max_age_days: 0,
            max_bytes: 0,
        }
    }
}

/// When rows move from one volume to another.
#[derive(Debug, Clone)]
pub struct StoragePolicy {
    /// How often the lake looks for rows that are to move; never if absent.
    pub interval: Option<Duration>,
    /// Whether it looks at start too.
    pub on_start: bool,
    /// The share of [`VolumeOptions::max_bytes`] past which the oldest rows leave a volume.
    pub move_factor: f64,
    /// Who is told of every point that a move passes.
    pub watch: Option<MoveWatch>,
}

impl Default for StoragePolicy {
    fn default() -> Self {
        Self { interval: None, on_start: false, move_factor: 0.8, watch: None }
    }
}

impl LakeOptions {
    /// Homer's defaults, with everything below `directory`.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        Self {
            name: "homer_lake".to_owned(),
            volumes: vec![VolumeOptions::new(
                "default",
                directory.join("homer_catalog.sqlite"),
                directory.join("parquet"),
            )],
            policy: StoragePolicy::default(),
            read_only: false,
            journal: JournalOptions::at(directory.join("journal")),
            hot_buffer: HotBufferOptions::default(),
            flush_interval: Duration::from_secs(60),
            batch_size: 10_000,
            maintenance: MaintenanceOptions::default(),
        }
    }

    /// The key of `ducklake_metadata` that says how far a journal is in the lake.
    pub(crate) fn position_key(journal: pintail_types::JournalId) -> String {
        format!("pintail_journal_position:{journal}")
    }
}
