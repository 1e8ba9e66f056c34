//! TLS on every listener.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use support::certificates::{Authority, Certificate};
use support::http::request_over;
use support::{Server, configuration, hep, merge, pintail, refusal};

/// Every listener with this certificate.
fn everywhere(certificate: &Certificate) -> Value {
    let tls = certificate.listener();
    let mut homers = json!({"enable": true, "host": "127.0.0.1", "port": 0});
    merge(&mut homers, json!({"cert": certificate.certificate, "key": certificate.key}));
    json!({
        "ingest": {"tcp": tls, "http": tls, "tls": homers, "https": homers},
        "node": {"flight_server": tls, "http_server": tls, "flightsql_server": tls},
        "prometheus": tls,
    })
}

/// `pintail sql` over TLS.
fn sql(address: SocketAddr, authority: &Path, arguments: &[&str]) -> Output {
    let url = format!("grpc+tls://localhost:{}", address.port());
    let mut command = pintail();
    command.args(["sql", "--url", &url, "--output", "csv", "-e", "SELECT 1 AS one", "--ca"]).arg(authority);
    command.args(arguments).output().unwrap()
}

fn assert_one(output: &Output) {
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\n1\n", "{output:?}");
}

#[test]
fn every_listener_speaks_tls_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(&directory.path().join("tls"));
    let server = Server::start_with(directory.path(), everywhere(&authority.sign("server")));

    for (name, call) in [("hep_tcp", "a"), ("hep_tls", "b")] {
        let mut stream = authority.connect(server.address(name));
        stream.write_all(&hep::invite(call)).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    }
    for (name, call) in [("hep_http", "c"), ("hep_https", "d")] {
        let mut stream = authority.connect(server.address(name));
        let answer = request_over(&mut stream, "POST", "/api/hep", &[], &hep::invite(call)).unwrap();
        assert_eq!(answer.0, 200, "{name}");
    }
    for (name, path) in [("node_http", "/health"), ("metrics", "/metrics")] {
        let answer =
            request_over(&mut authority.connect(server.address(name)), "GET", path, &[], &[]).unwrap();
        assert_eq!(answer.0, 200, "{name}");
    }
    for name in ["flight", "node_flightsql"] {
        assert_one(&sql(server.address(name), &authority.file(), &[]));
    }
    for (name, _) in server.listeners.iter().filter(|(name, _)| *name != "hep_udp") {
        let mut stream = TcpStream::connect(server.address(name)).unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        // An alert and the end, which may come as a reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP"), "{name}");
    }
    // A drained server has stored what was sent, each under the name of its listener.
    let query = "SELECT transport, packets FROM system.ingest WHERE outcome = 'received' AND packets > 0";
    let url = format!("grpc+tls://localhost:{}", server.address("node_flightsql").port());
    let limit = std::time::Instant::now() + support::PATIENCE;
    loop {
        let output = pintail()
            .args(["sql", "--url", &url, "--output", "csv", "-e", &format!("{query} ORDER BY 1"), "--ca"])
            .arg(authority.file())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        if text == "transport,packets\nhttp,1\nhttps,1\ntcp,1\ntls,1\n" {
            break;
        }
        assert!(std::time::Instant::now() < limit, "{text}");
    }
    let (status, _) = server.terminate();
    assert!(status.success());
}

#[test]
fn a_client_certificate_opens_the_connection_and_credentials_the_door() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(&directory.path().join("tls"));
    let stranger = Authority::new(&directory.path().join("other"));
    let mut tls = authority.sign("server").listener();
    merge(&mut tls, json!({"tls_client_ca": authority.file(), "auth_token": "secret"}));
    let server = Server::start_with(directory.path(), json!({"node": {"flightsql_server": tls}}));
    let address = server.address("node_flightsql");
    let shown = |certificate: &Certificate, more: &[&str]| {
        let (certificate, key) =
            (certificate.certificate.to_str().unwrap(), certificate.key.to_str().unwrap());
        let arguments = [&["--cert", certificate, "--key", key], more].concat();
        sql(address, &authority.file(), &arguments)
    };
    assert_one(&shown(&authority.sign("client"), &["--token", "secret"]));
    let unknown = shown(&authority.sign("client"), &[]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("credentials are required"), "{unknown:?}");
    for refused in [
        shown(&stranger.sign("client"), &["--token", "secret"]),
        sql(address, &authority.file(), &["--token", "secret"]),
    ] {
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    }
}

