//! Actions that are neither prepared statements nor sessions: transactions, renewing, what is not known.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow_flight::error::FlightError;
use arrow_flight::sql::{
    ActionBeginSavepointRequest, ActionBeginTransactionRequest, ActionEndTransactionRequest,
    CommandStatementIngest, CommandStatementQuery, ProstMessageExt,
};
use arrow_flight::{
    CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor, FlightEndpoint,
    RenewFlightEndpointRequest, Ticket,
};
use prost::Message as _;
use tonic::Code;

use crate::server::{ADMIN, Server, act, fetch, with_token};

#[tokio::test]
async fn transactions_are_refused_in_plain_words() {
    let server = Server::start().await;
    let mut plain = server.plain_client().await;
    let end = ActionEndTransactionRequest { transaction_id: "t".into(), action: 1 };
    for (name, body, code) in [
        ("BeginTransaction", ActionBeginTransactionRequest {}.as_any().encode_to_vec(), Code::Unimplemented),
        (
            "BeginSavepoint",
            ActionBeginSavepointRequest { transaction_id: "t".into(), name: "s".into() }
                .as_any()
                .encode_to_vec(),
            Code::Unimplemented,
        ),
        ("EndTransaction", end.as_any().encode_to_vec(), Code::NotFound),
        ("EndSavepoint", Vec::new(), Code::NotFound),
        ("NoSuchAction", Vec::new(), Code::Unimplemented),
        ("CreatePreparedSubstraitPlan", Vec::new(), Code::InvalidArgument),
    ] {
        let error = act(&mut plain, ADMIN, name, body).await.unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!(!error.message().is_empty());
    }
    let query = CommandStatementQuery { query: "SELECT 1".into(), transaction_id: Some("t".into()) };
    let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
    let error = plain.get_flight_info(with_token(descriptor, ADMIN)).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("transaction"), "{error}");
}

/// No transaction was ever begun, so what names one is refused before it does anything.
#[tokio::test]
async fn nothing_runs_in_a_transaction_that_is_not_known() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    client.execute_update("CREATE TABLE t (n BIGINT)".into(), None).await.unwrap();
    let id = || Some(bytes::Bytes::from_static(b"t"));
    let rows = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let ingest = CommandStatementIngest {
        table: "t".into(),
        transaction_id: id(),
        ..CommandStatementIngest::default()
    };
    let outcomes = [
        ("update", client.execute_update("INSERT INTO t VALUES (1)".into(), id()).await.err()),
        ("prepare", client.prepare("SELECT 1".into(), id()).await.err()),
        ("ingest", client.execute_ingest(ingest, futures::stream::iter([Ok(rows)])).await.err()),
    ];
    for (what, outcome) in outcomes {
        let error = outcome.expect(what);
        let FlightError::Tonic(status) = &error else { panic!("{what}: {error}") };
        assert_eq!(status.code(), Code::NotFound, "{what}: {status}");
        assert!(status.message().contains("transaction"), "{what}: {status}");
    }
    let info = client.execute("SELECT n FROM t".into(), None).await.unwrap();
    assert!(fetch(&mut client, &info).await.unwrap().iter().all(|batch| batch.num_rows() == 0));
}

#[tokio::test]
async fn an_endpoint_is_renewed_as_long_as_its_ticket_lives() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    let info = client.execute("SELECT 1".into(), None).await.unwrap();
    let endpoint = info.endpoint[0].clone();
    let expires = endpoint.expiration_time.unwrap();
    let mut plain = server.plain_client().await;
    let renew =
        |endpoint: FlightEndpoint| RenewFlightEndpointRequest { endpoint: Some(endpoint) }.encode_to_vec();
    let renewed = act(&mut plain, ADMIN, "RenewFlightEndpoint", renew(endpoint.clone())).await.unwrap();
    let renewed = FlightEndpoint::decode(renewed[0].clone()).unwrap();
    assert_eq!(renewed.ticket, endpoint.ticket);
    let later = renewed.expiration_time.unwrap();
    assert!((later.seconds, later.nanos) >= (expires.seconds, expires.nanos));
    // One byte of the handle is not ours any more.
    let mut forged = endpoint.ticket.unwrap().ticket.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = FlightEndpoint::new().with_ticket(Ticket::new(forged));
    let error = act(&mut plain, ADMIN, "RenewFlightEndpoint", renew(forged)).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn a_query_can_be_cancelled_and_an_update_that_ran_can_not() {
    let server = Server::start().await;
    let mut plain = server.plain_client().await;
    for (sql, expected) in [
        ("SELECT 1", CancelStatus::Cancelled),
        ("CREATE TABLE made (v INTEGER)", CancelStatus::NotCancellable),
        ("INSERT INTO made VALUES (1)", CancelStatus::NotCancellable),
    ] {
        let query = CommandStatementQuery { query: sql.into(), transaction_id: None };
        let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
        let info = plain.get_flight_info(with_token(descriptor, ADMIN)).await.unwrap().into_inner();
        let request = CancelFlightInfoRequest { info: Some(info) }.encode_to_vec();
        let results = act(&mut plain, ADMIN, "CancelFlightInfo", request).await.unwrap();
        let result = CancelFlightInfoResult::decode(results[0].clone()).unwrap();
        assert_eq!(result.status(), expected, "{sql}");
    }
}
