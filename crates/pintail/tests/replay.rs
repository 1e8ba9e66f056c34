//! What the journal holds after a crash becomes rows once, whatever happens until it has: other programs that
//! commit to the lake and expire its snapshots, and a crash of the replay itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::{Server, hep, http, python};

/// Flushes begin when a few hundred rows wait, and at no other time.
fn small_buffer() -> Value {
    json!({
        "storage": {"ducklake": {"hot_buffer": {"max_bytes": 4_194_304, "high_water": 0.05}}},
        "ingest": {"journal": {"segment_bytes": 65_536}},
    })
}

/// Posts one INVITE for each number, and returns when the journal has them.
fn post(server: &Server, name: &str, numbers: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    let ids = numbers.map(move |number| format!("{name}-{number}"));
    let body: Vec<u8> = ids.clone().flat_map(|id| hep::invite(&id)).collect();
    assert_eq!(http::request(server.address("hep_http"), "POST", "/api/hep", &[], &body).0, 200);
    ids
}

/// The ids of all calls, as official DuckDB reads the lake; no row may be there twice.
fn ids_by_duckdb(duckdb: &std::path::Path, catalog: &std::path::Path) -> BTreeSet<String> {
    let rows = python::duckdb_rows(duckdb, catalog, "SELECT session_id, uuid FROM hep_proto_1_call");
    let texts = |column: &str| rows.iter().map(|row| row[column].as_str().unwrap().to_owned()).collect();
    let (ids, uuids): (BTreeSet<String>, BTreeSet<String>) = (texts("session_id"), texts("uuid"));
    assert_eq!((ids.len(), uuids.len()), (rows.len(), rows.len()), "a row is there twice");
    ids
}

/// What another program may do to the lake while the server is down.
fn maintenance(name: &str, victim: &str) -> [String; 6] {
    [
        format!(
            "INSERT INTO lake.main.hep_proto_1_call (uuid, date, timestamp, session_id) \
             SELECT '{name}-' || i, DATE '2026-11-20', TIMESTAMP '2026-11-20 10:00:00', '{name}-' || i FROM range(20) t(i)"
        ),
        format!("DELETE FROM lake.main.hep_proto_1_call WHERE session_id = '{victim}'"),
        "CALL ducklake_flush_inlined_data('lake')".to_owned(),
        "CALL ducklake_merge_adjacent_files('lake')".to_owned(),
        "CALL ducklake_expire_snapshots('lake', older_than => now())".to_owned(),
        "CALL ducklake_cleanup_old_files('lake', cleanup_all => true)".to_owned(),
    ]
}

#[test]
fn a_replay_repeats_nothing_after_others_have_committed_and_expired_snapshots() {
    let Some(duckdb) = python::duckdb_python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut expected = BTreeSet::new();
    for round in 0..3 {
        let server = Server::start_with(directory.path(), small_buffer());
        // These fill the buffer, and a flush takes them.
        let flushed = format!("flushed-{round}");
        expected.extend(post(&server, &flushed, 0..1000));
        server.wait_for_number(
            &format!(
                "SELECT CAST(count(*) > 0 AS INT) FROM homer_lake_default.main.hep_proto_1_call \
                 WHERE session_id LIKE '{flushed}-%'"
            ),
            1,
        );
        // These stay in the journal.
        expected.extend(post(&server, &format!("waiting-{round}"), 0..7));
        let catalog = server.catalog();
        server.kill();
        let victim = format!("{flushed}-0");
        let statements = maintenance(&format!("foreign-{round}"), &victim);
        python::duckdb_writes(&duckdb, &catalog, &statements.each_ref().map(String::as_str));
        expected.extend((0..20).map(|number| format!("foreign-{round}-{number}")));
        expected.remove(&victim);
    }
    let server = Server::start_with(directory.path(), small_buffer());
    assert_eq!(server.number("SELECT count(*) FROM hep_proto_1_call"), expected.len() as u64);
    let catalog = server.catalog();
    let (status, log) = server.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(ids_by_duckdb(&duckdb, &catalog), expected);
}

#[test]
fn a_replay_that_is_killed_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let mut expected = BTreeSet::new();
    for part in 0..12 {
        expected.extend(post(&server, &format!("part-{part}"), 0..1000));
    }
    let catalog = server.catalog();
    server.kill();
    // One dies before anything of it is in files, the others right after so many flushes of theirs.
    for flushes in [0, 1, 2, 1, 3] {
        let mut flushes_left = flushes;
        Server::kill_while_starting(directory.path(), small_buffer(), |line| {
            flushes_left -= u32::from(flushes_left > 0 && line.contains("flushed"));
            flushes_left == 0
        });
    }
    let server = Server::start_with(directory.path(), small_buffer());
    assert_eq!(server.number("SELECT count(*) FROM hep_proto_1_call"), expected.len() as u64);
    assert_eq!(server.number("SELECT count(DISTINCT uuid) FROM hep_proto_1_call"), expected.len() as u64);
    let (status, log) = server.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    let Some(duckdb) = python::duckdb_python() else { return };
    assert_eq!(ids_by_duckdb(&duckdb, &catalog), expected);
}
