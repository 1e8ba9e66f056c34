//! The listeners that answer: Flight, Flight SQL, the node API, metrics.

use std::net::SocketAddr;
use std::sync::Arc;

use pintail_capture::Capture;
use pintail_engine::Engine;
use pintail_flight::{DoorOptions, FlightDoor};
use pintail_identity::{Authenticator, Signer, TokenEntry, check_binding};
use pintail_lake::Lake;
use pintail_types::{Clock, Error, Result};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::metrics;
use super::options::address;
use crate::config::Config;

/// Names of listeners, as in the ready file.
const FLIGHT: &str = "flight";
const NODE_FLIGHT_SQL: &str = "node_flightsql";
const NODE_HTTP: &str = "node_http";
const METRICS: &str = "metrics";

/// A door that listens and is not served yet.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    listener: TcpListener,
}

/// What doors lead to.
#[derive(Debug)]
pub(super) struct Rooms {
    pub(super) engine: Arc<Engine>,
    pub(super) lake: Arc<Lake>,
    pub(super) capture: Arc<Capture>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Binds every enabled door.
///
/// # Errors
/// `Unavailable` with the setting to change when an address is taken.
pub(super) async fn open(config: &Config) -> Result<Vec<Opened>> {
    let node = &config.node;
    // With port 0 the HTTP API takes a free one of its own, not the one after Flight's.
    let http_port = node.http_server.port.unwrap_or(match node.flight_server.port {
        0 => 0,
        port => port.checked_add(1).unwrap_or(0),
    });
    let wanted = [
        (
            FLIGHT,
            "node.flight_server",
            &node.flight_server.host,
            node.flight_server.port,
            node.enable && node.flight_server.enable,
        ),
        (
            NODE_HTTP,
            "node.http_server",
            &node.http_server.host,
            http_port,
            node.enable && node.http_server.enable,
        ),
        (
            NODE_FLIGHT_SQL,
            "node.flightsql_server",
            &node.flightsql_server.host,
            node.flightsql_server.port,
            node.enable && node.flightsql_server.enable,
        ),
        (METRICS, "prometheus", &config.prometheus.host, config.prometheus.port, config.prometheus.enable),
    ];
    let mut opened = Vec::new();
    for (name, section, host, port, enabled) in wanted {
        if !enabled {
            continue;
        }
        let wanted = address(host, port)?;
        let failed = |error: std::io::Error| {
            Error::unavailable(format!(
                "{name} can't listen on {wanted}: {error}; change {section}.port or {section}.host"
            ))
            .with_source(error)
        };
        let listener = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        opened.push(Opened { name, address, listener });
    }
    Ok(opened)
}

/// Where plain Flight listens, which the node API tells.
pub(super) fn flight_address(opened: &[Opened]) -> Option<SocketAddr> {
    opened.iter().find(|door| door.name == FLIGHT).map(|door| door.address)
}

/// Starts to answer at `door`.
///
/// # Errors
/// `Invalid` when the door would be open to the network without credentials.
pub(super) fn serve(
    door: Opened,
    config: &Config,
    rooms: &Rooms,
    flight_address: Option<SocketAddr>,
    shutdown: &CancellationToken,
    tasks: &mut JoinSet<(&'static str, Result<()>)>,
    runtime: &Handle,
) -> Result<()> {
    let Opened { name, address, listener } = door;
    let shutdown = shutdown.clone();
    let engine = Arc::clone(&rooms.engine);
    match name {
        FLIGHT | NODE_FLIGHT_SQL => {
            let options = DoorOptions { name, signer: new_signer(), clock: Arc::clone(&rooms.clock) };
            let door = FlightDoor::new(engine, authenticator(name, config, address)?, options);
            tasks.spawn_on(async move { (name, door.serve(listener, shutdown).await) }, runtime);
        }
        NODE_HTTP => {
            let authenticator = authenticator(name, config, address)?;
            let options = pintail_rest::NodeApiOptions {
                flight_address: flight_address.map(|address| address.to_string()),
            };
            tasks.spawn_on(
                async move {
                    (
                        name,
                        pintail_rest::serve_node_api(engine, authenticator, listener, options, shutdown)
                            .await,
                    )
                },
                runtime,
            );
        }
        _ => {
            let source = metrics::source(rooms);
            tasks.spawn_on(
                async move { (name, pintail_rest::serve_metrics(source, engine, listener, shutdown).await) },
                runtime,
            );
        }
    }
    Ok(())
}

/// The gate of a listener: its own token, the configured tokens, or loopback.
fn authenticator(name: &'static str, config: &Config, address: SocketAddr) -> Result<Authenticator> {
    let node = &config.node;
    let (token, open) = match name {
        FLIGHT => (&node.flight_server.auth_token, node.flight_server.allow_unauthenticated),
        NODE_HTTP => (&node.flight_server.auth_token, node.http_server.allow_unauthenticated),
        _ => (&node.flightsql_server.auth_token, node.flightsql_server.allow_unauthenticated),
    };
    let entry = |token: &crate::config::Token| {
        TokenEntry::from_hex(token.name.as_str(), &token.sha256, token.groups.clone())
    };
    let tokens = config.identity.tokens.iter().map(entry).collect::<Result<Vec<_>>>()?;
    let has_credentials = !tokens.is_empty() || !token.is_empty();
    check_binding(name, address.ip(), has_credentials, open)?;
    let loopback = address.ip().to_canonical().is_loopback();
    Ok(Authenticator::new(name, Some(token.clone()), tokens, open, loopback))
}

/// A signer with a secret of this run: handles of another run are not taken.
fn new_signer() -> Signer {
    let mut secret = [0; 32];
    let (left, right) = secret.split_at_mut(16);
    left.copy_from_slice(Uuid::new_v4().as_bytes());
    right.copy_from_slice(Uuid::new_v4().as_bytes());
    Signer::new(secret)
}
