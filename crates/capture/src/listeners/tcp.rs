//! HEP over TCP, in clear or through TLS: a stream of HEP3 packets, cut by their lengths.
//!
//! TCP has no reply, so nothing is ever acknowledged. The sender is slowed down instead: while the lake
//! takes nothing, and while too much of a connection waits for the journal's disk, nothing more is read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pintail_hep::framing::{Frame as Framing, next_frame};
use pintail_identity::tls;
use pintail_types::{Error, JournalPosition, Result};
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::listen;
use crate::accounting::{Note, Reason, Transport};
use crate::intake::{BATCH_PACKETS, Core, Frame, Intake, WhenFull};
use crate::options::TcpOptions;

/// Room for two of the longest packets: one whole packet always fits behind an incomplete read.
const BUFFER_BYTES: usize = 128 << 10;
/// The pause before frames that were not taken are offered again.
const RETRY_PAUSE: Duration = Duration::from_millis(5);
/// The pause after the system refused to accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a stopping connection offers its frames again before they are dropped.
const LAST_TRIES: usize = 200;

/// The running listener.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listener {
    /// Binds the socket and accepts from then on.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub(crate) fn start(
        core: &Arc<Core>,
        transport: Transport,
        options: TcpOptions,
        stop: CancellationToken,
    ) -> Result<Self> {
        let listener = tls::Listener::new(listen(options.address)?, options.security.clone());
        let address = listener
            .local_addr()
            .map_err(|error| Error::internal("a tcp listener without an address").with_source(error))?;
        let task = tokio::spawn(accept(Arc::clone(core), transport, listener, options, stop));
        Ok(Self { address, task })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until every connection has ended; the token given to [`Listener::start`] makes them.
    pub(crate) async fn stopped(self) {
        if self.task.await.is_err() {
            tracing::error!("the tcp listener panicked");
        }
    }
}

