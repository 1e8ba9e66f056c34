//! From captured packets to rows, and out again through every client.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Stdio;

use serde_json::{Value, json};
use support::{PATIENCE, Server, fixture, hep, http, pintail, python};

/// Every datagram of the fixtures, with the table that it belongs to.
const DATAGRAMS: [(&str, &str); 26] = [
    ("hepjs_0.bin", "hep_proto_1_call"),
    ("hepjs_1.bin", "hep_proto_100_default"),
    ("hepjs_3.bin", "hep_proto_34_default"),
    ("kamailio_0.bin", "hep_proto_1_call"),
    ("kamailio_1.bin", "hep_proto_1_call"),
    ("kamailio_2.bin", "hep_proto_1_call"),
    ("kamailio_3.bin", "hep_proto_1_call"),
    ("kamailio_4.bin", "hep_proto_1_call"),
    ("kamailio_5.bin", "hep_proto_1_call"),
    ("kamailio_8.bin", "hep_proto_1_call"),
    ("kamailio_9.bin", "hep_proto_1_call"),
    ("kamailio_10.bin", "hep_proto_1_call"),
    ("kamailio_11.bin", "hep_proto_1_call"),
    ("kamailio_hepv1_0.bin", "hep_proto_1_default"),
    ("kamailio_hepv2_1.bin", "hep_proto_1_default"),
    ("rtpengine_0.bin", "hep_proto_5_default"),
    ("rtpengine_1.bin", "hep_proto_5_default"),
    ("rtpengine_2.bin", "hep_proto_5_default"),
    ("sngrep_0.bin", "hep_proto_1_call"),
    ("sngrep_1.bin", "hep_proto_1_call"),
    ("sngrep_2.bin", "hep_proto_1_call"),
    ("sngrep_3.bin", "hep_proto_1_call"),
    ("sngrep_4.bin", "hep_proto_1_call"),
    ("sngrep_5.bin", "hep_proto_1_call"),
    ("sngrep_6.bin", "hep_proto_1_call"),
    ("sngrep_7.bin", "hep_proto_1_call"),
];
/// The streams: table and packets.
const STREAMS: [(&str, &str, u64); 2] = [
    ("kamailio_tcp_stream_a.bin", "hep_proto_1_call", 12),
    ("rtpengine_tcp_stream_a.bin", "hep_proto_5_default", 4),
];

fn send_udp(server: &Server, datagrams: &[Vec<u8>]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in datagrams {
        socket.send_to(datagram, server.address("hep_udp")).unwrap();
    }
}

