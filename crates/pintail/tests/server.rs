//! The server as its operator meets it: starting, refusing, draining, ending.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use support::{Server, configuration, hep, http, merge, pintail, refusal};

#[test]
fn the_ready_file_names_every_listener() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let names: Vec<_> = server.listeners.keys().map(String::as_str).collect();
    assert_eq!(names, ["flight", "hep_http", "hep_tcp", "hep_udp", "metrics", "node_flightsql", "node_http"]);
    assert!(server.listeners.values().all(|address| address.port() != 0 && address.ip().is_loopback()));
    for name in names.iter().filter(|name| **name != "hep_udp") {
        TcpStream::connect(server.address(name)).unwrap();
    }
}

#[test]
fn a_wrong_configuration_is_refused_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let with = |changes: Value| {
        let mut config = configuration(directory.path());
        merge(&mut config, changes);
        refusal(&config)
    };
    for (changes, wanted) in [
        (
            json!({"ingest": {"udp": {"prot": 1}}}),
            "unknown key 'ingest.udp.prot'; did you mean 'ingest.udp.port'?",
        ),
        (
            json!({"node": {"flightsql_server": {"host": "0.0.0.0"}}}),
            "without credentials: set its auth_token",
        ),
        (json!({"node": {"http_server": {"host": "0.0.0.0"}}}), "node.http_server"),
        (
            json!({"node": {"flightsql_server": {"tls_enable": true}}}),
            "node.flightsql_server.tls_cert: TLS needs it",
        ),
        (json!({"storage": {"ducklake": {"data_path": "ftp://host/"}}}), "no place in a store of objects"),
        (json!({"data_dir": "/proc/none"}), "set data_dir"),
    ] {
        let said = with(changes.clone());
        assert!(said.contains(wanted), "{changes}: {said}");
    }
}

#[test]
fn an_occupied_port_is_named_with_its_setting() {
    let directory = tempfile::tempdir().unwrap();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = configuration(directory.path());
    merge(&mut config, json!({"node": {"flightsql_server": {"port": holder.local_addr().unwrap().port()}}}));
    let said = refusal(&config);
    assert!(said.contains("change node.flightsql_server.port"), "{said}");
}

#[test]
fn wrong_usage_is_two_and_check_config_explains() {
    assert_eq!(pintail().arg("nonsense").output().unwrap().status.code(), Some(2));
    assert_eq!(pintail().args(["sql"]).output().unwrap().status.code(), Some(2));
    assert_eq!(pintail().arg("--version").output().unwrap().status.code(), Some(0));

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("homer.json");
    std::fs::write(&file, json!({"coordinator": {"enable": true}}).to_string()).unwrap();
    let output = pintail().args(["check-config", "--json"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["valid"], true);
    let warnings = said["warnings"].to_string();
    assert!(warnings.contains("coordinator.enable: recognised, not served"), "{warnings}");

    std::fs::write(&file, r#"{"cordinator": {}}"#).unwrap();
    let output = pintail().arg("check-config").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("did you mean 'coordinator'?"));
}

#[test]
fn tokens_guard_every_query_door_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_with(
        directory.path(),
        json!({"node": {"flight_server": {"auth_token": "one"}, "flightsql_server": {"auth_token": "two"}}}),
    );
    let refused = server.sql(&["-e", "SELECT 1"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--token"), "{refused:?}");
    assert!(!server.sql(&["--token", "one", "-e", "SELECT 1"]).status.success());
    let taken = server.sql(&["--token", "two", "--output", "csv", "-e", "SELECT 1 AS one"]);
    assert_eq!(String::from_utf8_lossy(&taken.stdout), "one\n1\n");

    let query = json!({"sql": "SELECT 1 AS one"});
    let node = server.address("node_http");
    assert_eq!(http::post_json(node, "/query", &[], &query).0, 401);
    let (status, body) = http::post_json(node, "/query", &[("Authorization", "Bearer one")], &query);
    assert_eq!((status, &body["data"][0]["one"]), (200, &json!(1)));
    assert_eq!(http::get(node, "/health").0, 200);
    assert_eq!(http::get(server.address("metrics"), "/metrics").0, 200);
}

#[test]
fn a_signal_drains_what_was_taken() {
    for signal in ["TERM", "INT"] {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Server::start(directory.path());
        let frames: Vec<u8> = (0..50).flat_map(|number| hep::invite(&format!("drain-{number}"))).collect();
        let mut stream = TcpStream::connect(server.address("hep_tcp")).unwrap();
        stream.write_all(&frames).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // The server closes its side when it has read everything.
        stream.read_to_end(&mut Vec::new()).unwrap();
        server.signal(signal);
        let (status, log) = server.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("drained in"), "{log}");

        let output = pintail()
            .args(["lake", "info", "--json", "--config"])
            .arg(directory.path().join("pintail.json"))
            .output()
            .unwrap();
        let info: Value = serde_json::from_slice(&output.stdout).unwrap();
        let tables = info["volumes"][0]["tables"].as_array().unwrap();
        let call = tables.iter().find(|table| table["name"] == "hep_proto_1_call").unwrap();
        assert_eq!(call["rows"], 50, "{info}");
    }
}

#[test]
fn a_lake_at_rest_can_be_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    Server::start(directory.path()).terminate();
    let config = directory.path().join("pintail.json");
    let run = |command: &str| {
        let output = pintail().args(["lake", command, "--json", "--config"]).arg(&config).output().unwrap();
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), value)
    };
    let (code, snapshots) = run("snapshots");
    assert_eq!(code, Some(0));
    assert!(!snapshots.as_array().unwrap().is_empty());
    let sound = json!({"ok": true, "problems": [], "findings": [], "summary": "no problems found"});
    assert_eq!(run("fsck"), (Some(0), sound));
}

