//! A lake that is damaged, whose disk is full, or that somebody else made.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

#[path = "../../lake/tests/common/small_disk.rs"]
mod small_disk;
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};
use small_disk::SmallDisk;
use support::{PATIENCE, Server, hep, http, pintail, python, refusal};

const COUNT: &str = "SELECT count(*) AS n FROM hep_proto_1_call";

/// One body with the calls of these names: what is answered.
fn post<'a>(server: &Server, calls: impl IntoIterator<Item = &'a str>) -> u16 {
    let body: Vec<u8> = calls.into_iter().flat_map(hep::invite).collect();
    http::request(server.address("hep_http"), "POST", "/api/hep", &[], &body).0
}

fn health(server: &Server) -> (u16, Value) {
    let (status, body) = http::request(server.address("node_http"), "GET", "/health", &[], &[]);
    (status, serde_json::from_slice(&body).unwrap())
}

/// `pintail lake fsck`: its exit code, and what it says as JSON.
fn fsck(directory: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = pintail()
        .args(["lake", "fsck", "--json", "--config"])
        .arg(directory.join("pintail.json"))
        .args(arguments)
        .output()
        .unwrap();
    let said = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), said)
}

/// Runs statements on a catalog as a program does that knows no better.
fn damage(catalog: &Path, statements: &str) {
    rusqlite::Connection::open(catalog).unwrap().execute_batch(statements).unwrap();
}

#[test]
fn a_damaged_lake_is_told_of_and_mended_with_and_without_its_server() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    assert_eq!(post(&server, ["a", "b", "c"]), 200);
    server.query("CALL system.flush()");
    let catalog = server.catalog();
    let url = server.url();
    let totals = "UPDATE ducklake_table_stats SET next_row_id = 1, record_count = 0";
    damage(&catalog, totals);
    let (code, said) = fsck(directory.path(), &[]);
    assert_eq!((code, &said["ok"]), (Some(1), &json!(false)), "{said:#}");
    assert_eq!(said["findings"][0]["repair"], "counts the table's totals anew");
    let repaired = server.query("CALL system.fsck(repair => true)");
    assert!(
        repaired[0]["message"].as_str().unwrap().starts_with("0 problems found, 2 repaired"),
        "{repaired:#?}"
    );
    assert_eq!(fsck(directory.path(), &[]).0, Some(0));
    damage(&catalog, totals);
    let output = pintail()
        .args(["lake", "fsck", "--repair", "--url", &url, "--config"])
        .arg(directory.path().join("pintail.json"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(server.number("SELECT count(*) AS n FROM system.findings WHERE is_repaired"), 2);
    let (status, log) = server.terminate();
    assert_eq!(status.code(), Some(0), "{log}");

    // With counters that are gone no server starts, until they are made again.
    damage(&catalog, "UPDATE ducklake_snapshot SET next_file_id = NULL, next_catalog_id = NULL");
    let config: Value =
        serde_json::from_str(&std::fs::read_to_string(directory.path().join("pintail.json")).unwrap())
            .unwrap();
    let said = refusal(&config);
    assert!(said.contains("has no next ids"), "{said}");
    assert_eq!(fsck(directory.path(), &[]).0, Some(1));
    let (code, said) = fsck(directory.path(), &["--repair"]);
    assert_eq!((code, &said["ok"]), (Some(0), &json!(true)), "{said:#}");
    let server = Server::start(directory.path());
    assert_eq!(post(&server, ["d"]), 200);
    server.query("CALL system.flush()");
    assert_eq!(server.number(COUNT), 4);

    // What nobody can mend is told: in health, while all goes on that can.
    let file = data_files(directory.path()).remove(0);
    server.terminate();
    std::fs::remove_file(&file).unwrap();
    let server = Server::start(directory.path());
    let (status, said) = health(&server);
    assert_eq!((status, &said["status"]), (200, &json!("ok")));
    assert!(said["warnings"][0].as_str().unwrap().starts_with("the lake is damaged in 1 places"), "{said:#}");
    let failed = server.sql(&["-e", "SELECT payload FROM hep_proto_1_call"]);
    let said = String::from_utf8(failed.stderr).unwrap();
    assert!(said.contains(file.file_name().unwrap().to_str().unwrap()), "{said}");
    assert_eq!(post(&server, ["e"]), 200);
    assert_eq!(fsck(directory.path(), &[]).0, Some(1));
}

/// The data files of a lake, oldest first.
fn data_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![directory.join("parquet")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { directories.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

#[test]
fn a_file_with_damaged_pages_fails_the_queries_that_need_it_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    for part in 0..3 {
        let calls: Vec<String> = (0..50).map(|call| format!("call-{part}-{call}")).collect();
        assert_eq!(post(&server, calls.iter().map(String::as_str)), 200);
        server.query("CALL system.flush()");
    }
    server.terminate();
    let files = data_files(directory.path());
    let [_, damaged, _] = &files[..] else { panic!("{files:?}") };
    let mut bytes = std::fs::read(damaged).unwrap();
    let end = bytes.len() - 8;
    let footer = u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap()) as usize;
    // The pages stand before the footer, and their indexes between the two.
    bytes[4..(end - footer) / 2].fill(0xa5);
    std::fs::write(damaged, &bytes).unwrap();
    let server = Server::start(directory.path());
    let failed = server.sql(&["-e", "SELECT max(payload), max(uuid), max(data_extra) FROM hep_proto_1_call"]);
    let said = String::from_utf8(failed.stderr).unwrap();
    let name = damaged.file_name().unwrap().to_str().unwrap();
    assert!(said.contains(name) && said.contains("is damaged"), "{said}");
    assert_eq!(server.number(COUNT), 150);
    assert_eq!(server.number("SELECT count(payload) AS n FROM hep_proto_5_default"), 0);
    assert_eq!(post(&server, ["more"]), 200);
}

#[test]
fn damage_in_the_journal_is_set_aside_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    for call in ["a", "b", "c"] {
        assert_eq!(post(&server, [call]), 200);
    }
    server.kill();
    let journal = directory.path().join("journal");
    let segments = std::fs::read_dir(&journal).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> =
        segments.filter(|path| path.extension().is_some_and(|found| found == "journal")).collect();
    segments.sort();
    let mut bytes = std::fs::read(&segments[0]).unwrap();
    let second = 32 + 8 + u32::from_le_bytes(bytes[32..36].try_into().unwrap()) as usize;
    // The length itself: where the third record begins has to be found.
    bytes[second + 1] ^= 0x10;
    std::fs::write(&segments[0], &bytes).unwrap();
    let (code, said) = fsck(directory.path(), &[]);
    assert_eq!(code, Some(1), "{said:#}");
    let server = Server::start(directory.path());
    assert_eq!(server.number(COUNT), 2);
    assert_eq!(server.number("SELECT count(*) AS n FROM system.findings WHERE place LIKE 'journal %'"), 1);
    let (_, said) = health(&server);
    assert!(said["warnings"][0].as_str().unwrap().contains("1 damaged places"), "{said:#}");
    let (_, metrics) = http::request(server.address("metrics"), "GET", "/metrics", &[], &[]);
    let metrics = String::from_utf8(metrics).unwrap();
    assert!(metrics.contains("pintail_journal_damaged_total 1"), "{metrics}");
}

