//! A volume in a bucket of a real S3 server, with faults between it and us, and official DuckDB beside it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::s3::{Fault, Proxy, S3};
use support::{Server, hep, http, pintail, python};

const COUNT: &str = "SELECT count(*) AS n FROM hep_proto_1_call";

fn send(server: &Server, numbers: std::ops::Range<u32>) {
    let bytes: Vec<u8> = numbers.flat_map(|number| hep::invite(&format!("call-{number}"))).collect();
    let (status, _) = http::request(server.address("hep_http"), "POST", "/api/hep", &[], &bytes);
    assert_eq!(status, 200);
}

fn bucket(proxy: &Proxy) -> Value {
    json!({
        "name": "cold", "type": "s3", "priority": 1, "path": "s3://calls/cold/", "s3_region": "us-east-1",
        "s3_access_key_id": "key", "s3_secret_access_key": "secret",
        "s3_endpoint": proxy.address.to_string(), "s3_use_ssl": false,
    })
}

fn volumes(volumes: &[Value]) -> Value {
    json!({"storage": {"ducklake": {"storage_policy": {"enable": true, "volumes": volumes}}}})
}

/// The day of the packets, which is that of their arrival.
fn days(server: &Server) -> Vec<String> {
    let days = server.query("SELECT DISTINCT CAST(date AS VARCHAR) AS day FROM hep_proto_1_call");
    days.iter().map(|row| row["day"].as_str().unwrap().to_owned()).collect()
}

fn move_sql(day: &str, from: &str, to: &str) -> String {
    format!("CALL system.move('hep_proto_1_call', '{day}', '{from}', '{to}')")
}

#[test]
fn rows_move_to_a_bucket_and_back_whatever_happens_to_requests() {
    let Some(python) = python::s3_python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut s3 = S3::start(&python);
    let proxy = Proxy::before(s3.address);
    let hot = json!({"name": "hot", "path": directory.path().join("hot")});
    let server = Server::start_with(directory.path(), volumes(&[hot, bucket(&proxy)]));
    send(&server, 0..40);
    server.query("CALL system.flush()");
    let days = days(&server);

    // While the bucket is away nothing moves, nothing is lost, and packets are taken.
    proxy.set_away(true);
    let refused = server.sql(&["-e", &move_sql(&days[0], "hot", "cold")]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("volume cold: s3://calls/cold/main/hep_proto_1_call/date="), "{said}");
    send(&server, 40..50);
    server.query("CALL system.flush()");
    assert_eq!(server.number(COUNT), 50);
    proxy.set_away(false);

    let faults = [Fault::Reset, Fault::Unavailable, Fault::LostReply, Fault::Slow];
    proxy.spoil(&faults);
    for day in &days {
        let moved = server.query(&move_sql(day, "hot", "cold"));
        assert_eq!(moved[0]["state"], "finished", "{moved:?}");
    }
    assert_eq!(proxy.left(), 0, "every fault was met");
    proxy.spoil(&faults);
    assert_eq!(server.number(COUNT), 50);
    assert_eq!(server.number(&format!("{COUNT} WHERE storage_volume = 'cold'")), 50);
    assert_eq!(server.number(&format!("{COUNT} WHERE session_id = 'call-7'")), 1);
    assert_eq!(s3.objects().len(), days.len(), "what failed left nothing behind: {:?}", s3.objects());
    let catalog = directory.path().join("homer_catalog_cold.sqlite");
    assert_eq!(s3.duckdb_rows(&python, &catalog, COUNT)[0]["n"], 50);
    let volumes = server.query("SELECT type, path, rows FROM system.volumes WHERE name = 'cold'");
    assert_eq!(volumes, [json!({"type": "s3", "path": "s3://calls/cold/", "rows": 50})]);

    assert_sound(directory.path());

    // And back, which frees the bucket once the snapshots are gone.
    for day in &days {
        server.query(&move_sql(day, "cold", "hot"));
    }
    assert_eq!(server.number(&format!("{COUNT} WHERE storage_volume = 'hot'")), 50);
    server.query("CALL system.vacuum('0 seconds')");
    assert_eq!(s3.objects(), Vec::<String>::new());
    assert_eq!(server.number("SELECT count(DISTINCT uuid) AS n FROM hep_proto_1_call"), 50);
    server.terminate();
    assert_sound(directory.path());
}

fn assert_sound(directory: &Path) {
    let config = directory.join("pintail.json");
    let fsck = pintail().args(["lake", "fsck", "--config"]).arg(config).output().unwrap();
    assert_eq!(fsck.status.code(), Some(0), "{fsck:?}");
}

#[test]
fn flushes_into_a_bucket_wait_while_it_is_away() {
    let Some(python) = python::s3_python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut s3 = S3::start(&python);
    let proxy = Proxy::before(s3.address);
    let server = Server::start_with(directory.path(), volumes(&[bucket(&proxy)]));
    proxy.set_away(true);
    send(&server, 0..20);
    let refused = server.sql(&["-e", "CALL system.flush()"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("volume cold: s3://calls/cold/"), "{said}");
    assert_eq!(server.number(COUNT), 20, "they are in memory and in the journal");
    let (status, health) = http::request(server.address("node_http"), "GET", "/health", &[], &[]);
    let health = String::from_utf8(health).unwrap();
    assert_eq!(status, 503, "{health}");
    let why = health.split_once("flushes fail since ").map(|(_, why)| why);
    assert!(why.is_some_and(|why| why.contains("volume cold: s3://calls/cold/")), "{health}");
    // A crash keeps them too.
    server.kill();
    proxy.set_away(false);
    let server = Server::start_with(directory.path(), volumes(&[bucket(&proxy)]));
    send(&server, 20..30);
    assert_eq!(server.query("CALL system.flush()")[0]["state"], "finished");
    assert_eq!(http::request(server.address("node_http"), "GET", "/health", &[], &[]).0, 200);
    assert_eq!(server.number("SELECT count(DISTINCT uuid) AS n FROM hep_proto_1_call"), 30);
    assert!(!s3.objects().is_empty());
    assert_eq!(s3.duckdb_rows(&python, &catalog_of(directory.path()), COUNT)[0]["n"], 30);
    let refused = server.sql(&["-e", "CREATE TABLE mine AS SELECT 1 AS n"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("user tables lie in the first volume"), "{said}");
    server.terminate();
}

fn catalog_of(directory: &Path) -> std::path::PathBuf {
    directory.join("homer_catalog_cold.sqlite")
}
