//! A lake with its capture, and the ways to send to it and to look into it.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion::prelude::{SessionConfig, SessionContext};
use pintail_capture::{AccountRow, Capture, CaptureOptions, HttpOptions, TcpOptions, UdpOptions};
use pintail_hep::{CaptureTime, Packet};
use pintail_lake::{Lake, LakeOptions};
use pintail_types::{ManualClock, Micros};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// 2026-11-20 10:30:00 UTC, shortly after the fixtures were captured.
pub(crate) const NOW: Micros = 1_795_170_600_000_000;

/// The longest time that anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The tables that fixtures go to.
pub(crate) const TABLES: [&str; 7] = [
    "hep_proto_1_call",
    "hep_proto_1_registration",
    "hep_proto_1_default",
    "hep_proto_5_default",
    "hep_proto_34_default",
    "hep_proto_35_default",
    "hep_proto_100_default",
];

pub(crate) struct Site {
    pub(crate) lake: Arc<Lake>,
    pub(crate) capture: Arc<Capture>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) addresses: Vec<(String, SocketAddr)>,
}

/// Options that listen on free ports of the loopback interface.
pub(crate) fn options() -> CaptureOptions {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    CaptureOptions {
        udp: Some(UdpOptions { address, sockets: 2, ..UdpOptions::default() }),
        tcp: Some(TcpOptions { address, ..TcpOptions::default() }),
        http: Some(HttpOptions { address, ..HttpOptions::default() }),
        ..CaptureOptions::default()
    }
}

pub(crate) fn lake_options(directory: &Path) -> LakeOptions {
    LakeOptions { flush_interval: Duration::from_secs(3600), ..LakeOptions::at(directory) }
}

impl Site {
    pub(crate) async fn open(directory: &Path, options: CaptureOptions) -> Self {
        Self::open_with(lake_options(directory), options).await
    }

    pub(crate) async fn open_with(lake_options: LakeOptions, options: CaptureOptions) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let lake = Lake::open(lake_options, Arc::clone(&clock) as _).await.unwrap();
        let capture = Capture::new(options, Arc::clone(&lake), Arc::clone(&clock) as _);
        let addresses = capture.start().await.unwrap();
        Self { lake, capture, clock, addresses }
    }

    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        self.addresses.iter().find(|(name, _)| name == listener).unwrap().1
    }

    pub(crate) async fn send_udp(&self, packets: &[Vec<u8>]) {
        let before = self.count("udp", "received", "");
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for packet in packets {
            socket.send_to(packet, self.address("hep_udp")).unwrap();
        }
        self.until("datagrams arrived", || {
            self.count("udp", "received", "") - before == packets.len() as u64
                && self.count("udp", "in_flight", "") == 0
        })
        .await;
    }

    pub(crate) async fn connect_tcp(&self) -> TcpStream {
        TcpStream::connect(self.address("hep_tcp")).await.unwrap()
    }

    /// Sends everything, and waits until the other side has read to the end.
    pub(crate) async fn send_tcp(&self, bytes: &[u8]) {
        let mut stream = self.connect_tcp().await;
        stream.write_all(bytes).await.unwrap();
        end_tcp(stream).await;
    }

    pub(crate) async fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.request("POST", path, &[], body).await
    }

    /// One HTTP request on a connection of its own.
    pub(crate) async fn request(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        if !headers
            .iter()
            .any(|header| header.starts_with("Content-Length") || header.starts_with("Transfer"))
        {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(self.address("hep_http")).await.unwrap();
        // A server that refuses early need not read everything.
        let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
        Answer::read(&String::from_utf8(answer).unwrap())
    }

    /// Waits for something that another thread brings about.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let waiting = async {
            while !condition() {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(in_time.is_ok(), "{what}: {:?}", self.capture.accounting().rows());
    }

    pub(crate) fn account(&self, transport: &str, outcome: &str, reason: &str) -> AccountRow {
        let rows = self.capture.accounting().rows();
        let found = rows
            .into_iter()
            .find(|row| row.transport == transport && row.outcome == outcome && row.reason == reason);
        found.unwrap_or(AccountRow { transport: "", outcome: "", reason: "", packets: 0, bytes: Some(0) })
    }

    pub(crate) fn count(&self, transport: &str, outcome: &str, reason: &str) -> u64 {
        self.account(transport, outcome, reason).packets
    }

    pub(crate) fn note(&self, name: &str, transport: &str) -> u64 {
        let notes = self.capture.accounting().notes();
        notes.into_iter().find(|note| (note.0, note.1) == (name, transport)).map_or(0, |note| note.2)
    }

    /// Stops capturing; all rows are in the lake then.
    pub(crate) async fn stop(&self) {
        tokio::time::timeout(PATIENCE, self.capture.stop()).await.unwrap();
        self.check_sums();
    }

    /// The law of accounting.
    pub(crate) fn check_sums(&self) {
        let rows = self.capture.accounting().rows();
        for transport in ["udp", "tcp", "http"] {
            let of = |outcomes: &[&str]| {
                let counted = rows.iter().filter(|row| {
                    row.transport == transport && row.reason != "kernel" && outcomes.contains(&row.outcome)
                });
                counted.fold((0, 0), |sum, row| (sum.0 + row.packets, sum.1 + row.bytes.unwrap()))
            };
            let parts = of(&["stored", "rejected", "dropped", "in_flight"]);
            assert_eq!(of(&["received"]), parts, "{transport}: {rows:?}");
        }
    }

    /// The rows of a query over the lake, as JSON.
    pub(crate) async fn query(&self, sql: &str) -> Vec<Value> {
        let config = SessionConfig::new().with_default_catalog_and_schema(self.lake.name(), "main");
        let context = SessionContext::new_with_config(config);
        for catalog in self.lake.catalogs() {
            context.register_catalog(catalog.name, catalog.provider);
        }
        let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
        let mut writer = arrow::json::ArrayWriter::new(Vec::new());
        for batch in &batches {
            writer.write(batch).unwrap();
        }
        writer.finish().unwrap();
        let bytes = writer.into_inner();
        if bytes.is_empty() { Vec::new() } else { serde_json::from_slice(&bytes).unwrap() }
    }

    /// The only row of a table, with `data_extra` as an object.
    pub(crate) async fn only_row(&self, table: &str) -> Value {
        let mut rows = self.query(&format!("SELECT * FROM {table}")).await;
        assert_eq!(rows.len(), 1, "{table}: {rows:?}");
        with_extra(rows.remove(0))
    }

    /// Every row of the tables that fixtures go to, in order, `data_extra` taken apart.
    pub(crate) async fn dump(&self, columns_left_out: &[&str]) -> Vec<Value> {
        let mut dump = Vec::new();
        for table in TABLES {
            for row in self.query(&format!("SELECT * FROM {table}")).await {
                let mut row = with_extra(row);
                for column in columns_left_out {
                    row.as_object_mut().unwrap().remove(*column);
                }
                row["table"] = table.into();
                dump.push(row);
            }
        }
        dump.sort_by_key(|row| (row["timestamp"].to_string(), row.to_string()));
        dump
    }
}

