//! Statements that change something, and bulk ingest: by every command, once, with true counts.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandPreparedStatementQuery, CommandStatementIngest, CommandStatementQuery, ProstMessageExt,
    TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use arrow_flight::{FlightDescriptor, Ticket};
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt, TryStreamExt};
use pintail_engine::QueryState;
use pintail_identity::Principal;
use prost::Message as _;
use tonic::Code;
use tonic::transport::Channel;

use crate::prepared::prepare;
use crate::server::{ADMIN, Server, fetch, with_token};

type Client = FlightSqlServiceClient<Channel>;

fn numbers(values: impl IntoIterator<Item = i64>) -> RecordBatch {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(values));
    RecordBatch::try_from_iter_with_nullable([("n", column, true)]).unwrap()
}

async fn update(client: &mut Client, sql: &str) -> Result<i64, FlightError> {
    client.execute_update(sql.to_owned(), None).await
}

/// The code and the text of what a client is told.
fn refusal<T: std::fmt::Debug>(outcome: Result<T, FlightError>) -> (Code, String) {
    match outcome.unwrap_err() {
        FlightError::Tonic(status) => (status.code(), status.message().to_owned()),
        other => panic!("{other}"),
    }
}

/// The one number that a query answers.
async fn number(client: &mut Client, sql: &str) -> i64 {
    let info = client.execute(sql.to_owned(), None).await.unwrap();
    let rows = fetch(client, &info).await.unwrap();
    rows[0].column(0).as_primitive::<Int64Type>().value(0)
}

async fn count(client: &mut Client, table: &str) -> i64 {
    number(client, &format!("SELECT count(*) FROM {table}")).await
}

#[tokio::test]
async fn statements_give_the_number_of_rows_that_they_changed() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    for (sql, changed) in [
        ("CREATE SCHEMA s", 0),
        ("CREATE TABLE s.t (n BIGINT, name VARCHAR)", 0),
        ("INSERT INTO s.t VALUES (1, 'a'), (2, 'b'), (3, NULL)", 3),
        ("UPDATE s.t SET name = 'c' WHERE n > 1", 2),
        ("DELETE FROM s.t WHERE n = 1", 1),
        ("DELETE FROM s.t WHERE n = 1", 0),
        ("CREATE TABLE copied AS SELECT * FROM s.t", 2),
        ("TRUNCATE TABLE copied", 2),
        ("CREATE TEMPORARY TABLE mine AS SELECT n FROM s.t", 2),
        ("UPDATE mine SET n = 7", 2),
        ("DROP TABLE mine", 0),
        ("DROP SCHEMA s CASCADE", 0),
    ] {
        assert_eq!(update(&mut client, sql).await.unwrap(), changed, "{sql}");
    }
}

#[tokio::test]
async fn a_prepared_update_runs_once_for_each_row_of_values() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    update(&mut client, "CREATE TABLE t (n BIGINT)").await.unwrap();
    let mut insert = client.prepare("INSERT INTO t VALUES (?)".into(), None).await.unwrap();
    assert!(insert.dataset_schema().unwrap().fields().is_empty());
    let error = insert.execute_update().await.unwrap_err().to_string();
    assert!(error.contains("1 parameters"), "{error}");
    for (values, held) in [(0..1, 1), (1..4, 4), (4..4, 4), (4..1004, 1004)] {
        insert.set_parameters(numbers(values.clone())).unwrap();
        assert_eq!(insert.execute_update().await.unwrap(), values.end - values.start);
        assert_eq!(count(&mut client, "t").await, held);
    }
    let mut delete = client.prepare("DELETE FROM t WHERE n % 10 = $1".into(), None).await.unwrap();
    delete.set_parameters(numbers([3, 4, 11])).unwrap();
    assert_eq!(delete.execute_update().await.unwrap(), 201);
    let mut unbound = client.prepare("INSERT INTO t VALUES (7)".into(), None).await.unwrap();
    for held in [804, 805] {
        assert_eq!(unbound.execute_update().await.unwrap(), 1);
        assert_eq!(count(&mut client, "t").await, held);
    }
}

