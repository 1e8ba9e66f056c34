//! Maintenance through a real server, with official DuckDB beside it, and without a server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};
use support::{Server, hep, http, pintail, python};

const COUNT: &str = "SELECT count(*) AS n FROM hep_proto_1_call";

/// Stores calls with these numbers.
fn send(server: &Server, numbers: std::ops::Range<u32>) {
    let bytes: Vec<u8> = numbers.flat_map(|number| hep::invite(&format!("call-{number}"))).collect();
    let (status, _) = http::request(server.address("hep_http"), "POST", "/api/hep", &[], &bytes);
    assert_eq!(status, 200);
}

/// `pintail lake COMMAND`, with the configuration of the server that has its data in `directory`.
fn lake(directory: &Path, command: &[&str]) -> Output {
    let config = directory.join("pintail.json");
    pintail().arg("lake").args(command).arg("--config").arg(config).output().unwrap()
}

/// The rows of a command that must succeed.
fn steps(output: &Output) -> Vec<Value> {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn data_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![directory.join("parquet/main/hep_proto_1_call")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false => files.push(path),
            }
        }
    }
    files
}

/// The calls at every snapshot that has the table, as official DuckDB counts them.
fn duckdb_history(duckdb: &Path, catalog: &Path) -> BTreeMap<u64, u64> {
    let snapshots = python::duckdb_rows(
        duckdb,
        catalog,
        "SELECT snapshot_id FROM ducklake_snapshots('lake') WHERE snapshot_id > 1 ORDER BY 1",
    );
    let count = |snapshot: &Value| {
        let id = snapshot["snapshot_id"].as_u64().unwrap();
        let query = format!("SELECT count(*) AS n FROM hep_proto_1_call AT (VERSION => {id})");
        (id, python::duckdb_rows(duckdb, catalog, &query)[0]["n"].as_u64().unwrap())
    };
    snapshots.iter().map(count).collect()
}

#[test]
fn a_server_maintains_its_lake_and_duckdb_agrees() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    for part in 0..4 {
        send(&server, part * 10..part * 10 + 10);
        assert_eq!(server.query("CALL system.flush()")[0]["rows"], 10);
    }
    assert_eq!(data_files(directory.path()).len(), 4);
    let duckdb = python::duckdb_python();
    let history = duckdb.as_ref().map(|duckdb| duckdb_history(duckdb, &server.catalog()));

    // Beside the running server, which a fixed port in the configuration would name.
    let url = server.url();
    let merged = lake(directory.path(), &["compact", "--table", "hep_proto_1_call", "--json", "--url", &url]);
    let merged = steps(&merged);
    assert_eq!(
        (&merged[0]["files_in"], &merged[0]["files_out"], &merged[0]["rows"]),
        (&json!(4), &json!(1), &json!(40))
    );
    assert_eq!(merged[0]["catalog"], "homer_lake_default");
    assert_eq!(server.number(COUNT), 40);
    if let (Some(duckdb), Some(history)) = (&duckdb, history) {
        let now = duckdb_history(duckdb, &server.catalog());
        assert!(history.iter().all(|(snapshot, rows)| now[snapshot] == *rows), "{history:?} {now:?}");
        python::duckdb_writes(
            duckdb,
            &server.catalog(),
            &["DELETE FROM hep_proto_1_call WHERE session_id = 'call-7'", "SELECT 1"],
        );
        assert_eq!(server.number(COUNT), 39);
    }
    let left = if duckdb.is_some() { 39 } else { 40 };
    send(&server, 40..50);
    let vacuumed =
        lake(directory.path(), &["vacuum", "--expire-older-than", "0 seconds", "--json", "--url", &url]);
    let vacuumed = steps(&vacuumed);
    assert!(vacuumed.iter().all(|step| step["state"] == "finished"), "{vacuumed:#?}");
    assert!(vacuumed.last().unwrap()["bytes"].as_u64().unwrap() > 0, "{vacuumed:#?}");
    assert_eq!(server.number("SELECT count(*) FROM system.snapshots"), 1);
    assert_eq!(server.number(COUNT), left + 10);
    if let Some(duckdb) = &duckdb {
        assert_eq!(python::duckdb_rows(duckdb, &server.catalog(), COUNT)[0]["n"], left + 10);
        let insert = "INSERT INTO hep_proto_1_call (uuid, date, timestamp, session_id) \
                      SELECT 'u', DATE '2026-11-21', TIMESTAMP '2026-11-21 00:00:00', 'theirs' FROM range(20)";
        python::duckdb_writes(duckdb, &server.catalog(), &[insert, "SELECT 1"]);
        assert_eq!(server.number(COUNT), left + 30);
    }
    let (status, body) = http::request(server.address("node_http"), "POST", "/vacuum", &[], &[]);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &body["success"]), (200, &json!(true)), "{body}");
    let tasks = server.query("SELECT DISTINCT task FROM system.maintenance ORDER BY task");
    let tasks: Vec<&str> = tasks.iter().map(|row| row["task"].as_str().unwrap()).collect();
    assert_eq!(tasks, ["cleanup", "compact", "expire_snapshots", "flush"]);
}

#[test]
fn the_command_line_maintains_a_lake_that_no_server_has_open() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    for part in 0..3 {
        send(&server, part * 10..part * 10 + 10);
        server.query("CALL system.flush()");
    }
    send(&server, 30..35);
    let refused = lake(directory.path(), &["compact"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("name its Flight SQL listener with --url"), "{said}");
    server.kill();

    // What was only in the journal is in a file then: the command is a writer like the server.
    let merged = steps(&lake(directory.path(), &["compact", "--json"]));
    assert_eq!(merged.iter().map(|step| step["files_in"].as_u64().unwrap()).sum::<u64>(), 3, "{merged:#?}");
    let expired = steps(&lake(directory.path(), &["expire", "--older-than", "0 seconds", "--json"]));
    assert!(expired[0]["message"].as_str().unwrap().ends_with("snapshots expired"), "{expired:#?}");
    let cleaned = steps(&lake(directory.path(), &["cleanup", "--older-than", "0 seconds", "--json"]));
    assert_eq!(cleaned[0]["files_in"], 3, "{cleaned:#?}");
    assert_eq!(steps(&lake(directory.path(), &["retention", "--json"])), Vec::<Value>::new());
    let table = lake(directory.path(), &["vacuum", "--expire-older-than", "0 seconds"]);
    assert!(String::from_utf8(table.stdout).unwrap().contains("expire_snapshots"));
    assert_eq!(data_files(directory.path()).len(), 1);

    for (arguments, code, said) in [
        (&["compact", "--table", "nothing"][..], 1, "table nothing does not exist"),
        (&["compact", "--volume", "cold"], 1, "volume cold does not exist; there are: default"),
        (&["expire", "--older-than", "soon"], 2, "'soon' is no length of time"),
        (&["cleanup", "--table", "x"], 2, "unexpected argument"),
    ] {
        let output = lake(directory.path(), arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(errors.contains(said), "{errors}");
    }
    assert_eq!(lake(directory.path(), &["fsck"]).status.code(), Some(0));
    let server = Server::start(directory.path());
    assert_eq!(server.number(COUNT), 35);
    assert_eq!(server.number("SELECT count(DISTINCT uuid) AS n FROM hep_proto_1_call"), 35);
}
