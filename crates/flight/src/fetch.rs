//! One result on its way out: a task runs the plan and encodes, the connection's task writes.
//!
//! At most [`QUEUED_MESSAGES`] messages wait between the two. A reader that stops reading therefore stops the
//! plan, and a reader that goes away drops the receiver, which ends the task and with it the plan.

use std::collections::VecDeque;
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
use pintail_types::Result;
use tokio::sync::mpsc;
use tonic::Status;
use tonic::codegen::http::HeaderMap;

use crate::encode::{Encoder, Message};
use crate::status::status;

/// Messages that are encoded and not yet taken by the connection.
const QUEUED_MESSAGES: usize = 2;

/// Load balancers cut streams on which nothing moves: after this time a batch of zero rows is sent.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// What a result is made of: the schema it was announced with, and its batches.
pub(crate) struct Rows {
    /// The wire schema, the same as in FlightInfo.
    pub(crate) schema: SchemaRef,
    /// The batches; dropping them stops the plan.
    pub(crate) batches: BoxStream<'static, Result<RecordBatch>>,
    /// The query's id, named in errors.
    pub(crate) query: Option<String>,
}

impl Rows {
    /// A result that is there already.
    pub(crate) fn of_batch(batch: RecordBatch) -> Self {
        let schema = batch.schema();
        Self { schema, batches: futures::stream::once(async { Ok(batch) }).boxed(), query: None }
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
    pub(crate) fn start(rows: Rows) -> Self {
        let (sender, steps) = mpsc::channel(QUEUED_MESSAGES);
        tokio::spawn(async move {
            let abandoned = sender.clone();
            tokio::select! {
                biased;
                () = abandoned.closed() => {}
                () = produce(rows, &sender) => {}
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
async fn produce(mut rows: Rows, sender: &mpsc::Sender<Step>) {
    let last = match produce_messages(&mut rows, sender).await {
        Ok(()) => Step::End,
        Err(error) => Step::Failed(match &rows.query {
            Some(query) => status(&error.context(format_args!("query {query}"))),
            None => status(&error),
        }),
    };
    // The plan's memory goes back before the client is told that the result is complete.
    drop(rows);
    let _ = sender.send(last).await;
}

async fn produce_messages(rows: &mut Rows, sender: &mpsc::Sender<Step>) -> Result<()> {
    let mut encoder = Encoder::new(SchemaRef::clone(&rows.schema))?;
    if sender.send(Step::Message(encoder.schema_message())).await.is_err() {
        return Ok(());
    }
    loop {
        let batch = match tokio::time::timeout(SIGN_OF_LIFE, rows.batches.next()).await {
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
    trailers_sent: bool,
}

impl FetchBody {
    /// The body of `fetch`.
    pub(crate) const fn new(fetch: Fetch) -> Self {
        Self { fetch, chunks: VecDeque::new(), trailers_sent: false }
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
            let end = match ready!(this.fetch.poll_message(context)) {
                Some(Ok(message)) => {
                    this.chunks = message.into_grpc_chunks();
                    continue;
                }
                Some(Err(status)) => status,
                None => Status::ok(""),
            };
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
