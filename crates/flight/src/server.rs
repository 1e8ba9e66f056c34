//! The listener's outside: options, the server and its limits.

use std::sync::Arc;
use std::time::Duration;

use pintail_engine::Engine;
use pintail_identity::sessions::Sessions;
use pintail_identity::{Authenticator, Signer, tls};
use pintail_types::{Clock, Error, Result};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::connection::connections;
use crate::door::Door;
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

/// What a listener is told.
#[derive(Debug)]
pub struct DoorOptions {
    /// The listener's name, as in the ready file and in `system.queries.door`.
    pub name: &'static str,
    /// Seals tickets and prepared handles.
    pub signer: Signer,
    /// What Handshake opens.
    pub sessions: Sessions,
    /// When handles expire.
    pub clock: Arc<dyn Clock>,
}

/// A Flight listener. It speaks Flight SQL, and plain Flight whose command is SQL text; ADBC, JDBC and
/// pyarrow find what they need on the same port.
#[derive(Debug)]
pub struct FlightDoor {
    door: Arc<Door>,
    name: &'static str,
}

impl FlightDoor {
    /// A door to `engine` for those whom `authenticator` lets in.
    pub fn new(engine: Arc<Engine>, authenticator: Authenticator, options: DoorOptions) -> Self {
        let name = options.name;
        Self { name, door: Arc::new(Door::new(engine, authenticator, options)) }
    }

    /// Serves connections of `listener` until `shutdown`; then no new request is taken, and results on their
    /// way have 10 seconds to be read.
    ///
    /// # Errors
    /// `Unavailable` if the listener breaks.
    pub async fn serve(self, listener: tls::Listener, shutdown: CancellationToken) -> Result<()> {
        let name = self.name;
        let incoming = connections(listener);
        let stopped = shutdown.clone();
        let server = Server::builder()
            .initial_stream_window_size(RECEIVE_WINDOW)
            .initial_connection_window_size(RECEIVE_WINDOW * 2)
            .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .http2_keepalive_timeout(Some(PING_TIMEOUT))
            .add_service(Listener::new(self.door))
            .serve_with_incoming_shutdown(incoming, async move { stopped.cancelled().await });
        let cut_off = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            served = server => served.map_err(|error| Error::unavailable(format!("listener {name} broke")).with_source(error)),
            () = cut_off => {
                tracing::warn!(listener = name, "results were still being read at shutdown; they were cut off");
                Ok(())
            }
        }
    }
}
