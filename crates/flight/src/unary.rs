//! The one message of a DoGet request, read by hand because its answer is written by hand.

use arrow_flight::Ticket;
use bytes::{Buf, BytesMut};
use http_body_util::BodyExt;
use prost::Message as _;
use tonic::Status;
use tonic::body::Body;

use crate::encode::GRPC_PREFIX;
use crate::gzip;

/// Longest ticket. SQL text may stand in it.
const MAX_TICKET: usize = 4 << 20;

/// Reads the ticket.
///
/// # Errors
/// `InvalidArgument` if the body is anything but one ticket.
pub(crate) async fn read_ticket(body: Body) -> Result<Ticket, Status> {
    ticket_of(collect(body).await?)
}

/// The ticket in the bytes of a request.
///
/// # Errors
/// As [`read_ticket`].
pub(crate) fn ticket_of(mut received: BytesMut) -> Result<Ticket, Status> {
    if received.len() < GRPC_PREFIX {
        return Err(Status::invalid_argument("the request has no ticket"));
    }
    let is_compressed = received.get_u8() != 0;
    let length = received.get_u32() as usize;
    if received.len() != length {
        return Err(Status::invalid_argument("the request is not exactly one ticket"));
    }
    if is_compressed {
        received = gzip::decompressed(&received, MAX_TICKET).ok_or_else(|| {
            Status::invalid_argument(format!("the ticket is not gzip of at most {MAX_TICKET} bytes"))
        })?;
    }
    Ticket::decode(received).map_err(|_| Status::invalid_argument("the request is not a well-formed ticket"))
}

async fn collect(mut body: Body) -> Result<BytesMut, Status> {
    let mut received = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if received.len() + data.len() > MAX_TICKET + GRPC_PREFIX {
            return Err(Status::resource_exhausted(format!("a ticket has at most {MAX_TICKET} bytes")));
        }
        received.extend_from_slice(&data);
    }
    Ok(received)
}
