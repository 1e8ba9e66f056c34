//! The past of a lake that we and official DuckDB write in turn: every old snapshot has the same rows for both.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::PathBuf;

use serde_json::{Value, json};
use support::{Server, hep, http, python};

/// Who runs a statement.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    Pintail,
    DuckDb,
}
use Who::{DuckDb, Pintail};

/// What happens to a table, one commit each, in every way in which either changes rows and columns.
const TURNS: &[(Who, &str)] = &[
    (Pintail, "CREATE TABLE t (id BIGINT, v BIGINT)"),
    (Pintail, "INSERT INTO t SELECT value, value * 10 FROM generate_series(1, 100) AS numbers(value)"),
    (Pintail, "UPDATE t SET v = v + 1 WHERE id % 10 = 3"),
    (Pintail, "DELETE FROM t WHERE id > 95"),
    (DuckDb, "INSERT INTO t SELECT range, range FROM range(1000, 1100)"),
    (DuckDb, "DELETE FROM t WHERE id BETWEEN 1000 AND 1049"),
    (DuckDb, "UPDATE t SET v = -v WHERE id >= 1080"),
    (Pintail, "ALTER TABLE t ADD COLUMN note VARCHAR"),
    (Pintail, "INSERT INTO t SELECT id + 2000, v, 'copied' FROM t AT (VERSION => 4) WHERE id < 50"),
    (DuckDb, "ALTER TABLE t RENAME COLUMN note TO remark"),
    // Few rows, which DuckDB keeps in the catalog itself.
    (DuckDb, "INSERT INTO t VALUES (5000, 1, 'x'), (5001, 2, NULL), (5002, 3, 'z')"),
    (DuckDb, "UPDATE t SET v = v * 2 WHERE id IN (5001, 7)"),
    // Rows of files from which DuckDB has deleted none in the catalog itself: see the test of a past with two delete files.
    (Pintail, "UPDATE t SET v = v * 3 WHERE id IN (5002, 2008)"),
    (Pintail, "DELETE FROM t WHERE id IN (5000, 2009)"),
    (DuckDb, "DELETE FROM t WHERE id IN (5001, 11)"),
    (DuckDb, "CALL ducklake_flush_inlined_data('lake')"),
    (DuckDb, "CALL ducklake_merge_adjacent_files('lake')"),
    (Pintail, "INSERT INTO t SELECT value, 0, 'last' FROM generate_series(6000, 6049) AS numbers(value)"),
    (Pintail, "ALTER TABLE t DROP COLUMN remark"),
];

/// Turns before any row is kept in the catalog itself: changes of later ones can't be told.
const TURNS_IN_FILES: usize = 10;

/// A server with the lake that both write.
struct Site {
    server: Server,
    python: PathBuf,
    _directory: tempfile::TempDir,
}

impl Site {
    /// None where there is no DuckDB.
    fn new(changes: Value) -> Option<Self> {
        let python = python::duckdb_python()?;
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start_with(directory.path(), changes);
        Some(Self { server, python, _directory: directory })
    }

