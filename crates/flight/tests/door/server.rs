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
use pintail_types::{Clock, SystemClock, TelemetryTable};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

/// The listener's own token: group `admin`.
pub(crate) const ADMIN: &str = "admin-token";

/// Calls that the lake holds.
pub(crate) const CALLS: usize = 3;

/// SHA-256 of `a`, the token of `anna`, and of `b`, that of `bert`.
pub(crate) const READERS: [(&str, &str); 2] = [
    ("anna", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
    ("bert", "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"),
];

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Arc<Engine>,
    pub(crate) stop: CancellationToken,
    pub(crate) served: Option<JoinHandle<()>>,
    _directory: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What differs from the default in a test's listener.
pub(crate) type Change = fn(&mut DoorOptions);

impl Server {
    /// A server that wants [`ADMIN`].
    pub(crate) async fn start() -> Self {
        Self::start_changed(|_| {}).await
    }

    /// A server with the tokens of [`READERS`] beside [`ADMIN`].
    pub(crate) async fn start_for_readers(change: Change) -> Self {
        let token = |(name, sha256): (&str, &str)| {
            TokenEntry::from_hex(name, sha256, vec!["readers".to_owned()]).unwrap()
        };
        let tokens = READERS.map(token).to_vec();
        let gate = Authenticator::new("node_flightsql", Some(ADMIN.into()), tokens, false, true);
        Self::start_with(gate, Arc::new(SystemClock), SessionLimits::default(), change).await
    }

    /// A server that wants [`ADMIN`], with other options than usual.
    pub(crate) async fn start_changed(change: Change) -> Self {
        Self::start_with(gate_of_admin(), Arc::new(SystemClock), SessionLimits::default(), change).await
    }

    /// A server that wants [`ADMIN`] and runs so many queries at once.
    pub(crate) async fn start_for_queries(max_queries: usize) -> Self {
        let (clock, limits) = (Arc::new(SystemClock), SessionLimits::default());
        Self::start_all(gate_of_admin(), clock, limits, |_| {}, max_queries).await
    }

    /// A server whose door has this gate and this clock.
    pub(crate) async fn start_with(
        authenticator: Authenticator,
        door_clock: Arc<dyn Clock>,
        limits: SessionLimits,
        change: Change,
    ) -> Self {
        Self::start_all(authenticator, door_clock, limits, change, 16).await
    }

    async fn start_all(
        authenticator: Authenticator,
        door_clock: Arc<dyn Clock>,
        limits: SessionLimits,
        change: Change,
        max_queries: usize,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(SystemClock);
        let lake = Lake::open(LakeOptions::at(directory.path().join("lake")), clock.clone()).await.unwrap();
        append_calls(&lake);
        let options = EngineOptions {
            memory_bytes: 256 << 20,
            spill_path: directory.path().join("spill"),
            max_queries,
            query_timeout: None,
            stall_timeout: None,
            target_partitions: Some(2),
        };
        let engine = Engine::new(options, lake, clock.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let sessions = Sessions::new(Signer::new([8; 32]), Arc::clone(&door_clock), limits);
        let mut options = DoorOptions::new("node_flightsql", Signer::new([7; 32]), sessions, door_clock);
        change(&mut options);
        let door = FlightDoor::new(Arc::clone(&engine), authenticator, options);
        let served = Some(tokio::spawn(door.serve(Listener::new(listener, None), stop.clone())));
        Self { address, engine, stop, served, _directory: directory }
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

fn gate_of_admin() -> Authenticator {
    Authenticator::new("node_flightsql", Some(ADMIN.into()), Vec::new(), false, true)
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

/// The results of an action.
pub(crate) async fn act(
    client: &mut FlightServiceClient<Channel>,
    token: &str,
    name: &str,
    body: Vec<u8>,
) -> Result<Vec<bytes::Bytes>, tonic::Status> {
    let action = arrow_flight::Action { r#type: name.to_owned(), body: body.into() };
    let results = client.do_action(with_token(action, token)).await?.into_inner();
    results.map_ok(|result| result.body).try_collect().await
}
