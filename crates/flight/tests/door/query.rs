//! Statements, prepared statements, tickets, cancelling and errors.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, Schema, TimeUnit};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionClosePreparedStatementRequest, Any, CommandPreparedStatementQuery,
    CommandStatementQuery, ProstMessageExt,
};
use arrow_flight::{Action, CancelFlightInfoRequest, FlightDescriptor, FlightInfo, IpcMessage, Ticket};
use futures::TryStreamExt;
use pintail_engine::{QueryState, WireProfile};
use pintail_identity::Principal;
use prost::Message as _;
use tonic::Code;
use tonic::transport::Channel;

use crate::server::{ADMIN, CALLS, Server, act, fetch, with_token};

/// Rows without end, for as long as a test lasts.
const ENDLESS: &str = "SELECT a.value, repeat('x', 100) FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 1000000) b";

/// Statements with rows, without rows, and with types that must not leave as they are.
const STATEMENTS: [&str; 9] = [
    "SELECT 1 AS one, 'text' AS t, NULL AS n",
    "SELECT * FROM hep_proto_1_call",
    "SELECT * FROM homer_lake.main.hep_proto_1_call WHERE session_id = 'nobody'",
    "SELECT session_id, count(*) AS n FROM hep_proto_1_call GROUP BY session_id ORDER BY session_id",
    "SELECT arrow_cast('a', 'Dictionary(Int32, Utf8)') AS d, arrow_cast('b', 'Utf8View') AS v",
    "SELECT arrow_cast('a', 'LargeUtf8') AS large, [1, 2] AS list WHERE false",
    "VALUES (1, 'a'), (2, 'b')",
    "EXPLAIN SELECT 1",
    "SHOW TABLES",
];

fn assert_wire_types(schema: &Schema) {
    for field in schema.fields() {
        let inside = match field.data_type() {
            DataType::List(item) => item.data_type(),
            other => other,
        };
        let foreign = matches!(
            inside,
            DataType::Utf8View
                | DataType::BinaryView
                | DataType::Dictionary(..)
                | DataType::LargeUtf8
                | DataType::RunEndEncoded(..)
        );
        assert!(!foreign, "{field}");
    }
}

/// Grafana reads nanoseconds only. Which listener or header a client comes with decides it.
#[tokio::test]
async fn a_listener_or_a_header_chooses_the_types_that_leave() {
    let [standard, grafana] = [
        Server::start().await,
        Server::start_changed(|options| options.profile = WireProfile::Grafana).await,
    ];
    let (micros, nanos) = (TimeUnit::Microsecond, TimeUnit::Nanosecond);
    for (server, header, expected) in [
        (&standard, None, micros),
        (&standard, Some(("database", "homer_lake")), nanos),
        (&standard, Some(("iox-namespace-name", "homer_lake")), nanos),
        (&standard, Some(("pintail-profile", "grafana")), nanos),
        (&grafana, None, nanos),
        (&grafana, Some(("pintail-profile", "standard")), micros),
    ] {
        let mut client = server.client(ADMIN).await;
        if let Some((name, value)) = header {
            client.set_header(name, value);
        }
        let info = client.execute("SELECT timestamp FROM hep_proto_1_call".into(), None).await.unwrap();
        let rows = fetch(&mut client, &info).await.unwrap();
        let schema = rows[0].schema();
        let sent = schema.field(0).data_type();
        assert!(matches!(sent, DataType::Timestamp(unit, _) if *unit == expected), "{header:?}: {sent}");
    }
}

