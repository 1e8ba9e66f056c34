//! DuckLake catalogs in SQLite, exactly as official DuckDB 1.5.5 writes them.
//!
//! DuckDB may attach, read and write a lake of ours at any moment, and we a lake of its. So this crate
//! keeps to the official layout to the column (`layout`), takes every id from the counters of the
//! head snapshot inside the write transaction that uses it (`commit`), and assumes nothing about what
//! happened between two calls. Reading, Parquet and planning are `datafusion-ducklake`'s; this crate
//! is the [`datafusion_ducklake::MetadataWriter`] under it (`writer`).
//!
//! What must hold:
//! - One commit is one `BEGIN IMMEDIATE` transaction of milliseconds that adds one snapshot, or nothing.
//!   Files are complete and durable before it starts.
//! - A write that was planned on an older snapshot commits only if what it was planned on still holds;
//!   else it is a conflict.
//! - Nothing but integers stands in an integer column, and no counter of the head is NULL.

mod alter;
mod append;
mod begin;
mod by_snapshot;
mod catalog;
mod changes;
mod check;
mod cleanup;
mod column_bounds;
mod columns;
mod commit;
mod compaction;
mod database;
mod define;
mod deletes;
mod drops;
mod error;
mod expiry;
mod files;
mod inlined;
mod layout;
mod live_files;
mod moves;
mod provider;
mod rewrites;
mod schema_changes;
mod settings;
mod snapshot_reads;
mod snapshots;
mod specs;
mod sql;
mod stage;
mod statistics;
mod tables;
mod time;
mod writer;

pub use append::{AppendTarget, AppendedFiles};
pub use by_snapshot::BySnapshot;
pub use catalog::{Catalog, CatalogOptions, CommitExtras, Head, TableSpec, TableStatistics, ViewSpec};
pub use check::Problem;
pub use cleanup::{KnownFiles, ScheduledFile};
pub use column_bounds::{Bounds, SchemaBounds, TableBounds};
pub use expiry::{Expired, Expiry, Needed};
pub use live_files::{FilePartition, LiveDeletes, LiveFile, LiveFiles};
pub use moves::{Move, Moves, Taken};
pub use rewrites::Rewrite;
pub use schema_changes::{Existing, NewColumn, SchemaChange, TableName};
pub use snapshots::{SnapshotInfo, SnapshotTime};
pub use time::catalog_now;
