//! Batches from a client: the messages of a DoPut.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, FlightDescriptor};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use pintail_types::{Error, Result};
use tonic::body::Body;
use tonic::{Status, Streaming};

use crate::status::from_status;

/// Whether a request body came to its end. tonic takes a client that goes away for one that has sent everything
/// (a reset with CANCEL ends its stream of messages), so half an ingest would be committed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrival(Arc<AtomicBool>);

impl Arrival {
    fn is_complete(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A request body that notes its end.
#[derive(Debug)]
pub(crate) struct Watched {
    body: Body,
    arrival: Arrival,
}

impl Watched {
    /// `body`, and what tells whether all of it came.
    pub(crate) fn new(body: Body) -> (Self, Arrival) {
        let arrival = Arrival::default();
        (Self { body, arrival: arrival.clone() }, arrival)
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let is_end = match &frame {
            None => true,
            Some(Ok(frame)) => frame.is_trailers(),
            Some(Err(_)) => false,
        };
        if is_end {
            self.arrival.0.store(true, Ordering::Release);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// The messages of a DoPut. A client that goes away before its end is an error.
#[derive(Debug)]
pub(crate) struct Messages {
    stream: Streaming<FlightData>,
    arrival: Arrival,
}

impl Messages {
    pub(crate) const fn new(stream: Streaming<FlightData>, arrival: Arrival) -> Self {
        Self { stream, arrival }
    }
}

impl Stream for Messages {
    type Item = Result<FlightData>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(match ready!(Pin::new(&mut self.stream).poll_next(context)) {
            Some(message) => Some(message.map_err(|status| from_status(&status))),
            None if self.arrival.is_complete() => None,
            None => Some(Err(Error::cancelled("the client went away before the end of its data"))),
        })
    }
}

/// A DoPut whose first message was read.
pub(crate) struct Incoming {
    /// What the data is for.
    pub(crate) descriptor: FlightDescriptor,
    messages: BoxStream<'static, Result<FlightData>>,
}

/// The schema and the batches that follow it.
pub(crate) struct Batches {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: BoxStream<'static, Result<RecordBatch>>,
}

impl Incoming {
    /// Reads the first message.
    ///
    /// # Errors
    /// `Invalid` if there is none or it has no descriptor.
    pub(crate) async fn open(
        messages: impl Stream<Item = Result<FlightData>> + Send + 'static,
    ) -> Result<Self> {
        let mut messages = messages.boxed();
        let Some(first) = messages.next().await else {
            return Err(Error::invalid("nothing was sent: the first message names the command"));
        };
        let mut first = first?;
        let Some(descriptor) = first.flight_descriptor.take() else {
            return Err(Error::invalid("the first message has no descriptor"));
        };
        Ok(Self { descriptor, messages: futures::stream::iter([Ok(first)]).chain(messages).boxed() })
    }

    /// The batches as they come. The schema has no fields if the client sends none.
    ///
    /// # Errors
    /// `Invalid` if what comes first is not a schema, and those of the connection.
    pub(crate) async fn batches(self) -> Result<Batches> {
        let with_content = self.messages.filter_map(|message| async {
            // A message without header carries metadata only; the first may carry only the descriptor.
            let empty = message.as_ref().is_ok_and(|message| message.data_header.is_empty());
            (!empty).then_some(message.map_err(|error| FlightError::ExternalError(Box::new(error))))
        });
        // arrow-ipc unwraps what it does not find in some messages that are well-formed for flatbuffers.
        let decoder = AssertUnwindSafe(FlightDataDecoder::new(with_content)).catch_unwind();
        let mut decoder = decoder
            .map(|data| match data {
                Ok(data) => data.map_err(from_flight),
                Err(_) => Err(malformed("a part is missing")),
            })
            .boxed();
        let schema = loop {
            match decoder.next().await.transpose()? {
                None => break Arc::new(Schema::empty()),
                Some(data) => match data.payload {
                    DecodedPayload::Schema(schema) => break schema,
                    DecodedPayload::None => {}
                    DecodedPayload::RecordBatch(_) => {
                        return Err(Error::invalid("a batch came before its schema"));
                    }
                },
            }
        };
        let batches = decoder.filter_map(|data| async {
            match data {
                Ok(data) => match data.payload {
                    DecodedPayload::RecordBatch(batch) => Some(Ok(batch)),
                    DecodedPayload::None => None,
                    DecodedPayload::Schema(_) => {
                        Some(Err(Error::invalid("the schema was sent a second time")))
                    }
                },
                Err(error) => Some(Err(error)),
            }
        });
        Ok(Batches { schema, batches: batches.boxed() })
    }

    /// All rows in one batch, and the bytes they came in; `None` if the client sent no columns.
    ///
    /// # Errors
    /// As [`Self::batches`]; `Exhausted` if they take more than `limit` bytes.
    pub(crate) async fn rows(self, limit: usize) -> Result<Option<(RecordBatch, usize)>> {
        let received = Arc::new(parking_lot::Mutex::new(0_usize));
        let counted = Arc::clone(&received);
        let messages = self.messages.map(move |message| {
            let message = message?;
            let mut received = counted.lock();
            *received += message.data_header.len() + message.data_body.len();
            if *received > limit {
                return Err(Error::exhausted(format!(
                    "the parameters take more than {limit} bytes: bind fewer rows at a time, or ingest them"
                )));
            }
            Ok(message)
        });
        let incoming = Self { descriptor: self.descriptor, messages: messages.boxed() };
        let Batches { schema, mut batches } = incoming.batches().await?;
        let mut all = Vec::new();
        while let Some(batch) = batches.next().await {
            all.push(batch?);
        }
        if schema.fields().is_empty() {
            return Ok(None);
        }
        let rows = concat_batches(&schema, &all)
            .map_err(|error| Error::invalid("the batches do not fit together").with_source(error))?;
        let bytes = *received.lock();
        Ok(Some((rows, bytes)))
    }
}

fn from_flight(error: FlightError) -> Error {
    match error {
        FlightError::Tonic(status) => from_status(&status),
        FlightError::ExternalError(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::internal("the data cannot be read").with_source(other),
        },
        other => {
            let text = other.to_string();
            malformed(text.lines().next().unwrap_or_default())
        }
    }
}

fn malformed(why: &str) -> Error {
    Error::invalid(format!("the data is not well-formed Arrow IPC: {why}"))
}

impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("descriptor", &self.descriptor).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;
    use pintail_types::ErrorKind;
    use prost::Message as _;
    use tonic::codec::Codec as _;
    use tonic_prost::ProstCodec;

    use super::*;

    /// A DoPut of one message whose body ends as `end` says.
    fn put(end: Option<Status>) -> Messages {
        let message =
            FlightData::new().with_descriptor(FlightDescriptor::new_cmd("SELECT 1")).encode_to_vec();
        let mut framed = vec![0];
        framed.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        framed.extend_from_slice(&message);
        let frames = [Ok(http_body::Frame::data(Bytes::from(framed)))].into_iter().chain(end.map(Err));
        let (body, arrival) = Watched::new(Body::new(StreamBody::new(futures::stream::iter(frames))));
        let decoder = ProstCodec::<FlightData, FlightData>::default().decoder();
        Messages::new(Streaming::new_request(decoder, Body::new(body), None, None), arrival)
    }

    /// A message that says that it is a schema and has none, and other bytes.
    #[tokio::test]
    async fn data_that_is_no_ipc_is_refused() {
        let no_schema =
            [16, 0, 0, 0, 0, 0, 10, 0, 12, 0, 6, 0, 5, 0, 8, 0, 10, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0];
        for header in [&no_schema[..], b"no flatbuffer"] {
            let message = FlightData::new()
                .with_descriptor(FlightDescriptor::new_cmd("SELECT 1"))
                .with_data_header(Bytes::copy_from_slice(header));
            let incoming = Incoming::open(futures::stream::iter([Ok(message)])).await.unwrap();
            let error = incoming.batches().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        }
    }

    #[tokio::test]
    async fn data_that_breaks_off_is_not_at_its_end() {
        for end in [None, Some(Status::cancelled("reset")), Some(Status::internal("broken"))] {
            let breaks_off = end.is_some();
            let items: Vec<Result<FlightData>> = put(end).take(2).collect().await;
            assert!(items[0].is_ok());
            let kinds: Vec<_> = items[1..].iter().map(|item| item.as_ref().unwrap_err().kind()).collect();
            assert_eq!(kinds, if breaks_off { vec![ErrorKind::Cancelled] } else { vec![] });
        }
    }
}
