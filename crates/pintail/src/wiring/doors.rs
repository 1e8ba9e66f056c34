//! The listeners that answer: Flight, Flight SQL, the node API, metrics.

use std::net::SocketAddr;
use std::sync::Arc;

use pintail_capture::Capture;
use pintail_engine::Engine;
use pintail_flight::{DoorOptions, FlightDoor, profile_named};
use pintail_identity::Secret;
use pintail_identity::tls::Listener;
use pintail_lake::Lake;
use pintail_types::{Clock, Error, Result};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::identity::{GateSettings, Identity};
use super::metrics;
use super::options::address;
use super::tls::ListenerTls;
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
    listener: Listener,
}

/// What doors lead to.
#[derive(Debug)]
pub(super) struct Rooms {
    pub(super) engine: Arc<Engine>,
    pub(super) lake: Arc<Lake>,
    pub(super) capture: Arc<Capture>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) identity: Identity,
}

/// A door as the configuration has it.
struct Wanted<'a> {
    name: &'static str,
    section: &'static str,
    host: &'a str,
    port: u16,
    enabled: bool,
}

fn wanted(config: &Config) -> [Wanted<'_>; 4] {
    let (node, metrics) = (&config.node, &config.prometheus);
    // With port 0 the HTTP API takes a free one of its own, not the one after Flight's.
    let http_port = node.http_server.port.unwrap_or(match node.flight_server.port {
        0 => 0,
        port => port.checked_add(1).unwrap_or(0),
    });
    [
        Wanted {
            name: FLIGHT,
            section: "node.flight_server",
            host: &node.flight_server.host,
            port: node.flight_server.port,
            enabled: node.enable && node.flight_server.enable,
        },
        Wanted {
            name: NODE_HTTP,
            section: "node.http_server",
            host: &node.http_server.host,
            port: http_port,
            enabled: node.enable && node.http_server.enable,
        },
        Wanted {
            name: NODE_FLIGHT_SQL,
            section: "node.flightsql_server",
            host: &node.flightsql_server.host,
            port: node.flightsql_server.port,
            enabled: node.enable && node.flightsql_server.enable,
        },
        Wanted {
            name: METRICS,
            section: "prometheus",
            host: &metrics.host,
            port: metrics.port,
            enabled: metrics.enable,
        },
    ]
}

/// Binds every enabled door.
///
/// # Errors
/// `Unavailable` with the setting to change when an address is taken.
pub(super) async fn open(config: &Config, tls: &ListenerTls) -> Result<Vec<Opened>> {
    let mut opened = Vec::new();
    for Wanted { name, section, host, port, enabled } in wanted(config) {
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
        let tcp = TcpListener::bind(wanted).await.map_err(failed)?;
        let address = tcp.local_addr().map_err(failed)?;
        opened.push(Opened { name, address, listener: Listener::new(tcp, tls.of(section)) });
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
            let authenticator = rooms.identity.authenticator(gate(name, config, address))?;
            // Of this run: what handles name is gone after it.
            let signer = Secret::random()?.signer("handles");
            let sessions = rooms.identity.sessions(&authenticator);
            let mut options = DoorOptions::new(name, signer, sessions, Arc::clone(&rooms.clock));
            options.max_sessions = usize::try_from(config.limits.max_sessions).unwrap_or(usize::MAX);
            if name == NODE_FLIGHT_SQL {
                let section = &config.node.flightsql_server;
                options.read_only = section.read_only;
                options.profile = profile_named(&section.profile).unwrap_or_default();
            }
            let door = FlightDoor::new(engine, authenticator, options);
            tasks.spawn_on(
                async move {
                    door.serve(listener, shutdown).await;
                    (name, Ok(()))
                },
                runtime,
            );
        }
        NODE_HTTP => {
            let authenticator = rooms.identity.authenticator(gate(name, config, address))?;
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
                async move {
                    pintail_rest::serve_metrics(source, engine, listener, shutdown).await;
                    (name, Ok(()))
                },
                runtime,
            );
        }
    }
    Ok(())
}

/// A listener's own settings of who may ask.
fn gate<'a>(name: &'static str, config: &'a Config, address: SocketAddr) -> GateSettings<'a> {
    let node = &config.node;
    let (auth_token, allow_unauthenticated) = match name {
        FLIGHT => (&node.flight_server.auth_token, node.flight_server.allow_unauthenticated),
        NODE_HTTP => (&node.flight_server.auth_token, node.http_server.allow_unauthenticated),
        _ => (&node.flightsql_server.auth_token, node.flightsql_server.allow_unauthenticated),
    };
    GateSettings { name, auth_token, allow_unauthenticated, address }
}
