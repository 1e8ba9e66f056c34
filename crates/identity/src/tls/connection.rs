//! The bytes of a connection, in clear or through TLS.

use std::io;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// How a TLS record with a greeting begins (RFC 8446 section 5.1): content type, then version 3.x.
const TLS_GREETING: [u8; 2] = [0x16, 0x03];

/// A connection, in clear or through TLS.
#[derive(Debug)]
pub struct Connection(Inner);

#[derive(Debug)]
enum Inner {
    Plain {
        stream: TcpStream,
        /// The other end, until its first bytes have come.
        unheard: Option<SocketAddr>,
    },
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    pub(super) fn plain(stream: TcpStream, peer: SocketAddr) -> Self {
        send_at_once(&stream);
        Self(Inner::Plain { stream, unheard: Some(peer) })
    }

    pub(super) fn tls(stream: TlsStream<TcpStream>) -> Self {
        send_at_once(stream.get_ref().0);
        Self(Inner::Tls(Box::new(stream)))
    }
}

/// Without it answers that fit a packet wait for the client's acknowledgement.
fn send_at_once(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
}

/// Clients tell this mistake so badly that the server has to.
fn warn_of_greeting(peer: SocketAddr, first: &[u8]) {
    if first.starts_with(&TLS_GREETING) {
        tracing::warn!(
            %peer,
            "a client speaks TLS to a listener in clear: set tls_enable there, or turn encryption off in the client"
        );
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain { stream, unheard } => {
                let before = into.filled().len();
                let polled = Pin::new(stream).poll_read(context, into);
                let read = &into.filled()[before..];
                if !read.is_empty()
                    && let Some(peer) = unheard.take()
                {
                    warn_of_greeting(peer, read);
                }
                polled
            }
            Inner::Tls(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Inner::Plain { stream, .. } => Pin::new(stream).poll_write(context, bytes),
            Inner::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Inner::Plain { stream, .. } => Pin::new(stream).poll_write_vectored(context, parts),
            Inner::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Inner::Plain { stream, .. } => stream.is_write_vectored(),
            Inner::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain { stream, .. } => Pin::new(stream).poll_flush(context),
            Inner::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Inner::Plain { stream, .. } => Pin::new(stream).poll_shutdown(context),
            Inner::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
