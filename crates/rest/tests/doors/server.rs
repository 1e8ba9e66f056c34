//! Listeners on free ports, and a client of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use pintail_engine::{Engine, EngineOptions, Health, NodeFacts};
use pintail_identity::Authenticator;
use pintail_identity::tls::Listener;
use pintail_lake::{Block, Lake, LakeOptions};
use pintail_rest::{MetricsSource, NodeApiOptions, serve_metrics, serve_node_api};
use pintail_types::{SystemClock, TelemetryTable};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The listener's own token.
pub(crate) const TOKEN: &str = "admin-token";

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) engine: Arc<Engine>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) lake: Arc<Lake>,
    _stop: DropGuard,
    _directory: TempDir,
}

/// Facts that a test sets.
#[derive(Debug, Default)]
pub(crate) struct Facts(pub(crate) Mutex<Health>);

impl NodeFacts for Facts {
    fn health(&self) -> Health {
        self.0.lock().clone()
    }

    fn volumes(&self) -> Vec<String> {
        vec!["hot".to_owned(), "cold".to_owned()]
    }
}

impl Server {
    /// A server that wants [`TOKEN`].
    pub(crate) async fn start() -> Self {
        Self::start_with(MetricsSource::new(), None).await
    }

    /// A server that ends the query of a reader that takes nothing for so long.
    pub(crate) async fn start_with_stall_timeout(timeout: Duration) -> Self {
        Self::start_with(MetricsSource::new(), Some(timeout)).await
    }

    pub(crate) async fn start_with(source: MetricsSource, stall_timeout: Option<Duration>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let lake = Lake::open(LakeOptions::at(directory.path().join("lake")), clock.clone()).await.unwrap();
        let options = EngineOptions {
            memory_bytes: 256 << 20,
            spill_path: directory.path().join("spill"),
            max_queries: 16,
            query_timeout: None,
            stall_timeout,
            target_partitions: Some(1),
        };
        let engine = Engine::new(options, Arc::clone(&lake), clock).unwrap();
        let facts = Arc::new(Facts::default());
        engine.set_node_facts(facts.clone());
        let stop = CancellationToken::new();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let authenticator = Authenticator::new("node_http", Some(TOKEN.into()), Vec::new(), false, true);
        let options = NodeApiOptions { flight_address: Some("0.0.0.0:50051".to_owned()) };
        let listener = Listener::new(listener, None);
        tokio::spawn(serve_node_api(engine.clone(), authenticator, listener, options, stop.clone()));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let metrics = listener.local_addr().unwrap();
        let listener = Listener::new(listener, None);
        tokio::spawn(serve_metrics(source, engine.clone(), listener, stop.clone()));
        Self { address, metrics, engine, facts, lake, _stop: stop.drop_guard(), _directory: directory }
    }

    /// Puts rows with these Call-IDs into the hot buffer, as one batch.
    pub(crate) fn append(&self, call_ids: &[String], data_extra: &str) {
        let schema = TelemetryTable::Call.schema();
        let count = call_ids.len();
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            match field.name().as_str() {
                "session_id" | "uuid" => Arc::new(StringArray::from_iter_values(call_ids)),
                "data_extra" => Arc::new(StringArray::from_iter_values(call_ids.iter().map(|_| data_extra))),
                "timestamp" => Arc::new(TimestampMicrosecondArray::from(vec![1_795_169_452_430_000; count])),
                _ => new_null_array(field.data_type(), count),
            }
        });
        let rows = RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap();
        let mut block = Block::new();
        block.push(&[b"call"]);
        let position = self.lake.journal().append(&block).unwrap();
        self.lake.append(TelemetryTable::Call, rows, position).unwrap();
    }

    /// Posts `sql` to `path` and gives the whole answer.
    pub(crate) async fn query(&self, path: &str, sql: &str) -> Answer {
        let body = serde_json::json!({ "sql": sql }).to_string();
        ask(self.address, post(path, body).header("authorization", format!("Bearer {TOKEN}"))).await
    }
}

/// An answer, or how far it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// Whether the body ended in good order.
    pub(crate) complete: bool,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        assert!(self.complete, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_str(&self.text).unwrap()
    }
}

/// A request with what its body is to be.
pub(crate) struct Ask(hyper::http::request::Builder, String);

impl Ask {
    pub(crate) fn header(self, name: &str, value: impl AsRef<str>) -> Self {
        Self(self.0.header(name, value.as_ref()), self.1)
    }
}

pub(crate) fn post(path: &str, body: impl Into<String>) -> Ask {
    Ask(Request::post(path), body.into())
}

pub(crate) fn get(path: &str) -> Ask {
    Ask(Request::get(path), String::new())
}

pub(crate) fn request(method: &str, path: &str) -> Ask {
    Ask(Request::builder().method(method).uri(path), String::new())
}

pub(crate) async fn ask(address: SocketAddr, ask: Ask) -> Answer {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut requests, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = ask.0.header("host", address.to_string()).body(Full::new(Bytes::from(ask.1))).unwrap();
    let response = requests.send_request(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let (mut body, mut bytes, mut complete) = (response.into_body(), Vec::new(), true);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap()),
            Err(_) => {
                complete = false;
                break;
            }
        }
    }
    Answer { status, headers, text: String::from_utf8(bytes).unwrap(), complete }
}