#[test]
fn a_disk_that_is_filled_and_freed_a_hundred_times_stops_ingest_and_nothing_else() {
    const CYCLES: usize = 100;
    let Some(disk) = SmallDisk::new("64m") else { return };
    let directory = disk.path().to_owned();
    let server = Server::start(&directory);
    let mut confirmed = BTreeSet::new();
    // What is confirmed is in the journal, and in sight a moment later; what is flushed is in sight for certain.
    let mut flushed = 0;
    let mut calls = (0..).map(|number| format!("call-{number}"));
    let mut next = || calls.next().unwrap();
    // Bodies until one is answered with this; others that are confirmed are noted.
    let mut post_until = |wanted: u16, confirmed: &mut BTreeSet<String>| {
        let limit = Instant::now() + PATIENCE;
        loop {
            let call = next();
            let status = post(&server, [call.as_str()]);
            if status == 200 {
                confirmed.insert(call);
            }
            if status == wanted {
                return;
            }
            assert!(matches!(status, 200 | 503), "{status}");
            assert!(Instant::now() < limit, "no {wanted} after {PATIENCE:?}");
        }
    };
    for cycle in 0..CYCLES {
        post_until(200, &mut confirmed);
        disk.fill();
        post_until(503, &mut confirmed);
        let (status, said) = health(&server);
        assert_eq!(status, 503);
        let problem = said["problems"][0].as_str().unwrap();
        assert!(problem.starts_with("the journal can't be written since 2"), "{said:#}");
        assert!(problem.contains("No space left"), "{said:#}");
        if cycle % 10 == 0 {
            assert!(server.number(COUNT) >= flushed, "queries go on");
            assert!(!server.sql(&["-e", "CALL system.flush()"]).status.success());
        }
        disk.free();
        post_until(200, &mut confirmed);
        if cycle % 10 == 0 {
            server.query("CALL system.flush()");
            flushed = confirmed.len() as u64;
            assert_eq!(health(&server).0, 200);
        }
    }
    server.query("CALL system.flush()");
    let seen: Vec<Value> = server.query("SELECT session_id FROM hep_proto_1_call");
    let distinct: BTreeSet<&str> = seen.iter().map(|row| row["session_id"].as_str().unwrap()).collect();
    assert_eq!(distinct.len(), seen.len(), "a call is there twice");
    let lost: Vec<&String> = confirmed.iter().filter(|call| !distinct.contains(call.as_str())).collect();
    assert!(lost.is_empty(), "confirmed and lost: {lost:?}");
    assert!(confirmed.len() >= 2 * CYCLES);
    let (status, log) = server.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(fsck(&directory, &[]).0, Some(0));
    let server = Server::start(&directory);
    assert_eq!(server.number(COUNT), seen.len() as u64);
}