#[tokio::test]
async fn the_order_of_rows_is_announced_where_there_is_one() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    for (sql, ordered) in [
        ("SELECT session_id FROM hep_proto_1_call ORDER BY session_id", true),
        ("SELECT session_id FROM hep_proto_1_call ORDER BY uuid DESC LIMIT 2 OFFSET 1", true),
        ("SELECT session_id, count(*) FROM hep_proto_1_call GROUP BY session_id ORDER BY 2", true),
        ("SELECT 1 AS n UNION ALL SELECT 2 ORDER BY n", true),
        ("SELECT session_id FROM hep_proto_1_call", false),
        ("SELECT * FROM (SELECT session_id FROM hep_proto_1_call ORDER BY session_id)", false),
        ("SELECT row_number() OVER (ORDER BY uuid) AS n FROM hep_proto_1_call", false),
        ("SELECT DISTINCT session_id FROM hep_proto_1_call LIMIT 2", false),
        ("SET time_zone = 'UTC'", false),
    ] {
        assert_eq!(client.execute(sql.into(), None).await.unwrap().ordered, ordered, "{sql}");
    }
    // The rows of several executions follow each other.
    let sql = "SELECT value + CAST(? AS BIGINT) AS n FROM generate_series(1, 3) ORDER BY n";
    let mut prepared = client.prepare(sql.into(), None).await.unwrap();
    for (values, ordered) in [(vec![1], true), (vec![2, 1], false)] {
        let column: ArrayRef = Arc::new(Int64Array::from(values));
        prepared.set_parameters(RecordBatch::try_from_iter([("1", column)]).unwrap()).unwrap();
        assert_eq!(prepared.execute().await.unwrap().ordered, ordered);
    }
}

#[tokio::test]
async fn all_ways_announce_the_schema_that_is_streamed() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    let mut plain = server.plain_client().await;
    for sql in STATEMENTS {
        let info = client.execute(sql.into(), None).await.unwrap();
        let announced = info.clone().try_decode_schema().unwrap();
        assert_wire_types(&announced);

        let query = CommandStatementQuery { query: sql.into(), transaction_id: None };
        let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
        let asked = plain.get_schema(with_token(descriptor.clone(), ADMIN)).await.unwrap().into_inner();
        assert_eq!(Schema::try_from(IpcMessage(asked.schema)).unwrap(), announced, "GetSchema of {sql}");
        let polled = plain.poll_flight_info(with_token(descriptor, ADMIN)).await.unwrap().into_inner();
        assert!(polled.flight_descriptor.is_none());
        assert_eq!(polled.info.unwrap().try_decode_schema().unwrap(), announced, "PollFlightInfo of {sql}");

        let mut prepared = client.prepare(sql.into(), None).await.unwrap();
        assert_eq!(*prepared.dataset_schema().unwrap(), announced, "prepare of {sql}");
        assert!(prepared.parameter_schema().unwrap().fields().is_empty());
        let prepared_info = prepared.execute().await.unwrap();
        assert_eq!(prepared_info.clone().try_decode_schema().unwrap(), announced);
        prepared.close().await.unwrap();

        // The ticket of a prepared statement outlives it: partitions are fetched later, by others.
        for info in [&info, &prepared_info] {
            let ticket = info.endpoint[0].ticket.clone().unwrap();
            let mut stream = client.do_get(ticket).await.unwrap();
            let rows: Vec<RecordBatch> = (&mut stream).try_collect().await.unwrap();
            assert_eq!(**stream.schema().unwrap(), announced, "stream of {sql}");
            for (column, field) in announced.fields().iter().enumerate() {
                let has_nulls = rows.iter().any(|batch| batch.column(column).null_count() > 0);
                assert!(field.is_nullable() || !has_nulls, "nulls in {field} of {sql}");
            }
        }
    }
}

#[tokio::test]
async fn flight_info_names_one_ticket_and_no_location() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    let sql = "SELECT 'a secret in the text' AS t";
    let info = client.execute(sql.into(), None).await.unwrap();
    assert_eq!((info.endpoint.len(), info.total_records, info.total_bytes), (1, -1, -1));
    assert!(info.endpoint[0].location.is_empty());
    let ticket = &info.endpoint[0].ticket.as_ref().unwrap().ticket;
    assert!(!ticket.windows(8).any(|window| window == b"a secret"));
    assert!(info.flight_descriptor.is_some());
}

