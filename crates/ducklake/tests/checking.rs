//! Several writers on one catalog, and planted damage.

#![allow(clippy::unwrap_used, clippy::large_futures, reason = "helpers of tests are tests too")]

mod common;

use common::{Lake, rows};
use pintail_ducklake::{Catalog, CatalogOptions, CommitExtras};
use pintail_types::ErrorKind;

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_of_one_catalog_take_turns() {
    const COMMITS: i64 = 8;
    let lake = std::sync::Arc::new(Lake::new());
    let other = Catalog::open(&lake.path(), &CatalogOptions::default()).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for (catalog, first) in [(lake.catalog.clone(), 0), (other, 1000)] {
        tasks.spawn(async move {
            let store = std::sync::Arc::new(object_store::local::LocalFileSystem::new());
            for commit in 0..COMMITS {
                let extras = CommitExtras { metadata: vec![(format!("writer {first}"), commit.to_string())] };
                let writer =
                    datafusion_ducklake::DuckLakeTableWriter::new(catalog.writer_with(extras), store.clone())
                        .unwrap();
                writer.append_table("main", "calls", &[rows(first + commit * 5, 5)]).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(lake.query("SELECT count(*), count(DISTINCT id) FROM lake.main.calls").await, ["80|80"]);
    assert_eq!(lake.one::<i64>("SELECT count(DISTINCT snapshot_id) FROM ducklake_snapshot"), 2 + 2 * COMMITS);
    assert_eq!(lake.catalog.metadata("writer 1000").unwrap().as_deref(), Some("7"));
    lake.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_go_on_where_another_program_left_them() {
    let lake = Lake::new();
    lake.sqlite()
        .execute_batch(
            "INSERT INTO ducklake_snapshot SELECT 2, '2026-11-20 10:00:00+00', schema_version, 50, 70 \
             FROM ducklake_snapshot WHERE snapshot_id = 1; \
             INSERT INTO ducklake_snapshot_changes VALUES (2, NULL, NULL, NULL, NULL);",
        )
        .unwrap();
    lake.append(&[("logs", rows(0, 2))], CommitExtras::default()).await.unwrap();
    lake.catalog.ensure_tables("main", &[common::spec("third")]).unwrap();
    assert_eq!(lake.one::<i64>("SELECT data_file_id FROM ducklake_data_file"), 70);
    assert_eq!(lake.one::<i64>("SELECT table_id FROM ducklake_table WHERE table_name = 'third'"), 50);
    assert_eq!(lake.one::<i64>("SELECT partition_id FROM ducklake_partition_info WHERE table_id = 50"), 51);
    assert_eq!(lake.one::<i64>("SELECT sort_id FROM ducklake_sort_info WHERE table_id = 50"), 52);
    lake.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_damage_is_found() {
    for (damage, expect) in [
        ("UPDATE ducklake_snapshot SET next_file_id = NULL WHERE snapshot_id = 2", "next ids"),
        (
            "UPDATE ducklake_snapshot SET next_file_id = 1 WHERE snapshot_id = 2",
            "next file id was given out before",
        ),
        (
            "UPDATE ducklake_snapshot SET next_catalog_id = 2 WHERE snapshot_id = 2",
            "next catalog id was given out before",
        ),
        (
            "UPDATE ducklake_data_file SET data_file_id = NULL WHERE data_file_id = 0",
            "missing or stands twice",
        ),
        ("UPDATE ducklake_data_file SET record_count = 'many' WHERE data_file_id = 0", "no integers"),
        ("UPDATE ducklake_data_file SET row_id_start = 0 WHERE data_file_id = 1", "row ids overlap"),
        ("UPDATE ducklake_data_file SET file_size_bytes = 1 WHERE data_file_id = 0", "the catalog says 1"),
        ("UPDATE ducklake_data_file SET footer_size = 1 WHERE data_file_id = 0", "the catalog says Some(1)"),
        ("UPDATE ducklake_data_file SET path = 'gone.parquet' WHERE data_file_id = 0", "No such file"),
        (
            "UPDATE ducklake_data_file SET begin_snapshot = 9 WHERE data_file_id = 0",
            "begins or ends at no snapshot",
        ),
        ("UPDATE ducklake_data_file SET record_count = 7 WHERE data_file_id = 0", "rows, the catalog says 7"),
        (
            "UPDATE ducklake_file_column_stats SET max_value = '3' WHERE data_file_id = 0 AND column_id = 1",
            "outside",
        ),
        ("DELETE FROM ducklake_file_partition_value WHERE data_file_id = 0", "partition values"),
        ("DELETE FROM ducklake_data_file WHERE data_file_id = 0", "belongs to no data file"),
        (
            "INSERT INTO ducklake_column SELECT * FROM ducklake_column WHERE column_id = 2",
            "two live versions",
        ),
        ("INSERT INTO ducklake_table_stats SELECT * FROM ducklake_table_stats", "two rows of totals"),
        ("UPDATE ducklake_table_stats SET next_row_id = 3", "ids beyond the next"),
        ("UPDATE ducklake_table SET table_name = 'logs'", "have the name"),
        ("DELETE FROM ducklake_column WHERE table_id = 1", "has no columns"),
        ("DROP TABLE ducklake_macro", "has the columns ()"),
    ] {
        let lake = Lake::new();
        lake.append(&[("calls", rows(0, 40))], CommitExtras::default()).await.unwrap();
        lake.assert_sound();
        lake.sqlite().execute_batch(damage).unwrap();
        let problems: Vec<String> = lake.catalog.check().unwrap().iter().map(ToString::to_string).collect();
        assert!(problems.iter().any(|problem| problem.contains(expect)), "{damage}: {problems:?}");
    }
}

#[test]
fn a_lock_of_another_program_is_waited_for_and_then_given_up() {
    let lake = Lake::new();
    let patience = std::time::Duration::from_millis(60);
    let options = CatalogOptions { busy_timeout: patience, ..CatalogOptions::default() };
    let catalog = Catalog::open(&lake.path(), &options).unwrap();
    let other = lake.sqlite();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = std::time::Instant::now();
    assert_eq!(catalog.set_metadata("k", "v").unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(started.elapsed() >= patience);
    assert_eq!(catalog.metadata("k").unwrap(), None, "reading goes on meanwhile");
    other.execute_batch("ROLLBACK").unwrap();
    catalog.set_metadata("k", "v").unwrap();
    assert_eq!(catalog.metadata("k").unwrap().as_deref(), Some("v"));
}
