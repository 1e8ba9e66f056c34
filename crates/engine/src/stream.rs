//! The rows of one execution, pulled by their reader.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::PeakRecordingPool;
use futures::{Stream, StreamExt};
use pintail_types::{Error, QueryId, Result};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::from_datafusion;
use crate::registry::ActiveQuery;
use crate::runtime::{QueryRuntime, Task};
use crate::wire::to_wire;

/// Batches between the plan and its reader. A reader that does not read stops the plan here.
const BATCHES_AHEAD: usize = 2;

/// A plan that runs, and what records the memory that it holds.
type Started = (SendableRecordBatchStream, Arc<PeakRecordingPool>);

/// The rows of one execution, already in wire types. Dropping it stops the plan.
///
/// An error is the last item; after the end it stays at the end.
pub struct QueryStream {
    id: QueryId,
    schema: SchemaRef,
    batches: Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>,
}

impl QueryStream {
    /// The wire schema: that of every batch, also when there is none.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The id under which `system.queries` lists it.
    pub const fn id(&self) -> QueryId {
        self.id
    }

    /// One row that is there already: no plan runs for it.
    ///
    /// # Errors
    /// If it cannot be made what leaves.
    pub(crate) fn of_row(row: &RecordBatch, schema: SchemaRef, query: ActiveQuery) -> Result<Self> {
        let row = to_wire(row, &schema)?;
        let id = query.id();
        query.started(None);
        let rows = futures::stream::once(async move {
            query.delivered(row.num_rows(), bytes_of(&row));
            query.close(Ok(()));
            Ok(row)
        });
        Ok(Self { id, schema, batches: rows.boxed() })
    }

    /// Starts what `start` gives on the query threads, and drives it there. Comes back when it has started.
    ///
    /// # Errors
    /// Those of `start`, and what ends a query from outside.
    pub(crate) async fn start(
        start: impl Future<Output = Result<Started>> + Send + 'static,
        schema: SchemaRef,
        query: ActiveQuery,
        limits: Limits,
        runtime: &QueryRuntime,
    ) -> Result<Self> {
        let query = Arc::new(query);
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let (tell, told) = oneshot::channel();
        // One task for both: a result of few rows is there before its reader has heard of it.
        let drive = drive(start, tell, Arc::clone(&schema), sender, Arc::clone(&query), limits.clone());
        let mut driver = runtime.spawn(drive)?;
        let has_started = limits.guard(async { Ok(told.await.is_ok()) }).await;
        let error = match has_started {
            Ok(true) => None,
            Ok(false) => driver.ended().await.flatten().err(),
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            query.close(Err(&error));
            return Err(error);
        }
        let id = query.id();
        let reader = Reader { query, batches, driver, limits, ended: false };
        let batches = futures::stream::unfold(reader, |mut reader| async move {
            let item = reader.next().await?;
            Some((item, reader))
        });
        Ok(Self { id, schema, batches: batches.fuse().boxed() })
    }
}

impl Stream for QueryStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.batches.as_mut().poll_next(context)
    }
}

impl fmt::Debug for QueryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryStream")
            .field("id", &self.id)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// What ends a query from outside.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    cancel: CancellationToken,
    /// When it must be done, and how long that was.
    deadline: Option<(Instant, Duration)>,
}

impl Limits {
    pub(crate) fn new(cancel: CancellationToken, timeout: Option<Duration>) -> Self {
        // A time too far away to be told is no limit.
        let deadline = timeout.and_then(|timeout| Some((Instant::now().checked_add(timeout)?, timeout)));
        Self { cancel, deadline }
    }

    /// Comes back when the query must end, with the reason.
    async fn reached(&self) -> Error {
        let Some((deadline, timeout)) = self.deadline else {
            self.cancel.cancelled().await;
            return Error::cancelled("the query was cancelled");
        };
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Error::cancelled("the query was cancelled"),
            () = tokio::time::sleep_until(deadline) => {
                Error::deadline_exceeded(format!("the query took longer than {} seconds", timeout.as_secs_f64()))
            }
        }
    }

    /// What `work` gives, unless the query must end before.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            error = self.reached() => Err(error),
            done = work => done,
        }
    }
}

/// Starts and runs the plan on the query threads. It ends by itself also when nobody reads any more.
async fn drive(
    start: impl Future<Output = Result<Started>>,
    tell: oneshot::Sender<()>,
    schema: SchemaRef,
    sender: mpsc::Sender<RecordBatch>,
    query: Arc<ActiveQuery>,
    limits: Limits,
) -> Result<()> {
    let run = async {
        let (plan, memory) = start.await?;
        query.started(Some(memory));
        // Who does not wait any more takes no rows either.
        let _ = tell.send(());
        pump(plan, schema, sender, query.stall_timeout()).await
    };
    let outcome = limits.guard(run).await;
    if let Err(error) = &outcome {
        query.close(Err(error));
    }
    outcome
}

async fn pump(
    mut plan: SendableRecordBatchStream,
    schema: SchemaRef,
    sender: mpsc::Sender<RecordBatch>,
    stall_timeout: Option<Duration>,
) -> Result<()> {
    while let Some(item) = plan.next().await {
        let batch = item.map_err(|error| from_datafusion(&error))?;
        if batch.num_rows() == 0 {
            continue;
        }
        let batch = to_wire(&batch, &schema)?;
        taken(sender.reserve(), stall_timeout).await?.send(batch);
    }
    // What it read from is let go before its last batches are waited for.
    drop(plan);
    taken(sender.reserve_many(BATCHES_AHEAD), stall_timeout).await.map(drop)
}

/// What `room` gives once the reader has taken enough of what was made for it.
async fn taken<T>(
    room: impl Future<Output = Result<T, mpsc::error::SendError<()>>>,
    stall_timeout: Option<Duration>,
) -> Result<T> {
    let room = async { room.await.map_err(|_| Error::cancelled("the reader went away")) };
    let Some(stall_timeout) = stall_timeout else { return room.await };
    tokio::time::timeout(stall_timeout, room).await.unwrap_or_else(|_| {
        Err(Error::deadline_exceeded(format!(
            "the reader took no rows for {} seconds: read faster, or raise limits.stall_timeout_sec",
            stall_timeout.as_secs_f64()
        )))
    })
}

/// The reader's end.
struct Reader {
    query: Arc<ActiveQuery>,
    batches: mpsc::Receiver<RecordBatch>,
    driver: Task<Result<()>>,
    limits: Limits,
    ended: bool,
}

impl Reader {
    async fn next(&mut self) -> Option<Result<RecordBatch>> {
        if self.ended {
            return None;
        }
        // The limits are looked at here too: a plan that computes for long does not look at them itself.
        let received = tokio::select! {
            biased;
            error = self.limits.reached() => Err(error),
            batch = self.batches.recv() => Ok(batch),
        };
        let outcome = match received {
            Ok(Some(batch)) => {
                self.query.delivered(batch.num_rows(), bytes_of(&batch));
                return Some(Ok(batch));
            }
            Ok(None) => self.driver.ended().await.flatten(),
            Err(error) => Err(error),
        };
        self.ended = true;
        self.query.close(outcome.as_ref().map(|&()| ()));
        outcome.err().map(|error| Err(error.of_query(self.query.id())))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.query.close(Err(&Error::cancelled("the reader went away")));
    }
}

/// Bytes of the rows themselves, not of buffers they share.
fn bytes_of(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}
