//! HTTP connections: how many, for how long, and how they end. What takes packets and what answers queries over HTTP
//! is served by the one [`serve`].
//!
//! What must hold:
//! - A client that is slow to ask, or never asks, holds one of a limited number of places, and that for a limited time.
//! - Once the end is asked for, no request is begun, and those that were begun have a while to be answered.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pintail_identity::tls::{Connection, Listener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The pause after the system refused to accept a connection, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What clients may take of a listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time; more of them wait in the kernel's queue.
    pub connections: usize,
    /// The longest time for the head of a request, and the longest silence between two requests.
    pub head_timeout: Duration,
    /// How long requests may go on once the end was asked for.
    pub stop_grace: Duration,
}

/// Serves `router` until `stop` is cancelled, then lets running requests end for a while. The other end of a connection is
/// the [`ConnectInfo<SocketAddr>`] of its requests.
pub async fn serve(mut listener: Listener, router: Router, limits: Limits, stop: CancellationToken) {
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
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            serve_connection(stream, peer, router, limits.head_timeout, stop).await;
            drop(permit);
        });
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.stop_grace, all_ended).await.is_err() {
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
    peer: SocketAddr,
    router: Router,
    head_timeout: Duration,
    stop: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.call(request)
    });
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_timeout);
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

#[cfg(test)]
mod tests;