/// A query's route runs an update where it is asked for, and its ticket is only an answer.
#[tokio::test]
async fn an_update_by_the_route_of_queries_runs_once() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    let mut plain = server.plain_client().await;
    update(&mut client, "CREATE TABLE t (n BIGINT)").await.unwrap();
    let insert = "INSERT INTO t VALUES (1), (2)";
    let query = CommandStatementQuery { query: insert.into(), transaction_id: None };
    let (result, is_update) = prepare(&server, ADMIN, insert).await;
    assert!(is_update);
    let prepared =
        CommandPreparedStatementQuery { prepared_statement_handle: result.prepared_statement_handle };
    let routes = [query.as_any().encode_to_vec(), insert.into(), prepared.as_any().encode_to_vec()];
    for (command, before) in routes.into_iter().zip([0, 2, 4]) {
        let descriptor = FlightDescriptor::new_cmd(command);
        plain.get_schema(with_token(descriptor.clone(), ADMIN)).await.unwrap();
        assert_eq!(count(&mut client, "t").await, before);
        let info = plain.get_flight_info(with_token(descriptor, ADMIN)).await.unwrap().into_inner();
        assert_eq!(info.total_records, 2);
        for _ in 0..3 {
            assert!(fetch(&mut client, &info).await.unwrap().is_empty());
            assert_eq!(count(&mut client, "t").await, before + 2);
        }
    }
    // Text as a ticket is a request of its own.
    let rows = plain.do_get(with_token(Ticket::new(insert), ADMIN)).await.unwrap().into_inner();
    assert_eq!(rows.try_collect::<Vec<_>>().await.unwrap().len(), 1, "only the schema");
    assert_eq!(count(&mut client, "t").await, 8);
    let info = client.execute(insert.into(), None).await.unwrap();
    let error = client.execute_update("SELECT 1".into(), None).await.unwrap_err().to_string();
    assert!(error.contains("is a query"), "{error}");
    assert_eq!((info.total_records, count(&mut client, "t").await), (2, 10));
}

fn into(table: &str, missing: TableNotExistOption, exists: TableExistsOption) -> CommandStatementIngest {
    let (if_not_exist, if_exists) = (missing.into(), exists.into());
    CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions { if_not_exist, if_exists }),
        table: table.to_owned(),
        ..CommandStatementIngest::default()
    }
}

async fn ingest(
    client: &mut Client,
    command: CommandStatementIngest,
    batches: Vec<RecordBatch>,
) -> Result<i64, FlightError> {
    client.execute_ingest(command, futures::stream::iter(batches.into_iter().map(Ok))).await
}

#[tokio::test]
async fn ingest_does_what_its_mode_says() {
    use TableExistsOption::{Append, Fail, Replace};
    use TableNotExistOption::{Create, Fail as Missing};
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    for temporary in [false, true] {
        let mode = |missing, exists| CommandStatementIngest { temporary, ..into("t", missing, exists) };
        for (command, rows, outcome, held) in [
            (mode(Missing, Append), 3, Err(Code::NotFound), None),
            (mode(Create, Fail), 3, Ok(3), Some(3)),
            (mode(Create, Fail), 3, Err(Code::AlreadyExists), Some(3)),
            (mode(Missing, Append), 4, Ok(4), Some(7)),
            (mode(Create, Append), 0, Ok(0), Some(7)),
            (mode(Create, Append), 1, Ok(1), Some(8)),
            (mode(Create, Replace), 2, Ok(2), Some(2)),
        ] {
            let batches = vec![numbers(0..rows / 2), numbers(rows / 2..rows)];
            let written = ingest(&mut client, command.clone(), batches).await;
            let written = match written {
                Ok(rows) => Ok(rows),
                refused => Err(refusal(refused).0),
            };
            assert_eq!(written, outcome, "{command:?}");
            if let Some(held) = held {
                assert_eq!(count(&mut client, "t").await, held, "{command:?}");
            }
        }
    }
    // The temporary table hides the other one, and is gone with its session.
    assert_eq!(count(&mut client, "t").await, 2);
    update(&mut client, "DROP TABLE t").await.unwrap();
    assert_eq!(count(&mut client, "t").await, 2);
}

