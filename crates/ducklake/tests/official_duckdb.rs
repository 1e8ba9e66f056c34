//! Both directions with official DuckDB 1.5.5, each step of it in a process of its own.

#![allow(clippy::unwrap_used, clippy::large_futures, reason = "helpers of tests are tests too")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use common::{Lake, rows, spec};
use datafusion_ducklake::{DuckLakeTable, MergeOptions, RewriteOptions};
use pintail_ducklake::{Catalog, CatalogOptions, CommitExtras, Expiry, Needed, ViewSpec, catalog_now};
use pintail_types::SnapshotId;
use tempfile::TempDir;

/// The interpreter that has DuckDB and its extensions.
fn interpreter() -> PathBuf {
    let path = std::env::var_os("PINTAIL_DUCKDB_PYTHON").map(PathBuf::from).unwrap_or_else(|| {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        home.join(".cache/pintail/duckdb-venv/bin/python")
    });
    assert!(
        path.exists(),
        "{} does not exist: run `cargo xtask test`, which installs it, or set PINTAIL_DUCKDB_PYTHON",
        path.display()
    );
    path
}

impl Lake {
    /// Runs one step of `clients/python/lake_roundtrip.py` on the lake; gives what it printed.
    fn duckdb(&self, arguments: &[&str]) -> String {
        duckdb(&self.path(), arguments)
    }

    /// As [`Lake::duckdb`], and asserts that the catalog is sound afterwards.
    fn duckdb_writes(&self, arguments: &[&str]) -> String {
        let printed = self.duckdb(arguments);
        let problems = self.catalog.check().unwrap();
        assert!(problems.is_empty(), "after {arguments:?}: {problems:#?}");
        printed
    }

    /// Asserts that DuckDB and we count the same rows with the same ids in `calls`.
    async fn assert_agreement(&self, expected_rows: usize) {
        let ours = self.query("SELECT count(*), sum(id) FROM lake.main.calls").await;
        let (count, sum) = ours[0].split_once('|').unwrap();
        assert_eq!(count, expected_rows.to_string());
        let theirs = self.duckdb(&["count"]);
        let expected = format!("\"main.calls\": {{\"rows\": {count}, \"sum\": {sum}, ");
        assert!(theirs.contains(&expected), "{theirs} has no {expected}");
        self.assert_sound();
    }

    async fn append_rows(&self, first: i64, count: i64) {
        self.append(&[("calls", rows(first, count))], CommitExtras::default()).await.unwrap();
        self.assert_sound();
    }

    /// The table `calls` of a new session, with the session's state.
    async fn calls(
        &self,
    ) -> (datafusion::prelude::SessionContext, Arc<dyn datafusion::catalog::TableProvider>) {
        let session = self.session().await;
        let provider = session.table_provider("lake.main.calls").await.unwrap();
        (session, provider)
    }

    async fn merge(&self) -> bool {
        let (session, provider) = self.calls().await;
        let table = provider.downcast_ref::<DuckLakeTable>().unwrap();
        let merged = table.merge_adjacent_files(&session.state(), MergeOptions::default()).await.unwrap();
        self.assert_sound();
        merged.did_work()
    }

    async fn rewrite(&self) -> bool {
        let (session, provider) = self.calls().await;
        let table = provider.downcast_ref::<DuckLakeTable>().unwrap();
        let options = RewriteOptions { delete_threshold: 0.0, ..RewriteOptions::default() };
        let rewritten = table.rewrite_data_files(&session.state(), options).await.unwrap();
        self.assert_sound();
        rewritten.did_work()
    }

    async fn run(&self, statement: &str) {
        self.session().await.sql(statement).await.unwrap().collect().await.unwrap();
        self.assert_sound();
    }
}