/// Sends a stream and waits until the server has read and closed it.
fn send_tcp(server: &Server, bytes: &[u8]) {
    let mut stream = TcpStream::connect(server.address("hep_tcp")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Two writes that cut a packet in half.
    let (first, second) = bytes.split_at(bytes.len() / 2 + 1);
    stream.write_all(first).unwrap();
    stream.write_all(second).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
}

/// Sends all fixtures, the datagrams over UDP and HTTP both, and gives the rows that each table must have.
fn send_fixtures(server: &Server) -> Vec<(&'static str, u64)> {
    let datagrams: Vec<_> = DATAGRAMS.iter().map(|(name, _)| fixture(name)).collect();
    send_udp(server, &datagrams);
    for datagram in &datagrams {
        let (status, body) = http::request(server.address("hep_http"), "POST", "/api/hep", &[], datagram);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["stored"], 1);
    }
    let mut wanted: Vec<(&'static str, u64)> = Vec::new();
    let mut add = |table, rows| match wanted.iter_mut().find(|(name, _)| *name == table) {
        Some((_, sum)) => *sum += rows,
        None => wanted.push((table, rows)),
    };
    for (_, table) in DATAGRAMS {
        add(table, 2);
    }
    for (name, table, packets) in STREAMS {
        send_tcp(server, &fixture(name));
        // And the same bytes as one HTTP body of several frames.
        let (status, body) =
            http::request(server.address("hep_http"), "POST", "/api/hep", &[], &fixture(name));
        assert_eq!(
            (status, serde_json::from_slice::<Value>(&body).unwrap()["stored"].as_u64()),
            (200, Some(packets))
        );
        add(table, 2 * packets);
    }
    wanted
}

#[test]
fn captured_packets_become_the_right_rows_for_every_client() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let wanted = send_fixtures(&server);
    for (table, rows) in &wanted {
        server.wait_for_number(&format!("SELECT count(*) FROM {table}"), *rows);
    }
    let rows = server.query(
        "SELECT method, response_code, cseq_method, caller, callee, src_ip, dst_ip, src_port, dst_port, protocol, node_id \
         FROM hep_proto_1_call WHERE session_id = 'hepjs-1' ORDER BY uuid",
    );
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["method"], "INVITE");
    assert_eq!(rows[0]["src_ip"], "192.0.2.1");
    assert_eq!(rows[0]["dst_port"], 5060);
    let ringing = "SELECT count(*) FROM hep_proto_1_call WHERE method = '180' AND cseq_method = 'INVITE' \
                   AND session_id = '1-22846@127.0.0.1'";
    assert_eq!(server.number(ringing), 4);
    let reports =
        "SELECT count(*) FROM hep_proto_5_default WHERE session_id = 'rtpe-call-1' AND cid = 'rtpe-call-1'";
    assert_eq!(server.number(reports), 14);

    accounts_add_up(&server);
    http_gives_the_same(&server, &wanted);
    drivers_give_the_same(&server, &wanted);

    let catalog = server.catalog();
    let (status, log) = server.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    let Some(duckdb) = python::duckdb_python() else { return };
    for (table, rows) in &wanted {
        let counted = python::duckdb_rows(
            &duckdb,
            &catalog,
            &format!("SELECT count(*) AS n, count(DISTINCT uuid) AS u FROM {table}"),
        );
        assert_eq!(counted[0], json!({"n": rows, "u": rows}), "{table}");
    }
    let transactions = python::duckdb_rows(&duckdb, &catalog, "SELECT count(*) AS n FROM sip_transactions");
    assert!(transactions[0]["n"].as_u64().unwrap() > 0);
}

/// received = stored + rejected + dropped + in_flight, on every transport.
fn accounts_add_up(server: &Server) {
    let account = server.account();
    for transport in ["udp", "tcp", "http"] {
        let sum = |outcomes: &[&str]| -> u64 {
            account
                .iter()
                .filter(|row| row["transport"] == transport && row["reason"] != "kernel")
                .filter(|row| outcomes.contains(&row["outcome"].as_str().unwrap()))
                .map(|row| row["packets"].as_u64().unwrap())
                .sum()
        };
        assert!(sum(&["received"]) > 0, "{transport}: {account:?}");
        assert_eq!(
            sum(&["received"]),
            sum(&["stored", "rejected", "dropped", "in_flight"]),
            "{transport}: {account:?}"
        );
    }
}

fn http_gives_the_same(server: &Server, wanted: &[(&str, u64)]) {
    let node = server.address("node_http");
    for (table, rows) in wanted {
        let sql = json!({"sql": format!("SELECT count(*) AS n FROM homer_lake.main.{table}")});
        let (status, body) = http::post_json(node, "/query", &[], &sql);
        assert_eq!(
            (status, &body["success"], &body["data"][0]["n"]),
            (200, &json!(true), &json!(rows)),
            "{body}"
        );
        let (status, body) = http::post_json(node, "/api/v4/node/query", &[], &sql);
        assert_eq!((status, &body["columns"]), (200, &json!(["n"])), "{body}");
    }
    let (status, body) = http::post_json(node, "/query", &[], &json!({"sql": "SELECT * FROM nowhere"}));
    assert_eq!((status, &body["success"]), (400, &json!(false)), "{body}");
}

