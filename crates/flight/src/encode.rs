//! Arrow batches to Flight messages, without copying the columns.
//!
//! arrow-ipc's [`StreamEncoder`] gives an IPC stream as buffers that share the arrays' memory. A Flight
//! message is one IPC message with its metadata and its body in two protobuf fields, so the buffers are
//! only put in another frame here. The bytes of a column are read for the first time by the socket.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamEncoder;
use arrow_flight::FlightData;
use bytes::{BufMut, Bytes, BytesMut};
use pintail_types::{Error, Result};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

use crate::pieces::Pieces;

/// A message is split into row ranges of about this many bytes.
pub(crate) const TARGET_BYTES: usize = 2 << 20;

/// What a range is aimed at when a batch is split, so that rows of uneven length seldom need a second split.
const SPLIT_BYTES: usize = TARGET_BYTES / 8 * 7;

/// No message is longer: gRPC clients refuse more than 4 MiB unless told otherwise. What is left is for the
/// frame and the column table of very wide schemas.
pub(crate) const MAX_BYTES: usize = (4 << 20) - (64 << 10);

/// Shorter buffers are copied together: one system call takes only so many pieces.
const COPY_BELOW: usize = 16 << 10;

/// gRPC's frame before each message: a flag byte that says whether it is compressed, and its length.
pub(crate) const GRPC_PREFIX: usize = 5;

/// Bytes before the metadata of an IPC stream message: the continuation mark and the metadata's length.
const IPC_PREFIX: usize = 8;

/// `FlightData.data_header`, field 2 of Flight.proto.
const DATA_HEADER: u32 = 2;

/// `FlightData.data_body`, field 1000 of Flight.proto, the last on the wire so that it can be sent as it is.
const DATA_BODY: u32 = 1000;

/// One IPC message: its flatbuffer and the buffers of its body, in order, padding included.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    header: Buffer,
    body: Vec<Buffer>,
    body_length: usize,
}

impl Message {
    /// Bytes of the flatbuffer and the body.
    pub(crate) fn length(&self) -> usize {
        self.header.len() + self.body_length
    }

    /// The message as one protobuf struct, with its body in one piece: one copy.
    pub(crate) fn into_flight_data(self) -> FlightData {
        let mut body = BytesMut::with_capacity(self.body_length);
        self.body.iter().for_each(|buffer| body.extend_from_slice(buffer));
        FlightData {
            flight_descriptor: None,
            data_header: shared(self.header),
            app_metadata: Bytes::new(),
            data_body: body.freeze(),
        }
    }

    /// The message as it goes over gRPC: flag byte, length, and the `FlightData` with its fields by hand, so
    /// that the body's buffers follow as they are.
    pub(crate) fn into_grpc_pieces(self) -> Pieces {
        let header_length = self.header.len();
        let mut message_length = bytes_field_length(DATA_HEADER, header_length);
        if self.body_length > 0 {
            message_length += bytes_field_length(DATA_BODY, self.body_length);
        }
        let is_short = |buffer: &Buffer| buffer.len() < COPY_BELOW;
        let short: usize = self.body.iter().filter(|buffer| is_short(buffer)).map(Buffer::len).sum();
        let mut small = BytesMut::with_capacity(header_length + 32 + short);
        small.put_u8(0);
        small.put_u32(u32::try_from(message_length).unwrap_or(u32::MAX));
        put_bytes_key(DATA_HEADER, header_length, &mut small);
        small.extend_from_slice(&self.header);
        if self.body_length > 0 {
            put_bytes_key(DATA_BODY, self.body_length, &mut small);
        }
        let mut pieces = Pieces::with_capacity(self.body.len() + 1);
        for buffer in self.body {
            if is_short(&buffer) {
                small.extend_from_slice(&buffer);
                continue;
            }
            pieces.push(small.split().freeze());
            pieces.push(shared(buffer));
        }
        pieces.push(small.freeze());
        pieces
    }
}

/// Makes the messages of one stream: the schema first, then batches in pieces of [`TARGET_BYTES`].
pub(crate) struct Encoder {
    stream: StreamEncoder,
    schema: SchemaRef,
    schema_message: Message,
    empty_message: Message,
    /// What is still to be encoded of the batch loaded last; the next piece is at the end.
    pieces: Vec<RecordBatch>,
}

impl Encoder {
    /// An encoder of batches of `schema`, which must be free of dictionaries.
    pub(crate) fn new(schema: SchemaRef) -> Result<Self> {
        let mut stream = StreamEncoder::try_new(&schema).map_err(not_encodable)?;
        let buffers =
            stream.encode(&RecordBatch::new_empty(SchemaRef::clone(&schema))).map_err(not_encodable)?;
        let mut messages = split_messages(buffers)?;
        let (Some(empty_message), Some(schema_message), None) =
            (messages.pop(), messages.pop(), messages.pop())
        else {
            return Err(Error::internal("the result schema holds dictionaries, which never leave this door"));
        };
        Ok(Self { stream, schema, schema_message, empty_message, pieces: Vec::new() })
    }

    /// The message every stream starts with, also when no rows follow.
    pub(crate) fn schema_message(&self) -> Message {
        self.schema_message.clone()
    }

    /// A batch of zero rows: a sign of life for proxies that look at the stream, not at PING frames.
    pub(crate) fn empty_message(&self) -> Message {
        self.empty_message.clone()
    }

