//! Connections: how many, for how long, and how they end.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pintail_identity::tls::{Connection, Listener};
use pintail_types::Result;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Connections of one listener; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// How long a client may take to send the head of a request; also how long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests may go on after the end was asked for.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// The wait after an accept that failed, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The other end of a connection: in the extensions of its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Serves `router` on `listener` until `shutdown` is cancelled, then lets running requests end for a while.
pub(crate) async fn serve(mut listener: Listener, router: Router, shutdown: CancellationToken) -> Result<()> {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&mut listener, &permits) => accepted,
        };
        let Some((connection, peer, permit)) = accepted else { continue };
        let (router, shutdown) = (router.clone(), shutdown.clone());
        connections.spawn(async move {
            serve_connection(connection, peer, router, shutdown).await;
            drop(permit);
        });
    }
    drop(listener);
    let ended = timeout(SHUTDOWN_GRACE, async { while connections.join_next().await.is_some() {} }).await;
    if ended.is_err() {
        warn!(connections = connections.len(), "ending HTTP connections that are still busy");
        connections.shutdown().await;
    }
    Ok(())
}

/// The next connection, once there is room for it; `None` when accepting failed and is worth another try.
async fn accept(
    listener: &mut Listener,
    permits: &Arc<Semaphore>,
) -> Option<(Connection, Peer, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((connection, address)) => Some((connection, Peer(address.ip()), permit)),
        Err(error) => {
            warn!(%error, "an HTTP connection could not be accepted");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn serve_connection(stream: Connection, peer: Peer, router: Router, shutdown: CancellationToken) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    });
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        debug!(%error, "an HTTP connection ended early");
    }
}
