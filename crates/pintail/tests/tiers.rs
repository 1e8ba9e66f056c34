//! A lake of two volumes through a real server, with official DuckDB beside it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{Server, hep, http, pintail, python};

const COUNT: &str = "SELECT count(*) AS n FROM hep_proto_1_call";

fn send(server: &Server, numbers: std::ops::Range<u32>) {
    let bytes: Vec<u8> = numbers.flat_map(|number| hep::invite(&format!("call-{number}"))).collect();
    let (status, _) = http::request(server.address("hep_http"), "POST", "/api/hep", &[], &bytes);
    assert_eq!(status, 200);
}

fn two_volumes(directory: &Path) -> Value {
    json!({"storage": {"ducklake": {"storage_policy": {"enable": true, "volumes": [
        {"name": "hot", "priority": 0, "path": directory.join("hot")},
        {"name": "cold", "priority": 1, "path": directory.join("cold")},
    ]}}}})
}

#[test]
fn rows_move_beside_a_running_server_and_duckdb_counts_both_volumes() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_with(directory.path(), two_volumes(directory.path()));
    send(&server, 0..40);
    server.query("CALL system.flush()");
    let days = server.query("SELECT DISTINCT CAST(date AS VARCHAR) AS day FROM hep_proto_1_call");
    let url = server.url();
    for day in &days {
        let output = pintail()
            .args(["lake", "move", "--table", "hep_proto_1_call", "--from", "hot", "--to", "cold", "--json"])
            .args(["--date", day["day"].as_str().unwrap(), "--url", &url, "--config"])
            .arg(directory.path().join("pintail.json"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let steps: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&steps[0]["task"], &steps[0]["state"]),
            (&json!("move"), &json!("finished")),
            "{steps:?}"
        );
    }
    send(&server, 40..50);
    server.query("CALL system.flush()");
    assert_eq!(server.number(COUNT), 50);
    assert_eq!(server.number(&format!("{COUNT} WHERE storage_volume = 'cold'")), 40);
    assert_eq!(server.number("SELECT count(*) AS n FROM homer_lake_hot.main.hep_proto_1_call"), 10);
    let volumes = server.query("SELECT name, catalog, priority, rows FROM system.volumes ORDER BY priority");
    assert_eq!(
        volumes,
        [
            json!({"name": "hot", "catalog": "homer_lake_hot", "priority": 0, "rows": 10}),
            json!({"name": "cold", "catalog": "homer_lake_cold", "priority": 1, "rows": 40}),
        ]
    );
    let told = server.query("CALL system.apply_storage_policy(dry_run => true)");
    assert_eq!(told, Vec::<Value>::new(), "no age and no size is configured");
    let (_, stats) = http::request(server.address("node_http"), "GET", "/api/v4/node/stats", &[], &[]);
    let stats: Value = serde_json::from_slice(&stats).unwrap();
    assert_eq!((&stats["volumes_count"], &stats["volumes"]), (&json!(2), &json!(["hot", "cold"])));
    if let Some(duckdb) = python::duckdb_python() {
        for (volume, rows) in [("hot", 10), ("cold", 40)] {
            let catalog = directory.path().join(format!("homer_catalog_{volume}.sqlite"));
            assert_eq!(python::duckdb_rows(&duckdb, &catalog, COUNT)[0]["n"], rows, "{volume}");
        }
    }
    // The past of both, by time; by number it needs one.
    let refused = server.sql(&["-e", "SELECT count(*) FROM hep_proto_1_call AT SNAPSHOT 2"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("homer_lake_hot, homer_lake_cold"), "{said}");
    assert_eq!(server.number("SELECT count(*) AS n FROM hep_proto_1_call AT (TIMESTAMP => now())"), 50);
    server.terminate();

    let fsck = pintail()
        .args(["lake", "fsck", "--config"])
        .arg(directory.path().join("pintail.json"))
        .output()
        .unwrap();
    assert_eq!(fsck.status.code(), Some(0), "{fsck:?}");
    let server = Server::start_with(directory.path(), two_volumes(directory.path()));
    assert_eq!(server.number(COUNT), 50);
    assert_eq!(server.number("SELECT count(DISTINCT uuid) AS n FROM hep_proto_1_call"), 50);
}
