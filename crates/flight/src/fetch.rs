//! One result on its way out: the plan's batches become messages when the connection asks for them.
//!
//! A reader that stops reading therefore stops the plan, and a reader that goes away drops the result and with it
//! the plan.

use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use http_body::Frame;
use pintail_types::{QueryId, Result};
use tokio::task::{JoinHandle, spawn_blocking};
use tonic::Status;
use tonic::codegen::http::HeaderMap;

use crate::deadline::Deadline;
use crate::encode::{Encoder, Message};
use crate::gate::Pass;
use crate::gzip;
use crate::pieces::Pieces;
use crate::status::status;

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

/// A running result, as a stream of messages. Dropping it stops the plan.
pub(crate) struct Fetch {
    messages: BoxStream<'static, Result<Message, Status>>,
}

impl Fetch {
    /// The messages of `rows`.
    pub(crate) fn new(rows: Rows, patience: Patience) -> Self {
        let production = Production { rows, encoder: None, patience };
        let messages = futures::stream::unfold(Some(production), |production| async move {
            let mut production = production?;
            // What breaks in a plan ends this result with an error, and no other of its connection.
            let message = AssertUnwindSafe(production.next()).catch_unwind().await;
            match message.unwrap_or_else(|_| Err(Status::internal("the query broke off"))) {
                Ok(Some(message)) => Some((Ok(message), Some(production))),
                // The plan's memory goes back before the client is told that the result is complete.
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        });
        Self { messages: messages.boxed() }
    }
}

impl std::fmt::Debug for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch").finish_non_exhaustive()
    }
}

impl Stream for Fetch {
    type Item = Result<FlightData, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = ready!(self.get_mut().messages.poll_next_unpin(context));
        Poll::Ready(message.map(|message| message.map(Message::into_flight_data)))
    }
}

/// What makes the messages of a result, in their order: the schema, then the rows.
struct Production {
    rows: Rows,
    /// None before the schema.
    encoder: Option<Encoder>,
    patience: Patience,
}

impl Production {
    /// The next message, or the end.
    async fn next(&mut self) -> Result<Option<Message>, Status> {
        let query = self.rows.query;
        let next = self.patience.deadline.limit(self.next_message()).await.flatten();
        next.map_err(|error| match query {
            Some(query) => status(&error.of_query(query)),
            None => status(&error),
        })
    }

    async fn next_message(&mut self) -> Result<Option<Message>> {
        let Some(encoder) = &mut self.encoder else {
            let encoder = Encoder::new(SchemaRef::clone(&self.rows.schema))?;
            return Ok(Some(self.encoder.insert(encoder).schema_message()));
        };
        loop {
            if let Some(message) = encoder.next_message() {
                return message.map(Some);
            }
            match tokio::time::timeout(self.patience.sign_of_life, self.rows.batches.next()).await {
                Ok(Some(batch)) => encoder.load(batch?)?,
                Ok(None) => return Ok(None),
                Err(_) => return Ok(Some(encoder.empty_message())),
            }
        }
    }
}

/// The body of a DoGet answer: the messages of a [`Fetch`] in gRPC frames, and the status as trailers.
#[derive(Debug)]
pub(crate) struct FetchBody {
    fetch: Fetch,
    is_compressed: bool,
    /// The message that is being compressed.
    compressing: Option<JoinHandle<io::Result<Pieces>>>,
    trailers_sent: bool,
    _pass: Pass,
}

impl FetchBody {
    /// The body of `fetch`, with its messages in gzip or in clear.
    pub(crate) const fn new(fetch: Fetch, is_compressed: bool, pass: Pass) -> Self {
        Self { fetch, is_compressed, compressing: None, trailers_sent: false, _pass: pass }
    }

    /// The next message, or what the result ended with.
    fn poll_pieces(&mut self, context: &mut Context<'_>) -> Poll<Result<Pieces, Status>> {
        loop {
            if let Some(compressing) = &mut self.compressing {
                let compressed = ready!(Pin::new(compressing).poll(context));
                self.compressing = None;
                let failed = |_| Status::internal("the result could not be compressed");
                return Poll::Ready(compressed.map_err(io::Error::other).flatten().map_err(failed));
            }
            let message = match ready!(self.fetch.messages.poll_next_unpin(context)) {
                Some(Ok(message)) => message,
                Some(Err(status)) => return Poll::Ready(Err(status)),
                None => return Poll::Ready(Err(Status::ok(""))),
            };
            if !self.is_compressed {
                return Poll::Ready(Ok(message.into_grpc_pieces()));
            }
            self.compressing = Some(spawn_blocking(|| gzip::grpc_message(message).map(Pieces::from)));
        }
    }
}

impl http_body::Body for FetchBody {
    type Data = Pieces;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Pieces>, Status>>> {
        let this = self.get_mut();
        if this.trailers_sent {
            return Poll::Ready(None);
        }
        let end = match ready!(this.poll_pieces(context)) {
            Ok(pieces) => return Poll::Ready(Some(Ok(Frame::data(pieces)))),
            Err(end) => end,
        };
        this.trailers_sent = true;
        let mut trailers = HeaderMap::new();
        end.add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
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
        let mut fetch = Fetch::new(rows(futures::stream::pending()), impatient);
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
        let mut fetch = Fetch::new(rows(endless), PATIENT);
        fetch.next().await.unwrap().unwrap();
        drop(fetch);
        dropped.await.unwrap();
    }

    #[tokio::test]
    async fn an_error_ends_the_result_and_names_the_query() {
        let failing = futures::stream::iter([Ok(batch()), Err(Error::exhausted("no memory left"))]);
        let query = QueryId::new();
        let fetch = Fetch::new(Rows { query: Some(query), ..rows(failing) }, PATIENT);
        let items: Vec<_> = fetch.collect().await;
        assert_eq!(items.len(), 3);
        let status = items[2].as_ref().unwrap_err();
        let message = format!("no memory left (query {query})");
        assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, message.as_str()));
    }

    #[tokio::test]
    async fn a_result_ends_at_the_deadline_of_its_client() {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", "20m".parse().unwrap());
        let patience = Patience { deadline: Deadline::of(&headers), ..PATIENT };
        let items: Vec<_> = Fetch::new(rows(futures::stream::pending()), patience).collect().await;
        // The schema and the error.
        assert_eq!(items.len(), 2);
        assert_eq!(items[1].as_ref().unwrap_err().code(), Code::DeadlineExceeded);
    }

    #[tokio::test]
    async fn a_result_that_breaks_off_is_not_complete() {
        let broken = futures::stream::once(async { panic!("a defect in a plan") });
        let items: Vec<_> = Fetch::new(rows(broken), PATIENT).collect().await;
        assert_eq!(items.last().unwrap().as_ref().unwrap_err().code(), Code::Internal);
    }
}
