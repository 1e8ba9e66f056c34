//! Handing packets to a server.

mod http;
#[cfg(test)]
mod tests;

use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pintail_types::{Error, Result};

use self::http::HttpSender;
use crate::traffic::FrameBatch;

/// How long a connection may take, and how long a receiver may take to close it after the last packet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// A receiver that is slowed down reads nothing for a while; one that reads nothing for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
/// Socket buffer asked for, so that a burst does not wait for the receiver.
const SEND_BUFFER_BYTES: usize = 4 << 20;
/// Datagrams handed to the kernel in one call.
#[cfg(target_os = "linux")]
const DATAGRAMS_PER_CALL: usize = 64;
/// The longest UDP payload over IPv4.
const MAX_DATAGRAM_BYTES: usize = 65_507;

/// The way that packets take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// One datagram for each packet; nothing tells whether it arrived.
    Udp,
    /// One stream; the receiver may slow it down, and nothing tells what it kept.
    Tcp,
    /// `POST /api/hep` with many packets in a body; the answer says what is stored.
    Http,
}

/// Where packets go.
#[derive(Debug, Clone)]
pub(crate) struct SendOptions {
    pub(crate) transport: Transport,
    /// `host:port`.
    pub(crate) target: String,
    /// Bearer token of the HTTP listener.
    pub(crate) auth_token: Option<String>,
    /// Packets handed over at once: for HTTP the packets in one request.
    pub(crate) batch_frames: usize,
}

/// What has been sent so far; shared between the sending threads and who shows progress.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    frames: AtomicU64,
    bytes: AtomicU64,
    acknowledged: AtomicU64,
    rejected: AtomicU64,
    waited: AtomicU64,
    skipped: AtomicU64,
}

impl Progress {
    /// Packets handed to the kernel in full.
    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Bytes of those packets.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Packets that the server says are stored. Only HTTP says so.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Packets that the server says it refused for good. Only HTTP says so.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// How often the server asked to wait (HTTP 503).
    pub(crate) fn waited(&self) -> u64 {
        self.waited.load(Ordering::Relaxed)
    }

    /// Packets of a file that were not sent: no SIP, RTCP or HEP, or too long for the transport.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    pub(super) fn handed_over(&self, frames: usize, bytes: usize) {
        self.frames.fetch_add(frames as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn skip(&self, frames: u64) {
        self.skipped.fetch_add(frames, Ordering::Relaxed);
    }
}

/// An open way to a server.
#[derive(Debug)]
pub(crate) enum Sender {
    /// A connected socket, so that a refused port is noticed.
    Udp(UdpSocket),
    Tcp(TcpStream),
    Http(Box<HttpSender>),
}

impl Sender {
    /// Opens the way.
    ///
    /// # Errors
    /// `Invalid` when the target is not `host:port` or has no address, `Unavailable` when nobody answers.
    pub(crate) fn connect(options: &SendOptions) -> Result<Self> {
        let addresses = resolve(&options.target)?;
        match options.transport {
            Transport::Udp => connect_udp(&addresses, &options.target).map(Self::Udp),
            Transport::Tcp => connect_tcp(&addresses, &options.target).map(Self::Tcp),
            Transport::Http => {
                HttpSender::connect(&addresses, options).map(|sender| Self::Http(Box::new(sender)))
            }
        }
    }

    /// Hands over all packets of `batch`, as fast as the receiver takes them.
    ///
    /// # Errors
    /// `Unavailable` when the way is broken. `progress` then says how many packets were handed over in full;
    /// of those after the last acknowledged one nothing is known.
    pub(crate) fn send(&mut self, batch: &FrameBatch, progress: &Progress) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let sent = match self {
            Self::Udp(socket) => send_datagrams(socket, batch, progress),
            Self::Tcp(stream) => send_stream(stream, batch, progress),
            Self::Http(sender) => sender.post(batch, progress),
        };
        sent.map_err(|error| lost(error, progress))
    }

    /// Ends the way in good order: waits until the receiver has read all of a TCP stream and closed it.
    ///
    /// # Errors
    /// As for [`Sender::send`].
    pub(crate) fn finish(self, progress: &Progress) -> Result<()> {
        match self {
            Self::Udp(_) | Self::Http(_) => Ok(()),
            Self::Tcp(stream) => finish_stream(stream).map_err(|error| lost(error, progress)),
        }
    }
}

/// Why the receiver was lost, with how much it had been given by then.
fn lost(error: Error, progress: &Progress) -> Error {
    error.context(format_args!("after {} packets handed over", progress.frames()))
}

fn resolve(target: &str) -> Result<Vec<SocketAddr>> {
    let addresses = target
        .to_socket_addrs()
        .map_err(|error| Error::invalid(format!("'{target}' is not a host and port: {error}")))?
        .collect::<Vec<_>>();
    if addresses.is_empty() {
        return Err(Error::invalid(format!("'{target}' has no address")));
    }
    Ok(addresses)
}

