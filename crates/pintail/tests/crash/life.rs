//! One life of a server under load, and its end.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::ledger::Ledger;
use crate::plan::PASSES;
use crate::support::{PATIENCE, Server, hep, http};

/// Frames in one HTTP body.
const BODY_FRAMES: usize = 10;

/// Frames in one TCP stream.
const STREAM_FRAMES: u64 = 1000;

/// A life whose point is not met ends after so many calls of maintenance.
const MAX_CALLS: u64 = 56;

/// The signal of a process that a fault point has ended.
const SIGABRT: i32 = 6;

/// What the maintainer asks for, again and again, with the day of the packets for `DAY`.
const MAINTENANCE: [&str; 7] = [
    "CALL system.flush()",
    "CALL system.compact()",
    "CALL system.move('hep_proto_1_call', 'DAY', 'hot', 'cold')",
    "CALL system.expire_snapshots('0 seconds')",
    "CALL system.cleanup('0 seconds')",
    "CALL system.move('hep_proto_1_call', 'DAY', 'cold', 'hot')",
    "CALL system.vacuum('0 seconds')",
];

/// The days of the packets: one, or two around midnight.
const DAYS: &str = "SELECT DISTINCT CAST(date AS VARCHAR) AS day FROM hep_proto_1_call";

/// How a life is to end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Death {
    /// By a kill, once so many bodies are acknowledged.
    AfterBodies(u64),
    /// By a kill, once so many calls of maintenance have succeeded.
    AfterMaintenance(u64),
    /// At a fault point, when it is passed for this time.
    AtPoint(&'static str, u64),
}

impl Death {
    /// How the life before must end so that this one can meet its point: nothing else looks at the lake in between.
    pub(crate) fn prepared_by(self) -> Option<Self> {
        match self {
            Self::AtPoint("move.settle", _) => Some(Self::AtPoint("move.taken_over", 1)),
            Self::AtPoint("move.removed", _) => Some(Self::AtPoint("move.verified", 1)),
            _ => None,
        }
    }
}

/// How a life ended.
#[derive(Debug, Default)]
pub(crate) struct Died {
    /// Whether at the fault point, and not by a kill.
    pub(crate) at_point: bool,
    pub(crate) while_starting: bool,
    /// Packets that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Calls of maintenance that succeeded.
    pub(crate) maintained: u64,
}

/// What happens in a life.
enum Event {
    Acknowledged(Vec<String>),
    Maintained,
}

/// Two volumes, and small buffers, so that flushes and commits happen all the time and deaths meet them.
pub(crate) fn settings() -> Value {
    let volumes = json!([{"name": "hot", "priority": 0}, {"name": "cold", "priority": 1}]);
    json!({
        "storage": {"ducklake": {
            "flush_interval_sec": 1,
            "hot_buffer": {"max_bytes": 4_194_304, "high_water": 0.05},
            "storage_policy": {"enable": true, "volumes": volumes},
        }},
        "ingest": {"journal": {"segment_bytes": 65_536}},
        "log": {"level": "error"},
    })
}

/// Lets a server live over the lake in `directory` until it dies. What it acknowledged is in the ledger then.
pub(crate) fn live(directory: &Path, life: u64, death: Death, ledger: &mut Ledger) -> Died {
    leave_orphans(directory);
    let fault = match death {
        Death::AtPoint(point, times) => Some(format!("{point}:{times}")),
        Death::AfterBodies(_) | Death::AfterMaintenance(_) => None,
    };
    let server = match Server::start_armed(directory, settings(), fault.as_deref()) {
        Ok(server) => server,
        Err((status, log)) => {
            assert_is_fault(death, status, &log);
            return Died { at_point: true, while_starting: true, ..Died::default() };
        }
    };
    let (events, happened) = channel();
    let load = [
        post_until_it_dies(server.address("hep_http"), life, events.clone()),
        stream_until_it_dies(server.address("hep_tcp"), life),
        maintain_until_it_dies(server.address("node_http"), events),
    ];
    let mut died = Died::default();
    let mut note = |died: &mut Died, event| match event {
        Event::Acknowledged(calls) => {
            died.acknowledged += calls.len() as u64;
            ledger.acknowledged(calls);
        }
        Event::Maintained => died.maintained += 1,
    };
    died.at_point = !wait_for_the_end(&happened, death, &mut died, &mut note);
    if died.at_point {
        let (status, log) = server.ended();
        assert_is_fault(death, status, &log);
    } else {
        server.kill();
    }
    for thread in load {
        thread.join().unwrap();
    }
    // What was acknowledged between the last look and the kill counts as well.
    happened.try_iter().for_each(|event| note(&mut died, event));
    died
}