#[tokio::test]
async fn rows_of_the_buffer_come_through_every_way() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    let mut plain = server.plain_client().await;
    let sql = "SELECT count(*) AS n FROM hep_proto_1_call";
    let count = |batches: &[RecordBatch]| batches[0].column(0).as_primitive::<Int64Type>().value(0);

    let info = client.execute(sql.into(), None).await.unwrap();
    // A ticket may be used again; each time is a query of its own.
    for _ in 0..2 {
        assert_eq!(count(&fetch(&mut client, &info).await.unwrap()), CALLS as i64);
    }
    let descriptor = with_token(FlightDescriptor::new_cmd(sql), ADMIN);
    let info = plain.get_flight_info(descriptor).await.unwrap().into_inner();
    assert_eq!(count(&fetch(&mut client, &info).await.unwrap()), CALLS as i64);
    let stream = client.do_get(Ticket::new(sql)).await.unwrap();
    assert_eq!(count(&stream.try_collect::<Vec<_>>().await.unwrap()), CALLS as i64);
}

#[tokio::test]
async fn closing_a_prepared_statement_is_idempotent() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    let prepared = client.prepare("SELECT 1".into(), None).await.unwrap();
    prepared.close().await.unwrap();
    let mut plain = server.plain_client().await;
    for handle in ["", "unknown"] {
        let request = ActionClosePreparedStatementRequest { prepared_statement_handle: handle.into() };
        let body = request.as_any().encode_to_vec().into();
        let action = Action { r#type: "ClosePreparedStatement".into(), body };
        let results = plain.do_action(with_token(action, ADMIN)).await.unwrap().into_inner();
        assert!(results.try_collect::<Vec<_>>().await.unwrap().is_empty());
    }
    let command = CommandPreparedStatementQuery { prepared_statement_handle: "unknown".into() };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    let error = plain.get_flight_info(with_token(descriptor, ADMIN)).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn a_ticket_is_worth_nothing_to_others() {
    let server = Server::start_for_readers(|_| {}).await;
    let mut anna = server.client("a").await;
    let info = anna.execute("SELECT 1".into(), None).await.unwrap();
    let mut bert = server.client("b").await;
    let error = fetch(&mut bert, &info).await.unwrap_err();
    assert!(error.to_lowercase().contains("handle"), "{error}");
    assert_eq!(cancel(&server, "b", &info).await, Err(Code::NotFound));
    fetch(&mut anna, &info).await.unwrap();
    // An admin may stop what others run.
    assert_eq!(cancel(&server, ADMIN, &info).await, Ok(()));
}

async fn cancel(server: &Server, token: &str, info: &FlightInfo) -> Result<(), Code> {
    let body = CancelFlightInfoRequest { info: Some(info.clone()) }.encode_to_vec().into();
    let action = Action { r#type: "CancelFlightInfo".into(), body };
    let mut plain = server.plain_client().await;
    let results = plain.do_action(with_token(action, token)).await.map_err(|status| status.code())?;
    let results: Vec<_> = results.into_inner().try_collect().await.map_err(|status| status.code())?;
    // CancelFlightInfoResult { status: CANCELLED }
    assert_eq!(results[0].body, &b"\x08\x01"[..]);
    Ok(())
}

/// Waits until no query of the server runs; what is left of them is their states.
async fn settled(server: &Server) -> Vec<QueryState> {
    let over = [QueryState::Finished, QueryState::Failed, QueryState::Cancelled];
    let settle = async {
        loop {
            let states: Vec<_> = server
                .engine
                .queries()
                .list(&Principal::local())
                .into_iter()
                .map(|query| query.state)
                .collect();
            if !states.is_empty() && states.iter().all(|state| over.contains(state)) {
                return states;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), settle).await.expect("a query goes on")
}

/// Starts an endless query and reads its first batch.
async fn endless(
    client: &mut FlightSqlServiceClient<Channel>,
) -> (FlightInfo, arrow_flight::decode::FlightRecordBatchStream) {
    let info = client.execute(ENDLESS.into(), None).await.unwrap();
    let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    assert!(stream.try_next().await.unwrap().unwrap().num_rows() > 0);
    (info, stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_flight_ends_with_an_error_and_stays_cancelled() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    let (info, stream) = endless(&mut client).await;
    for _ in 0..2 {
        assert_eq!(cancel(&server, ADMIN, &info).await, Ok(()));
    }
    // The deprecated action does the same; in its result, too, 1 is CANCELLED.
    let body = ActionCancelQueryRequest { info: info.encode_to_vec().into() }.as_any().encode_to_vec();
    let results = act(&mut server.plain_client().await, ADMIN, "CancelQuery", body).await.unwrap();
    assert_eq!(Any::decode(results[0].clone()).unwrap().value, &b"\x08\x01"[..]);
    let error = stream.try_for_each(|_| async { Ok(()) }).await.unwrap_err();
    assert!(error.to_string().to_lowercase().contains("cancel"), "{error}");
    assert_eq!(settled(&server).await, [QueryState::Cancelled]);
    assert!(fetch(&mut client, &info).await.unwrap_err().to_lowercase().contains("cancel"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_away_stops_the_plan() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    let (_, stream) = endless(&mut client).await;
    drop(stream);
    assert_eq!(settled(&server).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_holds_up_nobody() {
    let server = Server::start().await;
    let mut slow = server.client(ADMIN).await;
    let (_, _stream) = endless(&mut slow).await;
    let mut client = server.client(ADMIN).await;
    for _ in 0..3 {
        let info = client.execute("SELECT count(*) FROM hep_proto_1_call".into(), None).await.unwrap();
        fetch(&mut client, &info).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_results_come_in_messages_that_every_client_takes() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    // The client of arrow-flight takes 4 MiB, like gRPC's default.
    let sql = "SELECT value, repeat('x', 1000) AS t FROM generate_series(1, 20000)";
    let info = client.execute(sql.into(), None).await.unwrap();
    let rows: usize = fetch(&mut client, &info).await.unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, 20_000);

    let info = client.execute("SELECT repeat('x', 3000000) AS t".into(), None).await.unwrap();
    assert_eq!(fetch(&mut client, &info).await.unwrap()[0].num_rows(), 1);
    let info = client.execute("SELECT repeat('x', 5000000) AS t".into(), None).await.unwrap();
    let error = fetch(&mut client, &info).await.unwrap_err();
    assert!(error.contains("one row"), "{error}");
}

#[tokio::test]
async fn errors_have_their_code_and_short_words() {
    let server = Server::start().await;
    let mut plain = server.plain_client().await;
    for (sql, code) in [
        ("", Code::InvalidArgument),
        ("SELEC 1", Code::InvalidArgument),
        ("SELECT * FROM no_such_table", Code::NotFound),
        ("SELECT 1; SELECT 2", Code::InvalidArgument),
        ("COPY (SELECT 1) TO '/tmp/pintail-must-not-exist.csv'", Code::PermissionDenied),
    ] {
        let query = CommandStatementQuery { query: sql.into(), transaction_id: None };
        let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
        let error = plain.get_flight_info(with_token(descriptor, ADMIN)).await.unwrap_err();
        let refused = [Code::PermissionDenied, Code::Unimplemented];
        assert!(
            error.code() == code || (refused.contains(&code) && refused.contains(&error.code())),
            "{sql}: {error}"
        );
        assert!(error.message().len() < 4096 && !error.message().contains("DecodeError"), "{error}");
    }
    // An error that comes while rows are made ends the stream with its code and names the query.
    let sql = "SELECT 1 / (value - 5) FROM generate_series(1, 10)";
    let stream = plain.do_get(with_token(Ticket::new(sql), ADMIN)).await.unwrap().into_inner();
    let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert!(error.message().contains("(query "), "{error}");
}
