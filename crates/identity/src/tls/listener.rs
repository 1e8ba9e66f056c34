//! Accepts connections; those that have to speak TLS are given when they do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Connection, ServerTls};

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Handshakes that go on at once; more connections wait in the kernel's queue.
const MAX_HANDSHAKES: usize = 256;

/// A listener whose connections speak TLS, where that is asked for.
#[derive(Debug)]
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Arc<ServerTls>>,
    handshakes: JoinSet<Option<(Connection, SocketAddr)>>,
    max_handshakes: usize,
    handshake_timeout: Duration,
}

impl Listener {
    /// Accepts from `tcp`, with TLS or in clear.
    pub fn new(tcp: TcpListener, tls: Option<Arc<ServerTls>>) -> Self {
        Self {
            tcp,
            tls,
            handshakes: JoinSet::new(),
            max_handshakes: MAX_HANDSHAKES,
            handshake_timeout: HANDSHAKE_TIMEOUT,
        }
    }

    /// The same with other limits.
    #[cfg(test)]
    fn with_limits(mut self, max_handshakes: usize, handshake_timeout: Duration) -> Self {
        self.max_handshakes = max_handshakes;
        self.handshake_timeout = handshake_timeout;
        self
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The next connection, and its other end. May be dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// When the system can't accept, such as for want of file descriptors. A handshake that fails is logged and is
    /// no error.
    pub async fn accept(&mut self) -> io::Result<(Connection, SocketAddr)> {
        let Some(tls) = self.tls.clone() else {
            let (stream, peer) = self.tcp.accept().await?;
            return Ok((Connection::plain(stream, peer), peer));
        };
        loop {
            let has_room = self.handshakes.len() < self.max_handshakes;
            tokio::select! {
                Some(ended) = self.handshakes.join_next() => {
                    if let Ok(Some(connection)) = ended {
                        return Ok(connection);
                    }
                }
                accepted = self.tcp.accept(), if has_room => {
                    let (stream, peer) = accepted?;
                    let limit = self.handshake_timeout;
                    self.handshakes.spawn(shake_hands(Arc::clone(&tls), stream, peer, limit));
                }
            }
        }
    }
}

async fn shake_hands(
    tls: Arc<ServerTls>,
    stream: TcpStream,
    peer: SocketAddr,
    limit: Duration,
) -> Option<(Connection, SocketAddr)> {
    match timeout(limit, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => Some((Connection::tls(stream), peer)),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a TLS handshake failed; does the client speak TLS, and trust the certificate?");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "a TLS handshake took too long");
            None
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
