//! The metadata API of a real server: a router that trusts it misses no row, wherever the row is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::{Server, hep, http, python};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 1440 * MINUTE;
const COUNT: &str = "SELECT count(*) AS n FROM hep_proto_1_call";

/// The beginning of today, in microseconds since 1970: what is some minutes later is of the same day, and of one partition.
fn today() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_micros()).unwrap() / DAY * DAY
}

fn start(server_directory: &tempfile::TempDir) -> Server {
    let changes = json!({"storage": {"ducklake": {"compaction": {"retention_days": 10}}}});
    Server::start_with(server_directory.path(), changes)
}

/// Sends calls of these times and waits until they are there; there are `all` calls then.
fn send(server: &Server, times: &[i64], all: u64) {
    let packets = times.iter().flat_map(|time| {
        let time = UNIX_EPOCH + Duration::from_micros(time.unsigned_abs());
        hep::invite_at("call", time)
    });
    let bytes: Vec<u8> = packets.collect();
    let (status, _) = http::request(server.address("hep_http"), "POST", "/api/hep", &[], &bytes);
    assert_eq!(status, 200);
    server.wait_for_number(COUNT, all);
}

/// Whether the server says that there may be rows from one microsecond to another.
fn has_data(server: &Server, from: i64, to: i64) -> bool {
    let body = json!({"min_ts": from * 1000, "max_ts": to * 1000 + 999});
    let address = server.address("node_http");
    let (status, answer) = http::post_json(address, "/api/v1/metadata/check", &[], &body);
    assert_eq!(status, 200, "{answer}");
    answer["has_data"].as_bool().unwrap()
}

fn stats(server: &Server, path: &str) -> Value {
    let (status, answer) = http::get(server.address("node_http"), path);
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&answer).unwrap()
}

/// Every row that a query finds is in the statistics, and in every stretch of time that touches it.
fn assert_no_row_is_missed(server: &Server) {
    let rows = server.query("SELECT CAST(CAST(timestamp AS BIGINT) AS VARCHAR) AS t FROM hep_proto_1_call");
    let times: Vec<i64> = rows.iter().map(|row| row["t"].as_str().unwrap().parse().unwrap()).collect();
    for time in &times {
        for (from, to) in [(*time, *time), (*time - DAY, *time), (*time, *time + 1), (0, i64::MAX / 1001)] {
            assert!(has_data(server, from, to), "the row at {time} is missed from {from} to {to}");
        }
    }
    let (least, greatest) = (times.iter().min().unwrap() * 1000, times.iter().max().unwrap() * 1000);
    let all = stats(server, "/api/v1/metadata/stats");
    assert_eq!(all["row_count"], times.len(), "{all}");
    assert!(all["min_timestamp"].as_i64().unwrap() <= least, "{all}");
    assert!(all["max_timestamp"].as_i64().unwrap() >= greatest, "{all}");
    let bounds = stats(server, "/metadata/stats");
    assert_eq!(bounds, json!({"min_ts": all["min_timestamp"], "max_ts": all["max_timestamp"]}));
}

#[test]
fn a_router_that_trusts_it_misses_no_row() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(&directory);
    let today = today();
    assert!(!has_data(&server, 0, i64::MAX / 1001));
    assert_eq!(stats(&server, "/metadata/stats"), json!({"min_ts": 0, "max_ts": 0}));
    let empty = stats(&server, "/api/v1/metadata/stats");
    assert_eq!((&empty["row_count"], &empty["oldest_data"]), (&json!(0), &Value::Null));

    // In memory, then in a file.
    send(&server, &[today, today + MINUTE], 2);
    for place in ["memory", "a file"] {
        assert_no_row_is_missed(&server);
        assert!(!has_data(&server, today - DAY, today - 1), "{place}");
        assert!(!has_data(&server, today + MINUTE + 1, today + DAY), "{place}");
        server.query("CALL system.flush()");
    }
    // Late rows; between those of two files there is nothing.
    send(&server, &[today - 20 * DAY, today - 2 * DAY], 4);
    assert_no_row_is_missed(&server);
    assert!(!has_data(&server, today - 30 * DAY, today - 21 * DAY));
    server.query("CALL system.flush()");
    assert_no_row_is_missed(&server);
    assert!(!has_data(&server, today - 19 * DAY, today - 3 * DAY));
    // Files become one.
    send(&server, &[today + 2 * MINUTE], 5);
    server.query("CALL system.flush()");
    let merged = server.query("CALL system.compact()");
    assert!(merged.iter().any(|step| step["files_out"] == 1), "{merged:?}");
    assert_no_row_is_missed(&server);
    // After a crash they come from the journal.
    send(&server, &[today - 5 * DAY], 6);
    server.kill();
    let server = start(&directory);
    server.wait_for_number(COUNT, 6);
    assert_no_row_is_missed(&server);
    // What retention removes is gone; what it leaves is there.
    server.query("CALL system.retention()");
    assert_eq!(server.number(COUNT), 5);
    assert_no_row_is_missed(&server);
    assert!(!has_data(&server, today - 30 * DAY, today - 6 * DAY));
    assert!(has_data(&server, today - 30 * DAY, today - 5 * DAY));

    let Some(duckdb) = python::duckdb_python() else { return };
    // DuckDB keeps a few rows in the catalog itself, and of files that it adds nothing may be known.
    let catalog = server.catalog();
    let row = format!("'u', DATE '2026-11-01', make_timestamp({}), 'theirs'", today - 8 * DAY);
    let insert = format!("INSERT INTO hep_proto_1_call (uuid, date, timestamp, session_id) VALUES ({row})");
    python::duckdb_writes(&duckdb, &catalog, &[&insert, "SELECT 1"]);
    assert_eq!(server.number(COUNT), 6);
    assert_no_row_is_missed(&server);
    assert!(!has_data(&server, today - 30 * DAY, today - 9 * DAY));
    python::duckdb_writes(&duckdb, &catalog, &["DELETE FROM hep_proto_1_call WHERE uuid = 'u'", "SELECT 1"]);
    assert!(!has_data(&server, today - 30 * DAY, today - 6 * DAY));
    assert_no_row_is_missed(&server);
}
