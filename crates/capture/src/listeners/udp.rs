//! HEP over UDP: one socket per core on the same port, each with a thread that receives many datagrams with
//! one system call.
//!
//! A sender of datagrams can't be slowed down. What the lake does not take is dropped and counted; what the
//! kernel drops before that is counted too.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use pintail_types::{Error, Micros, Result};
use socket2::{Domain, Protocol, Socket, Type};

use super::bind_error;
#[cfg(target_os = "linux")]
use super::kernel_drops::KernelDrops;
use crate::accounting::Transport;
use crate::intake::{BATCH_PACKETS, Core, Frame, Intake, WhenFull};
use crate::options::UdpOptions;

/// Room for the longest datagram there can be, so that none is ever cut.
const DATAGRAM_BYTES: usize = 65_536;
/// Distance between two datagrams' places: a power of two would map them all to the same cache lines.
const STRIDE: usize = DATAGRAM_BYTES + 1088;
/// How long a thread waits for datagrams before it looks whether it shall stop.
const WAIT: Duration = Duration::from_millis(50);
/// How often the kernel's drops are asked for.
const DROPS_INTERVAL: Micros = 50_000;
/// Batches that a stopping thread still takes from the kernel's buffer.
const LAST_BATCHES: usize = 4096;

/// The running listener.
#[derive(Debug)]
pub(crate) struct UdpListener {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl UdpListener {
    /// Binds the sockets and starts their threads.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub(crate) fn start(core: &Arc<Core>, options: &UdpOptions) -> Result<Self> {
        let count = match options.sockets {
            0 => crate::cores(),
            count => count,
        };
        let mut address = options.address;
        // Sockets that share a port share it with other processes too, and would split the packets with
        // them unnoticed. A socket that does not share finds out whether somebody is there.
        drop(UdpSocket::bind(address).map_err(|error| bind_error("udp", address, &error))?);
        let mut sockets = Vec::with_capacity(count);
        for _ in 0..count {
            let socket =
                bind(address, options.receive_buffer).map_err(|error| bind_error("udp", address, &error))?;
            // The first socket settles the port for the others.
            address = socket.local_addr().map_err(|error| bind_error("udp", address, &error))?;
            sockets.push(socket);
        }
        let mut listener =
            Self { address, stopping: Arc::new(AtomicBool::new(false)), threads: Vec::with_capacity(count) };
        for (number, socket) in sockets.into_iter().enumerate() {
            let intake = Intake::new(Arc::clone(core), Transport::Udp, number);
            let receiver =
                Receiver { core: Arc::clone(core), socket, intake, stopping: Arc::clone(&listener.stopping) };
            let thread = std::thread::Builder::new()
                .name(format!("hep-udp-{number}"))
                .spawn(move || receiver.run())
                .map_err(|error| Error::internal("a thread for udp can't start").with_source(error))?;
            listener.threads.push(thread);
        }
        Ok(listener)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Takes what the kernel still holds and ends the threads; blocks.
impl Drop for UdpListener {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a udp thread panicked");
            }
        }
    }
}

