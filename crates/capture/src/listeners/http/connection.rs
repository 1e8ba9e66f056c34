//! HTTP connections, limited in number and in the time that the head of a request may take.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pintail_identity::tls::{Connection, Listener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The pause after the system refused to accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long requests may go on once the end was asked for.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// What a client may take of the listener.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// More connections at a time wait to be accepted.
    pub(super) connections: usize,
    /// The longest time for the head of a request, and the longest silence between two requests.
    pub(super) head_timeout: Duration,
}

/// Serves `router` until `stop` is cancelled, then lets running requests end for a while.
pub(super) async fn serve(mut listener: Listener, router: Router, limits: Limits, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&mut listener, &room) => accepted,
        };
        let Some((stream, peer, permit)) = accepted else { continue };
        let router = router.clone().layer(Extension(ConnectInfo(peer)));
        let stop = stop.clone();
        connections.spawn(async move {
            serve_connection(stream, router, limits.head_timeout, stop).await;
            drop(permit);
        });
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_GRACE, all_ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "http connections that are still busy are cut");
        connections.shutdown().await;
    }
}

/// The next connection, once there is room for it; `None` when accepting failed and is worth another try.
async fn accept(
    listener: &mut Listener,
    room: &Arc<Semaphore>,
) -> Option<(Connection, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            tracing::warn!(%error, "an http connection can't be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn serve_connection(
    stream: Connection,
    router: Router,
    head_timeout: Duration,
    stop: CancellationToken,
) {
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_timeout);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an http connection ended early");
    }
}
