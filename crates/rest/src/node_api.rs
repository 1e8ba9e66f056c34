//! The node's HTTP API.
//!
//! | request | answer |
//! |---|---|
//! | `POST /query` `{"sql": …}` | `{"success": true, "data": [{column: value}], "count": n}` |
//! | `POST /api/v4/node/query` `{"sql": …}` | `{"columns": [name], "data": [{column: value}], "count": n}` |
//! | `POST /vacuum?expire_older_than=…`, `POST /api/v4/node/vacuum` `{"expire_older_than": …}` | what was done to the lake, a step each |
//! | `GET /api/v4/node/stats` | `{"running", "address", "volumes_count", "volumes"}` |
//! | `POST /api/v1/metadata/check` `{"min_ts": ns, "max_ts": ns}` | whether there may be rows in that time, and where there are rows |
//! | `GET /api/v1/metadata/stats`, `GET /metadata/stats` | the number of rows, the oldest and the newest |
//! | `GET /health` | whether data is safe; 503 when it is not |
//!
//! All but `/health` ask for the listener's credentials.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use pintail_engine::Engine;
use pintail_identity::tls::Listener;
use pintail_identity::{Authenticator, Credentials, Login, Principal};
use pintail_types::{Error, Result};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::query::{query, query_with_columns};
use crate::reply::{Failure, method_not_allowed, no_such_path};
use crate::vacuum::vacuum;
use crate::{LIMITS, health, metadata};

/// The listener's name in the ready file; queries are listed under it.
pub(crate) const DOOR: &str = "node_http";

/// Homer's header for a bare token.
const AUTH_TOKEN: HeaderName = HeaderName::from_static("auth-token");

/// What the node API tells and allows.
#[derive(Debug, Clone, Default)]
pub struct NodeApiOptions {
    /// The address that `stats` tells: that of `node.flight_server`. Absent, it is this listener's own.
    pub flight_address: Option<String>,
}

/// What handlers share.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) engine: Arc<Engine>,
    authenticator: Authenticator,
    address: String,
}

/// Serves the node API until `shutdown` is cancelled.
///
/// # Errors
/// `Internal` if the listener has no address.
pub async fn serve_node_api(
    engine: Arc<Engine>,
    authenticator: Authenticator,
    listener: Listener,
    options: NodeApiOptions,
    shutdown: CancellationToken,
) -> Result<()> {
    let own = listener.local_addr().map_err(|error| {
        Error::internal(format!("the listener has no address: {error}")).with_source(error)
    })?;
    let address = options.flight_address.unwrap_or_else(|| own.to_string());
    let node = Arc::new(Node { engine, authenticator, address });
    pintail_http::serve(listener, router(node), LIMITS, shutdown).await;
    Ok(())
}

fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/query", post(query))
        .route("/api/v4/node/query", post(query_with_columns))
        .route("/api/v4/node/stats", get(stats))
        .route("/vacuum", post(vacuum))
        .route("/api/v4/node/vacuum", post(vacuum))
        .route("/api/v1/metadata/check", post(metadata::check))
        .route("/api/v1/metadata/stats", get(metadata::stats))
        .route("/metadata/stats", get(metadata::bounds))
        .route_layer(from_fn_with_state(Arc::clone(&node), let_in))
        .route("/health", get(|State(node): State<Arc<Node>>| async move { health::answer(&node.engine) }))
        .fallback(no_such_path)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(node)
}

/// Asks for credentials before anything else of the request is looked at.
async fn let_in(
    State(node): State<Arc<Node>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let principal = caller(&node, request.headers(), peer).await?;
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}

async fn caller(node: &Node, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Principal, Failure> {
    // A page of another site in a browser on this machine must not ask in its user's name.
    let foreign = headers.get(ORIGIN).is_some_and(|origin| !is_same_site(origin, headers.get(HOST)));
    if foreign {
        let error = Error::forbidden("requests from pages of another site are not answered");
        return Err(Failure::with_status(StatusCode::FORBIDDEN, error));
    }
    let header = |name: &HeaderName| {
        let read = headers.get(name).map(HeaderValue::to_str).transpose();
        read.map_err(|_| Error::unauthenticated(format!("the header {name} is not readable text")))
    };
    let credentials = match (header(&AUTHORIZATION)?, header(&AUTH_TOKEN)?) {
        (Some(value), _) => Credentials::from_authorization_header(value),
        (None, Some(token)) => Credentials::Bearer(token),
        (None, None) => Credentials::None,
    };
    Ok(node.authenticator.authenticate(Login::new(credentials, peer)).await?)
}

fn is_same_site(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let authority = origin.as_bytes().splitn(3, |byte| *byte == b'/').nth(2);
    authority.is_some() && authority == host.map(HeaderValue::as_bytes)
}

#[derive(Debug, Serialize)]
struct Stats {
    running: bool,
    address: String,
    volumes_count: usize,
    volumes: Vec<String>,
}

async fn stats(State(node): State<Arc<Node>>) -> Json<Stats> {
    let volumes = node.engine.node_facts().map(|facts| facts.volumes()).unwrap_or_default();
    Json(Stats { running: true, address: node.address.clone(), volumes_count: volumes.len(), volumes })
}