    fn run(&self, who: Who, statement: &str) {
        if who == DuckDb {
            python::duckdb_writes(&self.python, &self.server.catalog(), &[statement, "SELECT 1"]);
            return;
        }
        let output = self.server.sql(&["-e", statement]);
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The rows of a statement, which are the same for both.
    fn agreed(&self, sql: &str) -> Vec<Value> {
        let ours = self.server.query(sql);
        let theirs = python::duckdb_rows(&self.python, &self.server.catalog(), sql);
        for (our, their) in ours.iter().zip(&theirs) {
            assert_eq!(our, their, "{sql}");
        }
        assert_eq!(ours.len(), theirs.len(), "{sql}");
        ours
    }

    /// The numbers and times of the snapshots from `first` on, as both tell them.
    fn snapshots_from(&self, first: i64) -> Vec<(i64, String)> {
        let ours = self.server.query(&format!(
            "SELECT snapshot_id, CAST(committed_at AS VARCHAR) AS at FROM snapshots() \
             WHERE snapshot_id >= {first} ORDER BY snapshot_id"
        ));
        let row =
            |row: &Value| (row["snapshot_id"].as_i64().unwrap(), row["at"].as_str().unwrap().to_owned());
        ours.iter().map(row).collect()
    }

    fn refusal(&self, sql: &str) -> String {
        let output = self.server.sql(&["-e", sql]);
        assert!(!output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }
}

/// What a table holds.
const TOTALS: &str = "SELECT count(*) AS n, CAST(sum(id) AS BIGINT) AS ids, CAST(sum(v) AS BIGINT) AS total, max(id) AS newest";

/// What a table holds at each of these moments, in one statement.
fn totals(table: &str, moments: impl Iterator<Item = String>) -> String {
    let each = moments.enumerate().map(|(place, moment)| {
        format!("SELECT {place} AS place, * FROM ({TOTALS} FROM {table} AT ({moment})) AS at_{place}")
    });
    let all: Vec<String> = each.collect();
    format!("SELECT n, ids, total, newest FROM ({}) AS every ORDER BY place", all.join(" UNION ALL "))
}

fn without_repetitions(mut rows: Vec<Value>) -> Vec<Value> {
    rows.dedup();
    rows
}

#[test]
fn every_old_snapshot_is_the_same_for_duckdb() {
    let Some(site) = Site::new(json!({})) else { return };
    let mut truth = Vec::new();
    for (who, statement) in TURNS {
        site.run(*who, statement);
        truth.extend(site.agreed(&format!("{TOTALS} FROM t")));
    }
    let snapshots = site.snapshots_from(3);
    let by_number = site.agreed(&totals("t", snapshots.iter().map(|(id, _)| format!("VERSION => {id}"))));
    // Some turns take two commits: one that puts rows of the catalog itself into files changes none.
    assert_eq!(without_repetitions(by_number.clone()), without_repetitions(truth));
    let by_time = site.agreed(&totals("t", snapshots.iter().map(|(_, at)| format!("TIMESTAMP => '{at}'"))));
    assert_eq!(by_time, by_number);

    let (first, last) = (snapshots[0].0, snapshots[TURNS_IN_FILES - 1].0);
    let feed = |from: i64, to: i64| {
        format!("SELECT * FROM table_changes('t', {from}, {to}) ORDER BY snapshot_id, rowid, change_type")
    };
    for (from, to) in [(first, last), (first + 2, first + 2), (first + 4, first + 6)] {
        assert!(!site.agreed(&feed(from, to)).is_empty());
    }
    for function in ["table_insertions", "table_deletions"] {
        let rows = site.agreed(&format!("SELECT * FROM {function}('t', {first}, {last}) ORDER BY id, v"));
        assert!(!rows.is_empty());
    }
    let refused = site.refusal(&feed(first, last + 1));
    assert!(refused.contains("that another program kept in the catalog itself"), "{refused}");

    site.run(DuckDb, "CALL ducklake_expire_snapshots('lake', versions => [5, 6])");
    let refused = site.refusal("SELECT * FROM t AT (VERSION => 5)");
    assert!(
        refused.contains("snapshot 5 of homer_lake is not there any more: the oldest one left is 0"),
        "{refused}"
    );
    let left = site.snapshots_from(3);
    assert_eq!(left.len(), snapshots.len() - 2);
    site.agreed(&totals("t", left.iter().map(|(id, _)| format!("VERSION => {id}"))));
}

#[test]
fn a_past_with_two_delete_files_is_refused() {
    let Some(site) = Site::new(json!({})) else { return };
    for (who, statement) in &TURNS[..4] {
        site.run(*who, statement);
    }
    site.run(DuckDb, "DELETE FROM t WHERE id = 7");
    site.run(Pintail, "DELETE FROM t WHERE id = 8");
    site.run(DuckDb, "CALL ducklake_flush_inlined_data('lake')");
    let refused = site.refusal("SELECT count(*) FROM t AT (VERSION => 7)");
    assert!(
        refused.contains("table main.t can't be read at snapshot 7: data file 0 has two delete files"),
        "{refused}"
    );
    assert_eq!(site.agreed("SELECT count(*) AS n FROM t AT (VERSION => 6)"), [json!({"n": 95})]);
    assert_eq!(site.agreed("SELECT count(*) AS n FROM t"), [json!({"n": 93})]);
}

#[test]
fn views_of_the_past_are_the_same_for_duckdb() {
    let Some(site) = Site::new(json!({})) else { return };
    for (who, statement) in &TURNS[..4] {
        site.run(*who, statement);
    }
    site.run(Pintail, "CREATE VIEW ours AS SELECT sum(o.v) AS total FROM t o AT SNAPSHOT 4");
    site.run(DuckDb, "CREATE VIEW theirs AS SELECT sum(v) AS total FROM t AT (VERSION => 5)");
    let totals = "SELECT CAST(a.total AS BIGINT) AS a, CAST(b.total AS BIGINT) AS b FROM ours a, theirs b";
    assert_eq!(site.agreed(totals), [json!({"a": 50500, "b": 50510})]);
}

#[test]
fn telemetry_has_a_past_once_it_is_in_files() {
    let changes = json!({"storage": {"ducklake": {"flush_interval_sec": 1}}});
    let Some(site) = Site::new(changes) else { return };
    let hep_http = site.server.address("hep_http");
    let in_files = "SELECT count(*) FROM hep_proto_1_call WHERE storage_volume = 'default'";
    for (call, count) in [("first", 1), ("second", 2), ("third", 3)] {
        assert_eq!(http::request(hep_http, "POST", "/api/hep", &[], &hep::invite(call)).0, 200);
        site.server.wait_for_number(in_files, count);
    }
    let snapshots = site.snapshots_from(2);
    assert_eq!(snapshots.len(), 4, "{snapshots:?}");
    let calls = |id: &i64| {
        format!(
            "SELECT {id} AS snapshot, count(*) AS n, max(session_id) AS last FROM hep_proto_1_call AT (VERSION => {id})"
        )
    };
    let each: Vec<String> = snapshots.iter().map(|(id, _)| calls(id)).collect();
    let counts = site.agreed(&format!("{} ORDER BY snapshot", each.join(" UNION ALL ")));
    let counts: Vec<&Value> = counts.iter().map(|row| &row["n"]).collect();
    assert_eq!(counts, [0, 1, 2, 3]);
    for (place, (id, _)) in snapshots.iter().enumerate() {
        let calls = site.server.number(&format!("SELECT count(*) FROM sip_transactions AT SNAPSHOT {id}"));
        assert_eq!(calls, u64::try_from(place).unwrap());
    }
    let positions =
        "SELECT count(journal_position), count(DISTINCT catalog), min(catalog) FROM system.snapshots";
    let noted = site.server.query(positions);
    let noted: Vec<&Value> = noted[0].as_object().unwrap().values().collect();
    assert!(noted.contains(&&json!(3)) && noted.contains(&&json!("homer_lake_default")), "{noted:?}");
}
