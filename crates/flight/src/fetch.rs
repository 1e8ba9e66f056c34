//! One result on its way out: a task runs the plan and encodes, the connection's task writes.
//!
//! At most [`QUEUED_MESSAGES`] messages wait between the two. A reader that stops reading therefore stops the
//! plan, and a reader that goes away drops the receiver, which ends the task and with it the plan.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use http_body::Frame;
use pintail_types::{QueryId, Result};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};
use tonic::Status;
use tonic::codegen::http::HeaderMap;

use crate::deadline::Deadline;
use crate::encode::{Encoder, Message};
use crate::gate::Pass;
use crate::gzip;
use crate::status::status;

/// Messages that are encoded and not yet taken by the connection.
const QUEUED_MESSAGES: usize = 2;

/// What a result is made of: the schema it was announced with, and its batches.
pub(crate) struct Rows {
    /// The wire schema, the same as in FlightInfo.
    pub(crate) schema: SchemaRef,
    /// The batches; dropping them stops the plan.
    pub(crate) batches: BoxStream<'static, Result<RecordBatch>>,
    /// The query's id, named in errors.
    pub(crate) query: Option<QueryId>,
}

/// How long a result may take, and how long it may be silent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// The client's.
    pub(crate) deadline: Deadline,
    /// Load balancers cut streams on which nothing moves: after this time a batch of zero rows is sent.
    pub(crate) sign_of_life: Duration,
}

impl Rows {
    /// A result that is there already.
    pub(crate) fn of_batch(batch: RecordBatch) -> Self {
        let schema = batch.schema();
        Self { schema, batches: futures::stream::once(async { Ok(batch) }).boxed(), query: None }
    }

    /// No rows.
    pub(crate) fn none(schema: SchemaRef) -> Self {
        Self { schema, batches: futures::stream::empty().boxed(), query: None }
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows")
            .field("schema", &self.schema)
            .field("query", &self.query)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Step {
    Message(Message),
    Failed(Status),
    End,
}

/// A running result, as a stream of messages. Dropping it stops the plan.
#[derive(Debug)]
pub(crate) struct Fetch {
    steps: mpsc::Receiver<Step>,
    finished: bool,
}

impl Fetch {
    /// Starts the task that runs the plan.
    pub(crate) fn start(rows: Rows, patience: Patience) -> Self {
        let (sender, steps) = mpsc::channel(QUEUED_MESSAGES);
        tokio::spawn(async move {
            let abandoned = sender.clone();
            tokio::select! {
                biased;
                () = abandoned.closed() => {}
                () = produce(rows, &sender, patience) => {}
            }
        });
        Self { steps, finished: false }
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message, Status>>> {
        if self.finished {
            return Poll::Ready(None);
        }
        let step = ready!(self.steps.poll_recv(context));
        Poll::Ready(match step {
            Some(Step::Message(message)) => Some(Ok(message)),
            Some(Step::End) => {
                self.finished = true;
                None
            }
            Some(Step::Failed(status)) => {
                self.finished = true;
                Some(Err(status))
            }
            // Without an end the task broke off; a result that is cut short must not look complete.
            None => {
                self.finished = true;
                Some(Err(Status::internal("the query broke off")))
            }
        })
    }
}

impl Stream for Fetch {
    type Item = Result<FlightData, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = ready!(self.get_mut().poll_message(context));
        Poll::Ready(message.map(|message| message.map(Message::into_flight_data)))
    }
}

/// Runs the plan to its end and sends what it gives. Returns early when nobody listens any more.
async fn produce(mut rows: Rows, sender: &mpsc::Sender<Step>, patience: Patience) {
    let messages = produce_messages(&mut rows, sender, patience.sign_of_life);
    let last = match patience.deadline.limit(messages).await.flatten() {
        Ok(()) => Step::End,
        Err(error) => Step::Failed(match rows.query {
            Some(query) => status(&error.context(format_args!("query {query}")).of_query(query)),
            None => status(&error),
        }),
    };
    // The plan's memory goes back before the client is told that the result is complete.
    drop(rows);
    let _ = sender.send(last).await;
}

async fn produce_messages(
    rows: &mut Rows,
    sender: &mpsc::Sender<Step>,
    sign_of_life: Duration,
) -> Result<()> {
    let mut encoder = Encoder::new(SchemaRef::clone(&rows.schema))?;
    if sender.send(Step::Message(encoder.schema_message())).await.is_err() {
        return Ok(());
    }
    loop {
        let batch = match tokio::time::timeout(sign_of_life, rows.batches.next()).await {
            Ok(Some(batch)) => batch?,
            Ok(None) => return Ok(()),
            Err(_) => {
                let _ = sender.send(Step::Message(encoder.empty_message())).await;
                continue;
            }
        };
        encoder.load(batch)?;
        while let Some(message) = encoder.next_message() {
            if sender.send(Step::Message(message?)).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// The body of a DoGet answer: the messages of a [`Fetch`] in gRPC frames, and the status as trailers.
#[derive(Debug)]
pub(crate) struct FetchBody {
    fetch: Fetch,
    chunks: VecDeque<Bytes>,
    is_compressed: bool,
    /// The message that is being compressed.
    compressing: Option<JoinHandle<io::Result<Bytes>>>,
    trailers_sent: bool,
    _pass: Pass,
}

impl FetchBody {
    /// The body of `fetch`, with its messages in gzip or in clear.
    pub(crate) const fn new(fetch: Fetch, is_compressed: bool, pass: Pass) -> Self {
        let chunks = VecDeque::new();
        Self { fetch, chunks, is_compressed, compressing: None, trailers_sent: false, _pass: pass }
    }

    /// Puts the next message into `chunks`; what it gives instead is the end.
    fn poll_chunks(&mut self, context: &mut Context<'_>) -> Poll<Option<Status>> {
        if let Some(compressing) = &mut self.compressing {
            let compressed = ready!(Pin::new(compressing).poll(context));
            self.compressing = None;
            return Poll::Ready(match compressed {
                Ok(Ok(chunk)) => {
                    self.chunks.push_back(chunk);
                    None
                }
                _ => Some(Status::internal("the result could not be compressed")),
            });
        }
        Poll::Ready(match ready!(self.fetch.poll_message(context)) {
            Some(Ok(message)) if self.is_compressed => {
                self.compressing = Some(spawn_blocking(|| gzip::grpc_chunk(message)));
                None
            }
            Some(Ok(message)) => {
                self.chunks = message.into_grpc_chunks();
                None
            }
            Some(Err(status)) => Some(status),
            None => Some(Status::ok("")),
        })
    }
}

impl http_body::Body for FetchBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.trailers_sent {
            return Poll::Ready(None);
        }
        loop {
            if let Some(chunk) = this.chunks.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(chunk))));
            }
            let Some(end) = ready!(this.poll_chunks(context)) else { continue };
            this.trailers_sent = true;
            let mut trailers = HeaderMap::new();
            end.add_header(&mut trailers)?;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.trailers_sent
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array};
    use pintail_types::Error;
    use tokio::sync::oneshot;
    use tonic::Code;

