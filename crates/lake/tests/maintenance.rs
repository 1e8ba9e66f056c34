//! A lake that keeps itself in shape: merging, retention, expiry and cleanup change no answer but those they are meant
//! to change, at no snapshot.

#![allow(clippy::unwrap_used, clippy::large_futures, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use common::{DAY, TEN_O_CLOCK, context, number, receive};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_ducklake::DuckLakeCatalog;
use futures::StreamExt;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use pintail_lake::{
    Author, Cut, Lake, LakeOptions, MaintenanceOptions, MaintenanceStep, MaintenanceTask, Retention,
    RetentionUnit, RowChange, TableName,
};
use pintail_types::{ErrorKind, ManualClock};

const LOGS: &str = "hep_proto_100_default";
const COUNT: &str = "SELECT count(*) FROM hep_proto_100_default";
const HOUR: i64 = DAY / 24;

struct Bench {
    lake: Arc<Lake>,
    clock: Arc<ManualClock>,
    directory: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self::with(MaintenanceOptions::default()).await
    }

    async fn with(maintenance: MaintenanceOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = LakeOptions {
            flush_interval: Duration::from_secs(3600),
            maintenance,
            ..LakeOptions::at(directory.path())
        };
        let clock = Arc::new(ManualClock::at(TEN_O_CLOCK));
        let lake = Lake::open(options, Arc::<ManualClock>::clone(&clock)).await.unwrap();
        Self { lake, clock, directory }
    }

    /// Log lines in a file of their own.
    async fn flushed(&self, first: u64, count: u64) {
        receive(&self.lake, first, count);
        self.lake.flush().await.unwrap();
    }

    async fn maintain(&self, task: MaintenanceTask) -> Vec<MaintenanceStep> {
        let steps = self.lake.maintain(&task).await.unwrap();
        for step in &steps {
            assert_eq!(step.state.name(), "finished", "{step:?}");
        }
        self.assert_sound();
        steps
    }

    /// The step of the log lines' table.
    async fn compact(&self) -> MaintenanceStep {
        let table = Some(LOGS.to_owned());
        self.maintain(MaintenanceTask::Compact { table, volume: None }).await.remove(0)
    }

    async fn expire(&self, older_than: Duration) -> MaintenanceStep {
        self.maintain(MaintenanceTask::ExpireSnapshots { older_than: Some(older_than) }).await.remove(0)
    }

    async fn cleanup(&self, older_than: Duration) -> MaintenanceStep {
        self.maintain(MaintenanceTask::Cleanup { older_than: Some(older_than) }).await.remove(0)
    }

    fn assert_sound(&self) {
        let problems = self.lake.catalog().check().unwrap();
        assert!(problems.is_empty(), "{problems:#?}");
    }

    /// The Parquet files on disk.
    fn files(&self) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        let mut directories = vec![self.directory.path().join("parquet")];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => directories.push(path),
                    false => drop(files.insert(path)),
                }
            }
        }
        files
    }

    /// The number and the sum of the lines at every snapshot that has the table.
    async fn history(&self) -> BTreeMap<i64, (i64, i64)> {
        let mut seen = BTreeMap::new();
        for snapshot in self.lake.catalog().snapshots().unwrap() {
            let provider = self.lake.catalog().provider().await.unwrap();
            let catalog = DuckLakeCatalog::with_snapshot(provider, snapshot.id.0).unwrap();
            let context = SessionContext::new();
            context.register_catalog("past", Arc::new(catalog));
            let query = format!("SELECT count(*), sum(CAST(payload AS BIGINT)) FROM past.main.{LOGS}");
            let Ok(rows) = context.sql(&query).await else { continue };
            let rows = rows.collect().await.unwrap();
            let value = |column: usize| rows[0].column(column).as_primitive::<Int64Type>().iter().next();
            seen.insert(snapshot.id.0, (value(0).unwrap().unwrap(), value(1).unwrap().unwrap_or(0)));
        }
        seen
    }

    /// The ids of the rows by their payload.
    async fn row_ids(&self) -> BTreeMap<String, i64> {
        let cut = self.lake.cut().await.unwrap();
        let batches = self.rows_with_ids(&cut, "true").await;
        let mut ids = BTreeMap::new();
        for batch in batches {
            let payloads = cast(batch.column(0), &DataType::Utf8).unwrap();
            let numbers = batch.column(1).as_primitive::<Int64Type>().values().iter().copied();
            ids.extend(
                payloads.as_string::<i32>().iter().map(|payload| payload.unwrap().to_owned()).zip(numbers),
            );
        }
        ids
    }

    async fn rows_with_ids(&self, cut: &Arc<Cut>, condition: &str) -> Vec<RecordBatch> {
        let table = self.lake.rows_with_ids(&logs(), cut).await.unwrap();
        let config = SessionConfig::new().with_extension(Arc::clone(cut));
        let context = SessionContext::new_with_config(config);
        context.register_table("t", table).unwrap();
        let query = format!("SELECT payload, {} FROM t WHERE {condition}", Lake::ROW_ID);
        context.sql(&query).await.unwrap().collect().await.unwrap()
    }

    /// Deletes the lines that `condition` finds, by a delete file.
    async fn delete(&self, condition: &str) {
        let cut = self.lake.cut().await.unwrap();
        let found = self.rows_with_ids(&cut, condition).await;
        let schema = Arc::new(Schema::new(vec![Field::new(Lake::ROW_ID, DataType::Int64, true)]));
        let only_ids = found.into_iter().map(move |batch| {
            let ids: Int64Array = batch.column(1).as_primitive::<Int64Type>().clone();
            Ok(RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(ids)]).unwrap())
        });
        let rows = futures::stream::iter(only_ids.collect::<Vec<_>>()).boxed();
        let author = Author { name: "test".to_owned(), statement: "DELETE".to_owned() };
        self.lake.change_rows(&logs(), RowChange::Delete, &cut, rows, &author).await.unwrap();
    }
}

