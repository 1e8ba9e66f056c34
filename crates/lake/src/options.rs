//! How a lake is kept.

use std::path::PathBuf;
use std::time::Duration;

use crate::hot::HotBufferOptions;
use crate::journal::JournalOptions;
use crate::maintenance::MaintenanceOptions;

/// Where a lake lies and how it takes rows.
#[derive(Debug, Clone)]
pub struct LakeOptions {
    /// The catalog name in SQL.
    pub name: String,
    /// The DuckLake catalog, a SQLite file.
    pub catalog_path: PathBuf,
    /// The directory of the Parquet files.
    pub data_path: PathBuf,
    /// Opens a catalog that was made for another `data_path`.
    pub override_data_path: bool,
    /// The volume's name: its own catalog is `<name>_<volume>`.
    pub volume: String,
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

impl LakeOptions {
    /// Homer's defaults, with everything below `directory`.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        Self {
            name: "homer_lake".to_owned(),
            catalog_path: directory.join("homer_catalog.sqlite"),
            data_path: directory.join("parquet"),
            override_data_path: false,
            volume: "default".to_owned(),
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
