//! The demonstration: everything in one process, and a clean end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::process::Stdio;

use serde_json::Value;
use support::{pintail, python};

#[test]
fn the_demonstration_runs_and_leaves_a_lake() {
    let directory = tempfile::tempdir().unwrap();
    let ready = directory.path().join("ready.json");
    let lake = directory.path().join("lake");
    let output = pintail()
        .args(["demo", "--ephemeral", "--duration", "6", "--rate", "400", "--dir"])
        .arg(&lake)
        .arg("--ready-file")
        .arg(&ready)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    for wanted in [
        "sql --url grpc://127.0.0.1:",
        "curl -s http://127.0.0.1:",
        "adbc_driver_flightsql",
        "packets/s |",
        "packets sent",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let listeners: Value = serde_json::from_str(&std::fs::read_to_string(&ready).unwrap()).unwrap();
    assert_eq!(listeners["listeners"].as_object().unwrap().len(), 7);

    let Some(duckdb) = python::duckdb_python() else { return };
    let rows = python::duckdb_rows(
        &duckdb,
        &lake.join("homer_catalog.sqlite"),
        "SELECT count(*) AS n, count(DISTINCT session_id) AS calls FROM hep_proto_1_call",
    );
    assert!(rows[0]["calls"].as_u64().unwrap() > 5, "{rows:?}");
}