fn bind(address: SocketAddr, receive_buffer: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    socket.set_recv_buffer_size(receive_buffer)?;
    // Linux reports twice what is usable.
    let granted = socket.recv_buffer_size()? / 2;
    if granted < receive_buffer {
        tracing::warn!(
            asked = receive_buffer,
            granted,
            "the kernel holds fewer bytes for udp than socket_recv_buffer; raise net.core.rmem_max"
        );
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

struct Receiver {
    core: Arc<Core>,
    socket: UdpSocket,
    intake: Intake,
    stopping: Arc<AtomicBool>,
}

impl Receiver {
    fn run(mut self) {
        if let Err(error) = self.socket.set_read_timeout(Some(WAIT)) {
            tracing::error!(%error, "a udp socket takes no timeout");
            return;
        }
        let mut datagrams = Datagrams::new();
        let mut drops = Drops::default();
        while !self.stopping.load(Ordering::Relaxed) {
            if let Err(error) = datagrams.receive(&self.socket) {
                // An earlier datagram of ours that was refused shows up here; nothing to do about it.
                tracing::debug!(%error, "receiving datagrams");
            }
            self.take(&datagrams);
            drops.count(&self.core, &self.socket, DROPS_INTERVAL);
        }
        self.take_the_last(&mut datagrams);
        drops.count(&self.core, &self.socket, 0);
    }

    fn take_the_last(&mut self, datagrams: &mut Datagrams) {
        if self.socket.set_nonblocking(true).is_err() {
            return;
        }
        for _ in 0..LAST_BATCHES {
            if datagrams.receive(&self.socket).is_err() || datagrams.is_empty() {
                return;
            }
            self.take(datagrams);
        }
    }

    fn take(&mut self, datagrams: &Datagrams) {
        if datagrams.is_empty() {
            return;
        }
        let frames: Vec<Frame<'_>> = datagrams.frames().collect();
        let bytes = frames.iter().map(|frame| frame.bytes.len()).sum();
        self.core.accounting.received(Transport::Udp, frames.len(), bytes);
        // With Drop every packet gets its outcome, so there is no error to handle.
        let _ = self.intake.store(&frames, WhenFull::Drop);
    }
}

/// The kernel's drops, asked for now and then.
#[derive(Default)]
struct Drops {
    #[cfg(target_os = "linux")]
    kernel: KernelDrops,
    asked: Micros,
}

impl Drops {
    fn count(&mut self, core: &Core, socket: &UdpSocket, interval: Micros) {
        let now = core.clock.now();
        if (0..interval).contains(&now.saturating_sub(self.asked)) {
            return;
        }
        self.asked = now;
        #[cfg(target_os = "linux")]
        core.accounting.dropped_by_kernel(self.kernel.since_last(socket));
        #[cfg(not(target_os = "linux"))]
        let _ = (core, socket);
    }
}

/// The datagrams of one receive.
struct Datagrams {
    buffer: Box<[u8]>,
    received: Vec<(usize, SocketAddr)>,
    #[cfg(target_os = "linux")]
    headers: nix::sys::socket::MultiHeaders<nix::sys::socket::SockaddrStorage>,
}

impl Datagrams {
    fn new() -> Self {
        Self {
            buffer: vec![0; BATCH_PACKETS * STRIDE].into_boxed_slice(),
            received: Vec::with_capacity(BATCH_PACKETS),
            #[cfg(target_os = "linux")]
            headers: nix::sys::socket::MultiHeaders::preallocate(BATCH_PACKETS, None),
        }
    }

    fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        let places = self.buffer.chunks_exact(STRIDE);
        places
            .zip(&self.received)
            .map(|(place, (length, peer))| Frame { bytes: &place[..*length], peer: *peer })
    }

    /// Waits for one datagram, and takes those that are there with it. None when the wait was in vain.
    #[cfg(target_os = "linux")]
    fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
        use std::os::fd::AsRawFd as _;

        use nix::errno::Errno;
        use nix::sys::socket::{MsgFlags, recvmmsg};

        self.received.clear();
        let mut places: Vec<[io::IoSliceMut<'_>; 1]> = self
            .buffer
            .chunks_exact_mut(STRIDE)
            .map(|place| [io::IoSliceMut::new(&mut place[..DATAGRAM_BYTES])])
            .collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let received = match recvmmsg(socket.as_raw_fd(), &mut self.headers, places.iter_mut(), flags, None) {
            Ok(received) => received,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for message in received {
            self.received.push((message.bytes, address_of(message.address)));
        }
        Ok(())
    }

    /// One datagram per call, where nothing better is known.
    #[cfg(not(target_os = "linux"))]
    fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
        self.received.clear();
        match socket.recv_from(&mut self.buffer[..DATAGRAM_BYTES]) {
            Ok(datagram) => self.received.push(datagram),
            Err(error) if is_temporary(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// The peer; unspecified where the kernel names none.
#[cfg(target_os = "linux")]
fn address_of(address: Option<nix::sys::socket::SockaddrStorage>) -> SocketAddr {
    use std::net::{Ipv4Addr, SocketAddrV4, SocketAddrV6};

    let v4 = address.as_ref().and_then(|address| address.as_sockaddr_in());
    let v6 = address.as_ref().and_then(|address| address.as_sockaddr_in6());
    match (v4, v6) {
        (Some(v4), _) => SocketAddr::V4(SocketAddrV4::from(*v4)),
        (_, Some(v6)) => SocketAddr::V6(SocketAddrV6::from(*v6)),
        _ => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
    }
}