/// Returns when it is time for a kill; false if the server died by itself.
fn wait_for_the_end(
    happened: &Receiver<Event>,
    death: Death,
    died: &mut Died,
    note: &mut impl FnMut(&mut Died, Event),
) -> bool {
    loop {
        let is_time = match death {
            Death::AfterBodies(bodies) => died.acknowledged >= bodies * BODY_FRAMES as u64,
            Death::AfterMaintenance(calls) => died.maintained >= calls,
            Death::AtPoint(..) => died.maintained >= MAX_CALLS,
        };
        if is_time {
            return true;
        }
        match happened.recv_timeout(PATIENCE) {
            Ok(event) => note(died, event),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return false,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("nothing happens any more ({death:?})"),
        }
    }
}

fn assert_is_fault(death: Death, status: ExitStatus, log: &str) {
    let is_armed = matches!(death, Death::AtPoint(..));
    assert!(is_armed && status.signal() == Some(SIGABRT), "{death:?}: the server died by {status}\n{log}");
}

/// Files as crashes leave them, so that each life has enough of them to clean up.
fn leave_orphans(directory: &Path) {
    let files = directory.join("parquet/main/hep_proto_1_call");
    std::fs::create_dir_all(&files).unwrap();
    for number in 0..PASSES {
        std::fs::write(files.join(format!("ducklake-{number}.parquet.tmp")), "left behind").unwrap();
    }
}

/// Posts bodies of frames until the server dies.
fn post_until_it_dies(address: SocketAddr, life: u64, events: Sender<Event>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for body in 0.. {
            let calls: Vec<String> =
                (0..BODY_FRAMES).map(|frame| format!("http-{life}-{body}-{frame}")).collect();
            let bytes: Vec<u8> = calls.iter().flat_map(|call| hep::invite(call)).collect();
            match http::try_request(address, "POST", "/api/hep", &[], &bytes) {
                Ok((200, answer)) => {
                    let answer: Value = serde_json::from_slice(&answer).unwrap();
                    assert_eq!(answer["stored"], BODY_FRAMES);
                    if events.send(Event::Acknowledged(calls)).is_err() {
                        break;
                    }
                }
                // 503 says: not stored, come again. Here it is only not counted.
                Ok((503, _)) => {}
                Ok((status, answer)) => panic!("{status}: {}", String::from_utf8_lossy(&answer)),
                Err(_) => break,
            }
        }
    })
}

/// Streams numbered frames as long as the server lives.
fn stream_until_it_dies(address: SocketAddr, life: u64) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        for number in 0..STREAM_FRAMES {
            if stream.write_all(&hep::invite(&format!("tcp-{life}-{number}"))).is_err() {
                break;
            }
        }
    })
}

/// Has the lake maintained again and again until the server dies.
fn maintain_until_it_dies(address: SocketAddr, events: Sender<Event>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for call in MAINTENANCE.iter().cycle() {
            let Some(days) = ask(address, DAYS) else { break };
            // Before there is a packet there is no day to move.
            let days = days.iter().map(|row| row["day"].as_str().unwrap()).collect::<Vec<_>>();
            let calls = match call.contains("DAY") {
                true => days.iter().map(|day| call.replace("DAY", day)).collect(),
                false => vec![(*call).to_owned()],
            };
            for call in calls {
                let Some(steps) = ask(address, &call) else { return };
                assert_succeeded(&call, &steps);
                if events.send(Event::Maintained).is_err() {
                    return;
                }
            }
        }
    })
}

/// The rows of a statement; none when the server is dead.
fn ask(address: SocketAddr, sql: &str) -> Option<Vec<Value>> {
    let body = json!({ "sql": sql }).to_string();
    match http::try_request(address, "POST", "/query", &[], body.as_bytes()) {
        Ok((200, answer)) => {
            let mut answer: Value = serde_json::from_slice(&answer).unwrap();
            Some(serde_json::from_value(answer["data"].take()).unwrap())
        }
        Ok((status, answer)) => panic!("{sql}: {status}: {}", String::from_utf8_lossy(&answer)),
        Err(_) => None,
    }
}

/// Every step of a call must have succeeded, not only some.
fn assert_succeeded(call: &str, steps: &[Value]) {
    for step in steps {
        assert_eq!(step["state"], "finished", "{call}: {step}");
    }
}