fn connect_udp(addresses: &[SocketAddr], target: &str) -> Result<UdpSocket> {
    let local: SocketAddr = match addresses.first() {
        Some(SocketAddr::V6(_)) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
        _ => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
    };
    let open = || -> std::io::Result<UdpSocket> {
        let socket = UdpSocket::bind(local)?;
        socket.connect(addresses)?;
        // A smaller buffer than asked for is no reason to fail.
        let _ = socket2::SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER_BYTES);
        Ok(socket)
    };
    open().map_err(|error| unavailable("cannot open a UDP socket", target, error))
}

fn connect_tcp(addresses: &[SocketAddr], target: &str) -> Result<TcpStream> {
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream
                    .set_nodelay(true)
                    .and_then(|()| stream.set_write_timeout(Some(WRITE_TIMEOUT)))
                    .map_err(|error| unavailable("cannot set up the connection", target, error))?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    let error = last.unwrap_or_else(|| IoErrorKind::AddrNotAvailable.into());
    Err(unavailable("cannot connect", target, error))
}

fn unavailable(what: &str, target: &str, error: std::io::Error) -> Error {
    Error::unavailable(format!("{what} to {target}: {error}")).with_source(error)
}

fn send_stream(stream: &mut TcpStream, batch: &FrameBatch, progress: &Progress) -> Result<()> {
    let bytes = batch.bytes();
    let (mut written, mut counted) = (0, (0, 0));
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return Err(Error::unavailable("the receiver takes no more bytes")),
            Ok(count) => written += count,
            Err(error) if error.kind() == IoErrorKind::Interrupted => continue,
            Err(error) if matches!(error.kind(), IoErrorKind::WouldBlock | IoErrorKind::TimedOut) => {
                let seconds = WRITE_TIMEOUT.as_secs();
                return Err(Error::unavailable(format!("the receiver read nothing for {seconds} s")));
            }
            Err(error) => {
                return Err(Error::unavailable(format!("the connection broke: {error}")).with_source(error));
            }
        }
        let whole = batch.frames_within(written);
        let bytes_whole = batch.end_of(whole);
        progress.handed_over(whole - counted.0, bytes_whole - counted.1);
        counted = (whole, bytes_whole);
    }
    Ok(())
}

/// Closes our half and reads until the receiver has closed its own: it has then read all.
fn finish_stream(mut stream: TcpStream) -> Result<()> {
    let close = |stream: &mut TcpStream| -> std::io::Result<()> {
        stream.shutdown(Shutdown::Write)?;
        stream.set_read_timeout(Some(CLOSE_TIMEOUT))?;
        let mut unread = [0; 256];
        while stream.read(&mut unread)? > 0 {}
        Ok(())
    };
    close(&mut stream).map_err(|error| {
        Error::unavailable(format!("the receiver did not close the connection in good order: {error}"))
            .with_source(error)
    })
}

#[cfg(target_os = "linux")]
fn send_datagrams(socket: &UdpSocket, batch: &FrameBatch, progress: &Progress) -> Result<()> {
    use std::io::IoSlice;
    use std::os::fd::AsRawFd;

    use nix::errno::Errno;
    use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};

    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(DATAGRAMS_PER_CALL, None);
    let connected = [const { None::<SockaddrStorage> }; DATAGRAMS_PER_CALL];
    let mut pending = Vec::with_capacity(DATAGRAMS_PER_CALL);
    let mut frames = sendable(batch, progress).peekable();
    loop {
        while pending.len() < DATAGRAMS_PER_CALL {
            let Some(frame) = frames.next() else { break };
            pending.push([IoSlice::new(frame)]);
        }
        if pending.is_empty() {
            return Ok(());
        }
        let sent = sendmmsg(
            socket.as_raw_fd(),
            &mut headers,
            pending.iter(),
            &connected[..pending.len()],
            [],
            MsgFlags::empty(),
        )
        .map(|results| results.count());
        match sent {
            Ok(count) => {
                let bytes = pending[..count].iter().map(|slices| slices[0].len()).sum();
                progress.handed_over(count, bytes);
                pending.drain(..count);
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            // The queue of the interface is full for a moment.
            Err(Errno::ENOBUFS) => std::thread::sleep(Duration::from_micros(100)),
            Err(errno) => return Err(broken_datagram(std::io::Error::from(errno))),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn send_datagrams(socket: &UdpSocket, batch: &FrameBatch, progress: &Progress) -> Result<()> {
    for frame in sendable(batch, progress) {
        socket.send(frame).map_err(broken_datagram)?;
        progress.handed_over(1, frame.len());
    }
    Ok(())
}

/// The packets that fit a datagram; the others are counted.
fn sendable<'a>(batch: &'a FrameBatch, progress: &'a Progress) -> impl Iterator<Item = &'a [u8]> {
    batch.frames().filter(|frame| {
        let fits = frame.len() <= MAX_DATAGRAM_BYTES;
        if !fits {
            progress.skip(1);
        }
        fits
    })
}

fn broken_datagram(error: std::io::Error) -> Error {
    let message = if error.kind() == IoErrorKind::ConnectionRefused {
        "nobody listens on that UDP port".to_owned()
    } else {
        format!("a datagram could not be sent: {error}")
    };
    Error::unavailable(message).with_source(error)
}
