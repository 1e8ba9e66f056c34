//! Facts about the node that doors show and the engine does not know itself.

use std::fmt;

use pintail_types::Micros;

/// What the doors ask about the node; the binary's wiring answers.
pub trait NodeFacts: Send + Sync + fmt::Debug {
    /// Whether data is safe, now.
    fn health(&self) -> Health;

    /// The names of the storage volumes, in order of priority.
    fn volumes(&self) -> Vec<String>;
}

/// Whether data is safe.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// Whether there is no problem.
    pub ok: bool,
    /// What is wrong, one line each.
    pub problems: Vec<String>,
    /// What a person should look at while the node does its work, one line each.
    pub warnings: Vec<String>,
    /// Age of the oldest row that is not yet in a committed file, in milliseconds.
    pub oldest_unflushed_age_ms: Option<u64>,
    /// When the last flush was committed.
    pub last_commit: Option<Micros>,
    /// The snapshot of the last flush.
    pub last_snapshot: Option<i64>,
    /// Bytes the journal holds.
    pub journal_bytes: u64,
    /// Rows in the hot buffer.
    pub hot_rows: u64,
    /// Bytes in the hot buffer.
    pub hot_bytes: u64,
}
