//! Rows at rest: the journal, the hot buffer, the flusher, and the DuckLake volumes behind them, as one lake
//! of tables that DataFusion can read.
//!
//! Rows come in through [`Journal::append`] and [`Lake::append`], and are readable at once. A flush puts
//! them into Parquet files and commits all tables, together with the journal position they reach, in one
//! DuckLake transaction. A [`Cut`] is one consistent moment of it all: each row in it once.

mod barrier;
mod catalog;
mod change_feed;
mod clock_watch;
mod cut;
mod directories;
mod durable_store;
mod flush;
mod fsck;
mod history;
mod hot;
mod hot_rows_exec;
pub mod journal;
mod lake;
mod lookup_exec;
mod lookup_scans;
mod maintenance;
mod new_file;
mod options;
mod parquet_files;
mod pins;
mod plain_text;
mod row_filters;
mod row_index;
mod rows;
mod statistics;
mod stores;
mod table;
mod tiers;
mod user_tables;
mod views;
mod volume;
mod volume_files;
mod writes;

pub use barrier::{Intake, RowSource};
pub use catalog::LakeCatalog;
pub use change_feed::Changes;
pub use clock_watch::Jump;
pub use cut::Cut;
pub use directories::create_directories;
pub use flush::FlushReport;
pub use fsck::{Finding, FsckPlace, MAX_FINDINGS, fsck, fsck_and_repair, summary};
pub use history::{LakePast, Moment};
pub use hot::HotBufferOptions;
pub use hot_rows_exec::HotRowsExec;
pub use journal::{Block, Journal, JournalOptions, ReplayReport, SyncPolicy};
pub use lake::{Lake, LakeStats, LastCommit, Trouble};
pub use lookup_exec::LookupExec;
pub use maintenance::{
    Done, MAX_STEPS, MaintenanceOptions, MaintenanceStep, MaintenanceTask, MergeOptions, Retention,
    RetentionUnit, StepState,
};
pub use options::{LakeOptions, StoragePolicy, VolumeOptions};
pub use plain_text::with_plain_text;
pub use row_filters::with_row_filters;
pub use row_index::{fresh_file_scan, is_file_scan};
pub use statistics::TelemetryStatistics;
pub use stores::{BucketOptions, FilePlace};
pub use tiers::{MoveWatch, VolumeState};
pub use user_tables::{
    Author, Conversion, Destination, Existing, NewColumn, RowChange, Rows, SchemaChange, StoredView,
    TableName,
};