#[test]
fn listeners_of_packets_and_http_ask_for_client_certificates_too() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(&directory.path().join("tls"));
    let stranger = Authority::new(&directory.path().join("other"));
    let mut tls = authority.sign("server").listener();
    merge(&mut tls, json!({"tls_client_ca": authority.file()}));
    let changes =
        json!({"ingest": {"tcp": tls, "http": tls}, "node": {"http_server": tls}, "prometheus": tls});
    let server = Server::start_with(directory.path(), changes);
    let (known, unknown) = (authority.sign("client"), stranger.sign("client"));
    for (client, is_known) in [(Some(&known), true), (Some(&unknown), false), (None, false)] {
        for (name, method, path, body) in [
            ("hep_http", "POST", "/api/hep", hep::invite("by HTTP")),
            ("node_http", "GET", "/health", Vec::new()),
            ("metrics", "GET", "/metrics", Vec::new()),
        ] {
            let mut stream = authority.connect_as(server.address(name), client);
            let answer = request_over(&mut stream, method, path, &[], &body);
            assert_eq!(answer.is_ok_and(|(status, _)| status == 200), is_known, "{name}");
        }
        let mut stream = authority.connect_as(server.address("hep_tcp"), client);
        let sent = stream.write_all(&hep::invite("by TCP")).and_then(|()| stream.flush());
        stream.conn.send_close_notify();
        let ended = sent.and_then(|()| stream.flush()).and_then(|()| stream.read_to_end(&mut Vec::new()));
        // Whoever is let in sees the end only, the others an alert.
        let is_in = ended.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::UnexpectedEof);
        assert_eq!(is_in, is_known, "hep_tcp: {ended:?}");
    }
    server.wait_for_number("SELECT count(*) FROM hep_proto_1_call", 2);
}

#[test]
fn new_certificates_are_shown_after_a_signal_and_broken_ones_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("tls");
    let old = Authority::new(&place);
    let certificate = old.sign("server");
    let old_file = directory.path().join("old.pem");
    std::fs::copy(old.file(), &old_file).unwrap();
    let tls = json!({"node": {"flightsql_server": certificate.listener()}});
    let server = Server::start_with(directory.path(), tls);
    let address = server.address("node_flightsql");
    assert_one(&sql(address, &old_file, &[]));

    std::fs::write(&certificate.certificate, "broken").unwrap();
    server.signal("HUP");
    server.wait_for_log("the old one stays in use");
    assert_one(&sql(address, &old_file, &[]));

    let new = Authority::new(&place);
    new.sign("server");
    server.signal("HUP");
    server.wait_for_log("read again\n");
    assert_one(&sql(address, &new.file(), &[]));
    assert!(!sql(address, &old_file, &[]).status.success());
}

#[test]
fn a_server_without_usable_certificates_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(&directory.path().join("tls"));
    let (one, other) = (authority.sign("one"), authority.sign("other"));
    let mut config = configuration(directory.path());
    let mixed = json!({"tls_enable": true, "tls_cert": one.certificate, "tls_key": other.key});
    merge(&mut config, json!({"node": {"flight_server": mixed}}));
    let said = refusal(&config);
    assert!(said.contains("node.flight_server: key file") && said.contains("not the key of"), "{said}");
    let file = directory.path().join("config.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let output = pintail().args(["check-config"]).arg(&file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("serve will not start: node.flight_server: key file"), "{text}");
}
