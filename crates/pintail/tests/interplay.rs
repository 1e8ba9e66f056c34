//! A server that ingests, flushes and maintains its lake while official DuckDB reads it, writes into a table of it and
//! deletes from it: both see the same at every snapshot, and who asks the server never hears of a locked database.
//!
//! The gate runs a few rounds, `cargo xtask interplay` as many as fit into some minutes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::python::DuckDb;
use support::{Server, hep, http, pintail, python};

/// Rounds of the short form.
const ROUNDS: u64 = 20;

/// Rows that a writer adds at once; DuckDB keeps up to ten of them in the catalog.
const MOST_ROWS: i64 = 30;

/// How often a writer may be refused before it counts as shut out.
const PATIENT_TRIES: u64 = 200;

/// HTTP bodies that are posted beside a round.
const BODIES: u64 = 10;

/// Frames in one HTTP body.
const BODY_FRAMES: usize = 20;

/// What both are asked about the calls and about the table that both write, at one snapshot.
const QUESTIONS: [&str; 2] = [
    "SELECT count(*) AS a, count(DISTINCT uuid) AS b, count(DISTINCT session_id) AS c FROM hep_proto_1_call",
    "SELECT count(*) AS a, count(DISTINCT id) AS b, CAST(coalesce(sum(id), 0) AS BIGINT) AS c FROM notes",
];

/// Snapshots stay long enough to be asked about, and files longer than the longest query.
const MAINTENANCE: [&str; 4] = [
    "CALL system.flush()",
    "CALL system.compact()",
    "CALL system.expire_snapshots('20 seconds')",
    "CALL system.cleanup('20 seconds')",
];

fn settings() -> Value {
    json!({
        "storage": {"ducklake": {"flush_interval_sec": 1, "hot_buffer": {"max_bytes": 16_777_216, "high_water": 0.05}}},
        "log": {"level": "error"},
    })
}

/// The rows of a statement; the error is its HTTP status and what the server says.
fn ask(address: SocketAddr, sql: &str) -> Result<Vec<Value>, (u16, String)> {
    let (status, answer) = http::post_json(address, "/query", &[], &json!({ "sql": sql }));
    assert!(!answer.to_string().contains("locked"), "{sql}: {answer}");
    match answer["data"].as_array() {
        Some(rows) if status == 200 => Ok(rows.clone()),
        _ => Err((status, answer.to_string())),
    }
}

fn answer(address: SocketAddr, sql: &str) -> Vec<Value> {
    ask(address, sql).unwrap_or_else(|(status, error)| panic!("{sql}: {status}: {error}"))
}

/// What goes on beside the rounds, and how much of it.
#[derive(Debug, Default)]
struct Beside {
    stop: AtomicBool,
    acknowledged: AtomicU64,
    maintained: AtomicU64,
    asked: AtomicU64,
    read_by_duckdb: AtomicU64,
}

impl Beside {
    /// Does something again and again until the rounds are over.
    fn again<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        mut what: impl FnMut(&Self, u64) + Send + 'scope,
    ) -> ScopedJoinHandle<'scope, ()> {
        scope.spawn(move || {
            for time in 0.. {
                if self.stop.load(Ordering::Relaxed) {
                    break;
                }
                what(self, time);
            }
        })
    }
}