fn with_extra(mut row: Value) -> Value {
    let extra = row["data_extra"].as_str().unwrap();
    row["data_extra"] = serde_json::from_str(extra).unwrap_or_else(|error| panic!("{error}: {extra}"));
    row
}

/// Closes our side, and waits until the other side has read everything and closed too.
pub(crate) async fn end_tcp(mut stream: TcpStream) {
    stream.shutdown().await.unwrap();
    read_to_end(&mut stream).await;
}

/// Waits until the other side closes the connection.
pub(crate) async fn read_to_end(stream: &mut TcpStream) {
    // A connection that is closed with bytes unread ends in a reset.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.unwrap();
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}"));
        Self { status, head: head.to_ascii_lowercase(), body }
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/hep")
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    fs::read(fixtures().join(name)).unwrap()
}

/// The captured datagrams, by name.
pub(crate) fn datagrams() -> Vec<Vec<u8>> {
    named("", |name| !name.contains("_tcp_stream_"))
}

/// The captured streams, by name.
pub(crate) fn streams() -> Vec<Vec<u8>> {
    named("", |name| name.contains("_tcp_stream_"))
}

pub(crate) fn named(prefix: &str, wanted: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
    let mut names: Vec<String> = fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".bin") && name.starts_with(prefix) && wanted(name))
        .collect();
    names.sort();
    names.iter().map(|name| fixture(name)).collect()
}

/// A packet of the kind that agents send, as a starting point.
pub(crate) fn packet(payload: &[u8]) -> Packet<'_> {
    Packet {
        family: Some(2),
        ip_protocol: Some(17),
        source: Some([192, 0, 2, 1].into()),
        destination: Some([192, 0, 2, 2].into()),
        source_port: Some(5060),
        destination_port: Some(5080),
        time: Some(CaptureTime { seconds: u32::try_from(NOW / 1_000_000).unwrap(), micros: 7 }),
        protocol_type: Some(1),
        capture_id: Some(2001),
        payload,
        ..Packet::default()
    }
}

pub(crate) fn encode(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    pintail_hep::encode(packet, &mut bytes).unwrap();
    bytes
}

/// A request that has what rows need.
pub(crate) fn request(method: &str, call_id: &str) -> String {
    format!(
        "{method} sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
         From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.org>\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}
