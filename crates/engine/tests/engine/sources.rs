//! Tables that behave badly, under the control of a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::{Int64Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::{Stream, StreamExt, stream};
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

/// How a source behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Batches without end.
    Endless,
    /// One batch, then it waits for ever without holding a thread.
    Silent,
    /// One batch, then it holds its thread until [`Source::release`].
    Busy,
    /// One batch, then a panic.
    Panics,
    /// One batch, then an error.
    Fails,
}

/// A table of one column `n`, and what its stream did.
#[derive(Debug)]
pub(crate) struct Source {
    behaviour: Behaviour,
    schema: SchemaRef,
    /// Batches given.
    pub(crate) given: AtomicUsize,
    /// Notified when a stream of it is dropped.
    pub(crate) stopped: Notify,
    released: Mutex<bool>,
    release: Condvar,
}

impl Source {
    pub(crate) fn new(behaviour: Behaviour) -> Arc<Self> {
        Arc::new(Self {
            behaviour,
            schema: Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)])),
            given: AtomicUsize::new(0),
            stopped: Notify::new(),
            released: Mutex::new(false),
            release: Condvar::new(),
        })
    }

    pub(crate) fn table(self: &Arc<Self>) -> Arc<dyn TableProvider> {
        let partition: Arc<dyn PartitionStream> = Arc::new(Partition(Arc::clone(self)));
        Arc::new(StreamingTable::try_new(Arc::clone(&self.schema), vec![partition]).unwrap())
    }

    /// Lets a busy source go on.
    pub(crate) fn release(&self) {
        *self.released.lock() = true;
        self.release.notify_all();
    }

    fn batch(&self) -> RecordBatch {
        self.given.fetch_add(1, Ordering::SeqCst);
        let numbers = Int64Array::from_iter_values(0..1000);
        RecordBatch::try_new(Arc::clone(&self.schema), vec![Arc::new(numbers)]).unwrap()
    }

    fn batches(self: Arc<Self>) -> impl Stream<Item = Result<RecordBatch, DataFusionError>> {
        let guard = StopGuard(Arc::clone(&self));
        stream::unfold((guard, 0), move |(guard, number)| {
            let source = Arc::clone(&self);
            async move {
                if number == 0 || source.behaviour == Behaviour::Endless {
                    return Some((Ok(source.batch()), (guard, number + 1)));
                }
                match source.behaviour {
                    Behaviour::Endless | Behaviour::Silent => std::future::pending().await,
                    Behaviour::Busy => {
                        let mut released = source.released.lock();
                        source.release.wait_while(&mut released, |released| !*released);
                        None
                    }
                    Behaviour::Panics => panic!("a defect"),
                    Behaviour::Fails => Some((
                        Err(DataFusionError::Execution("The source failed.".into())),
                        (guard, number + 1),
                    )),
                }
            }
        })
    }
}

struct StopGuard(Arc<Source>);

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.0.stopped.notify_one();
    }
}

#[derive(Debug)]
struct Partition(Arc<Source>);

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = Arc::clone(&self.0).batches().boxed();
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.0.schema), batches))
    }
}
