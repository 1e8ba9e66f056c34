//! A lake of several volumes: every row is shown once, wherever it lies, whatever moves, and however a move ends.

#![allow(clippy::unwrap_used, clippy::large_futures, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use common::{DAY, TEN_O_CLOCK, context, number, receive, rows, words};
use datafusion::prelude::SessionContext;
use datafusion_ducklake::SnapshotCommitMetadata;
use pintail_ducklake::{LiveFile, NewColumn, SchemaChange, TableName};
use pintail_lake::{
    Lake, LakeOptions, MaintenanceStep, MaintenanceTask, Moment, MoveWatch, StoragePolicy, VolumeOptions,
};
use pintail_types::{Error, ErrorKind, FaultPoint, ManualClock};

const LOGS: &str = "hep_proto_100_default";
const COUNT: &str = "SELECT count(*) FROM hep_proto_100_default";
const SUM: &str = "SELECT CAST(sum(CAST(payload AS BIGINT)) AS BIGINT) FROM hep_proto_100_default";
/// Lines of one day after ten o'clock, one each second.
const LINES_OF_TODAY: u64 = 14 * 3600;

fn options(directory: &Path, policy: StoragePolicy) -> LakeOptions {
    let volume = |name: &str, priority| VolumeOptions {
        priority,
        ..VolumeOptions::new(name, directory.join(format!("{name}.sqlite")), directory.join(name))
    };
    LakeOptions {
        volumes: vec![volume("hot", 1), volume("warm", 2), volume("cold", 3)],
        policy,
        flush_interval: Duration::from_secs(3600),
        ..LakeOptions::at(directory)
    }
}

async fn open_with(options: LakeOptions) -> Arc<Lake> {
    Lake::open(options, Arc::new(ManualClock::at(TEN_O_CLOCK))).await.unwrap()
}

async fn open(directory: &Path) -> Arc<Lake> {
    open_with(options(directory, StoragePolicy::default())).await
}

/// Lines in a file of their own.
async fn flushed(lake: &Arc<Lake>, first: u64, count: u64) {
    receive(lake, first, count);
    lake.flush().await.unwrap();
}

fn a_move(date: &str, from: &str, to: &str) -> MaintenanceTask {
    MaintenanceTask::Move {
        table: LOGS.to_owned(),
        date: date.to_owned(),
        from_volume: from.to_owned(),
        to_volume: to.to_owned(),
    }
}

async fn maintain(lake: &Arc<Lake>, task: MaintenanceTask) -> Vec<MaintenanceStep> {
    let steps = lake.maintain(&task).await.unwrap();
    for step in &steps {
        assert_eq!(step.state.name(), "finished", "{step:?}");
    }
    assert_sound(lake);
    steps
}

fn assert_sound(lake: &Lake) {
    for (name, catalog) in lake.volume_catalogs() {
        let problems = catalog.check().unwrap();
        assert!(problems.is_empty(), "{name}: {problems:#?}");
    }
}

/// Rows by the place that the union says they are in.
async fn places(context: &SessionContext) -> BTreeMap<String, i64> {
    let sql = "SELECT storage_volume, count(*) FROM hep_proto_100_default GROUP BY storage_volume";
    let mut places = BTreeMap::new();
    for batch in rows(context, sql).await {
        let names = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8).unwrap();
        let counts = batch.column(1).as_primitive::<Int64Type>().values().to_vec();
        let names = names.as_string::<i32>().iter().map(|name| name.unwrap().to_owned()).collect::<Vec<_>>();
        places.extend(names.into_iter().zip(counts));
    }
    places
}

