//! Connections: how many there are, who is at the other end, and what belongs to one of them.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{Stream, StreamExt};
use parking_lot::Mutex;
use pintail_identity::{Principal, tls};
use pintail_types::Result;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

use crate::sessions::DoorSession;

/// Who connects and says nothing for so long is cut off: it holds one of the places.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(20);

/// After a failed accept (no file descriptors left, mostly) the listener rests, or it would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What requests know about the connection they came over. It goes when the connection and its last request go,
/// and with it the sessions that the connection is the name of.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionInfo(Arc<State>);

#[derive(Debug)]
struct State {
    peer: SocketAddr,
    /// One for each principal that sent a request which needs a session.
    sessions: Mutex<Vec<Arc<DoorSession>>>,
    _place: OwnedSemaphorePermit,
}

impl ConnectionInfo {
    /// The other end.
    pub(crate) fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// The session that this connection is for `owner`, if there is one.
    pub(crate) fn session_of(&self, owner: &Principal) -> Option<Arc<DoorSession>> {
        self.0.sessions.lock().iter().find(|session| session.owner() == owner).map(Arc::clone)
    }

    /// The session that this connection is for `owner`, opened if there is none.
    ///
    /// # Errors
    /// Those of `open`.
    pub(crate) fn session_or_open(
        &self,
        owner: &Principal,
        open: impl FnOnce() -> Result<DoorSession>,
    ) -> Result<Arc<DoorSession>> {
        let mut sessions = self.0.sessions.lock();
        if let Some(session) = sessions.iter().find(|session| session.owner() == owner) {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(open()?);
        sessions.push(Arc::clone(&session));
        Ok(session)
    }

    /// Forgets the session that this connection is for `owner`.
    pub(crate) fn close_session(&self, owner: &Principal) {
        self.0.sessions.lock().retain(|session| session.owner() != owner);
    }
}

/// The connections of a listener, for ever.
pub(crate) fn accepted(listener: tls::Listener) -> impl Stream<Item = (tls::Connection, SocketAddr)> {
    futures::stream::unfold(listener, |mut listener| async move {
        loop {
            match listener.accept().await {
                Ok(accepted) => return Some((accepted, listener)),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

/// At most `limit` of `connections` at a time; the next ones wait before they are taken.
pub(crate) fn limited<IO: Send>(
    connections: impl Stream<Item = (IO, SocketAddr)> + Send,
    limit: usize,
) -> impl Stream<Item = Connection<IO>> + Send {
    limited_with(connections, limit, FIRST_BYTES_TIMEOUT)
}

fn limited_with<IO: Send>(
    connections: impl Stream<Item = (IO, SocketAddr)> + Send,
    limit: usize,
    first_bytes_timeout: Duration,
) -> impl Stream<Item = Connection<IO>> + Send {
    let places = Arc::new(Semaphore::new(limit.clamp(1, Semaphore::MAX_PERMITS)));
    let connections = Box::pin(connections);
    futures::stream::unfold((connections, places), move |(mut connections, places)| async move {
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        let (io, peer) = connections.next().await?;
        Some((Connection::new(io, peer, place, first_bytes_timeout), (connections, places)))
    })
}

/// A connection with its [`ConnectionInfo`].
#[derive(Debug)]
pub(crate) struct Connection<IO> {
    io: IO,
    info: ConnectionInfo,
    /// Until the first bytes came.
    silent: Option<Pin<Box<Sleep>>>,
}

impl<IO> Connection<IO> {
    fn new(io: IO, peer: SocketAddr, place: OwnedSemaphorePermit, first_bytes_timeout: Duration) -> Self {
        let state = State { peer, sessions: Mutex::default(), _place: place };
        let silent = Some(Box::pin(tokio::time::sleep(first_bytes_timeout)));
        Self { io, info: ConnectionInfo(Arc::new(state)), silent }
    }

    /// What its requests are to know about it.
    pub(crate) fn info(&self) -> ConnectionInfo {
        self.info.clone()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Connection<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if read.is_ready() {
            self.silent = None;
            return read;
        }
        if let Some(silent) = &mut self.silent {
            ready!(silent.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Connection<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::AsyncReadExt;

    use super::*;

    fn peer() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 1).into()
    }

    #[tokio::test]
    async fn connections_over_the_limit_wait_for_a_place() {
        let pairs = futures::stream::repeat_with(|| (tokio::io::duplex(8).0, peer()));
        let mut connections = Box::pin(limited(pairs, 2));
        let first = connections.next().await.unwrap();
        let second = connections.next().await.unwrap();
        let mut third = std::pin::pin!(connections.next());
        assert!(futures::poll!(third.as_mut()).is_pending());
        // A request that goes on holds the place of its connection.
        let request = first.info();
        drop(first);
        assert!(futures::poll!(third.as_mut()).is_pending());
        drop(request);
        assert!(third.await.is_some());
        drop(second);
    }

    #[tokio::test]
    async fn who_says_nothing_is_cut_off() {
        let (ours, theirs) = tokio::io::duplex(8);
        let only = futures::stream::iter([(ours, peer())]);
        let mut connections = Box::pin(limited_with(only, 1, Duration::from_millis(1)));
        let mut connection = connections.next().await.unwrap();
        let error = connection.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }
}
