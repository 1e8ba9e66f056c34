//! Plans that make much out of little, beside others that make little, on one thread.

use std::time::Duration;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::*;

/// Longer than anything here takes; only a defect waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Each would take hours.
const LONG: [&str; 5] = [
    "SELECT count(*) FROM a, b",
    "SELECT count(*) FROM a JOIN b ON a.value + b.value < 0",
    "SELECT count(*) FROM a JOIN b ON a.value % 2 = b.value % 2",
    "SELECT count(*) FROM a JOIN b ON a.value % 2 = b.value % 2 AND a.value + b.value < 0",
    "SELECT count(*) FROM (SELECT unnest(range(1000)) AS n FROM a, b) WHERE n < 0",
];

fn one_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// The rows of a query with the rule, where `a` and `b` are tables of a million numbers.
async fn rows(sql: &str, end: &CancellationToken) -> SendableRecordBatchStream {
    let config =
        SessionConfig::new().with_target_partitions(1).with_extension(Arc::new(QueryEnd(end.clone())));
    let state = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_physical_optimizer_rule(Arc::new(FairJoins))
        .build();
    let context = SessionContext::new_with_state(state);
    for table in ["a", "b"] {
        let sql = format!("CREATE VIEW {table} AS SELECT value FROM generate_series(1, 1000000)");
        context.sql(&sql).await.unwrap().collect().await.unwrap();
    }
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    execute_stream(plan, context.task_ctx()).unwrap()
}

/// Waits until no task is left on the runtime. Its own future is none.
fn wait_until_idle(runtime: &Runtime, what: &str) {
    let metrics = runtime.metrics();
    let limit = std::time::Instant::now() + PATIENCE;
    while metrics.num_alive_tasks() > 0 {
        assert!(std::time::Instant::now() < limit, "{what}: {} tasks are left", metrics.num_alive_tasks());
        std::thread::yield_now();
    }
}

#[test]
fn a_plan_that_makes_much_of_little_stops_nobody_and_stops_when_told() {
    for sql in LONG {
        let runtime = one_thread();
        let end = CancellationToken::new();
        let (started, has_started) = std::sync::mpsc::channel();
        let token = end.clone();
        let long = runtime.spawn(async move {
            let mut rows = rows(sql, &token).await;
            started.send(()).unwrap();
            rows.next().await
        });
        has_started.recv_timeout(PATIENCE).unwrap();
        // Another task has its turn again and again.
        let other = runtime.spawn(async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        });
        runtime.block_on(async { tokio::time::timeout(PATIENCE, other).await }).expect(sql).unwrap();
        assert!(!long.is_finished(), "{sql}");
        end.cancel();
        long.abort();
        wait_until_idle(&runtime, sql);
    }
}

#[test]
fn the_rows_are_those_without_the_rule() {
    let runtime = one_thread();
    for (sql, expected) in [
        ("SELECT count(*) FROM a JOIN b ON a.value = b.value AND a.value + b.value < 200", 99),
        ("SELECT count(*) FROM a JOIN (SELECT value FROM b LIMIT 3) AS c ON a.value < c.value", 3),
        ("SELECT count(*) FROM a LEFT JOIN b ON a.value = b.value + 1 AND b.value < 10", 1_000_000),
        ("SELECT count(*) FROM (SELECT value FROM a LIMIT 2) AS a CROSS JOIN b", 2_000_000),
        (
            "SELECT count(*) FROM (SELECT value FROM a LIMIT 9) AS a JOIN b USING (value) JOIN b AS c USING (value)",
            9,
        ),
        ("SELECT count(*) FROM (SELECT unnest(range(5)) FROM a LIMIT 7)", 7),
    ] {
        let batch = runtime
            .block_on(async { rows(sql, &CancellationToken::new()).await.next().await.unwrap().unwrap() });
        let count = batch.column(0).as_primitive::<Int64Type>().value(0);
        assert_eq!(count, expected, "{sql}");
    }
}
