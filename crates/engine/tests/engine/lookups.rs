//! Looking up the rows of one call: by an index of the files, with the same answer as without.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Date32Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use datafusion::arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use pintail_engine::{Session, Statement};
use pintail_identity::Principal;
use pintail_lake::{Block, Lake};
use pintail_types::TelemetryTable;

use crate::common::{column, rows, text_of};
use crate::with_lake::bench;

/// The numbers of the rows of call `id`: by the index, and by a condition that no index knows.
async fn numbers(session: &Session, id: &str) -> Vec<String> {
    let by = |condition: String| format!("SELECT number FROM calls WHERE {condition} ORDER BY number");
    let scanned = column(session, &by(format!("concat(session_id, '!') = '{id}!'"))).await;
    // Often enough for the columns of its files to be kept.
    for lookup in 0..6 {
        let found = column(session, &by(format!("session_id = '{id}'"))).await;
        assert_eq!(found, scanned, "call {id}, look-up {lookup}");
    }
    scanned
}

async fn run(session: &Session, sql: &str) {
    let statement = session.statement(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    statement.update(None).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_found_through_deletes_renames_and_new_files() {
    let bench = bench().await;
    let session = bench.session(Principal::local());
    run(&session, "CREATE TABLE calls (number BIGINT, session_id VARCHAR)").await;
    assert!(numbers(&session, "3").await.is_empty());
    let rows =
        "SELECT value AS number, CAST(value % 1000 AS VARCHAR) AS session_id FROM generate_series(0, 4999)";
    run(&session, &format!("INSERT INTO calls {rows}")).await;
    assert_eq!(numbers(&session, "3").await, ["3", "1003", "2003", "3003", "4003"]);
    assert!(numbers(&session, "1000").await.is_empty());
    run(&session, "INSERT INTO calls VALUES (7000, '3'), (7001, NULL)").await;
    run(&session, "DELETE FROM calls WHERE number IN (1003, 7)").await;
    assert_eq!(numbers(&session, "3").await, ["3", "2003", "3003", "4003", "7000"]);
    run(&session, "UPDATE calls SET session_id = '3' WHERE session_id = '4' AND number < 2000").await;
    assert_eq!(numbers(&session, "3").await, ["3", "4", "1004", "2003", "3003", "4003", "7000"]);
    // What was another column's name is the call's now: files know their columns by id.
    run(&session, "ALTER TABLE calls RENAME COLUMN session_id TO former").await;
    run(&session, "ALTER TABLE calls ADD COLUMN session_id VARCHAR").await;
    assert!(numbers(&session, "3").await.is_empty());
    run(&session, "INSERT INTO calls (number, former, session_id) VALUES (8000, '9', '3')").await;
    assert_eq!(numbers(&session, "3").await, ["8000"]);
    run(&session, "DELETE FROM calls WHERE session_id = '3'").await;
    assert!(numbers(&session, "3").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_without_the_call_are_not_opened() {
    let bench = bench().await;
    let session = bench.session(Principal::local());
    run(&session, "CREATE TABLE calls (number BIGINT, session_id VARCHAR)").await;
    for first in [0, 100] {
        let rows = format!(
            "SELECT value AS number, CAST(value AS VARCHAR) AS session_id FROM generate_series({first}, {first} + 99)"
        );
        run(&session, &format!("INSERT INTO calls {rows}")).await;
    }
    for (condition, files) in [
        ("session_id = '5'", 1),
        ("session_id IN ('5', '6', '7', '8')", 1),
        ("session_id = '5' OR session_id = '105'", 2),
        ("session_id = '300'", 0),
    ] {
        let explain = format!("EXPLAIN ANALYZE SELECT number FROM calls WHERE {condition}");
        let plan = pretty_format_batches(&rows(&session, &explain).await.unwrap()).unwrap().to_string();
        assert!(plan.contains(&format!("files_read={files}")), "{condition}: {plan}");
    }
}

/// Puts one log line of each call through journal and buffer, as a receiver does.
fn receive(lake: &Lake, calls: &[&str]) {
    let schema = TelemetryTable::Log.schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "date" => Arc::new(Date32Array::from(vec![20_777; calls.len()])),
            "timestamp" => {
                Arc::new(TimestampMicrosecondArray::from(vec![20_777 * 86_400_000_000; calls.len()]))
            }
            "session_id" => Arc::new(StringArray::from(calls.to_vec())),
            "payload" => {
                Arc::new(StringArray::from_iter_values(calls.iter().map(|call| format!("of {call}"))))
            }
            _ => new_null_array(field.data_type(), calls.len()),
        }
    });
    let lines = RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap();
    let mut block = Block::new();
    calls.iter().for_each(|call| block.push(&[call.as_bytes()]));
    let _intake = lake.intake();
    let start = lake.journal().append(&block).unwrap();
    lake.append(TelemetryTable::Log, lines, block.position(start, calls.len() - 1)).unwrap();
}

/// The first column of what the statement gives for the calls, one execution for each.
async fn given(statement: &Statement, calls: &[&str]) -> Vec<String> {
    let calls: ArrayRef = Arc::new(StringArray::from(calls.to_vec()));
    let parameters = RecordBatch::try_from_iter([("1", calls)]).unwrap();
    let batches: Vec<_> = statement.execute_with(&parameters).await.unwrap().try_collect().await.unwrap();
    text_of(&batches)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_statement_reads_the_moment_and_the_values_of_each_execution() {
    let bench = bench().await;
    let session = bench.session(Principal::local());
    let table = "hep_proto_100_default";
    let prepare = async |sql: &str| session.statement(&sql.replace("{t}", table)).await.unwrap();
    let by_call = prepare("SELECT payload FROM {t} WHERE session_id = ?").await;
    let shown = prepare("SELECT payload || ? FROM {t} WHERE session_id = 'a'").await;
    let count = prepare("SELECT count(*) FROM {t} WHERE session_id = ?").await;
    let last =
        prepare("SELECT payload FROM {t} WHERE session_id >= ? ORDER BY session_id DESC LIMIT 1").await;
    let all = prepare("SELECT count(*) FROM {t}").await;
    let (mut of_a, mut rows_of_all) = (0, 0);
    let more: [&[&str]; 4] = [&["a", "b"], &["a", "c", "a"], &["c"], &["d", "a"]];
    for (round, calls) in more.into_iter().enumerate() {
        receive(&bench.lake, calls);
        of_a += calls.iter().filter(|call| **call == "a").count();
        rows_of_all += calls.len();
        // At first all rows are in memory, then some in files, then in files of two flushes.
        for is_flushed in [false, round > 0] {
            if is_flushed {
                bench.lake.flush().await.unwrap();
            }
            assert_eq!(given(&by_call, &["a"]).await, vec!["of a"; of_a]);
            assert_eq!(given(&by_call, &["b", "none"]).await, ["of b"]);
            assert_eq!(given(&shown, &["!"]).await, vec!["of a!"; of_a]);
            assert_eq!(given(&shown, &["?"]).await, vec!["of a?"; of_a]);
            assert_eq!(given(&count, &["a", "b"]).await, [of_a.to_string(), "1".to_owned()]);
            let newest = calls.iter().max().map(|call| (*call).max(if round > 0 { "c" } else { "b" }));
            assert_eq!(given(&last, &["a"]).await, [format!("of {}", newest.unwrap())]);
            let batches: Vec<_> = all.execute().await.unwrap().try_collect().await.unwrap();
            assert_eq!(text_of(&batches), [rows_of_all.to_string()]);
        }
    }
}
