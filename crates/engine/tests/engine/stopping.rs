//! Streams end when they should, and hold no more than they may.

use std::sync::atomic::Ordering;
use std::time::Duration;

use datafusion::arrow::array::{Int64Array, RecordBatch};
use futures::{StreamExt, TryStreamExt};
use pintail_engine::{QueryInfo, QueryState};
use pintail_identity::Principal;
use pintail_types::{Error, ErrorKind, QueryId};
use tokio::time::timeout;

use crate::common::{Bench, Limits, bench, column, rows};
use crate::sources::{Behaviour, Source};

/// Longer than anything here takes; only a defect waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

fn listed(bench: &Bench, id: QueryId) -> QueryInfo {
    bench.engine.queries().list(&Principal::local()).into_iter().find(|query| query.id == id).unwrap()
}

async fn first_batch(stream: &mut pintail_engine::QueryStream) -> RecordBatch {
    timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap()
}

async fn first_error(stream: &mut pintail_engine::QueryStream) -> Error {
    timeout(PATIENCE, async {
        loop {
            if let Err(error) = stream.next().await.expect("an error before the end") {
                return error;
            }
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn dropping_the_stream_stops_the_plan() {
    let bench = bench(Limits::default());
    let source = Source::new(Behaviour::Endless);
    bench.storage.replace("calls", Some(source.table()));
    let mut stream = bench.admin().statement("SELECT * FROM calls").await.unwrap().execute().await.unwrap();
    let id = stream.id();
    assert_eq!(first_batch(&mut stream).await.num_rows(), 1000);
    assert_eq!(listed(&bench, id).state, QueryState::Running);
    drop(stream);
    timeout(PATIENCE, source.stopped.notified()).await.unwrap();
    let query = listed(&bench, id);
    assert_eq!((query.state, query.rows), (QueryState::Cancelled, 1000));
    assert_eq!(query.bytes, 8000);
    assert_eq!(bench.engine.queries().live(), 0);
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_a_few_batches_and_nobody_else() {
    let bench = bench(Limits::default());
    let source = Source::new(Behaviour::Endless);
    bench.storage.replace("calls", Some(source.table()));
    let mut stream = bench.admin().statement("SELECT * FROM calls").await.unwrap().execute().await.unwrap();
    first_batch(&mut stream).await;
    for _ in 0..3 {
        let count = column(&bench.admin(), "SELECT count(*) FROM generate_series(1, 100000)").await;
        assert_eq!(count, ["100000"]);
    }
    let given = source.given.load(Ordering::SeqCst);
    assert!(given <= 16, "{given} batches for a reader that took one");
}

#[tokio::test]
async fn cancel_ends_streams_that_wait_compute_or_are_not_read() {
    for behaviour in [Behaviour::Silent, Behaviour::Busy, Behaviour::Endless] {
        let bench = bench(Limits::default());
        let source = Source::new(behaviour);
        bench.storage.replace("calls", Some(source.table()));
        let mut stream =
            bench.admin().statement("SELECT * FROM calls").await.unwrap().execute().await.unwrap();
        first_batch(&mut stream).await;
        let id = stream.id();
        let stranger = Principal::new("stranger", ["readers"]);
        assert_eq!(bench.engine.queries().cancel(id, &stranger).unwrap_err().kind(), ErrorKind::NotFound);
        bench.engine.queries().cancel(id, &Principal::local()).unwrap();
        if behaviour == Behaviour::Endless {
            // Nobody reads: the plan ends all the same.
            timeout(PATIENCE, source.stopped.notified()).await.unwrap();
        }
        assert_eq!(first_error(&mut stream).await.kind(), ErrorKind::Cancelled, "{behaviour:?}");
        assert!(stream.next().await.is_none());
        assert_eq!(listed(&bench, id).state, QueryState::Cancelled);
        source.release();
        drop(stream);
    }
}

#[tokio::test]
async fn the_time_limit_holds_for_plans_that_wait_and_that_compute() {
    for behaviour in [Behaviour::Silent, Behaviour::Busy] {
        let bench = bench(Limits { query_timeout: Some(Duration::from_millis(500)), ..Limits::default() });
        let source = Source::new(behaviour);
        bench.storage.replace("calls", Some(source.table()));
        let mut stream =
            bench.admin().statement("SELECT * FROM calls").await.unwrap().execute().await.unwrap();
        let error = first_error(&mut stream).await;
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{behaviour:?}: {error}");
        assert_eq!(listed(&bench, stream.id()).state, QueryState::Failed);
        source.release();
    }
}

#[tokio::test]
async fn a_reader_that_stalls_for_too_long_loses_its_query_and_its_place() {
    // An endless answer, and one that would fit between plan and reader.
    for sql in ["SELECT * FROM calls", "SELECT * FROM calls LIMIT 1500"] {
        let limits =
            Limits { stall_timeout: Some(Duration::from_millis(50)), max_queries: 1, ..Limits::default() };
        let bench = bench(limits);
        let source = Source::new(Behaviour::Endless);
        bench.storage.replace("calls", Some(source.table()));
        let mut stalled = bench.admin().statement(sql).await.unwrap().execute().await.unwrap();
        timeout(PATIENCE, bench.engine.queries().ended(stalled.id())).await.unwrap();
        timeout(PATIENCE, source.stopped.notified()).await.unwrap();
        let query = listed(&bench, stalled.id());
        assert_eq!((query.state, query.rows), (QueryState::Failed, 0));
        // Its place is free for the next one.
        assert_eq!(column(&bench.admin(), "SELECT count(*) FROM generate_series(1, 10)").await, ["10"]);
        let error = first_error(&mut stalled).await;
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}");
        assert!(error.message().contains("limits.stall_timeout_sec"), "{error}");
    }
}

#[tokio::test]
async fn a_panic_and_an_error_in_the_plan_end_the_stream_and_nothing_else() {
    for (behaviour, kind, text) in [
        (Behaviour::Panics, ErrorKind::Internal, "a defect in the server"),
        (Behaviour::Fails, ErrorKind::Invalid, "the source failed"),
    ] {
        let bench = bench(Limits::default());
        bench.storage.replace("calls", Some(Source::new(behaviour).table()));
        let mut stream =
            bench.admin().statement("SELECT * FROM calls").await.unwrap().execute().await.unwrap();
        let error = first_error(&mut stream).await;
        assert_eq!(error.kind(), kind);
        assert!(error.message().contains(text), "{error}");
        assert!(stream.next().await.is_none());
        assert!(stream.next().await.is_none());
        assert_eq!(listed(&bench, stream.id()).state, QueryState::Failed);
        assert_eq!(column(&bench.admin(), "SELECT 1").await, ["1"]);
    }
}

#[tokio::test]
async fn queries_over_the_limit_wait_for_their_turn() {
    let bench = bench(Limits { max_queries: 1, ..Limits::default() });
    let source = Source::new(Behaviour::Endless);
    bench.storage.replace("calls", Some(source.table()));
    let running = bench.admin().statement("SELECT * FROM calls").await.unwrap().execute().await.unwrap();
    let waiting = bench.admin().statement("SELECT 1").await.unwrap();
    let id = waiting.id();
    let waiter = tokio::spawn(async move { waiting.execute().await?.try_collect::<Vec<_>>().await });
    timeout(PATIENCE, async {
        let is_queued = || {
            let queries = bench.engine.queries().list(&Principal::local());
            queries.iter().any(|query| query.id == id && query.state == QueryState::Queued)
        };
        while !is_queued() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    drop(running);
    assert_eq!(timeout(PATIENCE, waiter).await.unwrap().unwrap().unwrap()[0].num_rows(), 1);
    assert_eq!(listed(&bench, id).state, QueryState::Finished);
}

#[tokio::test]
async fn a_waiting_query_can_be_cancelled() {
    let bench = bench(Limits { max_queries: 1, ..Limits::default() });
    bench.storage.replace("calls", Some(Source::new(Behaviour::Endless).table()));
    let _running = bench.admin().statement("SELECT * FROM calls").await.unwrap().execute().await.unwrap();
    let waiting = bench.admin().statement("SELECT 1").await.unwrap();
    let id = waiting.id();
    let cancel = async {
        while bench.engine.queries().cancel(id, &Principal::local()).is_err() {
            tokio::task::yield_now().await;
        }
    };
    let (executed, ()) = timeout(PATIENCE, async { tokio::join!(waiting.execute(), cancel) }).await.unwrap();
    assert_eq!(executed.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn a_big_sort_spills_and_stays_right() {
    const ROWS: i64 = 2_000_000;
    let bench = bench(Limits { memory_bytes: 8 << 20, ..Limits::default() });
    let sql = format!("SELECT value FROM generate_series(1, {ROWS}) ORDER BY value DESC");
    let mut stream = bench.admin().statement(&sql).await.unwrap().execute().await.unwrap();
    let mut next = ROWS;
    while let Some(batch) = stream.try_next().await.unwrap() {
        let values = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().clone();
        for value in values.values() {
            assert_eq!(*value, next);
            next -= 1;
        }
    }
    assert_eq!(next, 0);
    let query = listed(&bench, stream.id());
    assert_eq!((query.state, query.rows), (QueryState::Finished, 2_000_000));
    assert!(query.peak_memory_bytes > 0 && query.peak_memory_bytes <= 8 << 20, "{query:?}");
}

#[tokio::test]
async fn what_cannot_spill_is_refused_at_the_memory_limit() {
    let bench = bench(Limits { memory_bytes: 8 << 20, ..Limits::default() });
    // The side of a hash join that is built must be in memory.
    let sql = "SELECT count(*) FROM generate_series(1, 1000000) AS a JOIN generate_series(1, 1000000) AS b \
               ON a.value = b.value";
    let error = rows(&bench.admin(), sql).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted, "{error}");
    assert_eq!(column(&bench.admin(), "SELECT 1").await, ["1"]);
}
