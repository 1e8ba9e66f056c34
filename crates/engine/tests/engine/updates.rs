//! Statements that change tables, and ingest, over a real lake.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use futures::StreamExt;
use futures::stream::BoxStream;
use pintail_engine::{IfExists, IfMissing, IngestTarget, Session, SessionOptions};
use pintail_identity::Principal;
use pintail_types::{Error, ErrorKind, Result};

use crate::common::column;
use crate::with_lake::{Bench, bench};

fn writer(bench: &Bench) -> Session {
    bench.session(Principal::new("etl", [Principal::WRITERS]))
}

async fn run(session: &Session, sql: &str) -> u64 {
    let statement = session.statement(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    statement.update(None).await.unwrap_or_else(|error| panic!("{sql}: {error}")).unwrap()
}

fn snapshots(bench: &Bench) -> usize {
    bench.lake.catalog().snapshots().unwrap().len()
}

/// The Parquet files below the lake's directory, finished or not.
fn files(directory: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_file = path.to_string_lossy().contains(".parquet");
        count += if path.is_dir() { files(&path) } else { usize::from(is_file) };
    }
    count
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, values)| (name, values, true)))
        .unwrap()
}

/// Rows `first..first + count`.
fn numbered(first: i64, count: i64) -> RecordBatch {
    let ids: Vec<i64> = (first..first + count).collect();
    let names: StringArray = ids.iter().map(|id| Some(format!("row {id}"))).collect();
    let halves: Float64Array = ids.iter().map(|id| Some(*id as f64 / 2.0)).collect();
    batch(vec![
        ("id", Arc::new(Int64Array::from(ids)) as ArrayRef),
        ("name", Arc::new(names)),
        ("half", Arc::new(halves)),
    ])
}

fn stream(batches: Vec<Result<RecordBatch>>) -> BoxStream<'static, Result<RecordBatch>> {
    futures::stream::iter(batches).boxed()
}

fn target(table: &str, if_missing: IfMissing, if_exists: IfExists) -> IngestTarget {
    IngestTarget {
        catalog: None,
        schema: None,
        table: table.to_owned(),
        if_missing,
        if_exists,
        temporary: false,
    }
}

