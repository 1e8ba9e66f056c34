//! A listener on a free port, and clients of it.

use std::net::SocketAddr;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow_flight::FlightInfo;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use pintail_engine::{Engine, EngineOptions};
use pintail_flight::{DoorOptions, FlightDoor};
use pintail_identity::sessions::{SessionLimits, Sessions};
use pintail_identity::tls::Listener;
use pintail_identity::{Authenticator, Signer, TokenEntry};
use pintail_lake::{Block, Lake, LakeOptions};
use pintail_types::{SystemClock, TelemetryTable};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::{Channel, Endpoint};

/// The listener's own token: group `admin`.
pub(crate) const ADMIN: &str = "admin-token";

/// Calls that the lake holds.
pub(crate) const CALLS: usize = 3;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Arc<Engine>,
    _stop: DropGuard,
    _directory: TempDir,
}

impl Server {
    /// A server that wants [`ADMIN`].
    pub(crate) async fn start() -> Self {
        Self::start_with(Authenticator::new("node_flightsql", Some(ADMIN.into()), Vec::new(), false, true))
            .await
    }

    /// A server with these tokens of readers beside [`ADMIN`].
    pub(crate) async fn start_for(readers: &[(&str, [u8; 32])]) -> Self {
        let tokens = readers.iter().map(|(name, sha256)| TokenEntry {
            name: (*name).to_owned(),
            sha256: *sha256,
            groups: vec!["readers".to_owned()],
        });
        let tokens = tokens.collect();
        Self::start_with(Authenticator::new("node_flightsql", Some(ADMIN.into()), tokens, false, true)).await
    }

    pub(crate) async fn start_with(authenticator: Authenticator) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let lake = Lake::open(LakeOptions::at(directory.path().join("lake")), clock.clone()).await.unwrap();
        append_calls(&lake);
        let options = EngineOptions {
            memory_bytes: 256 << 20,
            spill_path: directory.path().join("spill"),
            max_queries: 16,
            query_timeout: None,
            target_partitions: Some(2),
        };
        let engine = Engine::new(options, lake, clock.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let sessions = Sessions::new(Signer::new([8; 32]), clock.clone(), SessionLimits::default());
        let options = DoorOptions { name: "node_flightsql", signer: Signer::new([7; 32]), sessions, clock };
        let door = FlightDoor::new(Arc::clone(&engine), authenticator, options);
        tokio::spawn(door.serve(Listener::new(listener, None), stop.clone()));
        Self { address, engine, _stop: stop.drop_guard(), _directory: directory }
    }

    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    /// A Flight SQL client that shows `token`.
    pub(crate) async fn client(&self, token: &str) -> FlightSqlServiceClient<Channel> {
        let mut client = FlightSqlServiceClient::new(self.channel().await);
        client.set_token(token.to_owned());
        client
    }

    /// A client of plain Flight; requests carry their own headers.
    pub(crate) async fn plain_client(&self) -> FlightServiceClient<Channel> {
        FlightServiceClient::new(self.channel().await).max_decoding_message_size(4 << 20)
    }
}

/// A request that shows `token`.
pub(crate) fn with_token<T>(message: T, token: &str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

/// All rows of a flight.
pub(crate) async fn fetch(
    client: &mut FlightSqlServiceClient<Channel>,
    info: &FlightInfo,
) -> Result<Vec<RecordBatch>, String> {
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let stream: FlightRecordBatchStream = client.do_get(ticket).await.map_err(|error| error.to_string())?;
    stream.try_collect().await.map_err(|error| error.to_string())
}

/// Puts [`CALLS`] rows into the hot buffer.
fn append_calls(lake: &Lake) {
    let schema = TelemetryTable::Call.schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "session_id" | "uuid" => {
                Arc::new(StringArray::from_iter_values((0..CALLS).map(|call| format!("call-{call}"))))
            }
            "timestamp" => Arc::new(TimestampMicrosecondArray::from(vec![1_700_000_000_000_000; CALLS])),
            _ => new_null_array(field.data_type(), CALLS),
        }
    });
    let rows = RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap();
    let mut block = Block::new();
    block.push(&[b"call"]);
    let position = lake.journal().append(&block).unwrap();
    lake.append(TelemetryTable::Call, rows, position).unwrap();
}
