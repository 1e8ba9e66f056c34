//! The one message of a DoGet request, read by hand because its answer is written by hand.

use arrow_flight::Ticket;
use bytes::{Buf, BytesMut};
use http_body_util::BodyExt;
use prost::Message as _;
use tonic::Status;
use tonic::body::Body;

/// Longest ticket. SQL text may stand in it.
const MAX_TICKET: usize = 4 << 20;

/// gRPC's frame: a flag byte that says whether the message is compressed, and its length.
const GRPC_PREFIX: usize = 5;

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
    let compressed = received.get_u8() != 0;
    if compressed {
        return Err(Status::unimplemented("compressed requests are not served"));
    }
    let length = received.get_u32() as usize;
    if received.len() != length {
        return Err(Status::invalid_argument("the request is not exactly one ticket"));
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
