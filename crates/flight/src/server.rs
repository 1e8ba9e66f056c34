//! The listener's outside: options, the server and its limits.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use pintail_engine::{Engine, SessionOptions, WireProfile};
use pintail_identity::sessions::Sessions;
use pintail_identity::{Authenticator, Principal, Signer, tls};
use pintail_types::Clock;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::Service as _;

use crate::connection::{Connection, accepted, limited};
use crate::door::Door;
use crate::gate::Gate;
use crate::health::Health;
use crate::listener::Listener;

/// HTTP/2 flow control lets so much of one request be on its way: batches sent to us are megabytes.
const RECEIVE_WINDOW: u32 = 8 << 20;

/// Requests of one connection at a time.
const MAX_STREAMS_PER_CONNECTION: u32 = 1000;

/// JDBC sends every unknown URL parameter as a header; tokens of identity providers are long.
const MAX_HEADER_BYTES: u32 = 64 << 10;

/// Load balancers cut connections that are silent for minutes.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// A client that answers no PING for so long is gone.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// After the order to stop, results on their way have so long to be read.
const DRAIN: Duration = Duration::from_secs(10);

/// How often ended sessions and forgotten statements are looked for.
const TIDY_INTERVAL: Duration = Duration::from_secs(60);

/// What a listener is told.
#[derive(Debug)]
pub struct DoorOptions {
    /// The listener's name, as in the ready file and in `system.queries.door`.
    pub name: &'static str,
    /// Seals tickets and prepared handles.
    pub signer: Signer,
    /// What Handshake opens; `identity.session` says how long they last.
    pub sessions: Sessions,
    /// When handles expire.
    pub clock: Arc<dyn Clock>,
    /// Sessions that hold something (settings, temporary tables) at a time: `limits.max_sessions`. One more is
    /// refused as unavailable; a few more are there for admins.
    pub max_sessions: usize,
    /// Connections at a time; the next ones wait to be taken.
    pub max_connections: usize,
    /// Which types leave where a request's headers say nothing: the listener's `profile`.
    pub profile: WireProfile,
    /// Whether statements that change something are refused: the listener's `read_only`.
    pub read_only: bool,
    /// A result on which nothing moves for so long sends a batch of zero rows.
    pub sign_of_life: Duration,
}

impl DoorOptions {
    /// The options of a listener of which nothing else is known.
    pub fn new(name: &'static str, signer: Signer, sessions: Sessions, clock: Arc<dyn Clock>) -> Self {
        Self {
            name,
            signer,
            sessions,
            clock,
            max_sessions: 10_000,
            max_connections: 4096,
            profile: WireProfile::Standard,
            read_only: false,
            sign_of_life: Duration::from_secs(5),
        }
    }
}

/// A Flight listener. It speaks Flight SQL, and plain Flight whose command is SQL text; ADBC, JDBC and
/// pyarrow find what they need on the same port.
#[derive(Debug)]
pub struct FlightDoor {
    door: Arc<Door>,
    name: &'static str,
    max_connections: usize,
    sign_of_life: Duration,
}

impl FlightDoor {
    /// A door to `engine` for those whom `authenticator` lets in.
    pub fn new(engine: Arc<Engine>, authenticator: Authenticator, options: DoorOptions) -> Self {
        let (name, max_connections, sign_of_life) =
            (options.name, options.max_connections, options.sign_of_life);
        let door = Arc::new(Door::new(engine, authenticator, options));
        Self { door, name, max_connections, sign_of_life }
    }

    /// Serves connections of `listener` until `shutdown`. Then new requests are answered with UNAVAILABLE, results on
    /// their way have 10 seconds to be read, and the connections are closed.
    pub async fn serve(self, listener: tls::Listener, shutdown: CancellationToken) {
        let name = self.name;
        let (gate, drained) = Gate::open();
        let health = Health::new();
        let drain = async {
            shutdown.cancelled().await;
            health.stop();
            gate.close();
            drained.wait().await;
        };
        let connections = limited(accepted(listener), self.max_connections);
        let listener = Listener::new(Arc::clone(&self.door), gate.clone(), health.clone(), self.sign_of_life);
        let server = serve_connections(connections, listener, drain);
        let cut_off = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            () = server => {}
            () = cut_off => {
                tracing::warn!(listener = name, "results were still being read at shutdown; they were cut off");
            }
            () = self.look_after(&health, &shutdown) => {}
        }
    }

    /// What is done from time to time, until `shutdown`. Never comes back.
    async fn look_after(&self, health: &Health, shutdown: &CancellationToken) {
        let session = self.door.engine.session(Principal::anonymous(), self.name, SessionOptions::default());
        let tidy = async {
            loop {
                tokio::time::sleep(TIDY_INTERVAL).await;
                self.door.tidy();
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = health.probe(session) => {}
            () = tidy => {}
        }
        std::future::pending().await
    }
}

/// Serves `connections` until `stop` comes back. Then no new ones are taken, and those that are there end when their
/// last request does.
async fn serve_connections<IO>(
    connections: impl Stream<Item = Connection<IO>>,
    listener: Listener,
    stop: impl Future<Output = ()>,
) where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stopping = CancellationToken::new();
    let mut running = JoinSet::new();
    {
        let mut connections = pin!(connections);
        let mut stop = pin!(stop);
        loop {
            let connection = tokio::select! {
                () = &mut stop => break,
                Some(_) = running.join_next() => continue,
                Some(connection) = connections.next() => connection,
            };
            running.spawn(serve_connection(connection, listener.clone(), stopping.clone()));
        }
    }
    stopping.cancel();
    while running.join_next().await.is_some() {}
}

async fn serve_connection<IO>(connection: Connection<IO>, listener: Listener, stopping: CancellationToken)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let info = connection.info();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(info.clone());
        listener.clone().call(request.map(Body::new))
    });
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .initial_stream_window_size(RECEIVE_WINDOW)
        .initial_connection_window_size(RECEIVE_WINDOW * 2)
        .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let mut served = pin!(http.serve_connection(TokioIo::new(connection), service));
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stopping.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
