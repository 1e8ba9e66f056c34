//! A real server in a process of its own, and the few clients that tests need.

#![allow(dead_code, reason = "each test binary uses a part of it")]

pub(crate) mod certificates;
pub(crate) mod hep;
pub(crate) mod http;
pub(crate) mod python;
pub(crate) mod s3;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The longest a test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub(crate) fn pintail() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pintail"));
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("PINTAIL_") || name.starts_with("HOMER_"))
    {
        command.env_remove(name);
    }
    command
}

/// A configuration with everything open on free ports of loopback.
pub(crate) fn configuration(directory: &Path) -> Value {
    let listen = json!({"enable": true, "host": "127.0.0.1", "port": 0});
    json!({
        "data_dir": directory,
        "ingest": {"udp": listen, "tcp": listen, "http": listen},
        "storage": {"ducklake": {"flush_interval_sec": 3600}},
        "node": {"enable": true, "flight_server": listen, "http_server": listen, "flightsql_server": listen},
        "prometheus": listen,
    })
}

/// Lays `changes` over `base`, object by object.
pub(crate) fn merge(base: &mut Value, changes: Value) {
    match (base, changes) {
        (Value::Object(base), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, changes) => *base = changes,
    }
}

/// A running server; killed when it goes out of scope.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) directory: PathBuf,
    pub(crate) listeners: BTreeMap<String, SocketAddr>,
    reader: Option<JoinHandle<()>>,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Starts the server over `directory`, which it keeps its data in.
    pub(crate) fn start(directory: &Path) -> Self {
        Self::start_with(directory, json!({}))
    }

    /// Starts it with `changes` to the usual configuration. Returns when everything listens.
    pub(crate) fn start_with(directory: &Path, changes: Value) -> Self {
        let started = Self::start_armed(directory, changes, None);
        started
            .unwrap_or_else(|(status, log)| panic!("the server ended before it was ready: {status}\n{log}"))
    }

    /// Starts it to die at a fault point such as `journal.sync:3`. The error is how it ended before it was ready, and its log.
    pub(crate) fn start_armed(
        directory: &Path,
        changes: Value,
        fault: Option<&str>,
    ) -> Result<Self, (ExitStatus, String)> {
        let ready_file = directory.join("ready.json");
        let mut child = spawn(directory, changes, &ready_file, fault);
        let log = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        // The server writes this line after the ready file: reading it waits without asking again and again.
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                return Err((child.wait().unwrap(), log.lock().unwrap().clone()));
            }
            if line.starts_with("ready ") {
                break;
            }
            log.lock().unwrap().push_str(&line);
        }
        let kept = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|read| read > 0) {
                kept.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        let ready: Value = serde_json::from_str(&std::fs::read_to_string(&ready_file).unwrap()).unwrap();
        assert_eq!(ready["pid"], child.id());
        let listeners = serde_json::from_value(ready["listeners"].clone()).unwrap();
        Ok(Self { child, directory: directory.to_path_buf(), listeners, reader: Some(reader), log })
    }

    /// Starts it, and kills it as soon as `is_time` says so of a line of its log; that must be before it is ready.
    pub(crate) fn kill_while_starting(
        directory: &Path,
        changes: Value,
        mut is_time: impl FnMut(&str) -> bool,
    ) {
        let mut child = spawn(directory, changes, &directory.join("ready.json"), None);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.find(|line| {
            let line = line.as_ref().unwrap();
            assert!(!line.starts_with("ready "), "it was ready before it was time to kill it");
            is_time(line)
        });
        assert!(line.is_some(), "the server ended by itself: {:?}", child.wait());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Where a listener listens.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        *self.listeners.get(listener).unwrap_or_else(|| panic!("no {listener} in {:?}", self.listeners))
    }

    /// The Flight SQL listener's URL.
    pub(crate) fn url(&self) -> String {
        format!("grpc://{}", self.address("node_flightsql"))
    }

    /// The catalog's file.
    pub(crate) fn catalog(&self) -> PathBuf {
        self.directory.join("homer_catalog.sqlite")
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard output so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// `pintail sql` against this server.
    pub(crate) fn sql(&self, arguments: &[&str]) -> Output {
        pintail().args(["sql", "--url", &self.url()]).args(arguments).output().unwrap()
    }

    /// The rows of a statement over Flight SQL, as JSON.
    pub(crate) fn query(&self, sql: &str) -> Vec<Value> {
        let output = self.sql(&["--output", "json", "-e", sql]);
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The number that a statement of one row and column gives.
    pub(crate) fn number(&self, sql: &str) -> u64 {
        let rows = self.query(sql);
        let row = rows[0].as_object().unwrap();
        row.values().next().unwrap().as_u64().unwrap()
    }

    /// Asks until the number is `wanted`; rows become visible within the hot buffer's 50 ms.
    pub(crate) fn wait_for_number(&self, sql: &str, wanted: u64) {
        let limit = Instant::now() + PATIENCE;
        loop {
            let number = self.number(sql);
            if number == wanted {
                return;
            }
            assert!(
                Instant::now() < limit,
                "{sql}: {number}, not {wanted}, after {PATIENCE:?}; {:?}",
                self.account()
            );
        }
    }

    /// `system.ingest`.
    pub(crate) fn account(&self) -> Vec<Value> {
        self.query("SELECT * FROM system.ingest ORDER BY transport, outcome, reason")
    }

    /// Waits until its log has `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        let limit = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < limit, "no '{text}' after {PATIENCE:?}:\n{}", self.log());
            std::thread::yield_now();
        }
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// SIGTERM, and the end.
    pub(crate) fn terminate(mut self) -> (ExitStatus, String) {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for the end by itself.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        (status, self.log())
    }

    /// Waits for an end that has come already.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        self.wait()
    }

    /// `kill -9`
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn spawn(directory: &Path, changes: Value, ready_file: &Path, fault: Option<&str>) -> Child {
    let mut config = configuration(directory);
    merge(&mut config, changes);
    let file = directory.join("pintail.json");
    std::fs::write(&file, config.to_string()).unwrap();
    pintail()
        .args(["serve", "--config"])
        .arg(&file)
        .arg("--ready-file")
        .arg(ready_file)
        .envs(fault.map(|fault| ("PINTAIL_FAULT", fault)))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `pintail serve` with a configuration that it must refuse, and gives what it says.
pub(crate) fn refusal(config: &Value) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pintail.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let output = pintail().args(["serve", "--config"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The captured packets of a fixture.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hep").join(name);
    let mut bytes = Vec::new();
    std::fs::File::open(&path)
        .unwrap_or_else(|error| panic!("{path:?}: {error}"))
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}