/// Ends what goes on beside the rounds, also when a round fails.
struct StopAtEnd<'a>(&'a Beside);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn pintail_and_duckdb_agree_while_both_write() {
    let Some(python) = python::duckdb_python() else { return };
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_with(directory.path(), settings());
    let node = server.address("node_http");
    answer(node, "CREATE TABLE notes (id BIGINT, text VARCHAR)");
    let mut writers = Writers::new(&python, &server);
    let beside = Beside::default();
    let rounds = std::thread::scope(|scope| {
        let _stop = StopAtEnd(&beside);
        let hep = server.address("hep_http");
        let (bodies, wanted) = channel::<u64>();
        let poster = &beside;
        scope.spawn(move || wanted.iter().for_each(|body| post(poster, hep, body)));
        beside.again(scope, |beside, call| {
            let call = MAINTENANCE[usize::try_from(call).unwrap() % MAINTENANCE.len()];
            let steps = answer(node, call);
            assert!(steps.iter().all(|step| step["state"] == "finished"), "{call}: {steps:#?}");
            beside.maintained.fetch_add(1, Ordering::Relaxed);
        });
        beside.again(scope, |beside, question| {
            answer(node, QUESTIONS[usize::try_from(question).unwrap() % 2]);
            beside.asked.fetch_add(1, Ordering::Relaxed);
        });
        let mut reader = reader(&python, &server);
        beside.again(scope, move |beside, question| {
            reader.rows(&[QUESTIONS[usize::try_from(question).unwrap() % 2]]);
            beside.read_by_duckdb.fetch_add(1, Ordering::Relaxed);
        });
        let mut reader = self::reader(&python, &server);
        let mut time = time();
        let mut rounds = 0;
        while time(rounds) {
            (0..BODIES).for_each(|body| bodies.send(rounds * BODIES + body).unwrap());
            writers.write();
            writers.assert_all_there(node);
            assert_agreement(node, &mut reader);
            rounds += 1;
        }
        rounds
    });
    answer(node, "CALL system.flush()");
    assert_agreement(node, &mut reader(&python, &server));
    let calls = &answer(node, QUESTIONS[0])[0];
    let acknowledged = beside.acknowledged.load(Ordering::Relaxed);
    assert!([&calls["a"], &calls["b"], &calls["c"]].iter().all(|count| **count == acknowledged), "{calls}");
    println!("{rounds} rounds; {beside:?}; {writers}");
    assert!(
        beside.maintained.load(Ordering::Relaxed) > 0 && beside.read_by_duckdb.load(Ordering::Relaxed) > 0
    );
    let (status, log) = server.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    let config = directory.path().join("pintail.json");
    let checked = pintail().args(["lake", "fsck", "--config"]).arg(config).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

/// Whether there is time for another round after so many.
fn time() -> impl FnMut(u64) -> bool {
    let minutes = std::env::var("PINTAIL_INTERPLAY_MINUTES").ok().filter(|text| !text.is_empty());
    let until = minutes.map(|text| Instant::now() + Duration::from_secs(60 * text.parse::<u64>().unwrap()));
    move |rounds| until.map_or(rounds < ROUNDS, |until| Instant::now() < until)
}

/// Official DuckDB with the lake attached.
///
/// With several threads it reads the catalog over several connections, each at its own moment: where a merge commits
/// meanwhile, it sees neither the files that went nor the one that came, and answers, or deletes, as if there were none.
fn duckdb(python: &Path, server: &Server, options: &str) -> DuckDb {
    let mut duckdb = DuckDb::start(python);
    duckdb.rows(&["SET threads = 1", "SELECT 1"]);
    duckdb.attach(&server.catalog(), options);
    duckdb
}

fn reader(python: &Path, server: &Server) -> DuckDb {
    duckdb(python, server, "(READ_ONLY)")
}

/// Posts one body.
fn post(beside: &Beside, address: SocketAddr, body: u64) {
    let frames = (0..BODY_FRAMES).flat_map(|frame| hep::invite(&format!("{body}-{frame}")));
    let bytes: Vec<u8> = frames.collect();
    match http::request(address, "POST", "/api/hep", &[], &bytes) {
        (200, _) => drop(beside.acknowledged.fetch_add(BODY_FRAMES as u64, Ordering::Relaxed)),
        // Not stored, come again: here it is only not counted.
        (503, _) => {}
        (status, answer) => panic!("{status}: {}", String::from_utf8_lossy(&answer)),
    }
}

/// Both give the same answers at DuckDB's newest snapshot.
fn assert_agreement(node: SocketAddr, duckdb: &mut DuckDb) {
    let head =
        duckdb.rows(&["SELECT max(snapshot_id) AS head FROM ducklake_snapshots('lake')"])[0]["head"].clone();
    for question in QUESTIONS {
        let at = format!("{question} AT (VERSION => {head})");
        assert_eq!(answer(node, &at), duckdb.rows(&[&at]), "{at}");
    }
}

/// DuckDB and a user of the server, who write the same table in turn.
struct Writers {
    duckdb: DuckDb,
    node: SocketAddr,
    /// What must be in the table.
    there: BTreeSet<i64>,
    next: i64,
    random: fastrand::Rng,
    /// How often DuckDB was refused, and had to try again.
    refused: u64,
    /// How often a statement to the server met a change of the same rows, and had to be sent again.
    conflicts: u64,
}

impl std::fmt::Display for Writers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { refused, conflicts, .. } = self;
        write!(f, "DuckDB's writer refused {refused} times, conflicts of the server's users {conflicts}")
    }
}

impl Writers {
    fn new(python: &Path, server: &Server) -> Self {
        Self {
            duckdb: duckdb(python, server, ""),
            node: server.address("node_http"),
            there: BTreeSet::new(),
            next: 0,
            random: fastrand::Rng::with_seed(11),
            refused: 0,
            conflicts: 0,
        }
    }

    /// Each adds some rows and deletes some.
    fn write(&mut self) {
        let (insert, delete) = (self.addition(), self.removal());
        self.write_by_duckdb(&insert);
        self.write_by_duckdb(&delete);
        let (insert, delete) = (self.addition(), self.removal());
        self.write_by_server(&insert);
        self.write_by_server(&delete);
    }

    fn addition(&mut self) -> String {
        let first = self.next;
        self.next += self.random.i64(1..=MOST_ROWS);
        self.there.extend(first..self.next);
        let rows: Vec<String> = (first..self.next).map(|id| format!("({id}, 'note {id}')")).collect();
        format!("INSERT INTO notes VALUES {}", rows.join(", "))
    }

    fn removal(&mut self) -> String {
        let (part, rest) = (self.random.i64(0..7), 7);
        let from = self.random.i64(0..=self.next);
        self.there.retain(|id| *id < from || id % rest != part);
        format!("DELETE FROM notes WHERE id >= {from} AND id % {rest} = {part}")
    }

    fn write_by_duckdb(&mut self, statement: &str) {
        let mut last = String::new();
        for _ in 0..PATIENT_TRIES {
            match self.duckdb.try_rows(&[statement]) {
                Ok(_) => return,
                Err(error) => last = error,
            }
            self.refused += 1;
        }
        panic!("DuckDB is shut out: {statement}: {last}");
    }

    fn write_by_server(&mut self, statement: &str) {
        let mut last = String::new();
        for _ in 0..PATIENT_TRIES {
            match ask(self.node, statement) {
                Ok(_) => return,
                Err((409, error)) => last = error,
                Err((status, error)) => panic!("{statement}: {status}: {error}"),
            }
            self.conflicts += 1;
        }
        panic!("the server's user is shut out: {statement}: {last}");
    }

    /// The server shows what both have written.
    fn assert_all_there(&self, node: SocketAddr) {
        let (count, sum) = (self.there.len(), self.there.iter().sum::<i64>());
        assert_eq!(answer(node, QUESTIONS[1]), [json!({"a": count, "b": count, "c": sum})]);
    }
}