fn duckdb(catalog: &std::path::Path, arguments: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../clients/python/lake_roundtrip.py");
    let output = Command::new(interpreter()).arg(script).arg(catalog).args(arguments).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_reads_and_writes_a_lake_of_ours_and_we_go_on() {
    let lake = Lake::new();
    let view = ViewSpec {
        name: "invites".to_owned(),
        sql: "SELECT * FROM {DUCKLAKE_CATALOG}.main.calls WHERE method = 'INVITE'".to_owned(),
        comment: Some("calls that were started".to_owned()),
    };
    assert!(lake.catalog.ensure_views("main", std::slice::from_ref(&view)).unwrap());
    assert!(!lake.catalog.ensure_views("main", &[view]).unwrap());
    lake.append_rows(0, 60).await;
    lake.append_rows(60, 30).await;
    lake.assert_agreement(90).await;
    assert_eq!(lake.duckdb(&["pruned", "2026-01-01"]).trim(), "1");
    let options = lake.duckdb(&["options"]);
    assert!(
        options.contains(r#""tables": ["calls", "logs"]"#) && options.contains(r#""views": ["invites"]"#),
        "{options}"
    );

    // Rows come and go, in files and inlined.
    lake.duckdb_writes(&["insert", "100", "40"]);
    lake.duckdb_writes(&["insert", "140", "4"]);
    lake.assert_agreement(134).await;
    lake.duckdb_writes(&["delete", "10", "5"]);
    lake.duckdb_writes(&["delete", "141", "1"]);
    lake.assert_agreement(128).await;
    lake.duckdb_writes(&["update", "20", "ACK"]);
    lake.assert_agreement(128).await;
    assert_eq!(lake.query("SELECT id FROM lake.main.calls WHERE method = 'ACK'").await, ["20"]);

    // A column of DuckDB's; we append without it.
    lake.duckdb_writes(&["add-column", "extra"]);
    lake.append_rows(200, 10).await;
    lake.assert_agreement(138).await;
    assert_eq!(lake.query("SELECT count(extra) FROM lake.main.calls").await, ["138"]);

    // Maintenance by DuckDB, with our commits between.
    lake.duckdb_writes(&["flush"]);
    lake.append_rows(210, 5).await;
    lake.assert_agreement(143).await;
    lake.duckdb_writes(&["merge"]);
    lake.append_rows(215, 5).await;
    lake.assert_agreement(148).await;
    lake.duckdb_writes(&["rewrite"]);
    lake.duckdb_writes(&["expire"]);
    lake.duckdb_writes(&["cleanup"]);
    lake.append_rows(220, 5).await;
    lake.assert_agreement(153).await;

    // Deletes and updates of ours, on files of theirs and ours.
    lake.run("DELETE FROM lake.main.calls WHERE id >= 100 AND id < 110").await;
    lake.run("DELETE FROM lake.main.calls WHERE id = 111").await;
    lake.assert_agreement(142).await;
    lake.run("UPDATE lake.main.calls SET method = 'CANCEL' WHERE id BETWEEN 220 AND 222").await;
    lake.assert_agreement(142).await;
    lake.duckdb_writes(&["insert", "300", "20"]);
    lake.duckdb_writes(&["delete", "301", "15"]);
    lake.assert_agreement(147).await;

    // Tables of theirs beside ours.
    lake.duckdb_writes(&["create", "own"]);
    assert_eq!(lake.query("SELECT count(*), sum(id) FROM lake.main.own").await, ["100|4950"]);
    lake.run("CREATE TABLE lake.main.ours (id BIGINT, text VARCHAR)").await;
    lake.run("INSERT INTO lake.main.ours VALUES (1, 'a'), (2, NULL)").await;
    let counted = lake.duckdb(&["count"]);
    assert!(counted.contains(r#""main.ours": {"rows": 2, "sum": 3"#), "{counted}");
    lake.run("DELETE FROM lake.main.ours").await;
    lake.run("INSERT INTO lake.main.ours VALUES (7, 'b')").await;
    assert!(lake.duckdb(&["count"]).contains(r#""main.ours": {"rows": 1, "sum": 7"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_of_ours_keeps_history_for_duckdb() {
    let lake = Lake::new();
    for part in 0..4 {
        lake.append_rows(part * 6, 6).await;
    }
    lake.duckdb_writes(&["delete", "2", "2"]);
    lake.append_rows(24, 24).await;
    let history = lake.duckdb(&["history"]);
    assert!(lake.merge().await);
    lake.assert_agreement(46).await;
    assert!(lake.duckdb(&["history"]).starts_with(history.trim().trim_end_matches('}')), "{history}");
    lake.run("DELETE FROM lake.main.calls WHERE id = 30").await;
    let history = lake.duckdb(&["history"]);
    assert!(lake.rewrite().await);
    lake.assert_agreement(45).await;
    assert!(lake.duckdb(&["history"]).starts_with(history.trim().trim_end_matches('}')), "{history}");
    lake.duckdb_writes(&["expire"]);
    lake.duckdb_writes(&["cleanup"]);
    lake.assert_agreement(45).await;
    lake.append_rows(50, 5).await;
    lake.duckdb_writes(&["merge"]);
    lake.assert_agreement(50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn we_read_and_write_a_lake_of_duckdb_and_it_goes_on() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("catalog.sqlite");
    let data = format!("{}/data/", directory.path().display());
    duckdb(&path, &["make", &data]);
    let catalog =
        Catalog::open(&path, &CatalogOptions { data_path: data, ..CatalogOptions::default() }).unwrap();
    let lake = Lake { directory, catalog };
    lake.assert_agreement(51).await;

    lake.append_rows(100, 30).await;
    lake.assert_agreement(81).await;
    assert!(lake.catalog.ensure_tables("main", &[spec("calls"), spec("logs")]).unwrap());
    lake.append(&[("calls", rows(130, 5)), ("logs", rows(0, 5))], CommitExtras::default()).await.unwrap();
    lake.assert_agreement(86).await;
    lake.duckdb_writes(&["insert", "140", "5"]);
    lake.duckdb_writes(&["update", "130", "ACK"]);
    lake.duckdb_writes(&["delete", "100", "20"]);
    lake.assert_agreement(71).await;
    lake.run("DELETE FROM lake.main.calls WHERE id IN (48, 120, 141)").await;
    lake.assert_agreement(68).await;
    lake.duckdb_writes(&["add-column", "extra"]);
    lake.append_rows(150, 10).await;
    lake.duckdb_writes(&["flush"]);
    lake.duckdb_writes(&["merge"]);
    lake.duckdb_writes(&["expire"]);
    lake.duckdb_writes(&["cleanup"]);
    lake.append_rows(160, 10).await;
    lake.assert_agreement(88).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_duckdb_inlined_are_read_in_every_type() {
    let lake = Lake::new();
    lake.duckdb_writes(&["kinds"]);
    let query = "SELECT id, words, small, big, half, whole, price, encode(raw, 'hex'), day, clock, moment, zoned, ok, \
                 list, place FROM lake.main.kinds ORDER BY id";
    let inlined = lake.query(query).await;
    assert_eq!(
        inlined,
        [
            "1|x|7|18446744073709551615|1.5|inf|1.250|0001|2026-01-01|01:02:03|2026-01-01T00:00:00.500|\
             2026-01-01T00:00:00Z|true|[1, 2]|{x: 1, y: z}",
            "2||||||||||||||",
            "3|y|||||||||||||",
        ]
    );
    lake.duckdb_writes(&["flush"]);
    assert_eq!(lake.query(query).await, inlined);
    lake.run("DELETE FROM lake.main.kinds WHERE id = 2").await;
    assert_eq!(lake.query("SELECT count(*), max(whole) FROM lake.main.kinds").await, ["2|inf"]);
}

/// Every row of every table of a catalog, but the times at which files were listed for deletion.
fn content(catalog: &std::path::Path) -> BTreeMap<String, BTreeSet<String>> {
    let connection = rusqlite::Connection::open(catalog).unwrap();
    let mut names = connection
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'ducklake%'")
        .unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut content = BTreeMap::new();
    for name in names {
        let mut statement = connection.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let kept: Vec<usize> = (0..statement.column_count())
            .filter(|column| statement.column_name(*column).unwrap() != "schedule_start")
            .collect();
        let rows = statement.query_map([], |row| {
            let value = |column: &usize| {
                row.get::<_, rusqlite::types::Value>(*column).map(|value| format!("{value:?}"))
            };
            Ok(kept.iter().map(value).collect::<Result<Vec<_>, _>>()?.join("|"))
        });
        content.insert(name.clone(), rows.unwrap().map(Result::unwrap).collect());
    }
    content
}

/// A lake with everything in it that an expiry has to look at: files that came and went, deletes in files and in the
/// catalog, tables and views that were renamed, altered and dropped.
async fn a_lake_with_a_past() -> Lake {
    let lake = Lake::new();
    for part in 0..3 {
        lake.append_rows(part * 20, 20).await;
    }
    for part in 0..2 {
        lake.append_rows(400 + part * 2, 2).await;
    }
    lake.duckdb_writes(&["delete", "2", "15"]);
    lake.duckdb_writes(&["delete", "30", "2"]);
    for id in 55..58 {
        lake.run(&format!("DELETE FROM lake.main.calls WHERE id = {id}")).await;
    }
    lake.duckdb_writes(&["insert", "100", "4"]);
    lake.duckdb_writes(&["create", "gone"]);
    lake.duckdb_writes(&["kinds"]);
    for statement in [
        "ALTER TABLE lake.main.gone RENAME TO gone_soon",
        "ALTER TABLE lake.main.gone_soon RENAME TO really_gone",
        "DELETE FROM lake.main.really_gone WHERE id < 50",
        "CREATE VIEW lake.main.seen AS SELECT 1 AS x",
        "DROP VIEW lake.main.seen",
        "COMMENT ON TABLE lake.main.really_gone IS 'not for long'",
        "DROP TABLE lake.main.really_gone",
        "DROP TABLE lake.main.kinds",
        "CREATE SCHEMA lake.old",
        "CREATE TABLE lake.old.t AS SELECT 1 AS id",
        "ALTER TABLE lake.main.calls ADD COLUMN more INTEGER DEFAULT 7",
    ] {
        lake.duckdb_writes(&["sql", statement]);
    }
    lake.duckdb_writes(&["sql", "DROP SCHEMA lake.old CASCADE"]);
    assert!(lake.merge().await);
    lake.append_rows(200, 5).await;
    lake
}

/// Nobody reads any snapshot but the newest.
fn nobody(lake: &Lake) -> Needed {
    Needed { from: lake.catalog.newest_snapshot().unwrap(), snapshots: BTreeSet::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_of_ours_leaves_the_catalog_that_duckdb_would_leave() {
    let lake = a_lake_with_a_past().await;
    let copy = lake.directory.path().join("copy.sqlite");
    rusqlite::Connection::open(lake.path())
        .unwrap()
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    assert_eq!(content(&copy), content(&lake.path()));

    let expired = lake.catalog.expire_snapshots(&Expiry::OlderThan(catalog_now()), &nobody(&lake)).unwrap();
    let theirs: usize = duckdb(&copy, &["expire"]).trim().parse().unwrap();
    assert_eq!(expired.snapshots.len(), theirs);
    // What was dropped, and delete files that gave way to newer ones.
    assert!(expired.files >= 4 && expired.bytes > 0, "{expired:?}");
    let (ours, theirs) = (content(&lake.path()), content(&copy));
    for (table, rows) in &theirs {
        assert_eq!(ours.get(table), Some(rows), "{table}");
    }
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    lake.assert_sound();
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_and_cleanup_of_ours_keep_every_snapshot_that_is_left() {
    let lake = a_lake_with_a_past().await;
    let history: BTreeMap<String, Option<u64>> = serde_json::from_str(&lake.duckdb(&["history"])).unwrap();
    let ids: Vec<i64> = lake.catalog.snapshots().unwrap().iter().map(|snapshot| snapshot.id.0).collect();
    // Every third one stays, and one of the others because somebody reads it.
    let wanted: Vec<_> = ids.iter().filter(|id| *id % 3 != 0).map(|id| SnapshotId(*id)).collect();
    let read = SnapshotId(4);
    let needed = Needed { snapshots: BTreeSet::from([read]), ..nobody(&lake) };
    let expired = lake.catalog.expire_snapshots(&Expiry::Snapshots(wanted.clone()), &needed).unwrap();
    assert!(expired.needed >= 1 && !expired.snapshots.contains(&read), "{expired:?}");
    lake.assert_sound();

    let known = lake.catalog.known_files().unwrap();
    assert!(!known.scheduled.is_empty() && known.scheduled.iter().all(|file| file.since.is_some()));
    for file in &known.scheduled {
        assert!(!known.named.contains(&file.path), "{file:?}");
        std::fs::remove_file(&file.path).unwrap();
    }
    let gone: Vec<i64> = known.scheduled.iter().map(|file| file.id).collect();
    lake.catalog.unschedule(&gone).unwrap();
    assert!(lake.catalog.known_files().unwrap().scheduled.is_empty());

    let left: BTreeMap<String, Option<u64>> = serde_json::from_str(&lake.duckdb(&["history"])).unwrap();
    assert!(left.len() > 3 && left.contains_key("4"), "{left:?}");
    for (snapshot, rows) in &left {
        assert_eq!(history.get(snapshot), Some(rows), "{snapshot}");
    }
    lake.assert_sound();
    lake.append_rows(300, 5).await;
    lake.duckdb_writes(&["insert", "310", "20"]);
    let newest = Expiry::OlderThan(catalog_now());
    lake.catalog.expire_snapshots(&newest, &nobody(&lake)).unwrap();
    lake.duckdb_writes(&["cleanup"]);
    lake.assert_sound();
    assert_eq!(lake.duckdb(&["history"]).matches(':').count(), 1);
}