async fn ingest(session: &Session, target: IngestTarget, batches: Vec<RecordBatch>) -> Result<u64> {
    let schema: SchemaRef = batches[0].schema();
    session.ingest(target, schema, stream(batches.into_iter().map(Ok).collect())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_parameters_are_inserted_as_one_commit_and_counted_once() {
    let bench = bench().await;
    let session = writer(&bench);
    run(&session, "CREATE TABLE t (id INTEGER, name VARCHAR, at TIMESTAMP)").await;
    let insert = session
        .statement("INSERT INTO t VALUES (?, upper(?), CAST(? AS TIMESTAMP)), (-1, NULL, NULL)")
        .await
        .unwrap();
    assert!(insert.is_update() && insert.schema().fields().is_empty());
    let types: Vec<_> = insert.parameters().fields().iter().map(|field| field.data_type().clone()).collect();
    assert!(matches!(types[0], DataType::Int32) && types.len() == 3, "{types:?}");
    let ids: Vec<i32> = (0..1000).collect();
    let names: StringArray = ids.iter().map(|id| Some(format!("name {id}"))).collect();
    let times = StringArray::from(vec!["2026-01-02 03:04:05"; 1000]);
    let rows = batch(vec![
        ("1", Arc::new(Int32Array::from(ids)) as ArrayRef),
        ("2", Arc::new(names)),
        ("3", Arc::new(times)),
    ]);
    let before = snapshots(&bench);
    assert_eq!(insert.update(Some(&rows)).await.unwrap(), Some(2000));
    assert_eq!(snapshots(&bench) - before, 1);
    let sums =
        "SELECT count(*) || ' ' || sum(id) || ' ' || min(name) || ' ' || count(at) FROM t WHERE id >= 0";
    assert_eq!(column(&session, sums).await, ["1000 499500 NAME 0 1000"]);
    assert_eq!(insert.update(Some(&rows.slice(0, 1))).await.unwrap(), Some(2));
    assert_eq!(column(&session, "SELECT count(*) FROM t").await, ["2002"]);
    assert_eq!(insert.update(None).await.unwrap_err().kind(), ErrorKind::Invalid);

    let update = session.statement("UPDATE t SET name = $2 WHERE id = $1").await.unwrap();
    let rows = batch(vec![
        ("1", Arc::new(Int32Array::from(vec![5, 6, 5000])) as ArrayRef),
        ("2", Arc::new(StringArray::from(vec![Some("five"), None, Some("none")]))),
    ]);
    assert_eq!(update.update(Some(&rows)).await.unwrap(), Some(2));
    assert_eq!(
        column(&session, "SELECT count(*) FROM t WHERE name = 'five' OR id = 6 AND name IS NULL").await,
        ["2"]
    );
    let delete = session.statement("DELETE FROM t WHERE id = ? OR name = ?").await.unwrap();
    assert_eq!(delete.update(Some(&rows)).await.unwrap(), Some(2));
    assert_eq!(column(&session, "SELECT count(*) FROM t WHERE id < 0").await, ["1001"]);
    let problems = bench.lake.catalog().check().unwrap();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_meet_tables_as_they_are_when_they_run() {
    let bench = bench().await;
    let session = writer(&bench);
    run(&session, "CREATE TABLE t (id BIGINT)").await;
    let insert = session.statement("INSERT INTO t SELECT count(*) FROM t").await.unwrap();
    let count = session.statement("SELECT count(*) FROM t").await.unwrap();
    for expected in 1..=3 {
        assert_eq!(insert.update(None).await.unwrap(), Some(1));
        let rows: Vec<RecordBatch> =
            futures::TryStreamExt::try_collect(count.execute().await.unwrap()).await.unwrap();
        assert_eq!(
            rows[0].column(0).as_ref(),
            &Int64Array::from(vec![expected]) as &dyn datafusion::arrow::array::Array
        );
    }
    run(&session, "DROP TABLE t").await;
    assert_eq!(insert.update(None).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(count.execute().await.is_err());
    let query = session.statement("SELECT 1").await.unwrap();
    assert_eq!(query.update(None).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_changes_through_a_read_only_session() {
    let bench = bench().await;
    run(&writer(&bench), "CREATE TABLE t (id BIGINT)").await;
    let options = SessionOptions { read_only: true, ..SessionOptions::default() };
    let session = bench.engine.session(Principal::local(), "test", options);
    for sql in
        ["INSERT INTO t VALUES (1)", "DROP TABLE t", "CREATE TEMP TABLE x (id INT)", "TRUNCATE TABLE t"]
    {
        let error = session.statement(sql).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Forbidden, "this listener is read-only"),
            "{sql}"
        );
    }
    let refused =
        ingest(&session, target("t", IfMissing::Create, IfExists::Append), vec![numbered(0, 1)]).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Forbidden);
    assert_eq!(column(&session, "SELECT count(*) FROM t").await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_goes_by_its_mode() {
    let bench = bench().await;
    let session = writer(&bench);
    let modes = [
        // if_missing, if_exists, the outcome without a table, the outcome with one of 5 rows
        (IfMissing::Create, IfExists::Fail, Ok(10), Err(ErrorKind::Conflict)),
        (IfMissing::Fail, IfExists::Append, Err(ErrorKind::NotFound), Ok(15)),
        (IfMissing::Create, IfExists::Replace, Ok(10), Ok(10)),
        (IfMissing::Create, IfExists::Append, Ok(10), Ok(15)),
    ];
    for (number, (if_missing, if_exists, without, with)) in modes.into_iter().enumerate() {
        for (there, expected) in [(false, without), (true, with)] {
            let table = format!("t_{number}_{there}");
            if there {
                run(&session, &format!("CREATE TABLE {table} AS SELECT value AS id, 'x' AS name, 1.5 AS half FROM generate_series(1, 5)")).await;
            }
            let before = snapshots(&bench);
            let done =
                ingest(&session, target(&table, if_missing, if_exists), vec![numbered(0, 4), numbered(4, 6)])
                    .await;
            let committed = snapshots(&bench) - before;
            let count = match &done {
                Ok(rows) => {
                    assert_eq!((*rows, committed), (10, 1), "{table}");
                    let count = format!("SELECT count(*) FROM {table}");
                    Ok(column(&session, &count).await[0].parse::<u64>().unwrap())
                }
                Err(error) => Err(error.kind()),
            };
            assert_eq!(count, expected, "{table}");
        }
    }
    let listed = "SELECT count(*) FROM system.queries WHERE sql = 'INGEST INTO t_0_false' AND rows = 10 AND state = 'finished'";
    assert_eq!(column(&session, listed).await, ["1"]);
    let telemetry = target("hep_proto_1_call", IfMissing::Create, IfExists::Append);
    assert_eq!(
        ingest(&session, telemetry, vec![numbered(0, 1)]).await.unwrap_err().kind(),
        ErrorKind::Forbidden
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ingested_columns_are_found_by_name_and_keep_their_values() {
    let bench = bench().await;
    let session = writer(&bench);
    run(&session, "CREATE TABLE t (id INTEGER, half REAL, at TIMESTAMP, name VARCHAR NOT NULL, who UUID)")
        .await;
    let append = || target("t", IfMissing::Fail, IfExists::Append);
    let nanoseconds = |values: Vec<i64>| -> ArrayRef { Arc::new(TimestampNanosecondArray::from(values)) };
    let names = || -> ArrayRef { Arc::new(StringArray::from(vec!["a", "b"])) };
    let fitting = batch(vec![
        ("NAME", names()),
        ("at", nanoseconds(vec![1_000, 2_000])),
        ("id", Arc::new(Int64Array::from(vec![Some(1), None]))),
        ("half", Arc::new(Float64Array::from(vec![0.5, -2.0]))),
    ]);
    assert_eq!(ingest(&session, append(), vec![fitting]).await.unwrap(), 2);
    assert_eq!(
        column(&session, "SELECT count(who) || ' ' || sum(id) || ' ' || sum(half) FROM t").await,
        ["0 1 -1.5"]
    );
    let before = files(bench.directory.path());
    for (what, columns) in [
        (
            "column id",
            vec![("id", Arc::new(Int64Array::from(vec![1, 1 << 40])) as ArrayRef), ("name", names())],
        ),
        (
            "column half",
            vec![("half", Arc::new(Float64Array::from(vec![0.5, 0.1])) as ArrayRef), ("name", names())],
        ),
        ("column at", vec![("at", nanoseconds(vec![1_000, 1_001])), ("name", names())]),
        ("column id", vec![("id", names()), ("name", names())]),
        ("column who", vec![("who", names()), ("name", names())]),
        ("no column more", vec![("more", names()), ("name", names())]),
        ("column name is NOT NULL", vec![("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]),
        (
            "column name is NOT NULL",
            vec![("name", Arc::new(StringArray::from(vec![Some("a"), None])) as ArrayRef)],
        ),
        ("column Name stands twice", vec![("name", names()), ("Name", names())]),
    ] {
        let error = ingest(&session, append(), vec![batch(columns)]).await.unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.message().contains(what), "{what}: {error}");
    }
    assert_eq!(column(&session, "SELECT count(*) FROM t").await, ["2"]);
    assert_eq!(files(bench.directory.path()), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_many_row_groups_is_one_commit_of_all_rows() {
    let bench = bench().await;
    let session = writer(&bench);
    let batches: Vec<RecordBatch> = (0..50).map(|part| numbered(part * 10_000, 10_000)).collect();
    let create = target("big", IfMissing::Create, IfExists::Fail);
    assert_eq!(ingest(&session, create, batches).await.unwrap(), 500_000);
    let sums = "SELECT count(DISTINCT id) || ' ' || min(id) || ' ' || max(id) || ' ' || max(name) FROM big";
    assert_eq!(column(&session, sums).await, ["500000 0 499999 row 99999"]);
    assert_eq!(files(bench.directory.path()), 1);
    assert_eq!(run(&session, "DELETE FROM big WHERE id % 2 = 0").await, 250_000);
    assert_eq!(run(&session, "UPDATE big SET half = -1 WHERE id >= 400000").await, 50_000);
    assert_eq!(
        column(&session, "SELECT count(*) || ' ' || sum(half) FROM big WHERE half < 0").await,
        ["50000 -50000.0"]
    );
    let problems = bench.lake.catalog().check().unwrap();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_leaves_nothing() {
    let bench = bench().await;
    let session = writer(&bench);
    let mut batches: Vec<Result<RecordBatch>> =
        (0..30).map(|part| Ok(numbered(part * 10_000, 10_000))).collect();
    batches.push(Err(Error::cancelled("the client went away")));
    let before = snapshots(&bench);
    let create = target("broken", IfMissing::Create, IfExists::Fail);
    let error = session.ingest(create, numbered(0, 1).schema(), stream(batches)).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Cancelled, "the client went away"));
    assert_eq!(snapshots(&bench), before);
    assert_eq!(session.statement("SELECT * FROM broken").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(files(bench.directory.path()), 0);

    // The same for a query that fails on its way.
    run(&session, "CREATE TABLE t (id BIGINT)").await;
    let failing = session
        .statement("INSERT INTO t SELECT 1 / (value - 200000) FROM generate_series(1, 300000)")
        .await
        .unwrap();
    assert_eq!(failing.update(None).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(column(&session, "SELECT count(*) FROM t").await, ["0"]);
    assert_eq!(files(bench.directory.path()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_somebody_else_changed_are_a_conflict() {
    use pintail_lake::{Author, RowChange, TableName};
    let bench = bench().await;
    let session = writer(&bench);
    run(&session, "CREATE TABLE t AS SELECT value AS id FROM generate_series(1, 10)").await;
    let old = bench.lake.cut().await.unwrap();
    assert_eq!(run(&session, "DELETE FROM t WHERE id = 1").await, 1);
    let table = TableName { schema: "main".to_owned(), name: "t".to_owned() };
    let author = Author { name: "etl".to_owned(), statement: "DELETE".to_owned() };
    let ids = batch(vec![("row_id", Arc::new(Int64Array::from(vec![4])) as ArrayRef)]);
    let before = files(bench.directory.path());
    let late = bench.lake.change_rows(&table, RowChange::Delete, &old, stream(vec![Ok(ids)]), &author).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Conflict);
    let late = bench.lake.truncate(&table, &old, &author).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(files(bench.directory.path()), before);
    assert_eq!(column(&session, "SELECT count(*) FROM t").await, ["9"]);
    let snapshots = bench.lake.catalog().snapshots().unwrap();
    let last = snapshots.last().unwrap();
    assert_eq!((last.author.as_deref(), last.message.as_deref()), (Some("etl"), Some("DELETE")));
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_tables_take_memory_within_a_limit_and_give_it_back() {
    let bench = bench().await;
    let fill =
        "CREATE TEMP TABLE t AS SELECT value AS id, repeat('x', 100) AS text FROM generate_series(1, 50000)";
    let session = writer(&bench);
    assert_eq!(run(&session, fill).await, 50_000);
    let more = session.statement("INSERT INTO t SELECT * FROM t").await.unwrap();
    let mut outcome = more.update(None).await;
    while outcome.is_ok() {
        outcome = more.update(None).await;
    }
    let error = outcome.unwrap_err();
    assert!(error.kind() == ErrorKind::Exhausted && error.message().contains("temporary tables"), "{error}");
    let rows: u64 = column(&session, "SELECT count(*) FROM t").await[0].parse().unwrap();
    assert_eq!(rows % 50_000, 0);
    // All that was taken is given back: by a table that goes, and by a session that ends.
    assert_eq!(run(&session, "TRUNCATE TABLE t").await, rows);
    run(&session, "DROP TABLE t").await;
    for _ in 0..10 {
        assert_eq!(run(&writer(&bench), fill).await, 50_000);
        assert_eq!(
            run(&session, "CREATE OR REPLACE TEMP TABLE t AS SELECT * FROM generate_series(1, 100000)").await,
            100_000
        );
    }
    let clone = session.clone();
    assert_eq!(column(&clone, "SELECT count(*) FROM t").await, ["100000"]);
    let temporary = IngestTarget { temporary: true, ..target("mine", IfMissing::Create, IfExists::Append) };
    assert_eq!(ingest(&session, temporary.clone(), vec![numbered(0, 5)]).await.unwrap(), 5);
    assert_eq!(ingest(&session, temporary, vec![numbered(5, 5)]).await.unwrap(), 5);
    assert_eq!(column(&session, "SELECT sum(id) FROM mine").await, ["45"]);
    assert_eq!(files(bench.directory.path()), 0);
}