#[tokio::test]
async fn ingest_finds_columns_by_their_names_and_takes_all_rows_or_none() {
    use TableExistsOption::{Append, Fail};
    use TableNotExistOption::{Create, Fail as Missing};
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    update(&mut client, "CREATE SCHEMA s").await.unwrap();
    update(&mut client, "CREATE TABLE s.t (name VARCHAR, n BIGINT NOT NULL)").await.unwrap();
    let append = CommandStatementIngest {
        catalog: Some("homer_lake".into()),
        schema: Some("s".into()),
        ..into("t", Missing, Append)
    };
    assert_eq!(ingest(&mut client, append.clone(), vec![numbers(0..3)]).await.unwrap(), 3);
    assert_eq!(number(&mut client, "SELECT count(*) FROM s.t WHERE name IS NULL AND n < 3").await, 3);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let unknown = RecordBatch::try_from_iter([("colour", Arc::clone(&text))]).unwrap();
    let (code, message) = refusal(ingest(&mut client, append.clone(), vec![unknown]).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.contains("colour"), "{message}");
    // The second batch has no value where one must be.
    let missing: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    let missing = RecordBatch::try_from_iter([("n", missing)]).unwrap();
    let (code, _) = refusal(ingest(&mut client, append, vec![numbers(3..6), missing]).await);
    assert_eq!((code, count(&mut client, "s.t").await), (Code::InvalidArgument, 3));
    let no_columns = RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
    let (code, _) = refusal(ingest(&mut client, into("u", Create, Fail), vec![no_columns]).await);
    assert_eq!(code, Code::InvalidArgument);
}

/// A client that goes away in mid-ingest leaves nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_an_ingest_is_none() {
    let server = Server::start().await;
    let mut plain = server.plain_client().await;
    let command = into("t", TableNotExistOption::Create, TableExistsOption::Fail);
    let (mut sender, receiver) = mpsc::channel(1);
    let mut messages = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(FlightDescriptor::new_cmd(command.as_any().encode_to_vec())))
        .build(futures::stream::iter([Ok(numbers(0..1000))]));
    let request = tokio::spawn(async move { plain.do_put(with_token(receiver, ADMIN)).await.map(|_| ()) });
    while let Some(message) = messages.next().await {
        sender.send(message.unwrap()).await.unwrap();
    }
    let ingest = || {
        let all = server.engine.queries().list(&Principal::local());
        all.into_iter().find(|query| query.sql.starts_with("INGEST"))
    };
    let started = loop {
        match ingest() {
            Some(query) => break query,
            None => tokio::task::yield_now().await,
        }
    };
    request.abort();
    server.engine.queries().ended(started.id).await;
    assert_ne!(ingest().unwrap().state, QueryState::Finished);
    let mut client = server.client(ADMIN).await;
    let error = client.execute("SELECT * FROM t".into(), None).await.unwrap_err().to_string();
    assert!(error.contains("t does not exist"), "{error}");
    drop(sender);
}

