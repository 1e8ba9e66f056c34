//! Batches from a client into a table.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;
use pintail_types::{Error, Result};

use crate::session::Session;

/// What happens when the table is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// It is made, with the columns of the batches.
    Create,
    /// `NotFound`.
    Fail,
}

/// What happens when the table is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    /// `Conflict`.
    Fail,
    /// The rows are added.
    Append,
    /// The rows take the place of the table and what it held.
    Replace,
}

/// Where the batches go.
#[derive(Debug, Clone)]
pub struct IngestTarget {
    /// The catalog; the session's if absent.
    pub catalog: Option<String>,
    /// The schema; the session's if absent.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// What happens when the table is not there.
    pub if_missing: IfMissing,
    /// What happens when the table is there.
    pub if_exists: IfExists,
    /// Whether the table belongs to the session and ends with it.
    pub temporary: bool,
}

/// Writes `batches` to `target` and gives the number of rows.
pub(crate) async fn ingest(
    _session: &Session,
    target: IngestTarget,
    _schema: SchemaRef,
    _batches: BoxStream<'static, Result<RecordBatch>>,
) -> Result<u64> {
    Err(Error::unsupported(format!("table {} can't be written yet", target.table)))
}
