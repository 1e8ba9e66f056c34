//! The engine over a real lake.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{
    ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use futures::TryStreamExt;
use pintail_engine::{Engine, EngineOptions, Session, SessionOptions, Statement, TableFilter};
use pintail_identity::Principal;
use pintail_lake::{Block, Lake, LakeOptions};
use pintail_types::{ErrorKind, ManualClock, TelemetryTable};

use crate::common::{column, rows, text_of};
use crate::slt::HasEngine;

/// 2026-11-20 10:00:00 UTC.
const TEN_O_CLOCK: i64 = 1_795_168_800_000_000;
const DAY: i64 = 86_400_000_000;

pub(crate) struct Bench {
    pub(crate) engine: Arc<Engine>,
    pub(crate) lake: Arc<Lake>,
    pub(crate) directory: tempfile::TempDir,
}

impl HasEngine for Bench {
    fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

pub(crate) async fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let options =
        LakeOptions { flush_interval: Duration::from_secs(3600), ..LakeOptions::at(directory.path()) };
    let clock = Arc::new(ManualClock::at(TEN_O_CLOCK));
    let lake = Lake::open(options, Arc::<ManualClock>::clone(&clock)).await.unwrap();
    let options = EngineOptions {
        memory_bytes: 64 << 20,
        spill_path: directory.path().join("spill"),
        max_queries: 8,
        query_timeout: None,
        stall_timeout: None,
        target_partitions: Some(2),
    };
    let engine = Engine::new(options, Arc::clone(&lake), clock).unwrap();
    Bench { engine, lake, directory }
}

impl Bench {
    pub(crate) fn session(&self, principal: Principal) -> Session {
        self.engine.session(principal, "test", SessionOptions::default())
    }

    /// Puts `count` log lines through journal and buffer, as a receiver does.
    pub(crate) fn receive(&self, count: usize) {
        let mut block = Block::new();
        for number in 0..count {
            block.push(&[&number.to_le_bytes()]);
        }
        let _intake = self.lake.intake();
        let start = self.lake.journal().append(&block).unwrap();
        let last = block.position(start, count - 1);
        self.lake.append(TelemetryTable::Log, lines(count), last).unwrap();
    }
}