#[tokio::test]
async fn what_exists_and_what_does_not_have_codes_of_their_own() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    for sql in [
        "CREATE SCHEMA s",
        "CREATE TABLE s.t (a BIGINT, b BIGINT)",
        "CREATE VIEW s.v AS SELECT a FROM s.t",
        "CREATE TEMPORARY TABLE mine (a BIGINT, b BIGINT)",
    ] {
        update(&mut client, sql).await.unwrap();
    }
    for (sql, expected) in [
        ("CREATE SCHEMA s", Code::AlreadyExists),
        ("CREATE TABLE s.t (a BIGINT)", Code::AlreadyExists),
        ("CREATE TABLE s.v (a BIGINT)", Code::AlreadyExists),
        ("CREATE TABLE s.t AS SELECT 1 AS a", Code::AlreadyExists),
        ("CREATE VIEW s.v AS SELECT 1 AS a", Code::AlreadyExists),
        ("CREATE VIEW s.t AS SELECT 1 AS a", Code::AlreadyExists),
        ("CREATE TEMPORARY TABLE mine (a BIGINT)", Code::AlreadyExists),
        ("CREATE TEMPORARY TABLE mine AS SELECT 1 AS a", Code::AlreadyExists),
        ("ALTER TABLE s.t ADD COLUMN b BIGINT", Code::AlreadyExists),
        ("ALTER TABLE s.t RENAME COLUMN a TO b", Code::AlreadyExists),
        ("ALTER TABLE s.t RENAME TO v", Code::AlreadyExists),
        ("ALTER TABLE mine ADD COLUMN b BIGINT", Code::AlreadyExists),
        ("ALTER TABLE mine RENAME COLUMN a TO b", Code::AlreadyExists),
        ("DROP SCHEMA nowhere", Code::NotFound),
        ("DROP TABLE nothing", Code::NotFound),
        ("DROP VIEW nothing", Code::NotFound),
        ("DROP TABLE temp.main.nothing", Code::NotFound),
        ("ALTER TABLE nothing ADD COLUMN b BIGINT", Code::NotFound),
        ("ALTER TABLE s.t DROP COLUMN nothing", Code::NotFound),
        ("ALTER TABLE mine DROP COLUMN nothing", Code::NotFound),
        ("INSERT INTO nothing VALUES (1)", Code::NotFound),
        ("UPDATE nothing SET a = 1", Code::NotFound),
        ("DELETE FROM nothing", Code::NotFound),
        ("TRUNCATE TABLE nothing", Code::NotFound),
        ("CREATE TABLE nowhere.t (a BIGINT)", Code::NotFound),
        ("CREATE TABLE nowhere.main.t (a BIGINT)", Code::NotFound),
    ] {
        assert_eq!(refusal(update(&mut client, sql).await).0, expected, "{sql}");
    }
}

#[tokio::test]
async fn telemetry_and_what_comes_with_the_lake_refuse_writes() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    for sql in [
        "INSERT INTO hep_proto_1_call (session_id) VALUES ('x')",
        "UPDATE hep_proto_1_call SET session_id = 'x'",
        "DELETE FROM hep_proto_1_call",
        "TRUNCATE TABLE hep_proto_1_call",
        "DROP TABLE homer_lake.main.hep_proto_1_call",
        "ALTER TABLE hep_proto_1_call ADD COLUMN x BIGINT",
        "CREATE OR REPLACE TABLE hep_proto_1_call (x BIGINT)",
        "CREATE OR REPLACE VIEW sip_transactions AS SELECT 1 AS one",
        "DROP SCHEMA main CASCADE",
        "CREATE TABLE system.x (a BIGINT)",
    ] {
        let (code, message) = refusal(update(&mut client, sql).await);
        assert_eq!(code, Code::PermissionDenied, "{sql}: {message}");
    }
    for (missing, exists) in [(1, 1), (1, 2), (1, 3), (2, 2)] {
        let mut command = into("hep_proto_1_call", TableNotExistOption::Create, TableExistsOption::Append);
        command.table_definition_options =
            Some(TableDefinitionOptions { if_not_exist: missing, if_exists: exists });
        let (code, message) = refusal(ingest(&mut client, command, vec![numbers(0..1)]).await);
        assert_eq!(code, Code::PermissionDenied, "{message}");
        assert!(message.contains("hep_proto_1_call"), "{message}");
    }
}

#[tokio::test]
async fn who_may_only_read_is_told_so() {
    let read_only = Server::start_changed(|options| options.read_only = true).await;
    let readers = Server::start_for_readers(|_| {}).await;
    for (server, token, reason) in [(&read_only, ADMIN, "read-only"), (&readers, "a", "group writers")] {
        let mut client = server.client(token).await;
        let create = "CREATE TABLE t (n BIGINT)";
        let refusals = [
            refusal(update(&mut client, create).await),
            refusal(client.execute(create.into(), None).await),
            refusal(client.prepare(create.into(), None).await.map(|_| ())),
            refusal(update(&mut client, "CREATE TEMPORARY TABLE t (n BIGINT)").await),
            refusal(
                ingest(
                    &mut client,
                    into("t", TableNotExistOption::Create, TableExistsOption::Fail),
                    vec![numbers(0..1)],
                )
                .await,
            ),
        ];
        for (code, message) in refusals {
            assert_eq!(code, Code::PermissionDenied, "{message}");
            assert!(message.contains(reason), "{message}");
        }
        // A setting is the session's own.
        assert_eq!(update(&mut client, "SET time_zone = 'Europe/Berlin'").await.unwrap(), 0);
    }
}
