//! The one place where SQL becomes Arrow.
//!
//! Every door goes the same way: [`Engine`] → [`Session`] (who asks, through what) → [`Statement`]
//! (planned once, its schema known) → [`QueryStream`] (rows, pulled by the reader). What holds on it:
//!
//! - Statements are let through by their syntax tree: those that read, and those that change user tables or a setting
//!   of the session. Nothing reads files of the machine.
//! - Procedures (`CALL system.…`) are for admins, and read no more of the tree than names and literals.
//! - Who may change tables is decided at every plan and every execution; an execution changes all it says or nothing.
//! - What a session's principal may not see does not exist in its catalogs.
//! - All scans of one execution read one moment of the lake.
//! - The schema that a statement announces is that of every batch; see [`wire_schema`].
//! - A reader that does not read stops its plan; one that goes away ends it; so do
//!   [`QueryRegistry::cancel`] and the time limit, also while the plan computes.
//!
//! Nothing here knows a wire protocol.

mod catalog;
mod chains;
mod dialect;
mod duckdb_operators;
mod engine;
mod error;
mod execution;
mod fairness;
mod functions;
mod grafana;
mod grammar;
mod information;
mod json_operators;
mod kept_plan;
mod like;
mod long_text;
mod maintenance;
mod metadata;
mod missing;
mod named_file;
mod node;
mod overlay;
mod parameters;
mod past;
mod planning;
mod quotients;
mod ready_plan;
mod registry;
mod relations;
mod runtime;
mod session;
mod settings;
mod sql_types;
mod statement;
mod storage;
mod stream;
mod subscripts;
mod substrait;
mod system;
mod temporary;
mod time_travel;
mod top_rows;
mod update;
mod views;
mod window_partitions;
mod wire;

pub use dialect::MAX_SQL_BYTES;
pub use engine::{Engine, EngineOptions};
pub use like::like;
pub use maintenance::{Maintainer, maintenance_rows, parse_age};
pub use metadata::{TABLE_TYPES, TableFilter, TableInfo};
pub use node::{Health, NodeFacts};
pub use pintail_lake::TelemetryStatistics;
pub use registry::{MAX_HISTORY, MAX_QUEUED, QueryInfo, QueryRegistry, QueryState};
pub use session::{Session, SessionOptions};
pub use settings::SettingValue;
pub use statement::Statement;
pub use storage::{Past, Storage, StorageCatalog, TableWriter};
pub use stream::QueryStream;
pub use substrait::{MAX_PLAN_BYTES, substrait_version};
pub use system::{SYSTEM_SCHEMA, SystemTable};
pub use update::{IfExists, IfMissing, IngestTarget};
pub use wire::{WireProfile, wire_schema};