async fn accept(
    core: Arc<Core>,
    transport: Transport,
    mut listener: tls::Listener,
    options: TcpOptions,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(options.max_connections));
    let mut connections = JoinSet::new();
    let mut number = 0_usize;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a tcp connection can't be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            core.accounting.noted(transport, Note::ConnectionRefused);
            if let Some(suppressed) = core.bad_packets.pass(core.clock.now()) {
                tracing::warn!(%peer, suppressed, limit = options.max_connections, "tcp connection refused");
            }
            continue;
        };
        let connection = Connection {
            intake: Intake::new(Arc::clone(&core), transport, number),
            transport,
            core: Arc::clone(&core),
            stream,
            peer,
            buffer: ReadBuffer::new(),
            ahead: ReadAhead { limit: options.read_ahead_bytes, bytes: 0, end: None },
            idle_timeout: options.idle_timeout,
            stop: stop.clone(),
        };
        number = number.wrapping_add(1);
        connections.spawn(async move {
            connection.serve().await;
            drop(permit);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Bytes that were read and not yet taken.
struct ReadBuffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    fn new() -> Self {
        Self { bytes: vec![0; BUFFER_BYTES].into_boxed_slice(), start: 0, end: 0 }
    }

    fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The free room at the end, after what is left of an incomplete packet has moved to the front.
    fn room(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        &mut self.bytes[self.end..]
    }
}

/// What one connection has in the journal that may not be on the disk yet.
struct ReadAhead {
    limit: usize,
    bytes: usize,
    end: Option<JournalPosition>,
}

struct Connection {
    core: Arc<Core>,
    transport: Transport,
    intake: Intake,
    stream: tls::Connection,
    peer: SocketAddr,
    buffer: ReadBuffer,
    ahead: ReadAhead,
    idle_timeout: Duration,
    stop: CancellationToken,
}

impl Connection {
    async fn serve(mut self) {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = self.core.lake.admitted() => {}
            }
            if !self.read().await {
                break;
            }
            if !self.take_frames().await {
                return;
            }
            if !self.wait_for_the_disk().await {
                break;
            }
        }
        let left = self.buffer.unread().len();
        if left > 0 {
            // The stream ended within a packet.
            self.core.accounting.refused(self.transport, Reason::Framing, left);
        }
    }

    /// Reads once; false when the connection has ended.
    async fn read(&mut self) -> bool {
        let reading = tokio::time::timeout(self.idle_timeout, self.stream.read(self.buffer.room()));
        let read = tokio::select! {
            biased;
            () = self.stop.cancelled() => return false,
            read = reading => read,
        };
        match read {
            Ok(Ok(0)) => false,
            Ok(Ok(count)) => {
                self.buffer.end += count;
                true
            }
            Ok(Err(error)) => {
                tracing::debug!(peer = %self.peer, %error, "tcp connection lost");
                false
            }
            Err(_) => {
                self.core.accounting.noted(self.transport, Note::ConnectionIdle);
                tracing::debug!(peer = %self.peer, "tcp connection was silent for too long");
                false
            }
        }
    }

    /// Takes every whole packet of the buffer; false when what follows can't be one.
    async fn take_frames(&mut self) -> bool {
        loop {
            let mut frames = Vec::with_capacity(BATCH_PACKETS);
            let mut taken = 0;
            let mut is_readable = true;
            let unread = self.buffer.unread();
            while frames.len() < BATCH_PACKETS && taken < unread.len() {
                match next_frame(&unread[taken..]) {
                    Framing::Complete(length) => {
                        frames.push(Frame { bytes: &unread[taken..taken + length], peer: self.peer });
                        taken += length;
                    }
                    Framing::Incomplete { .. } => break,
                    Framing::NotHep => {
                        is_readable = false;
                        break;
                    }
                }
            }
            if taken > 0 {
                self.core.accounting.received(self.transport, frames.len(), taken);
                let end = store(&self.core, &mut self.intake, &frames, &self.stop).await;
                self.ahead.end = end.or(self.ahead.end);
                self.ahead.bytes += taken;
                drop(frames);
                self.buffer.start += taken;
            }
            if !is_readable {
                self.refuse_the_rest();
                return false;
            }
            if taken == 0 {
                return true;
            }
        }
    }

    /// What is no packet can't be skipped: the connection ends.
    fn refuse_the_rest(&self) {
        let left = self.buffer.unread().len();
        self.core.accounting.refused(self.transport, Reason::Framing, left);
        if let Some(suppressed) = self.core.bad_packets.pass(self.core.clock.now()) {
            tracing::warn!(peer = %self.peer, suppressed, "a tcp stream is not HEP3; connection closed");
        }
    }

    /// Lets the journal's disk catch up when too much was read ahead; false when told to stop.
    async fn wait_for_the_disk(&mut self) -> bool {
        if self.ahead.bytes < self.ahead.limit {
            return true;
        }
        if let Some(end) = self.ahead.end.take() {
            loop {
                let durable = tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return false,
                    durable = self.core.lake.journal().durable(end) => durable,
                };
                if durable.is_ok() {
                    break;
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
        self.ahead.bytes = 0;
        true
    }
}

/// Stores frames however long it takes; only while stopping they are dropped in the end. Returns the
/// journal position after them.
async fn store(
    core: &Core,
    intake: &mut Intake,
    frames: &[Frame<'_>],
    stop: &CancellationToken,
) -> Option<JournalPosition> {
    let mut tries_left = LAST_TRIES;
    loop {
        let error = match intake.store(frames, WhenFull::Return) {
            Ok(receipt) => return receipt.end,
            Err(error) => error,
        };
        if stop.is_cancelled() {
            tries_left -= 1;
            if tries_left == 0 {
                intake.give_up(frames, &error);
                return None;
            }
        } else {
            tokio::select! {
                () = stop.cancelled() => {}
                () = core.lake.admitted() => {}
            }
        }
        // There may be room for some bytes and not for these: no busy loop.
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}