    use super::*;

    fn batch() -> RecordBatch {
        let column = Arc::new(Int32Array::from(vec![1, 2, 3])) as ArrayRef;
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    }

    fn rows(batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static) -> Rows {
        Rows { schema: batch().schema(), batches: batches.boxed(), query: None }
    }

    const PATIENT: Patience = Patience { deadline: Deadline::NONE, sign_of_life: Duration::MAX };

    #[tokio::test]
    async fn a_silent_plan_shows_signs_of_life_after_the_schema() {
        let impatient = Patience { sign_of_life: Duration::from_millis(1), ..PATIENT };
        let mut fetch = Fetch::start(rows(futures::stream::pending()), impatient);
        let schema = fetch.next().await.unwrap().unwrap();
        let mut signs = Vec::new();
        for _ in 0..3 {
            signs.push(fetch.next().await.unwrap().unwrap());
        }
        let messages = [Ok(schema)].into_iter().chain(signs.into_iter().map(Ok));
        let stream = arrow_flight::decode::FlightRecordBatchStream::new_from_flight_data(
            futures::stream::iter(messages),
        );
        let lengths: Vec<usize> = stream.map(|batch| batch.unwrap().num_rows()).collect().await;
        assert_eq!(lengths, [0, 0, 0]);
    }

    #[tokio::test]
    async fn a_dropped_result_drops_its_plan() {
        struct Told(Option<oneshot::Sender<()>>);
        impl Drop for Told {
            fn drop(&mut self) {
                let _ = self.0.take().map(|sender| sender.send(()));
            }
        }
        let (sender, dropped) = oneshot::channel();
        let told = Told(Some(sender));
        let endless = futures::stream::repeat_with(move || {
            let _plan = &told;
            Ok(batch())
        });
        let mut fetch = Fetch::start(rows(endless), PATIENT);
        fetch.next().await.unwrap().unwrap();
        drop(fetch);
        dropped.await.unwrap();
    }

    #[tokio::test]
    async fn an_error_ends_the_result_and_names_the_query() {
        let failing = futures::stream::iter([Ok(batch()), Err(Error::exhausted("no memory left"))]);
        let query = QueryId::new();
        let fetch = Fetch::start(Rows { query: Some(query), ..rows(failing) }, PATIENT);
        let items: Vec<_> = fetch.collect().await;
        assert_eq!(items.len(), 3);
        let status = items[2].as_ref().unwrap_err();
        let message = format!("query {query}: no memory left");
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, message.as_str()));
    }

    #[tokio::test]
    async fn a_result_ends_at_the_deadline_of_its_client() {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", "20m".parse().unwrap());
        let patience = Patience { deadline: Deadline::of(&headers), ..PATIENT };
        let items: Vec<_> = Fetch::start(rows(futures::stream::pending()), patience).collect().await;
        // The schema and the error.
        assert_eq!(items.len(), 2);
        assert_eq!(items[1].as_ref().unwrap_err().code(), Code::DeadlineExceeded);
    }

    #[tokio::test]
    async fn a_result_that_breaks_off_is_not_complete() {
        let broken = futures::stream::once(async { panic!("a defect in a plan") });
        let items: Vec<_> = Fetch::start(rows(broken), PATIENT).collect().await;
        assert_eq!(items.last().unwrap().as_ref().unwrap_err().code(), Code::Internal);
    }
}
