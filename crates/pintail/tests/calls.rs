//! What `sip_transactions` says of calls, here and in official DuckDB.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use support::{Server, hep, http, python};

/// A message of a call: milliseconds since its start, the first line, and the method of its CSeq.
type Message = (u64, &'static str, &'static str);

const INVITE: &str = "INVITE sip:bob@example.org SIP/2.0";
const ACK: &str = "ACK sip:bob@example.org SIP/2.0";
const BYE: &str = "BYE sip:bob@example.org SIP/2.0";
const CANCEL: &str = "CANCEL sip:bob@example.org SIP/2.0";
const TRYING: &str = "SIP/2.0 100 Trying";
const RINGING: &str = "SIP/2.0 180 Ringing";
const PROGRESS: &str = "SIP/2.0 183 Session Progress";
const OK: &str = "SIP/2.0 200 OK";

/// Each call with its messages, and what is to be said of it: state, final code, and in milliseconds the time to the first
/// sign of the callee, the time between answer and end, and the time from the first message to the end.
type Call = (&'static str, &'static [Message], (&'static str, Option<&'static str>, [Option<u64>; 3]));

const CALLS: [Call; 9] = [
    (
        "completed",
        &[
            (0, INVITE, "INVITE"),
            (10, TRYING, "INVITE"),
            (200, RINGING, "INVITE"),
            (1_500, OK, "INVITE"),
            (1_510, ACK, "ACK"),
            (61_500, BYE, "BYE"),
            (61_510, OK, "BYE"),
        ],
        ("completed", Some("200"), [Some(200), Some(60_000), Some(61_500)]),
    ),
    (
        "answered",
        &[(0, INVITE, "INVITE"), (120, PROGRESS, "INVITE"), (900, OK, "INVITE"), (910, ACK, "ACK")],
        ("answered", Some("200"), [Some(120), None, None]),
    ),
    (
        "cancelled",
        &[
            (0, INVITE, "INVITE"),
            (100, RINGING, "INVITE"),
            (4_000, CANCEL, "CANCEL"),
            (4_010, OK, "CANCEL"),
            (4_020, "SIP/2.0 487 Request Terminated", "INVITE"),
            (4_030, ACK, "ACK"),
        ],
        ("cancelled", Some("487"), [Some(100), None, Some(4_020)]),
    ),
    (
        "failed",
        &[(0, INVITE, "INVITE"), (5, TRYING, "INVITE"), (300, "SIP/2.0 486 Busy Here", "INVITE")],
        ("failed", Some("486"), [Some(300), None, Some(300)]),
    ),
    (
        "challenged",
        &[
            (0, INVITE, "INVITE"),
            (20, "SIP/2.0 407 Proxy Authentication Required", "INVITE"),
            (30, ACK, "ACK"),
            (50, INVITE, "INVITE"),
            (700, OK, "INVITE"),
            (2_700, BYE, "BYE"),
        ],
        ("completed", Some("200"), [Some(700), Some(2_000), Some(2_700)]),
    ),
    (
        "refused",
        &[(0, INVITE, "INVITE"), (20, "SIP/2.0 401 Unauthorized", "INVITE"), (30, ACK, "ACK")],
        ("failed", Some("401"), [None, None, Some(20)]),
    ),
    // A fork: one branch fails after the other has answered.
    (
        "forked",
        &[
            (0, INVITE, "INVITE"),
            (400, OK, "INVITE"),
            (500, "SIP/2.0 486 Busy Here", "INVITE"),
            (1_400, BYE, "BYE"),
        ],
        ("completed", Some("200"), [Some(400), Some(1_000), Some(1_400)]),
    ),
    ("ringing", &[(0, INVITE, "INVITE"), (80, RINGING, "INVITE")], ("ringing", None, [Some(80), None, None])),
    ("trying", &[(0, INVITE, "INVITE"), (8, TRYING, "INVITE")], ("trying", None, [None, None, None])),
];

/// Both dialects have the functions in it.
const ASKED: &str = "SELECT call_id, state, final_code, setup_ms, duration_ms, \
    epoch_ms(ended_at) - epoch_ms(started_at) AS ended_ms, caller, callee, src_ip, dst_ip, user_agent, messages \
    FROM sip_transactions ORDER BY call_id";

#[test]
fn calls_end_as_their_messages_say_here_and_in_duckdb() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    let begin = SystemTime::now() - Duration::from_secs(600);
    let packets: Vec<u8> = CALLS.iter().flat_map(|call| packets(call, begin)).collect();
    let (status, body) = http::request(server.address("hep_http"), "POST", "/api/hep", &[], &packets);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let messages = CALLS.iter().map(|(_, messages, _)| messages.len() as u64).sum();
    server.wait_for_number("SELECT count(*) FROM hep_proto_1_call", messages);
    let mut expected: Vec<Value> = CALLS.iter().map(transaction).collect();
    expected.sort_by_key(|row| row["call_id"].as_str().unwrap().to_owned());
    assert_eq!(server.query(ASKED), expected, "in memory");
    server.query("CALL system.flush()");
    assert_eq!(server.query(ASKED), expected, "in files");
    let Some(duckdb) = python::duckdb_python() else { return };
    assert_eq!(python::duckdb_rows(&duckdb, &server.catalog(), ASKED), expected, "in DuckDB");
    assert_layout(&duckdb, &server);
}

/// A file for each day, compressed by zstd, with its rows in the order of their time.
fn assert_layout(duckdb: &Path, server: &Server) {
    let files = format!("{}/**/date=*/*.parquet", server.directory.display());
    let unordered = format!(
        "SELECT count(*) FROM (SELECT timestamp < lag(timestamp) OVER (PARTITION BY filename ORDER BY file_row_number) AS back \
         FROM read_parquet('{files}', filename = true, file_row_number = true)) WHERE back"
    );
    let sql = format!(
        "SELECT list(DISTINCT compression) AS compression, ({unordered}) AS unordered FROM parquet_metadata('{files}')"
    );
    let expected = json!({"compression": ["ZSTD"], "unordered": 0});
    assert_eq!(python::duckdb_rows(duckdb, &server.catalog(), &sql), [expected]);
}

/// The packets of a call, the last message first: captures of several agents come in any order.
fn packets((call_id, messages, _): &Call, begin: SystemTime) -> Vec<u8> {
    let packet = |(offset, first_line, cseq): &Message| {
        let sip = format!(
            "{first_line}\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1\r\nFrom: <sip:alice@example.org>;tag=1\r\n\
             To: <sip:bob@example.org>\r\nCall-ID: {call_id}\r\nCSeq: 1 {cseq}\r\nUser-Agent: phone of {first_line}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        hep::packet_at(1, sip.as_bytes(), begin + Duration::from_millis(*offset))
    };
    messages.iter().rev().flat_map(packet).collect()
}

fn transaction((call_id, messages, (state, final_code, [setup, duration, ended])): &Call) -> Value {
    json!({
        "call_id": call_id, "state": state, "final_code": final_code, "setup_ms": setup, "duration_ms": duration,
        "ended_ms": ended, "caller": "alice", "callee": "bob", "src_ip": "192.0.2.1", "dst_ip": "192.0.2.2",
        "user_agent": format!("phone of {INVITE}"), "messages": messages.len(),
    })
}
