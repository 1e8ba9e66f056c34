//! Batches from a client into a table.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;
use pintail_lake::{Author, Destination};
use pintail_types::{Error, QueryId, Result, reason};

use super::admit;
use super::names::Target;
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
    /// `Conflict`, with [`reason::DUPLICATE_TABLE`].
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

/// Writes `batches` to `target` and gives the number of rows. It is listed as a query.
pub(crate) async fn ingest(
    session: &Session,
    target: IngestTarget,
    schema: SchemaRef,
    batches: BoxStream<'static, Result<RecordBatch>>,
) -> Result<u64> {
    let sql = format!("INGEST INTO {}", target.table);
    session.run_update(QueryId::new(), &sql, |_| load(session.clone(), target, schema, batches)).await
}

async fn load(
    session: Session,
    target: IngestTarget,
    schema: SchemaRef,
    batches: BoxStream<'static, Result<RecordBatch>>,
) -> Result<u64> {
    admit(&session)?;
    let IngestTarget { catalog, schema: schema_name, table, if_missing, if_exists, temporary } = target;
    let target = match temporary {
        true => Target::temporary(&session, table),
        false => Target::of_parts(&session, catalog, schema_name, table)?,
    };
    let destination = match (target.table_type(&session).await?.is_some(), if_missing, if_exists) {
        (false, IfMissing::Create, _) => Destination::Create,
        (false, IfMissing::Fail, _) => return Err(target.missing()),
        (true, _, IfExists::Fail) => {
            return Err(Error::conflict(format!("table {target} exists already"))
                .with_reason(reason::DUPLICATE_TABLE));
        }
        (true, _, IfExists::Append) => Destination::Append,
        (true, _, IfExists::Replace) => Destination::CreateOrReplace,
    };
    let author = Author { name: session.principal().name.clone(), statement: "INGEST".to_owned() };
    target.writer.load(&target.table, destination, schema, batches, &author).await
}