/// A lake as Homer makes it: its tables, partitioned by date, and no rows in the catalog itself.
const HOMER: [&str; 6] = [
    "CALL lake.set_option('data_inlining_row_limit', 0)",
    "CREATE TABLE hep_proto_1_call (uuid VARCHAR, date DATE, timestamp TIMESTAMP, session_id VARCHAR, caller VARCHAR, \
     callee VARCHAR, src_ip VARCHAR, dst_ip VARCHAR, src_port UINTEGER, dst_port UINTEGER, method VARCHAR, \
     response_code VARCHAR, cseq_method VARCHAR, protocol UINTEGER, node_id VARCHAR, cid VARCHAR, payload VARCHAR, \
     data_extra JSON)",
    "ALTER TABLE hep_proto_1_call SET PARTITIONED BY (date)",
    "INSERT INTO hep_proto_1_call (uuid, date, timestamp, session_id, method, src_port, data_extra) \
     SELECT 'u' || i, DATE '2026-01-01' + CAST(i % 3 AS INTEGER), TIMESTAMP '2026-01-01 10:00:00' + INTERVAL (i % 3) DAY, \
     'call-' || i, 'INVITE', 5060, '{\"a\": 1}' FROM range(30) t(i)",
    "DELETE FROM hep_proto_1_call WHERE session_id = 'call-7'",
    "SELECT count(*) AS n FROM hep_proto_1_call",
];

#[test]
fn a_lake_that_homer_or_duckdb_made_is_opened_as_it_is() {
    let Some(duckdb) = python::duckdb_python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (catalog, data) = (directory.path().join("homer_catalog.sqlite"), directory.path().join("parquet"));
    let options = format!("(DATA_PATH '{}/')", data.display());
    let made = python::duckdb_makes(&duckdb, &catalog, &options, &HOMER);
    assert_eq!(made[0]["n"], 29);
    // And somebody's own table, with rows that DuckDB keeps in the catalog.
    let own = [
        "CREATE TABLE notes (id INTEGER, note VARCHAR, noted_at TIMESTAMPTZ)",
        "INSERT INTO notes VALUES (1, 'one', TIMESTAMPTZ '2026-01-01 00:00:00+00'), (2, NULL, NULL)",
        "CREATE VIEW noted AS SELECT note FROM notes WHERE note IS NOT NULL",
        "SELECT count(*) AS n FROM notes",
    ];
    python::duckdb_writes(&duckdb, &catalog, &own);
    let before: Vec<(PathBuf, Vec<u8>)> = data_files(directory.path())
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();

    let server = Server::start(directory.path());
    assert_eq!(server.number(COUNT), 29);
    assert_eq!(server.number("SELECT count(*) AS n FROM notes"), 2);
    assert_eq!(server.number("SELECT count(*) AS n FROM noted"), 1);
    assert_eq!(server.number("SELECT count(*) AS n FROM hep_proto_1_call WHERE date = DATE '2026-01-02'"), 9);
    assert_eq!(server.number("SELECT count(*) AS n FROM hep_proto_1_call WHERE session_id = 'call-7'"), 0);
    assert_eq!(health(&server).1["warnings"], json!([]));
    assert_eq!(post(&server, ["new"]), 200);
    server.query("CALL system.flush()");
    assert_eq!(server.number(COUNT), 30);
    server.terminate();
    let (code, said) = fsck(directory.path(), &[]);
    assert_eq!(code, Some(0), "{said:#}");
    assert_eq!(python::duckdb_rows(&duckdb, &catalog, COUNT)[0]["n"], 30);
    for (path, bytes) in before {
        assert_eq!(std::fs::read(path).unwrap(), bytes, "no file is written again");
    }
}

#[test]
fn a_lake_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let catalog = server.catalog();
    server.terminate();
    damage(&catalog, "UPDATE ducklake_metadata SET value = '1.1' WHERE key = 'version'");
    let config: Value =
        serde_json::from_str(&std::fs::read_to_string(directory.path().join("pintail.json")).unwrap())
            .unwrap();
    let said = refusal(&config);
    assert!(said.contains("DuckLake format version '1.1'"), "{said}");
    assert!(said.contains("knows 1.0 only"), "{said}");
}