/// Every column but the instants, which each driver spells in its own way.
fn drivers_give_the_same(server: &Server, wanted: &[(&str, u64)]) {
    let Some(clients) = python::client_python() else { return };
    for (table, rows) in wanted {
        let sql = format!("SELECT * EXCLUDE (timestamp, date) FROM {table} ORDER BY uuid");
        let expected = server.query(&sql);
        assert_eq!(expected.len() as u64, *rows, "{table}");
        for (client, found) in
            ["ADBC", "flightsql-dbapi", "pyarrow"].iter().zip(python::client_rows(&clients, server, &sql))
        {
            assert_eq!(found, expected, "{client}: {table}");
        }
    }
}

#[test]
fn bytes_that_are_no_packets_are_counted_and_refused() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let (status, _) = http::request(server.address("hep_http"), "POST", "/api/hep", &[], b"no packet");
    assert_eq!(status, 400);
    let (status, _) = http::request(server.address("hep_http"), "GET", "/api/hep", &[], b"");
    assert_eq!(status, 405);
    assert_eq!(http::get(server.address("hep_http"), "/nowhere").0, 404);
    send_udp(&server, &[b"no packet".to_vec()]);
    // A stream that cannot be framed ends; the packet before it is stored.
    let mut stream = hep::invite("before");
    stream.extend_from_slice(b"garbage that is no frame at all");
    let mut tcp = TcpStream::connect(server.address("hep_tcp")).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.write_all(&stream).unwrap();
    // Closed by the server, with or without a reset.
    let _ = tcp.read_to_end(&mut Vec::new());
    server.wait_for_number("SELECT count(*) FROM hep_proto_1_call WHERE session_id = 'before'", 1);
    let refused = "SELECT count(*) FROM system.ingest WHERE outcome = 'rejected' AND packets = 1";
    server.wait_for_number(refused, 3);
    accounts_add_up(&server);
}

#[test]
fn generated_calls_arrive_over_every_transport() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    for (transport, packets) in [("tcp", 2000u64), ("http", 2000), ("udp", 200)] {
        let to = server.address(&format!("hep_{transport}")).to_string();
        let packets_wanted = packets.to_string();
        let output = pintail()
            .args([
                "hep",
                "gen",
                "--json",
                "--transport",
                transport,
                "--to",
                &to,
                "--packets",
                &packets_wanted,
            ])
            .args(["--rate", if transport == "udp" { "2000" } else { "0" }])
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success());
        let sent: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(sent["packets"], packets, "{sent}");
        if transport == "http" {
            assert_eq!(sent["acknowledged"], packets, "{sent}");
        }
        let stored = format!(
            "SELECT packets FROM system.ingest WHERE transport = '{transport}' AND outcome = 'stored'"
        );
        server.wait_for_number(&stored, packets);
    }
    assert!(server.number("SELECT count(*) FROM sip_transactions") > 0);
}

#[test]
fn captures_are_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let file = directory.path().join("stream.hep");
    std::fs::write(&file, fixture("kamailio_tcp_stream_a.bin")).unwrap();
    for (command, transport) in [("send", "tcp"), ("replay", "udp")] {
        let to = server.address(&format!("hep_{transport}")).to_string();
        let output = pintail()
            .args(["hep", command])
            .arg(&file)
            .args(["--transport", transport, "--to", &to])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let stored = format!(
            "SELECT packets FROM system.ingest WHERE transport = '{transport}' AND outcome = 'stored'"
        );
        server.wait_for_number(&stored, 12);
    }
}

#[test]
fn homers_rules_of_sip_reach_the_rows() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_with(
        directory.path(),
        json!({"ingest": {"hep": {"auth_keys": ["myHep"]}, "sip": {"discard_methods": ["OPTIONS"]}}}),
    );
    send_udp(&server, &[fixture("hepjs_0.bin"), fixture("kamailio_0.bin"), fixture("sngrep_0.bin")]);
    server.wait_for_number("SELECT count(*) FROM hep_proto_1_call", 1);
    let refused = "SELECT coalesce(sum(packets), 0) FROM system.ingest WHERE outcome = 'rejected' AND transport = 'udp'";
    server.wait_for_number(refused, 2);
}
