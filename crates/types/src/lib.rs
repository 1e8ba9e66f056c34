//! The words every other crate shares: error kinds, telemetry tables, ids, the clock, and the points of crash tests.
//!
//! Nothing here does I/O, spawns, or knows a protocol. Time comes in through [`Clock`], so that
//! everything above can be tested at any moment.

mod clock;
mod error;
mod fault;
mod ids;
pub mod reason;
mod remarks;
mod tables;

pub use clock::{Clock, ManualClock, Micros, SystemClock};
pub use error::{Error, ErrorKind, Position, Result};
pub use fault::FaultPoint;
pub use ids::{JournalId, JournalPosition, QueryId, SnapshotId, row_uuid};
pub use remarks::column_remarks;
pub use tables::{STORAGE_VOLUME, TelemetryTable, is_telemetry_table};
