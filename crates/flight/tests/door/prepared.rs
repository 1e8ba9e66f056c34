//! Prepared statements: parameters, binding, handles.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, Time32MillisecondArray, Time64MicrosecondArray,
    Time64NanosecondArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampNanosecondArray,
    TimestampSecondArray,
};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, Any, CommandPreparedStatementQuery, ProstMessageExt,
};
use arrow_flight::{FlightDescriptor, Ticket};
use prost::Message as _;
use tonic::Code;

use crate::server::{ADMIN, CALLS, Server, act, fetch, with_token};

fn numbers(values: &[i64]) -> RecordBatch {
    RecordBatch::try_from_iter([("1", Arc::new(Int64Array::from(values.to_vec())) as ArrayRef)]).unwrap()
}

fn integers(batches: &[RecordBatch]) -> Vec<i64> {
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

#[tokio::test]
async fn rows_of_parameters_are_bound_and_stay_bound() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    let mut prepared = client.prepare("SELECT CAST(? AS BIGINT) * 2 AS n".into(), None).await.unwrap();
    assert_eq!(prepared.parameter_schema().unwrap().fields().len(), 1);
    let error = prepared.execute().await.unwrap_err().to_string();
    assert!(error.contains("1 parameters"), "{error}");
    for values in [&[1][..], &[1, 2, 3], &[]] {
        prepared.set_parameters(numbers(values)).unwrap();
        let doubled: Vec<i64> = values.iter().map(|value| value * 2).collect();
        for _ in 0..2 {
            let info = prepared.execute().await.unwrap();
            assert_eq!(integers(&fetch(&mut client, &info).await.unwrap()), doubled);
        }
    }
    // A ticket keeps what was bound when it was made.
    prepared.set_parameters(numbers(&[5])).unwrap();
    let earlier = prepared.execute().await.unwrap();
    prepared.set_parameters(numbers(&[6])).unwrap();
    prepared.execute().await.unwrap();
    assert_eq!(integers(&fetch(&mut client, &earlier).await.unwrap()), [10]);
}

