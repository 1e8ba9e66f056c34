//! Every decoder of bytes that a client may send, behind one call: for the fuzz target and for the test that throws
//! random bytes at them. Any bytes are a value or an error; nothing panics.

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedSubstraitPlanRequest,
};
use arrow_flight::{
    CancelFlightInfoRequest, FlightData, FlightDescriptor, FlightInfo, RenewFlightEndpointRequest, Ticket,
};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt, StreamExt};
use pintail_identity::Signer;
use prost::Message as _;

use crate::command::{action_body, of_descriptor, of_ticket, plain_body, select_all};
use crate::handle::{Handle, HandleKind};
use crate::incoming::Incoming;
use crate::session_messages::SetSessionOptionsRequest;
use crate::unary::ticket_of;

/// Reads `bytes` as everything that they could be.
pub fn decode(bytes: &[u8]) {
    let shared = Bytes::copy_from_slice(bytes);
    descriptor(&FlightDescriptor::new_cmd(shared.clone()));
    if let Ok(read) = FlightDescriptor::decode(shared.clone()) {
        descriptor(&read);
    }
    let _ = of_ticket(&Ticket::new(shared.clone()));
    if let Ok(ticket) = ticket_of(BytesMut::from(bytes)) {
        let _ = of_ticket(&ticket);
    }
    handles(bytes);
    let _ = action_body::<ActionCreatePreparedStatementRequest>(&shared);
    let _ = action_body::<ActionCreatePreparedSubstraitPlanRequest>(&shared);
    let _ = action_body::<ActionClosePreparedStatementRequest>(&shared);
    let _ = action_body::<ActionCancelQueryRequest>(&shared);
    let _ = plain_body::<FlightInfo>(&shared, "FlightInfo");
    let _ = plain_body::<CancelFlightInfoRequest>(&shared, "CancelFlightInfoRequest");
    let _ = plain_body::<RenewFlightEndpointRequest>(&shared, "RenewFlightEndpointRequest");
    let _ = plain_body::<SetSessionOptionsRequest>(&shared, "SetSessionOptionsRequest");
}

/// Reads `bytes` as the schema, and then as the batch, of a DoPut.
pub fn decode_data(bytes: &[u8]) {
    let middle = bytes.len() / 2;
    let (header, body) = bytes.split_at(middle);
    let message = |header: &[u8], body: &[u8]| FlightData {
        flight_descriptor: Some(FlightDescriptor::new_cmd("SELECT 1")),
        data_header: Bytes::copy_from_slice(header),
        data_body: Bytes::copy_from_slice(body),
        ..FlightData::default()
    };
    let messages = [message(bytes, &[]), message(header, body)].map(Ok);
    let read = async {
        let batches = Incoming::open(futures::stream::iter(messages)).await?.batches().await?;
        batches.batches.for_each(|_| std::future::ready(())).await;
        Ok::<(), pintail_types::Error>(())
    };
    // The messages are all there, so it never waits.
    let _ = read.now_or_never();
}

fn descriptor(descriptor: &FlightDescriptor) {
    let _ = of_descriptor(descriptor);
    let _ = select_all(&descriptor.path);
}

/// As they come, and under a seal that is right: the seal keeps out what is below, but not what we once made.
fn handles(bytes: &[u8]) {
    let signer = Signer::new([0; 32]);
    for kind in [HandleKind::Ticket, HandleKind::Prepared] {
        let _ = Handle::open(kind, bytes, &signer, 0);
        let _ = Handle::open(kind, &signer.seal(bytes), &signer, 0);
    }
}

#[cfg(test)]
mod tests {
    use arrow_flight::sql::{Any, CommandStatementIngest, CommandStatementQuery, ProstMessageExt};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Well-formed messages, to be damaged.
    fn samples() -> Vec<Vec<u8>> {
        let query = CommandStatementQuery { query: "SELECT 1".into(), transaction_id: Some("t".into()) };
        let ingest = CommandStatementIngest { table: "t".into(), ..CommandStatementIngest::default() };
        let path = FlightDescriptor::new_path(vec!["a".into(), "b".into()]);
        let close = ActionClosePreparedStatementRequest { prepared_statement_handle: "h".into() };
        let mut framed = vec![0, 0, 0, 0, 3];
        framed.extend_from_slice(b"\x0a\x01x");
        let wrapped = |any: Any| any.encode_to_vec();
        vec![
            wrapped(query.as_any()),
            wrapped(ingest.as_any()),
            wrapped(close.as_any()),
            path.encode_to_vec(),
            framed,
            crate::service::encoded_schema(&arrow::datatypes::Schema::empty()).unwrap().to_vec(),
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in vec(any::<u8>(), 0..200)) {
            decode(&bytes);
        }

        #[test]
        fn damaged_messages_are_read(
            sample in 0..samples().len(),
            damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = samples().swap_remove(sample);
            for (index, byte) in damage {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            bytes.truncate(cut.index(bytes.len() + 1));
            decode(&bytes);
        }
    }
}