/// A context whose queries read the moment of a cut.
fn at_cut(lake: &Arc<Lake>, cut: &Arc<Cut>) -> SessionContext {
    let config = SessionConfig::new()
        .with_default_catalog_and_schema(lake.name(), "main")
        .with_extension(Arc::clone(cut));
    let context = SessionContext::new_with_config(config);
    for catalog in lake.catalogs() {
        context.register_catalog(catalog.name, catalog.provider);
    }
    context
}

fn logs() -> TableName {
    TableName { schema: "main".to_owned(), name: LOGS.to_owned() }
}

/// The times of a file's rows, as they follow each other.
fn times(path: &Path) -> Vec<i64> {
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| {
        let row = row.unwrap();
        let time = row.get_column_iter().find(|(name, _)| name.as_str() == "timestamp").unwrap().1.clone();
        match time {
            parquet::record::Field::TimestampMicros(time) => time,
            other => panic!("{other:?}"),
        }
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_changes_no_row_no_id_and_no_snapshot() {
    let bench = Bench::new().await;
    // Later files hold older rows: the merge has to put them in order.
    for first in [60, 30, 0, 90] {
        bench.flushed(first, 30).await;
    }
    bench.delete("CAST(payload AS BIGINT) BETWEEN 95 AND 96").await;
    let (history, ids) = (bench.history().await, bench.row_ids().await);
    let before = bench.files();

    let step = bench.compact().await;
    assert_eq!((step.done.files_in, step.done.files_out, step.done.rows), (3, 1, 90), "{step:?}");
    assert_eq!(step.table_name.as_deref(), Some("main.hep_proto_100_default"));
    let after = bench.history().await;
    assert_eq!(after.iter().filter(|(id, _)| history.contains_key(id)).count(), history.len());
    assert!(history.iter().all(|(id, seen)| after[id] == *seen), "{history:?} {after:?}");
    assert_eq!(bench.row_ids().await, ids);
    assert_eq!(number(&context(&bench.lake), COUNT).await, 118);
    let merged: Vec<_> = bench.files().difference(&before).cloned().collect();
    assert_eq!(merged.len(), 1);
    let times = times(&merged[0]);
    assert!(times.is_sorted() && times.len() == 90);

    // What was merged is merged again, with files that came later.
    bench.flushed(120, 30).await;
    let history = bench.history().await;
    let step = bench.compact().await;
    assert_eq!((step.done.files_in, step.done.files_out, step.done.rows), (2, 1, 120));
    let after = bench.history().await;
    assert!(history.iter().all(|(id, seen)| after[id] == *seen), "{history:?} {after:?}");
    assert_eq!(bench.compact().await.message(), "nothing to merge");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_rows_leave_the_files_and_stay_in_older_snapshots() {
    let bench = Bench::new().await;
    bench.flushed(0, 100).await;
    bench.flushed(100, 100).await;
    bench.delete("CAST(payload AS BIGINT) % 2 = 0").await;
    let (history, ids) = (bench.history().await, bench.row_ids().await);
    let step = bench.compact().await;
    assert_eq!((step.done.files_in, step.done.files_out, step.done.rows), (2, 1, 100));
    let after = bench.history().await;
    assert!(history.iter().all(|(id, seen)| after[id] == *seen), "{history:?} {after:?}");
    assert_eq!(bench.row_ids().await, ids);

    // A file of which nothing is left has no successor.
    bench.delete("true").await;
    let step = bench.compact().await;
    assert_eq!((step.done.files_in, step.done.files_out, step.done.rows), (1, 0, 0));
    bench.expire(Duration::ZERO).await;
    let step = bench.cleanup(Duration::ZERO).await;
    assert_eq!(step.done.files_in, 6, "three data files and their delete files: {step:?}");
    assert_eq!(bench.files(), BTreeSet::new());
    assert_eq!(number(&context(&bench.lake), COUNT).await, 0);
    bench.flushed(0, 5).await;
    assert_eq!(number(&context(&bench.lake), COUNT).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_become_one_in_rounds() {
    let bench = Bench::new().await;
    for first in 0..70 {
        bench.flushed(first, 1).await;
    }
    let step = bench.compact().await;
    // 32, 32 and 6 files become three, and these one.
    assert_eq!((step.done.files_in, step.done.files_out, step.done.rows), (73, 4, 140));
    assert_eq!(
        bench.lake.catalog().statistics("main").unwrap().iter().map(|table| table.files).sum::<u64>(),
        1
    );
    let values: Vec<i64> = bench.row_ids().await.into_values().collect();
    assert_eq!(values.into_iter().collect::<BTreeSet<_>>(), (0..70).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_keeps_its_snapshot_and_its_files_until_it_ends() {
    let bench = Bench::new().await;
    bench.flushed(0, 10).await;
    bench.flushed(10, 10).await;
    let cut = bench.lake.cut().await.unwrap();
    let files = bench.files();
    assert_eq!(files.len(), 2);
    bench.compact().await;
    bench.flushed(20, 10).await;

    let step = bench.expire(Duration::ZERO).await;
    assert!(step.message().ends_with("1 kept because queries read them"), "{}", step.message());
    let step = bench.cleanup(Duration::ZERO).await;
    assert_eq!((step.done.files_in, step.done.bytes), (0, 0), "{step:?}");
    assert!(step.message().contains("2 kept because queries may read them"), "{}", step.message());
    assert!(files.is_subset(&bench.files()));
    let old = at_cut(&bench.lake, &cut);
    assert_eq!(number(&old, COUNT).await, 20);

    drop((old, cut));
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    let step = bench.cleanup(Duration::ZERO).await;
    assert_eq!((step.done.files_in, step.done.bytes), (2, bytes), "{step:?}");
    assert!(files.is_disjoint(&bench.files()));
    bench.expire(Duration::ZERO).await;
    assert_eq!(bench.lake.catalog().snapshots().unwrap().len(), 1);
    assert_eq!(number(&context(&bench.lake), COUNT).await, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_wait_for_their_grace_and_unknown_ones_are_found() {
    let bench = Bench::new().await;
    bench.flushed(0, 10).await;
    bench.flushed(10, 10).await;
    bench.compact().await;
    let orphan = bench.directory.path().join("parquet/main/lost.parquet");
    let unfinished = bench.directory.path().join("parquet/main/lost.parquet.tmp");
    let foreign = bench.directory.path().join("parquet/main/notes.txt");
    let hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    for path in [&orphan, &unfinished, &foreign] {
        let file = std::fs::File::create(path).unwrap();
        std::io::Write::write_all(&mut &file, b"lost").unwrap();
        file.set_modified(hour_ago).unwrap();
    }
    let default = bench.maintain(MaintenanceTask::Cleanup { older_than: None }).await.remove(0);
    assert!(default.message().contains("2 wait for the end of their grace"), "{}", default.message());
    // The two lost files are as old as the grace, and nobody is about to commit them.
    assert_eq!((default.done.files_in, default.done.bytes), (2, 8), "{default:?}");
    assert!(!orphan.exists() && !unfinished.exists() && foreign.exists());
    let explicit = bench.cleanup(Duration::ZERO).await;
    assert_eq!(explicit.done.files_in, 2, "{explicit:?}");
    assert_eq!(bench.files().len(), 2, "one merged file, and one of somebody else");
    assert_eq!(number(&context(&bench.lake), COUNT).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_drops_whole_files_and_deletes_rows_of_others() {
    let retention = Retention {
        by_table: BTreeMap::from([(LOGS.to_owned(), 5)]),
        unit: RetentionUnit::Hours,
        ..Retention::default()
    };
    let bench = Bench::with(MaintenanceOptions { retention, ..MaintenanceOptions::default() }).await;
    bench.flushed(0, 100).await;
    bench.flushed(100, 100).await;
    bench.flushed(3600, 100).await;
    assert_eq!(bench.maintain(MaintenanceTask::Retention).await.remove(0).done.rows, 0);

    // Line 150 is at the limit: it stays.
    bench.clock.set(TEN_O_CLOCK + 5 * HOUR + 150 * 1_000_000);
    let bytes = bench.files().first().unwrap().metadata().unwrap().len();
    let steps = bench.maintain(MaintenanceTask::Retention).await;
    assert_eq!(steps.len(), 1, "{steps:?}");
    let done = &steps[0].done;
    assert_eq!((done.files_in, done.rows, done.bytes), (1, 150, bytes), "{done:?}");
    let context = context(&bench.lake);
    assert_eq!(number(&context, COUNT).await, 150);
    let oldest = "SELECT min(CAST(payload AS BIGINT)) FROM hep_proto_100_default";
    assert_eq!(number(&context, oldest).await, 150);
    assert_eq!(bench.maintain(MaintenanceTask::Retention).await[0].done.rows, 0);

    // The rows that are left go too, and their space returns.
    bench.clock.set(TEN_O_CLOCK + 8 * HOUR);
    let steps = bench.maintain(MaintenanceTask::Vacuum { expire_older_than: Some(Duration::ZERO) }).await;
    let tasks: Vec<&str> = steps.iter().map(|step| step.task).collect();
    assert_eq!(tasks.first(), Some(&"flush"));
    assert_eq!(tasks.iter().rev().take(2).copied().collect::<Vec<_>>(), ["cleanup", "expire_snapshots"]);
    assert_eq!(steps.last().unwrap().done.files_in, 4, "{:?}", steps.last());
    assert_eq!(bench.files(), BTreeSet::new());
    assert_eq!(number(&context, COUNT).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_are_kept_whole() {
    let retention = Retention { default: 1, ..Retention::default() };
    let bench = Bench::with(MaintenanceOptions { retention, ..MaintenanceOptions::default() }).await;
    bench.flushed(0, 10).await;
    bench.clock.set(TEN_O_CLOCK + DAY + 13 * HOUR);
    let rows = |steps: Vec<MaintenanceStep>| steps.iter().map(|step| step.done.rows).sum::<u64>();
    assert_eq!(rows(bench.maintain(MaintenanceTask::Retention).await), 0);
    bench.clock.set(TEN_O_CLOCK + DAY + 14 * HOUR);
    assert_eq!(rows(bench.maintain(MaintenanceTask::Retention).await), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_is_seen_once_while_the_lake_is_maintained() {
    const ROUNDS: u64 = 40;
    let bench = Bench::new().await;
    let received = Arc::new(AtomicU64::new(0));
    let reader = tokio::spawn({
        let (lake, received) = (Arc::clone(&bench.lake), Arc::clone(&received));
        async move {
            let mut looks = 0;
            while received.load(Ordering::SeqCst) < 5 * ROUNDS {
                let before = received.load(Ordering::SeqCst);
                let cut = lake.cut().await.unwrap();
                let context = at_cut(&lake, &cut);
                let query = format!("SELECT count(*), count(DISTINCT payload) FROM {LOGS}");
                let rows = context.sql(&query).await.unwrap().collect().await.unwrap();
                let value = |column: usize| rows[0].column(column).as_primitive::<Int64Type>().value(0);
                let after = received.load(Ordering::SeqCst);
                let (seen, distinct) = (value(0).cast_unsigned(), value(1).cast_unsigned());
                assert_eq!(seen, distinct);
                assert!((before..=after + 5).contains(&seen), "{before} {seen} {after}");
                looks += 1;
            }
            looks
        }
    });
    for round in 0..ROUNDS {
        receive(&bench.lake, round * 5, 5);
        received.store(round * 5 + 5, Ordering::SeqCst);
        let (flushed, vacuumed) = tokio::join!(
            bench.lake.flush(),
            bench.lake.maintain(&MaintenanceTask::Vacuum { expire_older_than: Some(Duration::ZERO) }),
        );
        flushed.unwrap();
        let steps = vacuumed.unwrap();
        assert!(steps.iter().all(|step| step.state.name() == "finished"), "{steps:#?}");
    }
    assert!(reader.await.unwrap() > 0);
    bench.assert_sound();
    bench.maintain(MaintenanceTask::Vacuum { expire_older_than: Some(Duration::ZERO) }).await;
    assert_eq!(bench.files().len(), 1, "nothing is left over: {:?}", bench.files());
    assert_eq!(number(&context(&bench.lake), COUNT).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_for_what_is_not_there_says_so() {
    let bench = Bench::new().await;
    let table = Some("nothing".to_owned());
    let error = bench.lake.maintain(&MaintenanceTask::Compact { table, volume: None }).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, "table nothing does not exist"));
    let volume = Some("cold".to_owned());
    let error = bench.lake.maintain(&MaintenanceTask::Compact { table: None, volume }).await.unwrap_err();
    assert_eq!(error.message(), "volume cold does not exist; there are: default");
    assert!(bench.lake.maintenance_steps().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lake_looks_after_itself() {
    let maintenance = MaintenanceOptions {
        interval: Some(Duration::from_millis(1)),
        merging: pintail_lake::MergeOptions { min_age: Duration::ZERO, ..Default::default() },
        ..MaintenanceOptions::default()
    };
    let bench = Bench::with(maintenance).await;
    for first in 0..4 {
        bench.flushed(first, 1).await;
    }
    bench.lake.start();
    let finished = || {
        let steps = bench.lake.maintenance_steps().into_iter();
        steps.filter(|step| step.state.name() == "finished").collect::<Vec<_>>()
    };
    // Ends with the first round that found something to merge: a test that hangs here has failed.
    while finished().is_empty() {
        tokio::task::yield_now().await;
    }
    bench.lake.stop().await.unwrap();
    let steps = finished();
    assert_eq!((steps[0].task, steps[0].done.files_in), ("compact", 4), "{steps:#?}");
    assert_eq!(steps.len(), 1, "steps that found nothing to do are not listed: {steps:#?}");
    bench.assert_sound();
    assert_eq!(number(&context(&bench.lake), COUNT).await, 4);
}