/// JDBC's driver writes milliseconds whatever unit is announced; all others bind what they have.
#[tokio::test]
async fn times_are_announced_in_milliseconds_and_taken_in_every_unit() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    let milliseconds = DataType::Timestamp(TimeUnit::Millisecond, None);
    let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let moments: [(&str, DataType, &str, &[ArrayRef]); 3] = [
        (
            "TIMESTAMP",
            milliseconds,
            "1970-01-01T00:30:00",
            &[
                Arc::new(TimestampSecondArray::from(vec![1800])),
                Arc::new(TimestampMillisecondArray::from(vec![1_800_000])),
                Arc::new(TimestampMicrosecondArray::from(vec![1_800_000_000])),
                Arc::new(TimestampNanosecondArray::from(vec![1_800_000_000_000])),
            ],
        ),
        (
            "TIMESTAMP WITH TIME ZONE",
            utc,
            "1970-01-01T00:30:00Z",
            &[
                Arc::new(TimestampMillisecondArray::from(vec![1_800_000]).with_timezone("UTC")),
                Arc::new(TimestampMicrosecondArray::from(vec![1_800_000_000]).with_timezone("UTC")),
            ],
        ),
        (
            "TIME",
            DataType::Time32(TimeUnit::Millisecond),
            "00:30:00",
            &[
                Arc::new(Time32MillisecondArray::from(vec![1_800_000])),
                Arc::new(Time64MicrosecondArray::from(vec![1_800_000_000])),
                Arc::new(Time64NanosecondArray::from(vec![1_800_000_000_000])),
            ],
        ),
    ];
    // The zone of types that have one.
    client.execute_update("SET time_zone = 'UTC'".into(), None).await.unwrap();
    for (declared, announced, text, columns) in moments {
        let sql = format!("SELECT CAST(CAST(? AS {declared}) AS VARCHAR) AS text");
        let mut prepared = client.prepare(sql, None).await.unwrap();
        assert_eq!(*prepared.parameter_schema().unwrap().field(0).data_type(), announced);
        for column in columns {
            let row = RecordBatch::try_from_iter([("1", Arc::clone(column))]).unwrap();
            prepared.set_parameters(row).unwrap();
            let rows = fetch(&mut client, &prepared.execute().await.unwrap()).await.unwrap();
            assert_eq!(rows[0].column(0).as_string::<i32>().value(0), text, "{declared} of {column:?}");
        }
    }
    // What is finer than the table keeps is not cut off in silence.
    let compare = "SELECT count(*) FROM hep_proto_1_call WHERE timestamp = ?";
    let mut prepared = client.prepare(compare.into(), None).await.unwrap();
    for (nanoseconds, found) in [(1_700_000_000_000_000_000, Some(CALLS)), (1_700_000_000_000_000_001, None)]
    {
        let column = Arc::new(TimestampNanosecondArray::from(vec![nanoseconds])) as ArrayRef;
        prepared.set_parameters(RecordBatch::try_from_iter([("1", column)]).unwrap()).unwrap();
        let rows = async { fetch(&mut client, &prepared.execute().await.map_err(|e| e.to_string())?).await };
        match (rows.await, found) {
            (Ok(rows), Some(found)) => assert_eq!(integers(&rows), [found as i64]),
            (Err(error), None) => assert!(error.contains("would change"), "{error}"),
            (other, _) => panic!("{nanoseconds}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn parameters_that_do_not_fit_are_refused() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    let mut prepared = client.prepare("SELECT 1 AS n".into(), None).await.unwrap();
    prepared.set_parameters(numbers(&[1])).unwrap();
    let error = prepared.execute().await.unwrap_err().to_string();
    assert!(error.contains("0 parameters and 1 columns"), "{error}");

    let mut prepared = client.prepare("SELECT CAST($1 AS BIGINT) AS n".into(), None).await.unwrap();
    let long = Arc::new(StringArray::from(vec!["x".repeat(3 << 20); 11])) as ArrayRef;
    prepared.set_parameters(RecordBatch::try_from_iter([("1", long)]).unwrap()).unwrap();
    let error = prepared.execute().await.unwrap_err().to_string();
    assert!(error.contains("bind fewer rows"), "{error}");
    // A statement that is not prepared has nobody to bind its values.
    let error = client.execute("SELECT ? AS n".into(), None).await.unwrap_err().to_string();
    assert!(error.contains("prepare it"), "{error}");
}

#[tokio::test]
async fn messages_to_the_server_may_be_long() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    let mut prepared = client.prepare("SELECT length(CAST(? AS VARCHAR)) AS n".into(), None).await.unwrap();
    // One row is one message.
    let long = Arc::new(StringArray::from(vec!["x".repeat(17 << 20)])) as ArrayRef;
    prepared.set_parameters(RecordBatch::try_from_iter([("1", long)]).unwrap()).unwrap();
    let info = prepared.execute().await.unwrap();
    let rows = fetch(&mut client, &info).await.unwrap();
    assert_eq!(rows[0].column(0).as_primitive::<Int64Type>().value(0), 17 << 20);
}

/// The answer to CreatePreparedStatement, and its `is_update`.
pub(crate) async fn prepare(
    server: &Server,
    token: &str,
    query: &str,
) -> (ActionCreatePreparedStatementResult, bool) {
    let request = ActionCreatePreparedStatementRequest { query: query.into(), transaction_id: None };
    let mut plain = server.plain_client().await;
    let body = request.as_any().encode_to_vec();
    let results = act(&mut plain, token, "CreatePreparedStatement", body).await.unwrap();
    let value = Any::decode(results[0].clone()).unwrap().value;
    let is_update = value.ends_with(&[0x20, 1]);
    assert!(is_update || value.ends_with(&[0x20, 0]));
    (ActionCreatePreparedStatementResult::decode(value).unwrap(), is_update)
}

#[tokio::test]
async fn a_handle_is_good_on_every_connection_of_its_owner_until_it_is_closed() {
    let server = Server::start_for_readers(|_| {}).await;
    let (result, is_update) = prepare(&server, "a", "SELECT 7 AS n").await;
    assert!(!is_update && !result.dataset_schema.is_empty());
    let handle = result.prepared_statement_handle;
    let command = CommandPreparedStatementQuery { prepared_statement_handle: handle.clone() };
    let command = command.as_any().encode_to_vec();
    let descriptor = FlightDescriptor::new_cmd(command.clone());

    let mut other = server.plain_client().await;
    let info = other.get_flight_info(with_token(descriptor.clone(), "a")).await.unwrap().into_inner();
    let mut client = server.client("a").await;
    assert_eq!(integers(&fetch(&mut client, &info).await.unwrap()), [7]);
    // The command itself is taken for a ticket, too.
    client.do_get(Ticket::new(command)).await.unwrap();
    let error = other.get_flight_info(with_token(descriptor.clone(), "b")).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);

    let close = ActionClosePreparedStatementRequest { prepared_statement_handle: handle };
    let body = close.as_any().encode_to_vec();
    let refused = act(&mut other, "wrong", "ClosePreparedStatement", body.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    act(&mut other, "b", "ClosePreparedStatement", body.clone()).await.unwrap();
    other.get_flight_info(with_token(descriptor.clone(), "a")).await.unwrap();
    for _ in 0..2 {
        assert!(act(&mut other, "a", "ClosePreparedStatement", body.clone()).await.unwrap().is_empty());
    }
    let error = other.get_flight_info(with_token(descriptor, "a")).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}
