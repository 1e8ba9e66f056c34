//! Planted damage that is mended from the rest of the catalog or from the files, and damage that is not.

#![allow(clippy::unwrap_used, clippy::large_futures, reason = "helpers of tests are tests too")]

mod common;

use common::{Lake, rows};
use pintail_ducklake::{Catalog, CatalogOptions, CommitExtras, Problem};
use pintail_types::ErrorKind;

async fn damaged(damage: &str) -> (Lake, Vec<Problem>) {
    let lake = Lake::new();
    lake.append(&[("calls", rows(0, 40))], CommitExtras::default()).await.unwrap();
    lake.append(&[("calls", rows(40, 40))], CommitExtras::default()).await.unwrap();
    lake.assert_sound();
    lake.sqlite().execute_batch(damage).unwrap();
    let problems = lake.catalog.check().unwrap();
    assert!(!problems.is_empty(), "{damage}: nothing was found");
    (lake, problems)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_told_from_elsewhere_is_mended() {
    for damage in [
        "UPDATE ducklake_snapshot SET next_file_id = NULL, next_catalog_id = NULL WHERE snapshot_id = 3",
        "UPDATE ducklake_snapshot SET next_file_id = NULL WHERE snapshot_id = 2",
        "UPDATE ducklake_snapshot SET next_file_id = 1 WHERE snapshot_id = 3",
        "UPDATE ducklake_snapshot SET next_catalog_id = 2 WHERE snapshot_id = 3",
        "UPDATE ducklake_data_file SET file_size_bytes = 1 WHERE data_file_id = 0",
        "UPDATE ducklake_data_file SET footer_size = 1 WHERE data_file_id = 0",
        "UPDATE ducklake_data_file SET record_count = 7 WHERE data_file_id = 0",
        "UPDATE ducklake_file_column_stats SET max_value = '3' WHERE data_file_id = 0 AND column_id = 1",
        "UPDATE ducklake_file_column_stats SET null_count = 0 WHERE column_id = 5",
        "UPDATE ducklake_table_column_stats SET max_value = '3' WHERE column_id = 1",
        "UPDATE ducklake_table_column_stats SET contains_null = 0 WHERE column_id = 5",
        "INSERT INTO ducklake_table_stats SELECT * FROM ducklake_table_stats",
        "UPDATE ducklake_table_stats SET next_row_id = 3",
        "UPDATE ducklake_table_stats SET record_count = 3",
        "DELETE FROM ducklake_table_stats",
        "DELETE FROM ducklake_snapshot_changes WHERE snapshot_id = 2",
        "INSERT INTO ducklake_snapshot_changes VALUES (99, NULL, NULL, NULL, NULL)",
        "INSERT INTO ducklake_file_partition_value VALUES (99, 1, 0, '2026-01-01')",
    ] {
        let (lake, problems) = damaged(damage).await;
        assert!(problems.iter().all(|problem| problem.repair().is_some()), "{damage}: {problems:#?}");
        let copy = lake.directory.path().join("copy.sqlite");
        let options = CatalogOptions::default();
        let catalog = Catalog::open_for_repair(&lake.path(), &options).unwrap();
        assert_eq!(catalog.repair(&problems, &copy).unwrap(), problems.len());
        lake.assert_sound();
        // What was there before is kept as it was.
        let before = Catalog::open_for_check(&copy, &options).unwrap();
        assert_eq!(before.check().unwrap(), problems, "{damage}");
        // And the lake goes on.
        lake.append(&[("calls", rows(80, 40))], CommitExtras::default()).await.unwrap();
        let counted = "SELECT count(*), count(DISTINCT id), max(id) FROM lake.main.calls WHERE id >= 0";
        assert_eq!(lake.query(counted).await, ["120|120|119"], "{damage}");
        lake.assert_sound();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_tell_is_left_alone() {
    for (damage, misleads) in [
        ("UPDATE ducklake_data_file SET path = 'gone.parquet' WHERE data_file_id = 0", false),
        ("UPDATE ducklake_data_file SET data_file_id = NULL WHERE data_file_id = 0", true),
        (
            "INSERT INTO ducklake_column SELECT * FROM ducklake_column WHERE column_id = 2 AND table_id = 1",
            true,
        ),
        ("UPDATE ducklake_snapshot SET snapshot_time = 'noon' WHERE snapshot_id = 1", false),
        ("UPDATE ducklake_table SET table_uuid = CAST(x'00ff' AS BLOB)", false),
        (
            "UPDATE ducklake_file_partition_value SET partition_value = '2020-01-01' WHERE data_file_id = 0",
            true,
        ),
    ] {
        let (_lake, problems) = damaged(damage).await;
        let left: Vec<&Problem> = problems.iter().filter(|problem| problem.repair().is_none()).collect();
        assert!(!left.is_empty(), "{damage}: {problems:#?}");
        let misled: Vec<String> =
            left.iter().flat_map(|problem| &problem.misleading).map(ToString::to_string).collect();
        assert_eq!(misled.first().map(String::as_str), misleads.then_some("main.calls"), "{damage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quick_check_sees_the_catalog_and_the_sizes() {
    let later = std::time::Duration::from_secs(60);
    for (damage, expected) in [
        ("UPDATE ducklake_data_file SET file_size_bytes = 1 WHERE data_file_id = 0", "the catalog says 1"),
        ("UPDATE ducklake_data_file SET path = 'gone.parquet' WHERE data_file_id = 0", "No such file"),
        ("UPDATE ducklake_table_stats SET next_row_id = 3", "ids beyond the next"),
    ] {
        let (lake, _) = damaged(damage).await;
        let (problems, ended) = lake.catalog.check_quickly(later).unwrap();
        assert!(ended);
        assert!(problems.iter().any(|problem| problem.message.contains(expected)), "{damage}: {problems:#?}");
        assert!(!lake.catalog.check_quickly(std::time::Duration::ZERO).unwrap().1, "there was no time");
    }
}

#[test]
fn a_lake_of_a_newer_version_is_refused_also_by_a_repair() {
    let lake = Lake::new();
    lake.sqlite().execute_batch("UPDATE ducklake_metadata SET value = '2.0' WHERE key = 'version'").unwrap();
    let options = CatalogOptions::default();
    for refused in [
        Catalog::open(&lake.path(), &options),
        Catalog::open_read_only(&lake.path(), &options),
        Catalog::open_for_check(&lake.path(), &options),
        Catalog::open_for_repair(&lake.path(), &options),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("DuckLake format version '2.0'"), "{error}");
    }
}

#[test]
fn snapshots_keep_their_order_when_the_clock_is_set_back() {
    let lake = Lake::new();
    lake.sqlite()
        .execute_batch("UPDATE ducklake_snapshot SET snapshot_time = '2999-01-01 00:00:00+00'")
        .unwrap();
    lake.catalog.ensure_tables("main", &[common::spec("third")]).unwrap();
    let times: Vec<i64> =
        lake.catalog.snapshots().unwrap().iter().map(|snapshot| snapshot.committed_at().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(times[times.len() - 1] > times[times.len() - 2], "{times:?}");
}
