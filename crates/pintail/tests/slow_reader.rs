//! A client that asks for much and reads nothing holds up nobody else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::{Duration, Instant};

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::client::FlightSqlServiceClient;
use serde_json::json;
use support::{PATIENCE, Server, hep, http};
use tonic::transport::{Channel, Endpoint};

/// Readers that never read.
const READERS: usize = 8;
const ROWS: usize = 2_000;
/// ROWS squared rows with a payload each: far more than any buffer on the way takes.
const HUGE: &str = "SELECT a.payload, b.payload AS other FROM hep_proto_1_call a, hep_proto_1_call b";

async fn stalled(url: String) -> (FlightSqlServiceClient<Channel>, FlightRecordBatchStream) {
    let channel = Endpoint::from_shared(url).unwrap().connect().await.unwrap();
    let mut client = FlightSqlServiceClient::new(channel);
    let info = client.execute(HUGE.to_owned(), None).await.unwrap();
    let stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    (client, stream)
}

#[test]
fn readers_that_do_not_read_stop_neither_packets_nor_queries() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_with(directory.path(), json!({"limits": {"max_queries": 64}}));
    let frames: Vec<u8> = (0..ROWS).flat_map(|number| hep::invite(&format!("slow-{number}"))).collect();
    let post = |body: &[u8]| http::request(server.address("hep_http"), "POST", "/api/hep", &[], body).0;
    assert_eq!(post(&frames), 200);
    server.wait_for_number("SELECT count(*) FROM hep_proto_1_call", ROWS as u64);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let url = format!("http://{}", server.address("node_flightsql"));
    let readers: Vec<_> = (0..READERS).map(|_| runtime.block_on(stalled(url.clone()))).collect();
    let running = format!("SELECT count(*) FROM system.queries WHERE state = 'running' AND sql = '{HUGE}'");
    server.wait_for_number(&running, READERS as u64);

    // Packets are stored and seen, and other queries answer, while eight answers stand still.
    for round in 1..=10 {
        assert_eq!(post(&hep::invite(&format!("meanwhile-{round}"))), 200);
        let seen = "SELECT count(*) FROM hep_proto_1_call WHERE session_id LIKE 'meanwhile-%'";
        server.wait_for_number(seen, round);
        assert_eq!(server.number("SELECT count(*) FROM hep_proto_1_call"), ROWS as u64 + round);
    }
    let memory = resident_bytes(&server);
    assert!(memory < 1 << 30, "{memory} bytes are resident");

    // Going away ends the plans.
    let gone = Instant::now();
    drop(readers);
    drop(runtime);
    server.wait_for_number(&running, 0);
    assert!(gone.elapsed() < Duration::from_secs(5).min(PATIENCE), "plans ran {:?} longer", gone.elapsed());
}

#[test]
fn a_second_signal_does_not_wait_for_a_reader() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start(directory.path());
    let frames: Vec<u8> = (0..ROWS).flat_map(|number| hep::invite(&format!("slow-{number}"))).collect();
    assert_eq!(http::request(server.address("hep_http"), "POST", "/api/hep", &[], &frames).0, 200);
    server.wait_for_number("SELECT count(*) FROM hep_proto_1_call", ROWS as u64);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let url = format!("http://{}", server.address("node_flightsql"));
    let _reader = runtime.block_on(stalled(url));

    // Two different signals: two of one kind may become one before they are seen.
    server.signal("TERM");
    server.signal("INT");
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(!log.contains("drained in"), "{log}");
}

/// Memory that the server's process holds.
fn resident_bytes(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}
