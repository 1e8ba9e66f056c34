//! `kill -9` again and again under load: what was acknowledged is there, and nothing is there twice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use serde_json::{Value, json};
use support::{PATIENCE, Server, hep, http, python};

const KILLS: u64 = 50;
/// Frames in one HTTP body.
const BODY_FRAMES: usize = 20;
/// The most bodies that are acknowledged before a kill.
const MAX_BODIES: u64 = 24;

/// Small buffers, so that flushes and commits happen all the time and kills hit them too.
fn eager() -> Value {
    json!({
        "storage": {"ducklake": {"flush_interval_sec": 1, "hot_buffer": {"max_bytes": 4_194_304, "high_water": 0.05}}},
        "ingest": {"journal": {"segment_bytes": 65_536}},
        "log": {"level": "warn"},
    })
}

/// Posts bodies of frames until the server dies; every id that was acknowledged goes to `acknowledged`.
fn post_until_it_dies(address: SocketAddr, round: u64, acknowledged: Sender<Vec<String>>) -> JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut sent = 0;
        for body in 0.. {
            let ids: Vec<String> =
                (0..BODY_FRAMES).map(|frame| format!("http-{round}-{body}-{frame}")).collect();
            let bytes: Vec<u8> = ids.iter().flat_map(|id| hep::invite(id)).collect();
            sent += ids.len() as u64;
            match http::try_request(address, "POST", "/api/hep", &[], &bytes) {
                Ok((200, answer)) => {
                    let answer: Value = serde_json::from_slice(&answer).unwrap();
                    assert_eq!(answer["stored"], BODY_FRAMES);
                    if acknowledged.send(ids).is_err() {
                        break;
                    }
                }
                // 503 says: not stored, come again. Here it is only not counted.
                Ok((503, _)) => {}
                Ok((status, answer)) => panic!("{status}: {}", String::from_utf8_lossy(&answer)),
                Err(_) => break,
            }
        }
        sent
    })
}

/// Streams numbered frames until the server dies.
fn stream_until_it_dies(address: SocketAddr, round: u64, stop: &'static AtomicBool) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        for number in 0.. {
            let frame = hep::invite(&format!("tcp-{round}-{number}"));
            if stop.load(Ordering::Relaxed) || stream.write_all(&frame).is_err() {
                break;
            }
        }
    })
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_twice() {
    static NEVER: AtomicBool = AtomicBool::new(false);
    let directory = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut acknowledged = BTreeSet::new();
    for round in 0..KILLS {
        let server = Server::start_with(directory.path(), eager());
        let (sender, receiver) = channel();
        let poster = post_until_it_dies(server.address("hep_http"), round, sender);
        let streamer = stream_until_it_dies(server.address("hep_tcp"), round, &NEVER);
        for _ in 0..random.u64(1..=MAX_BODIES) {
            let ids = receiver.recv_timeout(PATIENCE).expect("no body was acknowledged");
            acknowledged.extend(ids);
        }
        server.kill();
        poster.join().unwrap();
        streamer.join().unwrap();
        // What was acknowledged between the last look and the kill counts as well.
        acknowledged.extend(receiver.try_iter().flatten());
    }
    let server = Server::start_with(directory.path(), eager());
    // The kills met what they were meant to meet: bodies, streams, and commits in between.
    assert!(acknowledged.len() >= BODY_FRAMES * usize::try_from(KILLS).unwrap());
    let streams = "SELECT count(DISTINCT split_part(session_id, '-', 2)) FROM hep_proto_1_call WHERE session_id LIKE 'tcp-%'";
    assert!(server.number(streams) >= KILLS / 2);
    assert!(server.number("SELECT count(*) FROM system.snapshots") >= KILLS / 2);
    let listed = server.query("SELECT session_id FROM hep_proto_1_call");
    compare(listed.iter().map(|row| row["session_id"].as_str().unwrap()), &acknowledged);
    let catalog = server.catalog();
    let (status, log) = server.terminate();
    assert_eq!(status.code(), Some(0), "{log}");

    let Some(duckdb) = python::duckdb_python() else { return };
    let counted = python::duckdb_rows(
        &duckdb,
        &catalog,
        "SELECT count(*) AS n, count(DISTINCT uuid) AS u FROM hep_proto_1_call",
    );
    assert_eq!(counted[0]["n"], counted[0]["u"]);
    assert_eq!(counted[0]["n"].as_u64().unwrap(), listed.len() as u64);
    let rows = python::duckdb_rows(&duckdb, &catalog, "SELECT session_id FROM hep_proto_1_call");
    compare(rows.iter().map(|row| row["session_id"].as_str().unwrap()), &acknowledged);
}

/// Every acknowledged id once, no id twice, and of each TCP stream a beginning without a gap.
fn compare<'a>(ids: impl Iterator<Item = &'a str>, acknowledged: &BTreeSet<String>) {
    let mut seen = BTreeSet::new();
    let mut streams: HashMap<&str, BTreeSet<u64>> = HashMap::new();
    for id in ids {
        assert!(seen.insert(id), "{id} is there twice");
        if let Some((round, number)) = id.strip_prefix("tcp-").and_then(|rest| rest.split_once('-')) {
            streams.entry(round).or_default().insert(number.parse().unwrap());
        }
    }
    let lost: Vec<_> = acknowledged.iter().filter(|id| !seen.contains(id.as_str())).take(5).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?} of {}", acknowledged.len());
    for (round, numbers) in streams {
        let last = *numbers.last().unwrap();
        assert_eq!(numbers.len() as u64, last + 1, "stream {round} has a gap");
    }
}