#[test]
fn a_node_without_storage_reads_what_another_process_commits() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let writer = Server::start(first.path());
    let reader = Server::start_with(
        second.path(),
        json!({
            "ingest": {"enable": false},
            "storage": {"enable": false},
            "node": {"ducklake": {"catalog_path": writer.catalog(), "data_path": first.path().join("parquet")}},
        }),
    );
    assert!(reader.listeners.keys().all(|name| !name.starts_with("hep")), "{:?}", reader.listeners);
    let count = "SELECT count(*) FROM hep_proto_1_call";
    let hep_http = writer.address("hep_http");
    assert_eq!(http::request(hep_http, "POST", "/api/hep", &[], &hep::invite("shared")).0, 200);
    writer.wait_for_number(count, 1);
    assert_eq!(reader.number(count), 0);
    let (status, log) = writer.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(reader.number(count), 1);
}

#[test]
fn a_node_that_only_reads_makes_no_lake() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = support::configuration(directory.path());
    support::merge(&mut config, json!({"ingest": {"enable": false}, "storage": {"enable": false}}));
    let said = support::refusal(&config);
    assert!(said.contains("homer_catalog.sqlite: the file does not exist"), "{said}");
    assert!(!directory.path().join("parquet").exists());
}

#[test]
fn homers_names_in_the_environment_are_heard() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("homer.json");
    std::fs::write(&file, json!({"storage": {"ducklake": {"lake_name": "one"}}}).to_string()).unwrap();
    let output = pintail()
        .args(["check-config", "--json"])
        .arg(&file)
        .env("HOMER_STORAGE_DUCKLAKE_LAKE_NAME", "two")
        .env("PINTAIL_LIMITS__MAX_QUERIES", "3")
        .output()
        .unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["lake"]["name"], &said["limits"]["max_queries"]), (&json!("two"), &json!(3)));
    let output =
        pintail().arg("check-config").arg(&file).env("PINTAIL_LIMITS__MAX_QUERRIES", "3").output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("did you mean 'limits.max_queries'?"));
}

#[test]
fn errors_of_statements_are_clear_and_exit_one() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    for (sql, wanted) in [
        ("SELECT * FROM no_such_table", "no_such_table"),
        ("SELEC 1", "SELEC"),
        ("DROP TABLE hep_proto_1_call", ""),
        ("SELECT * FROM '/etc/passwd'", ""),
    ] {
        let output = server.sql(&["-e", sql]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{sql}: {said}");
        assert!(said.starts_with("pintail: ") && said.contains(wanted), "{sql}: {said}");
        assert!(!said.contains("Status {"), "{sql}: {said}");
    }
    let table = server.sql(&["-e", "SELECT 1 AS one, 'x' AS name", "-e", "SELECT 2 AS two"]);
    assert_eq!(
        String::from_utf8_lossy(&table.stdout),
        "one | name\n----+-----\n  1 | x\n(1 row)\n\ntwo\n---\n  2\n(1 row)\n"
    );
}

#[test]
fn statements_without_a_result_tell_what_they_changed() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let statements = ["CREATE TABLE t (i INT)", "INSERT INTO t VALUES (1), (2)", "DELETE FROM t WHERE i = 1"];
    let [make, fill, remove] = statements.map(|sql| server.sql(&["-e", sql]));
    for (output, wanted) in
        [(make, "(0 rows changed)\n"), (fill, "(2 rows changed)\n"), (remove, "(1 row changed)\n")]
    {
        assert_eq!(String::from_utf8_lossy(&output.stdout), wanted);
    }
    let form = |form| server.sql(&["--output", form, "-e", "TRUNCATE TABLE t"]).stdout;
    assert_eq!((form("json").as_slice(), form("csv").as_slice()), (&b"[]\n"[..], &b""[..]));
}

#[test]
fn health_and_system_tables_tell_the_state() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let node = server.address("node_http");
    let (status, answer) =
        http::request(server.address("hep_http"), "POST", "/api/hep", &[], &hep::invite("health-1"));
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((&answer["stored"], &answer["rejected"]), (&json!(1), &json!(0)));
    server.wait_for_number("SELECT count(*) FROM hep_proto_1_call", 1);

    let (status, health) = http::get(node, "/health");
    assert_eq!(status, 200, "{health}");
    let stored = "SELECT packets FROM system.ingest WHERE transport = 'http' AND outcome = 'stored'";
    assert_eq!(server.number(stored), 1);
    let volumes = server.query("SELECT * FROM system.volumes");
    assert_eq!(volumes[0]["name"], "default");
    assert!(server.number("SELECT count(*) FROM system.snapshots") > 0);
    assert!(server.number("SELECT count(*) FROM system.queries") > 0);
    let metrics = http::get(server.address("metrics"), "/metrics").1;
    assert!(metrics.contains("pintail_ingest_packets_total{"), "{metrics}");
}
