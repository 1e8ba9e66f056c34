//! A real server of S3, and what stands between it and us: a proxy that spoils requests when it is told to.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// Serves S3 with bucket `calls` until its input ends.
const SERVER: &str = r#"
import logging, sys
logging.getLogger("werkzeug").setLevel(logging.ERROR)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
import boto3
client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", aws_access_key_id="key",
                      aws_secret_access_key="secret", region_name="us-east-1")
client.create_bucket(Bucket="calls")
print(f"{host}:{port}", flush=True)
for _ in sys.stdin:
    names = [o["Key"] for o in client.list_objects_v2(Bucket="calls").get("Contents", [])]
    print(" ".join(names), flush=True)
server.stop()
"#;

/// Reads a lake in a bucket with official DuckDB: catalog, endpoint, statement.
const DUCKDB: &str = r#"
import json, sys
import duckdb
from duckdb_extensions import import_extension
for name in ("sqlite_scanner", "ducklake", "httpfs"):
    import_extension(name)
connection = duckdb.connect()
connection.execute("LOAD sqlite_scanner; LOAD ducklake; LOAD httpfs")
connection.execute(f"CREATE SECRET (TYPE s3, KEY_ID 'key', SECRET 'secret', REGION 'us-east-1', "
                   f"ENDPOINT '{sys.argv[2]}', URL_STYLE 'path', USE_SSL false)")
connection.execute(f"ATTACH 'ducklake:sqlite:{sys.argv[1]}' AS lake (READ_ONLY); USE lake")
cursor = connection.execute(sys.argv[3])
names = [column[0] for column in cursor.description]
print(json.dumps([dict(zip(names, row)) for row in cursor.fetchall()], default=str))
"#;

/// A server of S3 with the bucket `calls`.
pub(crate) struct S3 {
    child: Child,
    input: ChildStdin,
    lines: BufReader<std::process::ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl S3 {
    pub(crate) fn start(python: &Path) -> Self {
        let mut child = Command::new(python)
            .args(["-c", SERVER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        Self { child, input, lines, address: line.trim().parse().unwrap() }
    }

    /// The keys of all objects.
    pub(crate) fn objects(&mut self) -> Vec<String> {
        self.input.write_all(b"list\n").unwrap();
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    }

    /// The rows of a statement as official DuckDB reads the lake in the bucket.
    pub(crate) fn duckdb_rows(&self, python: &Path, catalog: &Path, sql: &str) -> Vec<Value> {
        let output = Command::new(python)
            .args(["-c", DUCKDB])
            .arg(catalog)
            .args([&self.address.to_string(), sql])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection breaks before the server hears of it.
    Reset,
    /// The server is too busy.
    Unavailable,
    /// The server does it, and the answer does not come back.
    LostReply,
    /// The answer comes byte by byte.
    Slow,
}

/// Stands before a server.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// What happens to the next requests.
    faults: Mutex<VecDeque<Fault>>,
    /// Every request is refused.
    is_away: AtomicBool,
}

impl Proxy {
    pub(crate) fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.carry(&client, server));
            }
        });
        Self { address, state }
    }

    /// Spoils the next requests, one with each.
    pub(crate) fn spoil(&self, faults: &[Fault]) {
        self.state.faults.lock().unwrap().extend(faults);
    }

    /// Requests that are still to be spoiled.
    pub(crate) fn left(&self) -> usize {
        self.state.faults.lock().unwrap().len()
    }

    /// Whether every request is refused from now on.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.state.is_away.store(is_away, Ordering::SeqCst);
    }
}

impl State {
    /// What happens to the request that begins now.
    fn next_fault(&self) -> Option<Fault> {
        match self.is_away.load(Ordering::SeqCst) {
            true => Some(Fault::Reset),
            false => self.faults.lock().unwrap().pop_front(),
        }
    }

    /// Carries the requests of one connection, until one is spoiled.
    fn carry(&self, client: &TcpStream, server: SocketAddr) {
        let Ok(upstream) = TcpStream::connect(server) else { return };
        let answered = Arc::new(Mutex::new(None));
        std::thread::scope(|scope| {
            scope.spawn(|| answers(&upstream, client, &answered));
            let mut buffer = vec![0; 1 << 16];
            let mut from = client;
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if begins_a_request(&buffer[..count]) {
                    let fault = self.next_fault();
                    *answered.lock().unwrap() = fault;
                    match fault {
                        Some(Fault::Reset) => break,
                        Some(Fault::Unavailable) => {
                            let answer =
                                b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                            let _ = (&mut &*client).write_all(answer);
                            break;
                        }
                        Some(Fault::LostReply | Fault::Slow) | None => {}
                    }
                }
                if (&mut &upstream).write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            let _ = client.shutdown(Shutdown::Both);
            let _ = upstream.shutdown(Shutdown::Both);
        });
    }
}

/// Carries the answers back.
fn answers(mut upstream: &TcpStream, mut client: &TcpStream, fault: &Mutex<Option<Fault>>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = upstream.read(&mut buffer) {
        let fault = *fault.lock().unwrap();
        let carried = match fault {
            Some(Fault::LostReply) => break,
            Some(Fault::Slow) => buffer[..count].iter().try_for_each(|byte| client.write_all(&[*byte])),
            _ => client.write_all(&buffer[..count]),
        };
        if carried.is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = upstream.shutdown(Shutdown::Both);
}

/// Whether bytes are the head of a request: what follows is its body.
fn begins_a_request(bytes: &[u8]) -> bool {
    ["GET ", "PUT ", "POST ", "HEAD ", "DELETE "].iter().any(|verb| bytes.starts_with(verb.as_bytes()))
}
