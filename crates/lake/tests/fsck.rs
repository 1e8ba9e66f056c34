//! Damage on the disk of a lake: it is found, it fails the queries that need what is damaged, and no others.

#![allow(clippy::unwrap_used, clippy::large_futures, clippy::print_stdout, reason = "a test may panic")]

mod common;
#[path = "common/small_disk.rs"]
mod small_disk;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::{TEN_O_CLOCK, context, lines, number, open, receive};
use datafusion_ducklake::DuckLakeTableWriter;
use pintail_ducklake::{Catalog, CatalogOptions, TableSpec};
use pintail_lake::{Block, Finding, Lake, LakeOptions, MaintenanceTask, StepState};
use pintail_types::{ErrorKind, ManualClock, TelemetryTable};
use small_disk::SmallDisk;

const COUNT: &str = "SELECT count(*) FROM hep_proto_100_default";
const SUM: &str = "SELECT sum(CAST(payload AS BIGINT)) FROM hep_proto_100_default";
/// Lines from here on are of the next day.
const NEXT_DAY: u64 = 86_400;

fn sqlite(directory: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(&LakeOptions::at(directory).volumes[0].catalog_path).unwrap()
}

/// The data files of the log lines, oldest day first.
fn files(directory: &Path) -> Vec<PathBuf> {
    let table = directory.join("parquet/main/hep_proto_100_default");
    let mut files: Vec<PathBuf> = std::fs::read_dir(table)
        .unwrap()
        .flat_map(|day| std::fs::read_dir(day.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

async fn failure(lake: &Arc<Lake>, sql: &str) -> String {
    let context = context(lake);
    let error = match context.sql(sql).await {
        Ok(rows) => rows.collect().await.unwrap_err(),
        Err(error) => error,
    };
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_fails_the_queries_that_need_it_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let lake = open(&directory).await;
    receive(&lake, 0, 10);
    receive(&lake, NEXT_DAY, 10);
    lake.flush().await.unwrap();
    let [first, _] = &files(directory.path())[..] else { panic!("two days are two files") };
    std::fs::remove_file(first).unwrap();
    let name = first.file_name().unwrap().to_str().unwrap();
    assert!(failure(&lake, SUM).await.contains(name));
    let later = "SELECT count(payload) FROM hep_proto_100_default WHERE timestamp >= '2026-11-21'";
    assert_eq!(number(&context(&lake), later).await, 10);
    assert_eq!(number(&context(&lake), "SELECT count(*) FROM hep_proto_1_call").await, 0);
    let found = lake.check_quickly(Duration::from_secs(60)).unwrap();
    assert!(found.iter().any(|finding| finding.place.ends_with(name) && finding.is_error()), "{found:#?}");
    assert_eq!(number(&context(&lake), later).await, 10, "no table is refused for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_answers_would_be_wrong_is_refused_until_it_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    let lake = open(&directory).await;
    receive(&lake, 0, 10);
    lake.flush().await.unwrap();
    let table = "(SELECT table_id FROM ducklake_table WHERE table_name = 'hep_proto_100_default')";
    let sqlite = sqlite(directory.path());
    let copied = format!(
        "INSERT INTO ducklake_column SELECT * FROM ducklake_column WHERE table_id = {table} AND column_id = 2"
    );
    sqlite.execute_batch(&copied).unwrap();
    lake.check_quickly(Duration::from_secs(60)).unwrap();
    let said = failure(&lake, COUNT).await;
    assert!(
        said.contains("main.hep_proto_100_default can't be read") && said.contains("two live versions"),
        "{said}"
    );
    assert_eq!(number(&context(&lake), "SELECT count(*) FROM hep_proto_1_call").await, 0);
    let steps = lake.maintain(&MaintenanceTask::Fsck { repair: true }).await.unwrap();
    assert!(
        matches!(&steps[1].state, StepState::Failed(ErrorKind::Corrupt, why) if why.contains("two live versions")),
        "{steps:#?}"
    );
    sqlite
        .execute_batch("DELETE FROM ducklake_column WHERE rowid = (SELECT max(rowid) FROM ducklake_column)")
        .unwrap();
    let steps = lake.maintain(&MaintenanceTask::Fsck { repair: false }).await.unwrap();
    assert_eq!(steps.len(), 1, "{steps:#?}");
    assert_eq!(steps[0].message(), "no problems found");
    assert_eq!(number(&context(&lake), COUNT).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_mends_statistics_and_tells_of_files_that_nobody_names() {
    let directory = tempfile::tempdir().unwrap();
    let lake = open(&directory).await;
    receive(&lake, 0, 10);
    lake.flush().await.unwrap();
    let file = files(directory.path()).remove(0);
    std::fs::copy(&file, file.with_file_name("ducklake-nobody.parquet")).unwrap();
    sqlite(directory.path())
        .execute_batch("UPDATE ducklake_table_stats SET next_row_id = 3, record_count = 1")
        .unwrap();
    let steps = lake.maintain(&MaintenanceTask::Fsck { repair: true }).await.unwrap();
    assert_eq!(steps[0].message(), "0 problems found, 2 repaired, 1 harmless remarks");
    assert!(steps.iter().all(|step| step.state == StepState::Finished), "{steps:#?}");
    let findings = lake.findings();
    let orphans: Vec<&Finding> =
        findings.iter().filter(|finding| finding.place.ends_with("ducklake-nobody.parquet")).collect();
    assert!(matches!(&orphans[..], [only] if only.is_harmless), "{findings:#?}");
    let kept = std::fs::read_dir(directory.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains(".before-repair-"));
    assert_eq!(kept.count(), 1);
    receive(&lake, 10, 10);
    lake.flush().await.unwrap();
    assert_eq!(number(&context(&lake), COUNT).await, 20);
    assert!(lake.catalog().check().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_in_the_journal_is_found_before_and_told_after_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let lake = open(&directory).await;
    receive(&lake, 0, 10);
    lake.journal().durable(lake.journal().end()).await.unwrap();
    drop(lake);
    let journal = LakeOptions::at(directory.path()).journal.path;
    let segment = std::fs::read_dir(&journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|found| found == "journal"))
        .unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[32 + 3 * 16 + 10] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let catalog = Catalog::open_read_only(
        &LakeOptions::at(directory.path()).volumes[0].catalog_path,
        &CatalogOptions::default(),
    );
    let place = pintail_lake::FsckPlace { data_path: None, journal_path: Some(journal) };
    let found = pintail_lake::fsck(&catalog.unwrap(), &place).unwrap();
    assert!(
        matches!(&found[..], [one] if one.is_error() && one.message.contains("1 places, of 16 bytes")),
        "{found:#?}"
    );
    let lake = open(&directory).await;
    let mut records = 0;
    lake.replay(&mut |_, _| {
        records += 1;
        Ok(())
    })
    .unwrap();
    let stats = lake.stats();
    assert_eq!((records, stats.replayed.damaged, stats.replayed.damaged_bytes), (9, 1, 16));
    assert_eq!((stats.quarantine_files, stats.quarantine_bytes), (1, 16));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_can_not_be_read_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = LakeOptions::at(directory.path()).volumes[0].catalog_path.clone();
    std::fs::write(&path, b"not a database!!".repeat(512)).unwrap();
    let clock = Arc::new(ManualClock::at(TEN_O_CLOCK));
    let error = Lake::open(LakeOptions::at(directory.path()), clock).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.message().contains(path.to_str().unwrap()), "{error}");
}

/// A lake of an older version, whose table of log lines had two columns less, and ten lines in it.
async fn old_lake(directory: &Path) {
    let options = LakeOptions::at(directory);
    let catalog_options = CatalogOptions {
        data_path: directory.join("parquet").to_string_lossy().into_owned(),
        create: true,
        ..CatalogOptions::default()
    };
    let catalog = Catalog::open(&options.volumes[0].catalog_path, &catalog_options).unwrap();
    let rows = lines(0, 10);
    let then: Vec<usize> = (0..rows.num_columns())
        .filter(|column| !matches!(rows.schema().field(*column).name().as_str(), "node_id" | "data_extra"))
        .collect();
    let rows = rows.project(&then).unwrap();
    let spec = TableSpec {
        name: TelemetryTable::Log.name().into_owned(),
        schema: rows.schema(),
        partition_by: Some("date".to_owned()),
        sort_by: Some("timestamp".to_owned()),
    };
    catalog.ensure_tables("main", &[spec]).unwrap();
    let store = Arc::new(object_store::local::LocalFileSystem::new());
    let writer = DuckLakeTableWriter::new(catalog.writer(), store).unwrap();
    writer.append_table("main", &TelemetryTable::Log.name(), &[rows]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn new_columns_appear_in_an_old_lake_and_no_file_is_written_again() {
    let directory = tempfile::tempdir().unwrap();
    old_lake(directory.path()).await;
    let before: Vec<(PathBuf, Vec<u8>)> = files(directory.path())
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    assert_eq!(before.len(), 1);

    let lake = open(&directory).await;
    let shown = "SELECT count(*) FROM hep_proto_100_default WHERE node_id IS NULL AND data_extra IS NULL";
    assert_eq!(number(&context(&lake), shown).await, 10);
    receive(&lake, 10, 10);
    assert_eq!(number(&context(&lake), shown).await, 20);
    lake.flush().await.unwrap();
    assert_eq!(number(&context(&lake), shown).await, 20);
    assert_eq!(number(&context(&lake), SUM).await, 190);
    for (path, bytes) in before {
        assert_eq!(std::fs::read(path).unwrap(), bytes);
    }
    assert!(lake.catalog().check().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_whose_disk_is_full_gets_its_room_from_a_flush() {
    let Some(disk) = SmallDisk::new("512k") else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut options =
        LakeOptions { flush_interval: Duration::from_secs(3600), ..LakeOptions::at(directory.path()) };
    options.journal.path = disk.path().to_owned();
    options.journal.segment_bytes = 64 << 10;
    let lake = Lake::open(options, Arc::new(ManualClock::at(TEN_O_CLOCK))).await.unwrap();
    for cycle in 0..20 {
        let padding = vec![0; 16 << 10];
        while lake.journal().failure().is_none() {
            if lake.admission().is_err() {
                continue;
            }
            let mut block = Block::new();
            block.push(&[&padding]);
            let first = lake.journal().append(&block).unwrap();
            let _ = lake.journal().durable(block.end(first)).await;
        }
        let trouble = lake.stats().journal_error.unwrap();
        assert!(trouble.reason.contains("No space left"), "{trouble:?}");
        assert_eq!(lake.admission().unwrap_err().kind(), ErrorKind::Unavailable);
        lake.flush().await.unwrap();
        lake.admitted().await;
        receive(&lake, cycle * 10, 10);
        lake.journal().durable(lake.journal().end()).await.unwrap();
        assert_eq!(lake.stats().journal_error, None);
        let lines = i64::try_from(cycle + 1).unwrap() * 10;
        assert_eq!(number(&context(&lake), COUNT).await, lines);
    }
    lake.stop().await.unwrap();
    drop(lake);
    assert_eq!(number(&context(&open(&directory).await), COUNT).await, 200);
}
