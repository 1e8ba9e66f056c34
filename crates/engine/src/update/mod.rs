//! Statements that change user tables, and ingest.

mod ingest;

pub(crate) use ingest::ingest;
pub use ingest::{IfExists, IfMissing, IngestTarget};