fn lines(count: usize) -> RecordBatch {
    let schema = TelemetryTable::Log.schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "date" => Arc::new(Date32Array::from(vec![i32::try_from(TEN_O_CLOCK / DAY).unwrap(); count])),
            "timestamp" => Arc::new(TimestampMicrosecondArray::from(vec![TEN_O_CLOCK; count])),
            "payload" => Arc::new(StringArray::from(vec!["a line"; count])),
            "data_extra" => Arc::new(StringArray::from(vec![r#"{"facility":"mail"}"#; count])),
            _ => new_null_array(field.data_type(), count),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

async fn number(statement: &Statement) -> i64 {
    let batches: Vec<RecordBatch> = statement.execute().await.unwrap().try_collect().await.unwrap();
    batches[0].column(0).as_any().downcast_ref::<Int64Array>().unwrap().value(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_planned_once_sees_each_row_once_at_every_execution() {
    let bench = bench().await;
    let session = bench.session(Principal::new("grafana", ["readers"]));
    let count = session.statement("SELECT count(*) FROM homer_lake.hep_proto_100_default").await.unwrap();
    assert_eq!(number(&count).await, 0);
    bench.receive(10);
    assert_eq!(number(&count).await, 10);
    bench.lake.flush().await.unwrap();
    assert_eq!(number(&count).await, 10);
    bench.receive(5);
    assert_eq!(number(&count).await, 15);
    let same_moment =
        "SELECT (SELECT count(*) FROM hep_proto_100_default) - (SELECT count(*) FROM hep_messages)";
    assert_eq!(column(&session, same_moment).await, ["0"]);
    let by_volume = "SELECT storage_volume || ' ' || n FROM (SELECT storage_volume, count(*) AS n \
                     FROM hep_proto_100_default GROUP BY ALL) ORDER BY 1";
    assert_eq!(column(&session, by_volume).await, ["buffer 5", "default 10"]);
    let extra = "SELECT DISTINCT data_extra->>'facility' FROM hep_messages";
    assert_eq!(column(&session, extra).await, ["mail"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_announces_what_it_streams_with_rows_and_without() {
    let bench = bench().await;
    let session = bench.session(Principal::local());
    bench.receive(3);
    for flush in [false, true] {
        if flush {
            bench.lake.flush().await.unwrap();
        }
        // What stands in a volume's own catalog is written for official DuckDB.
        let filter = TableFilter {
            catalog: Some("homer_lake".to_owned()),
            with_schema: true,
            ..TableFilter::default()
        };
        let tables = session.tables(&filter).await.unwrap();
        assert!(tables.len() > 20, "{tables:?}");
        for table in tables {
            let name = format!("{}.{}.{}", table.catalog, table.schema_name, table.name);
            for sql in [format!("SELECT * FROM {name}"), format!("SELECT * FROM {name} WHERE false")] {
                let statement =
                    session.statement(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
                let stream = statement.execute().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
                let batches: Vec<RecordBatch> =
                    stream.try_collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
                for batch in batches {
                    assert_eq!(batch.schema(), statement.schema(), "{sql}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn volume_catalogs_are_for_admins() {
    let bench = bench().await;
    bench.receive(2);
    bench.lake.flush().await.unwrap();
    let count = "SELECT count(*) FROM homer_lake_default.main.hep_proto_100_default";
    assert_eq!(column(&bench.session(Principal::local()), count).await, ["2"]);
    let reader = bench.session(Principal::anonymous());
    assert_eq!(rows(&reader, count).await.unwrap_err().kind(), ErrorKind::NotFound);
    let named = "SELECT count(*) FROM information_schema.tables WHERE table_catalog <> 'homer_lake'";
    assert_eq!(column(&reader, named).await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_query_keeps_its_files_and_those_that_come_later_do_not() {
    let bench = bench().await;
    let session = bench.session(Principal::local());
    for _ in 0..2 {
        bench.receive(20_000);
        bench.lake.flush().await.unwrap();
    }
    let all = "SELECT payload FROM homer_lake_default.main.hep_proto_100_default";
    let mut running = session.statement(all).await.unwrap().execute().await.unwrap();
    let first = running.try_next().await.unwrap().unwrap().num_rows();
    let step = async |call: &str, column: &str| text_of(&columns(&session, call, column).await);
    assert_eq!(step("CALL system.compact('hep_proto_100_default')", "files_in").await, ["2"]);
    let cleanup = "CALL system.cleanup(older_than => '0 seconds')";
    assert_eq!(step(cleanup, "message").await, ["0 files deleted; 2 kept because queries may read them"]);
    let late = session.statement(all).await.unwrap().execute().await.unwrap();
    let rest: usize = running.try_collect::<Vec<_>>().await.unwrap().iter().map(RecordBatch::num_rows).sum();
    assert_eq!(first + rest, 40_000);
    assert_eq!(step(cleanup, "message").await, ["2 files deleted"]);
    let late: Vec<RecordBatch> = late.try_collect().await.unwrap();
    assert_eq!(late.iter().map(RecordBatch::num_rows).sum::<usize>(), 40_000);
    let listed = "SELECT task || ' ' || state FROM system.maintenance ORDER BY started_at, task DESC";
    assert_eq!(column(&session, listed).await, ["compact finished", "cleanup finished", "cleanup finished"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_cancelled_by_its_id() {
    let bench = bench().await;
    let session = bench.session(Principal::local());
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000000)";
    let running = session.statement(endless).await.unwrap().execute().await.unwrap();
    let call = format!("CALL system.cancel('{}')", running.id());
    assert_eq!(column(&session, &call).await, ["cancel"]);
    let error = running.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

/// One column of the rows of `sql`.
async fn columns(session: &Session, sql: &str, column: &str) -> Vec<RecordBatch> {
    let batches = rows(session, sql).await.unwrap();
    let place = batches[0].schema().index_of(column).unwrap();
    batches.iter().map(|batch| batch.project(&[place]).unwrap()).collect()
}
