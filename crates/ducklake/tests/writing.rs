//! Writing through `datafusion-ducklake`: appends, several tables, SQL, conflicts.

#![allow(clippy::unwrap_used, clippy::large_futures, reason = "helpers of tests are tests too")]

mod common;

use common::{Lake, rows, spec};
use datafusion_ducklake::{DuckLakeError, SnapshotCommitMetadata, TableWriteOptions, WriteMode};
use pintail_ducklake::{Catalog, CatalogOptions, CommitExtras};
use pintail_types::ErrorKind;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_catalog_has_the_rows_of_an_official_one() {
    let lake = Lake::empty();
    assert_eq!(lake.one::<String>("SELECT value FROM ducklake_metadata WHERE key = 'version'"), "1.0");
    assert_eq!(lake.one::<String>("PRAGMA journal_mode"), "wal");
    let head = lake.catalog.head("nothing").unwrap();
    assert_eq!((head.snapshot.0, head.schema_version, head.value), (0, 0, None));
    assert_eq!(lake.one::<i64>("SELECT next_catalog_id FROM ducklake_snapshot"), 1);
    assert_eq!(lake.one::<i64>("SELECT next_file_id FROM ducklake_snapshot"), 0);
    lake.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_to_several_tables_are_one_snapshot_with_its_metadata() {
    let lake = Lake::new();
    assert!(!lake.catalog.ensure_tables("main", &[spec("calls"), spec("logs")]).unwrap());
    assert_eq!(lake.catalog.head("k").unwrap().snapshot.0, 1);

    let extras = CommitExtras { metadata: vec![("k".to_owned(), "41".to_owned())] };
    let results = lake.append(&[("calls", rows(0, 60)), ("logs", rows(0, 10))], extras).await.unwrap();
    assert_eq!(results.iter().map(|result| result.snapshot_id).collect::<Vec<_>>(), [2, 2]);
    assert_eq!(results[0].files_written, 3, "one file a day");
    let head = lake.catalog.head("k").unwrap();
    assert_eq!((head.snapshot.0, head.schema_version, head.value.as_deref()), (2, 1, Some("41")));

    let extras = CommitExtras { metadata: vec![("k".to_owned(), "42".to_owned())] };
    lake.append(&[("calls", rows(60, 12))], extras).await.unwrap();
    assert_eq!(lake.catalog.metadata("k").unwrap().as_deref(), Some("42"));
    assert_eq!(lake.one::<i64>("SELECT count(*) FROM ducklake_metadata WHERE key = 'k'"), 1);

    let statistics = lake.catalog.statistics("main").unwrap();
    let counts: Vec<_> =
        statistics.iter().map(|table| (table.name.as_str(), table.files, table.rows)).collect();
    assert_eq!(counts, [("calls", 4, 72), ("logs", 1, 10)]);
    assert_eq!(lake.query("SELECT count(*), min(id), max(id) FROM lake.main.calls").await, ["72|0|71"]);
    assert_eq!(
        lake.query("SELECT id FROM lake.main.calls WHERE date = DATE '2026-01-03' AND method = 'BYE' ORDER BY id LIMIT 2")
            .await,
        ["49", "51"]
    );
    assert_eq!(
        lake.one::<String>("SELECT changes_made FROM ducklake_snapshot_changes WHERE snapshot_id = 2"),
        "inserted_into_table:1,inserted_into_table:4"
    );
    lake.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_snapshot_are_read_once() {
    let lake = Lake::new();
    lake.append(&[("calls", rows(0, 60))], CommitExtras::default()).await.unwrap();
    let provider = lake.catalog.provider().await.unwrap();
    let head = lake.catalog.head("k").unwrap().snapshot.0;
    let files = |snapshot: i64, after: Option<i64>, limit: usize| -> Vec<i64> {
        let page = provider.get_table_file_metadata_page_filtered(1, snapshot, after, limit, None).unwrap();
        page.iter().map(|metadata| metadata.file.data_file_id).collect()
    };
    let all = files(head, None, 100);
    assert_eq!((all.len(), files(head, None, 2).len()), (3, 2));
    // Who asks the catalog again finds none.
    lake.sqlite().execute_batch("DELETE FROM ducklake_data_file").unwrap();
    assert_eq!(files(head, None, 100), all);
    assert_eq!(files(head, all.first().copied(), 100), all[1..]);
    assert!(files(head + 1, None, 100).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn table_statistics_are_those_of_all_rows() {
    let lake = Lake::new();
    lake.append(&[("calls", rows(5, 10))], CommitExtras::default()).await.unwrap();
    lake.append(&[("calls", rows(95, 10))], CommitExtras::default()).await.unwrap();
    let bounds = |column: i64| {
        lake.one::<String>(&format!(
            "SELECT min_value || ' ' || max_value || ' ' || contains_null FROM ducklake_table_column_stats \
             WHERE table_id = 1 AND column_id = {column}"
        ))
    };
    assert_eq!(bounds(1), "5 104 0");
    assert_eq!(bounds(2), "2026-01-01 2026-01-05 0");
    assert_eq!(bounds(4), "BYE INVITE 0");
    assert_eq!(bounds(5), "2.5 52.0 1");
    assert_eq!(
        lake.one::<String>("SELECT record_count || ' ' || next_row_id FROM ducklake_table_stats"),
        "20 20"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_creates_inserts_updates_and_deletes() {
    let lake = Lake::new();
    lake.append(&[("calls", rows(0, 48))], CommitExtras::default()).await.unwrap();
    for statement in [
        "CREATE TABLE lake.main.notes (id BIGINT, text VARCHAR)",
        "INSERT INTO lake.main.notes VALUES (1, 'one'), (2, 'two'), (3, 'three')",
        "UPDATE lake.main.notes SET text = 'zwei' WHERE id = 2",
        "DELETE FROM lake.main.notes WHERE id = 3",
        "DELETE FROM lake.main.calls WHERE id < 5",
        "DELETE FROM lake.main.calls WHERE id = 30",
        "DELETE FROM lake.main.calls WHERE id = 31",
    ] {
        lake.session().await.sql(statement).await.unwrap().collect().await.unwrap();
        lake.assert_sound();
    }
    assert_eq!(lake.query("SELECT id, text FROM lake.main.notes ORDER BY id").await, ["1|one", "2|zwei"]);
    assert_eq!(lake.query("SELECT count(*), min(id) FROM lake.main.calls").await, ["41|5"]);
    assert_eq!(lake.catalog.statistics("main").unwrap()[0].rows, 41);
    lake.session().await.sql("DELETE FROM lake.main.notes").await.unwrap().collect().await.unwrap();
    assert_eq!(lake.query("SELECT count(*) FROM lake.main.notes").await, ["0"]);
    lake.session()
        .await
        .sql("INSERT INTO lake.main.notes VALUES (4, 'four')")
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    assert_eq!(lake.query("SELECT id FROM lake.main.notes").await, ["4"]);
    lake.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_made_by_its_first_append() {
    let lake = Lake::empty();
    let writer = lake.table_writer();
    writer.append_table("tapes", "first", &[rows(0, 5)]).await.unwrap();
    writer.append_table("tapes", "first", &[rows(5, 5)]).await.unwrap();
    assert_eq!(lake.query("SELECT count(*) FROM lake.tapes.first").await, ["10"]);
    assert_eq!(
        lake.one::<String>("SELECT changes_made FROM ducklake_snapshot_changes WHERE snapshot_id = 1"),
        "created_schema:\"tapes\",created_table:\"tapes\".\"first\",inserted_into_table:2"
    );
    writer.write_table("tapes", "first", &[rows(20, 3)]).await.unwrap();
    assert_eq!(lake.query("SELECT count(*), min(id) FROM lake.tapes.first").await, ["3|20"]);
    lake.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_commute_and_what_changed_meanwhile_is_a_conflict() {
    let lake = Lake::new();
    let batch = rows(0, 5);
    let writer = lake.table_writer();

    let mut staged = writer.transaction();
    staged
        .stage_write("main", "calls", &batch.schema(), WriteMode::Append, std::slice::from_ref(&batch))
        .await
        .unwrap();
    lake.append(&[("calls", rows(5, 5))], CommitExtras::default()).await.unwrap();
    staged.commit().await.unwrap();
    assert_eq!(lake.query("SELECT count(*) FROM lake.main.calls").await, ["10"]);

    let head = lake.catalog.head("").unwrap().snapshot.0;
    let fenced = TableWriteOptions::new().with_expected_base_snapshot_id(head - 1);
    let mut staged = writer.transaction().with_options(&fenced);
    staged
        .stage_write("main", "calls", &batch.schema(), WriteMode::Append, std::slice::from_ref(&batch))
        .await
        .unwrap();
    assert!(matches!(staged.commit().await, Err(DuckLakeError::Conflict(_))));

    let mut staged = writer.transaction();
    staged
        .stage_write("main", "calls", &batch.schema(), WriteMode::Append, std::slice::from_ref(&batch))
        .await
        .unwrap();
    lake.catalog.writer().reset_partition_spec(1).unwrap();
    assert!(matches!(staged.commit().await, Err(DuckLakeError::Conflict(_))));
    assert_eq!(lake.query("SELECT count(*) FROM lake.main.calls").await, ["10"]);
    lake.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_goes_meanwhile_is_a_conflict_and_a_new_one_is_not() {
    let lake = Lake::new();
    let batch = rows(0, 5);
    let writer = lake.table_writer();
    let stage = async || {
        let mut staged = writer.transaction();
        let batches = std::slice::from_ref(&batch);
        staged.stage_write("main", "calls", &batch.schema(), WriteMode::Append, batches).await.unwrap();
        staged
    };
    // What another program does: a column comes, then one goes.
    let alter = |change: &str| {
        lake.sqlite()
            .execute_batch(&format!(
                "BEGIN IMMEDIATE; \
                 INSERT INTO ducklake_snapshot SELECT snapshot_id + 1, snapshot_time, schema_version + 1, \
                   next_catalog_id, next_file_id FROM ducklake_snapshot ORDER BY snapshot_id DESC LIMIT 1; \
                 INSERT INTO ducklake_snapshot_changes SELECT max(snapshot_id), 'altered_table:1', NULL, NULL, NULL \
                   FROM ducklake_snapshot; {change}; COMMIT"
            ))
            .unwrap();
    };
    let staged = stage().await;
    alter(
        "INSERT INTO ducklake_column SELECT 7, (SELECT max(snapshot_id) FROM ducklake_snapshot), NULL, 1, 7, 'more', \
         'varchar', NULL, 'NULL', 1, NULL, 'literal', 'duckdb'",
    );
    staged.commit().await.unwrap();
    let staged = stage().await;
    alter(
        "UPDATE ducklake_column SET end_snapshot = (SELECT max(snapshot_id) FROM ducklake_snapshot) \
         WHERE table_id = 1 AND column_id = 4",
    );
    assert!(matches!(staged.commit().await, Err(DuckLakeError::Conflict(_))));
    assert_eq!(lake.query("SELECT count(*), count(more) FROM lake.main.calls").await, ["5|0"]);
    lake.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_metadata_names_who_and_why() {
    let lake = Lake::new();
    let writer = lake.table_writer();
    let about =
        SnapshotCommitMetadata::new().with_author("pintail").with_message("flush").with_extra_info("{}");
    let mut transaction =
        writer.transaction().with_options(&TableWriteOptions::new().with_commit_metadata(about));
    let batch = rows(0, 2);
    transaction.stage_write("main", "logs", &batch.schema(), WriteMode::Append, &[batch]).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(
        lake.one::<String>(
            "SELECT author || commit_message || commit_extra_info FROM ducklake_snapshot_changes WHERE snapshot_id = 2"
        ),
        "pintailflush{}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_columns_are_added_and_other_columns_stay() {
    let lake = Lake::new();
    lake.append(&[("calls", rows(0, 3))], CommitExtras::default()).await.unwrap();
    let mut wider = spec("calls");
    let mut fields = wider.schema.fields().to_vec();
    fields.truncate(2);
    fields.push(std::sync::Arc::new(arrow::datatypes::Field::new(
        "caller",
        arrow::datatypes::DataType::Utf8,
        true,
    )));
    wider.schema = std::sync::Arc::new(arrow::datatypes::Schema::new(fields));
    assert!(lake.catalog.ensure_tables("main", std::slice::from_ref(&wider)).unwrap());
    assert!(!lake.catalog.ensure_tables("main", &[wider]).unwrap());
    lake.append(&[("calls", rows(3, 3))], CommitExtras::default()).await.unwrap();
    assert_eq!(
        lake.query("SELECT count(*), count(caller), max(mos) FROM lake.main.calls").await,
        ["6|0|2.5"]
    );
    lake.assert_sound();
}

#[test]
fn catalogs_that_are_not_ours_to_write_are_refused() {
    let lake = Lake::new();
    let reopen = |data_path: &str, override_data_path| {
        let options = CatalogOptions {
            data_path: data_path.to_owned(),
            override_data_path,
            ..CatalogOptions::default()
        };
        Catalog::open(&lake.path(), &options).map_err(|error| error.kind())
    };
    assert!(reopen("", false).is_ok());
    assert!(reopen(&lake.catalog.data_path(), false).is_ok());
    assert_eq!(reopen("/elsewhere", false).unwrap_err(), ErrorKind::Invalid);
    assert_eq!(&*reopen("/elsewhere", true).unwrap().data_path(), "/elsewhere/");

    lake.sqlite().execute_batch("UPDATE ducklake_snapshot SET next_file_id = NULL").unwrap();
    assert_eq!(reopen("", false).unwrap_err(), ErrorKind::Corrupt);
    lake.sqlite().execute_batch("ALTER TABLE ducklake_data_file ADD COLUMN more BIGINT").unwrap();
    assert_eq!(reopen("", false).unwrap_err(), ErrorKind::Unsupported);
    lake.sqlite().execute_batch("UPDATE ducklake_metadata SET value = '2.0' WHERE key = 'version'").unwrap();
    assert_eq!(reopen("", false).unwrap_err(), ErrorKind::Unsupported);
    let missing = lake.directory.path().join("missing.sqlite");
    assert_eq!(Catalog::open(&missing, &CatalogOptions::default()).unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_is_opened_for_reading_is_left_as_it_is() {
    let lake = Lake::new();
    lake.append(&[("calls", rows(0, 30))], CommitExtras::default()).await.unwrap();
    let expected = lake.catalog.head("").unwrap();
    // Not even the journal mode is changed, which official DuckDB leaves at its default.
    let Lake { directory, catalog } = lake;
    let path = catalog.path().to_owned();
    drop(catalog);
    let sqlite = || rusqlite::Connection::open(&path).unwrap();
    sqlite().pragma_update(None, "journal_mode", "DELETE").unwrap();
    let before = std::fs::read(&path).unwrap();
    // A lock of another program that writes does not hold the reader up.
    let writing = sqlite();
    writing.execute_batch("BEGIN IMMEDIATE").unwrap();
    let elsewhere = CatalogOptions { data_path: "/elsewhere".to_owned(), ..CatalogOptions::default() };
    assert_eq!(Catalog::open_read_only(&path, &elsewhere).unwrap_err().kind(), ErrorKind::Invalid);
    let moved = CatalogOptions { override_data_path: true, ..elsewhere };
    assert_eq!(&*Catalog::open_read_only(&path, &moved).unwrap().data_path(), "/elsewhere/");
    let catalog = Catalog::open_read_only(&path, &CatalogOptions::default()).unwrap();
    assert_eq!(catalog.head("").unwrap(), expected);
    assert_eq!(catalog.statistics("main").unwrap()[0].rows, 30);
    assert!(catalog.check().unwrap().is_empty());
    assert_eq!(catalog.set_metadata("key", "value").unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(catalog.ensure_tables("main", &[spec("more")]).unwrap_err().kind(), ErrorKind::Unsupported);
    writing.execute_batch("ROLLBACK").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), before);
    let missing =
        Catalog::open_read_only(&directory.path().join("missing.sqlite"), &CatalogOptions::default());
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_at_any_step_leaves_nothing() {
    let lake = Lake::new();
    lake.append(&[("calls", rows(0, 30))], CommitExtras::default()).await.unwrap();
    for (table, event) in [
        ("ducklake_data_file", "INSERT"),
        ("ducklake_file_column_stats", "INSERT"),
        ("ducklake_file_partition_value", "INSERT"),
        ("ducklake_table_stats", "UPDATE"),
        ("ducklake_table_stats", "INSERT"),
        ("ducklake_table_column_stats", "UPDATE"),
        ("ducklake_table_column_stats", "INSERT"),
        ("ducklake_metadata", "INSERT"),
        ("ducklake_snapshot_changes", "INSERT"),
        ("ducklake_snapshot", "INSERT"),
    ] {
        let before = dump(&lake);
        lake.sqlite()
            .execute_batch(&format!(
                "CREATE TRIGGER fault BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'fault'); END"
            ))
            .unwrap();
        let extras = CommitExtras { metadata: vec![("position".to_owned(), "7".to_owned())] };
        let failed = lake.append(&[("calls", rows(30, 5)), ("logs", rows(0, 5))], extras).await;
        assert!(matches!(failed, Err(DuckLakeError::Internal(_))), "{event} {table}: {failed:?}");
        lake.sqlite().execute_batch("DROP TRIGGER fault").unwrap();
        assert_eq!(dump(&lake), before, "{event} {table}");
    }
    lake.append(&[("calls", rows(30, 5)), ("logs", rows(0, 5))], CommitExtras::default()).await.unwrap();
    lake.assert_sound();
}

/// Every row of every table of the catalog.
fn dump(lake: &Lake) -> Vec<String> {
    let connection = lake.sqlite();
    let mut names =
        connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut all = Vec::new();
    for name in names {
        let mut statement = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let width = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<String> =
                (0..width).map(|index| format!("{:?}", row.get_ref(index).unwrap())).collect();
            all.push(format!("{name}: {}", values.join(", ")));
        }
    }
    all
}