    /// Takes the next batch; its messages come from [`Self::next_message`].
    ///
    /// # Errors
    ///
    /// `Internal` if the batch has other types than the schema that was announced.
    pub(crate) fn load(&mut self, batch: RecordBatch) -> Result<()> {
        debug_assert!(self.pieces.is_empty(), "a batch was loaded before the one before it was sent");
        check_types(&self.schema, &batch.schema())?;
        if batch.num_rows() > 0 {
            self.pieces.push(batch);
        }
        Ok(())
    }

    /// The next message of the loaded batch.
    ///
    /// # Errors
    ///
    /// `Exhausted` if one row alone is too long for any message.
    pub(crate) fn next_message(&mut self) -> Option<Result<Message>> {
        while let Some(piece) = self.pieces.pop() {
            let message = match self.encode(&piece) {
                Ok(message) => message,
                Err(error) => return Some(Err(error)),
            };
            if message.length() <= TARGET_BYTES || (piece.num_rows() == 1 && message.length() <= MAX_BYTES) {
                return Some(Ok(message));
            }
            if piece.num_rows() == 1 {
                return Some(Err(Error::exhausted(format!(
                    "one row takes {} bytes and a message at most {MAX_BYTES}: select fewer or shorter columns",
                    message.length()
                ))));
            }
            self.split(&piece, message.length());
        }
        None
    }

    fn encode(&mut self, batch: &RecordBatch) -> Result<Message> {
        let buffers = self.stream.encode(batch).map_err(not_encodable)?;
        let mut messages = split_messages(buffers)?;
        match (messages.pop(), messages.pop()) {
            (Some(message), None) => Ok(message),
            _ => Err(Error::internal("a batch was encoded as more than one message")),
        }
    }

    /// Puts the row ranges of a piece that is too long in its place. The encoded length is the true one, so
    /// slices of large batches are measured by what they hold; ranges that are still too long because the
    /// rows differ in length are split again.
    fn split(&mut self, piece: &RecordBatch, length: usize) {
        let rows = piece.num_rows();
        let per_message = rows / length.div_ceil(SPLIT_BYTES);
        // Ranges of whole bytes of validity bits need no shifting.
        let per_message = if per_message >= 64 { per_message & !7 } else { per_message.max(1) };
        let starts = (0..rows).step_by(per_message).collect::<Vec<_>>();
        self.pieces
            .extend(starts.into_iter().rev().map(|start| piece.slice(start, per_message.min(rows - start))));
    }
}

/// Cuts an encoded IPC stream into its messages. A message is [`IPC_PREFIX`] bytes that end with the length of
/// the metadata, the metadata, padding up to that length, and its body; only the last one has a body, because
/// schema messages have none and dictionaries do not occur.
fn split_messages(buffers: Vec<Buffer>) -> Result<Vec<Message>> {
    let malformed = || Error::internal("the IPC encoder gave an unknown form of message");
    let mut messages: Vec<Message> = Vec::with_capacity(2);
    let mut buffers = buffers.into_iter().peekable();
    while let Some(prefix) = buffers.next() {
        let length: [u8; 4] =
            prefix.get(4..IPC_PREFIX).and_then(|bytes| bytes.try_into().ok()).ok_or_else(malformed)?;
        let padded = usize::try_from(i32::from_le_bytes(length)).map_err(|_| malformed())?;
        let header = buffers.next().ok_or_else(malformed)?;
        let mut seen = header.len();
        while seen < padded {
            seen += buffers.next().ok_or_else(malformed)?.len();
        }
        let is_record_batch = arrow::ipc::root_as_message(&header).map_err(|_| malformed())?.header_type()
            == arrow::ipc::MessageHeader::RecordBatch;
        let body = if is_record_batch { buffers.by_ref().collect::<Vec<_>>() } else { Vec::new() };
        let body_length = body.iter().map(Buffer::len).sum();
        messages.push(Message { header, body, body_length });
    }
    Ok(messages)
}

/// The batches of a stream must be what its schema says: a client reads the bytes by the schema alone.
fn check_types(announced: &Schema, given: &Schema) -> Result<()> {
    if announced.fields().len() != given.fields().len() {
        return Err(Error::internal(format!(
            "the result has {} columns and {} were announced",
            given.fields().len(),
            announced.fields().len()
        )));
    }
    for (announced, given) in announced.fields().iter().zip(given.fields()) {
        if !same_layout(announced.data_type(), given.data_type()) {
            return Err(Error::internal(format!(
                "column '{}' is {} and was announced as {}",
                announced.name(),
                given.data_type(),
                announced.data_type()
            )));
        }
    }
    Ok(())
}

fn same_layout(announced: &DataType, given: &DataType) -> bool {
    announced == given || announced.equals_datatype(given)
}

fn not_encodable(error: ArrowError) -> Error {
    Error::internal("the result cannot be encoded").with_source(error)
}

/// The buffer as bytes that share its memory.
fn shared(buffer: Buffer) -> Bytes {
    struct Owner(Buffer);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Owner(buffer))
}

fn put_bytes_key(field: u32, length: usize, out: &mut BytesMut) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

fn bytes_field_length(field: u32, length: usize) -> usize {
    prost::encoding::key_len(field) + encoded_len_varint(length as u64) + length
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("schema", &self.schema).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