fn expected(places: &[(&str, i64)]) -> BTreeMap<String, i64> {
    places.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_shown_once_wherever_they_lie() {
    let directory = tempfile::tempdir().unwrap();
    let lake = open(directory.path()).await;
    let context = context(&lake);
    // Today and tomorrow, in two files each, and rows in memory.
    flushed(&lake, LINES_OF_TODAY - 20, 40).await;
    flushed(&lake, LINES_OF_TODAY - 100, 200).await;
    receive(&lake, 0, 5);
    let sum = number(&context, SUM).await;
    let today = "2026-11-20";

    let steps = maintain(&lake, a_move(today, "hot", "cold")).await;
    let step = steps.last().unwrap();
    assert_eq!((step.task, step.catalog.as_str()), ("move", "homer_lake_hot"));
    assert_eq!((step.done.files_in, step.done.files_out, step.done.rows), (2, 1, 120), "{step:?}");
    assert!(step.done.bytes > 0 && step.done.message.contains("from hot to cold"), "{step:?}");
    assert_eq!(places(&context).await, expected(&[("buffer", 5), ("hot", 120), ("cold", 120)]));
    assert_eq!((number(&context, COUNT).await, number(&context, SUM).await), (245, sum));
    for (volume, count) in [("hot", 120), ("warm", 0), ("cold", 120)] {
        let own = format!("SELECT count(*) FROM homer_lake_{volume}.main.{LOGS}");
        assert_eq!(number(&context, &own).await, count, "{volume}");
        let only = format!("{COUNT} WHERE storage_volume = '{volume}'");
        assert_eq!(number(&context, &only).await, count, "{volume}");
    }
    // A look-up by an indexed column finds the row in either volume.
    let one = format!("SELECT count(*) FROM {LOGS} WHERE payload = '{}'", LINES_OF_TODAY - 50);
    assert_eq!(number(&context, &one).await, 1);
    let states = lake.volume_states().unwrap();
    let states: Vec<_> = states.iter().map(|state| (state.name.as_str(), state.files, state.rows)).collect();
    assert_eq!(states, [("hot", 2, 120), ("warm", 0, 0), ("cold", 1, 120)]);

    // Late rows of that day come into the hot volume; a second move takes them, and a recall takes all back.
    lake.flush().await.unwrap();
    maintain(&lake, a_move(today, "hot", "cold")).await;
    assert_eq!(places(&context).await, expected(&[("hot", 120), ("cold", 125)]));
    maintain(&lake, a_move(today, "cold", "hot")).await;
    assert_eq!(places(&context).await, expected(&[("hot", 245)]));
    assert_eq!(number(&context, SUM).await, sum);
    let nothing = maintain(&lake, a_move(today, "cold", "hot")).await;
    assert!(nothing.last().unwrap().done.message.contains("no files"), "{nothing:?}");

    for (task, wanted) in [
        (a_move(today, "hot", "lukewarm"), "volume lukewarm does not exist; there are: hot, warm, cold"),
        (a_move(today, "hot", "hot"), "in volume hot already"),
        (a_move("yesterday", "hot", "cold"), "'yesterday' is no date"),
    ] {
        let error = lake.maintain(&task).await.unwrap_err();
        assert!(error.message().contains(wanted), "{error}");
    }
    lake.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_of_the_union_shows_every_row_once() {
    let directory = tempfile::tempdir().unwrap();
    let lake = open(directory.path()).await;
    flushed(&lake, 0, 30).await;
    maintain(&lake, a_move("2026-11-20", "hot", "warm")).await;
    flushed(&lake, 30, 10).await;
    maintain(&lake, a_move("2026-11-20", "warm", "cold")).await;
    maintain(&lake, a_move("2026-11-20", "hot", "cold")).await;

    let past = lake.catalogs().remove(0).past;
    let catalogs = lake.volume_catalogs();
    let mut times: Vec<i64> = Vec::new();
    for (_, catalog) in &catalogs {
        times.extend(catalog.snapshots().unwrap().iter().filter_map(|snapshot| snapshot.committed_at()));
    }
    times.sort_unstable();
    let first_flush = catalogs[0].1.snapshots().unwrap();
    let first_flush =
        first_flush.iter().find(|snapshot| snapshot.message.as_deref() == Some("flush")).unwrap();
    let (mut seen, session) = (Vec::new(), SessionContext::new());
    for time in times.into_iter().filter(|time| *time >= first_flush.committed_at().unwrap()) {
        let snapshots = past.snapshots_at(Moment::Time(time)).unwrap();
        assert_eq!(snapshots.len(), 3);
        session.register_catalog("past", past.catalog_at(&snapshots).unwrap());
        seen.push(number(&session, &format!("SELECT count(*) FROM past.main.{LOGS}")).await);
    }
    seen.dedup();
    assert_eq!(seen, [30, 40]);

    let error = past.snapshots_at(Moment::Snapshot(pintail_types::SnapshotId(1))).unwrap_err();
    assert!(error.message().contains("homer_lake_hot, homer_lake_warm, homer_lake_cold"), "{error}");
    let error = past.snapshots_at(Moment::Time(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);

    // What no snapshot can show twice any more is forgotten.
    assert_eq!(catalogs[2].1.moves().unwrap().taken_over.len(), 2);
    let older_than = Some(Duration::ZERO);
    maintain(&lake, MaintenanceTask::ExpireSnapshots { older_than }).await;
    maintain(&lake, MaintenanceTask::Cleanup { older_than }).await;
    for (name, catalog) in &catalogs {
        let moves = catalog.moves().unwrap();
        assert!(moves.taken_over.is_empty() && moves.handed_over.is_empty(), "{name}: {moves:?}");
    }
    assert_eq!(places(&context(&lake)).await, expected(&[("cold", 40)]));
    assert_eq!((files(&directory.path().join("hot")), files(&directory.path().join("cold"))), (0, 2));
    lake.stop().await.unwrap();
}

/// Parquet files below a directory, finished or not.
fn files(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

/// Ends a move the `nth` time that it passes a point, and everything after it, as if the process were dead.
fn dead_after(nth: usize) -> (StoragePolicy, Arc<AtomicUsize>) {
    let passed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&passed);
    let watch = MoveWatch(Arc::new(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        before if before + 1 >= nth => Err(Error::internal("the process is dead")),
        _ => Ok(()),
    }));
    (StoragePolicy { watch: Some(watch), ..StoragePolicy::default() }, passed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_dies_anywhere_is_finished_or_rolled_back() {
    // Begun, copied, verified, taken over, handed over: the last one comes after all is done.
    let mut moved = Vec::new();
    for nth in 1..=5 {
        let directory = tempfile::tempdir().unwrap();
        let (policy, passed) = dead_after(nth);
        let lake = open_with(options(directory.path(), policy)).await;
        flushed(&lake, 0, 30).await;
        flushed(&lake, LINES_OF_TODAY - 10, 20).await;
        let sum = number(&context(&lake), SUM).await;
        let error = lake.maintain(&a_move("2026-11-20", "hot", "cold")).await.unwrap_err();
        assert!(error.message().contains("dead"), "{error}");
        assert!(passed.load(Ordering::SeqCst) >= nth);
        // Whoever reads now sees every row once.
        assert_eq!((number(&context(&lake), COUNT).await, number(&context(&lake), SUM).await), (50, sum));
        let states = lake.volume_states().unwrap();
        assert!([50, 90].contains(&(states[0].rows + states[2].rows)), "{states:?}");
        drop(lake);

        // Settling dies too, before anything is done and then on the way.
        for again in 1..=2 {
            let (policy, _) = dead_after(again);
            let lake = open_with(options(directory.path(), policy)).await;
            maintain(&lake, MaintenanceTask::Retention).await;
            assert_eq!((number(&context(&lake), COUNT).await, number(&context(&lake), SUM).await), (50, sum));
        }
        let lake = open(directory.path()).await;
        assert_eq!((number(&context(&lake), COUNT).await, number(&context(&lake), SUM).await), (50, sum));
        // Any maintenance settles what was begun.
        maintain(&lake, MaintenanceTask::Retention).await;
        let states = lake.volume_states().unwrap();
        let places = (states[0].rows, states[2].rows);
        assert!([(50, 0), (10, 40)].contains(&places), "after {nth} points: {states:?}");
        moved.push(places.1 > 0);
        assert_eq!((number(&context(&lake), COUNT).await, number(&context(&lake), SUM).await), (50, sum));
        assert!(lake.volume_catalogs()[2].1.begun_moves().unwrap().is_empty());
        // Nothing is left on disk that no catalog names.
        assert_eq!(files(&directory.path().join("cold")), usize::from(places.1 > 0));
        // And the move can be made, or is found made.
        maintain(&lake, a_move("2026-11-20", "hot", "cold")).await;
        assert_eq!(
            common::number(&context(&lake), &format!("{COUNT} WHERE storage_volume = 'cold'")).await,
            40
        );
        lake.stop().await.unwrap();
    }
    assert_eq!(moved, [false, false, false, true, true], "the switch is at one point");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_count_right_while_rows_move_to_and_fro() {
    let directory = tempfile::tempdir().unwrap();
    let lake = open(directory.path()).await;
    flushed(&lake, 0, 3000).await;
    flushed(&lake, LINES_OF_TODAY, 100).await;
    let sum = number(&context(&lake), SUM).await;
    let done = Arc::new(AtomicBool::new(false));
    let reader = |sql: &'static str, wanted: i64| {
        let (lake, done) = (Arc::clone(&lake), Arc::clone(&done));
        tokio::spawn(async move {
            let context = context(&lake);
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(number(&context, sql).await, wanted, "read {reads}");
                reads += 1;
            }
            reads
        })
    };
    let readers = [reader(COUNT, 3100), reader(SUM, sum)];
    for _ in 0..5 {
        for (from, to) in [("hot", "warm"), ("warm", "cold"), ("cold", "hot")] {
            maintain(&lake, a_move("2026-11-20", from, to)).await;
        }
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    lake.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_program_changes_during_a_move_is_not_lost() {
    let directory = tempfile::tempdir().unwrap();
    let table = TableName { schema: "main".to_owned(), name: LOGS.to_owned() };
    let hot: Arc<parking_lot::Mutex<Option<pintail_ducklake::Catalog>>> = Arc::default();
    let (catalog, name) = (Arc::clone(&hot), table.clone());
    // As soon as the cold volume has the rows, somebody removes one of the hot volume's files.
    let watch = MoveWatch(Arc::new(move |point| {
        let Some(catalog) = catalog.lock().take_if(|_| point == FaultPoint::MoveTakenOver) else {
            return Ok(());
        };
        let live = catalog.live_files(&name, "").unwrap().unwrap();
        let about = SnapshotCommitMetadata::new().with_author("somebody");
        let first: &LiveFile = live.files.first().unwrap();
        catalog.end_files(&name, &[first.id], &about).map(|_| ())
    }));
    let policy = StoragePolicy { watch: Some(watch), ..StoragePolicy::default() };
    let lake = open_with(options(directory.path(), policy)).await;
    *hot.lock() = Some(lake.catalog().clone());
    flushed(&lake, 0, 30).await;
    flushed(&lake, 30, 10).await;
    let steps = maintain(&lake, a_move("2026-11-20", "hot", "cold")).await;
    assert!(steps.last().unwrap().done.message.contains("was undone"), "{steps:?}");
    assert_eq!(places(&context(&lake)).await, expected(&[("hot", 10)]), "what was removed stays removed");
    maintain(&lake, a_move("2026-11-20", "hot", "cold")).await;
    assert_eq!(places(&context(&lake)).await, expected(&[("cold", 10)]));
    lake.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_copy_moves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let cold = directory.path().join("cold");
    let watch = MoveWatch(Arc::new(move |point| {
        if point == FaultPoint::MoveBegun {
            // No file can be made where a file is in the place of its directory.
            let table = cold.join("main").join(LOGS);
            std::fs::create_dir_all(&table).unwrap();
            std::fs::write(table.join("date=2026-11-20"), "").unwrap();
        }
        Ok(())
    }));
    let policy = StoragePolicy { watch: Some(watch), ..StoragePolicy::default() };
    let lake = open_with(options(directory.path(), policy)).await;
    flushed(&lake, 0, 30).await;
    lake.maintain(&a_move("2026-11-20", "hot", "cold")).await.unwrap_err();
    assert_eq!(places(&context(&lake)).await, expected(&[("hot", 30)]));
    lake.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_of_one_volume_only_are_null_in_the_others_and_move_along() {
    let directory = tempfile::tempdir().unwrap();
    let lake = open(directory.path()).await;
    flushed(&lake, 0, 30).await;
    maintain(&lake, a_move("2026-11-20", "hot", "cold")).await;
    let field = arrow::datatypes::Field::new("note", arrow::datatypes::DataType::Utf8, true);
    let change = SchemaChange::AddColumn {
        table: TableName { schema: "main".to_owned(), name: LOGS.to_owned() },
        column: NewColumn::from(&field),
        if_not_exists: false,
    };
    lake.catalog().change(&change, &SnapshotCommitMetadata::new()).unwrap();
    flushed(&lake, LINES_OF_TODAY, 20).await;
    let context = context(&lake);
    assert_eq!(number(&context, "SELECT count(*) FROM hep_proto_100_default WHERE note IS NULL").await, 50);
    let last = format!("SELECT * FROM {LOGS} LIMIT 1");
    let columns = rows(&context, &last).await.remove(0).schema();
    assert_eq!(columns.fields().last().unwrap().name(), "storage_volume");
    maintain(&lake, a_move("2026-11-21", "hot", "cold")).await;
    let own = format!("SELECT count(*) FROM homer_lake_cold.main.{LOGS} WHERE note IS NULL");
    assert_eq!(number(&context, &own).await, 50);
    assert!(words(&context, &last).await.contains("cold"));
    lake.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_moves_by_age_and_size_and_tells_before() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(directory.path(), StoragePolicy::default());
    options.volumes[0].max_age_days = 1;
    options.volumes[1].max_bytes = 1;
    options.volumes[2].max_age_days = 3;
    let clock = Arc::new(ManualClock::at(TEN_O_CLOCK));
    let lake = Lake::open(options, Arc::<ManualClock>::clone(&clock)).await.unwrap();
    flushed(&lake, 0, 30).await;
    flushed(&lake, LINES_OF_TODAY, 20).await;
    let context = context(&lake);
    let policy = |dry_run| MaintenanceTask::ApplyStoragePolicy { dry_run };
    assert!(maintain(&lake, policy(false)).await.is_empty(), "nothing is a day old");

    clock.set(TEN_O_CLOCK + DAY);
    let told = maintain(&lake, policy(true)).await;
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].task, told[0].done.rows), ("apply_storage_policy", 30), "{told:?}");
    assert!(told[0].done.message.contains("would move from hot to warm"), "{told:?}");
    assert_eq!(places(&context).await, expected(&[("hot", 50)]));

    maintain(&lake, policy(false)).await;
    assert_eq!(places(&context).await, expected(&[("hot", 20), ("warm", 30)]));
    // The warm volume holds more than it may; the cold one is the last.
    clock.set(TEN_O_CLOCK + 2 * DAY);
    maintain(&lake, policy(false)).await;
    assert_eq!(places(&context).await, expected(&[("warm", 20), ("cold", 30)]));
    clock.set(TEN_O_CLOCK + 3 * DAY);
    maintain(&lake, policy(false)).await;
    let told = maintain(&lake, policy(true)).await;
    assert_eq!(places(&context).await, expected(&[("cold", 20)]), "{told:?}");
    lake.stop().await.unwrap();
}
