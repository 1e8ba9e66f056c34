//! Listeners, row builders and their helpers as one thing that starts and stops.

use std::net::SocketAddr;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use pintail_lake::{Lake, ReplayReport, RowSource};
use pintail_types::{Clock, Error, Result};
use tokio_util::sync::CancellationToken;

use crate::accounting::{Accounting, Transport};
use crate::dedup::DedupWindow;
use crate::intake::Core;
use crate::listeners::udp::UdpListener;
use crate::listeners::{http, tcp};
use crate::log_limit::LogLimit;
use crate::options::CaptureOptions;
use crate::rows::RowRules;
use crate::shards::Shards;

/// How often builders grow older; after [`HANDOVER_AGE`](crate::shards::HANDOVER_AGE) times they hand over their
/// rows. Together that is the longest time that rows stay where no query sees them, 50 ms.
const TICK: Duration = Duration::from_millis(10);

/// Packets from sockets into one lake.
#[derive(Debug)]
pub struct Capture {
    options: CaptureOptions,
    core: Arc<Core>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    udp: Option<UdpListener>,
    streams: Vec<(&'static str, tcp::Listener)>,
    http: Vec<(&'static str, http::Listener)>,
    ticker: Ticker,
}

impl Capture {
    /// Prepares capturing into `lake`, and tells the lake about the row builders. Nothing listens yet.
    pub fn new(options: CaptureOptions, lake: Arc<Lake>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let count = if options.shards == 0 { cores() } else { options.shards };
        let shards = Arc::new(Shards::new(count, Arc::downgrade(&lake)));
        lake.register_rows(Arc::clone(&shards) as Arc<dyn RowSource>);
        let core = Arc::new(Core {
            clock,
            accounting: Accounting::default(),
            hep: options.hep.clone(),
            time: options.time,
            rules: RowRules::new(lake.journal().id(), &options.hep, &options.sip),
            dedup: DedupWindow::new(options.hep.dedup_window),
            bad_packets: LogLimit::default(),
            overload: LogLimit::default(),
            shards,
            lake,
        });
        Arc::new(Self { options, core, running: Mutex::default() })
    }

    /// Makes the rows of every journal record that is not in the lake. Before [`Capture::start`]; blocks.
    ///
    /// # Errors
    /// `Corrupt` when a record can't be read, and I/O errors.
    pub fn replay(&self) -> Result<ReplayReport> {
        let core = &self.core;
        let report = core.lake.replay(&mut |position, record| core.replay(position, record))?;
        let _intake = core.lake.intake();
        core.shards.hand_over(&core.lake)?;
        Ok(report)
    }

    /// Opens the listeners; returns their names and addresses. Call it within a Tokio runtime.
    ///
    /// # Errors
    /// When an address can't be bound; then nothing listens. `Conflict` when it runs already.
    pub async fn start(self: &Arc<Self>) -> Result<Vec<(String, SocketAddr)>> {
        let mut running = self.running.lock();
        if running.is_some() {
            return Err(Error::conflict("capturing runs already"));
        }
        let stop = CancellationToken::new();
        // Whatever fails below ends the listeners that were started before it.
        let stop_on_error = stop.clone().drop_guard();
        let (core, options) = (&self.core, &self.options);
        if options.hep.auth_keys.is_empty() {
            tracing::warn!("packets are taken from everybody: ingest.hep.auth_keys is empty");
        }
        let ticker = Ticker::start(core)?;
        let udp = options.udp.as_ref().map(|udp| UdpListener::start(core, udp)).transpose()?;
        let mut streams = Vec::new();
        for (name, transport, options) in
            [("hep_tcp", Transport::Tcp, &options.tcp), ("hep_tls", Transport::Tls, &options.tls)]
        {
            let Some(options) = options.clone() else { continue };
            streams.push((name, tcp::Listener::start(core, transport, options, stop.clone())?));
        }
        let mut http = Vec::new();
        for (name, transport, options) in
            [("hep_http", Transport::Http, &options.http), ("hep_https", Transport::Https, &options.https)]
        {
            let Some(options) = options.clone() else { continue };
            http.push((name, http::Listener::start(core, transport, options, stop.clone())?));
        }
        stop_on_error.disarm();
        let addresses = udp.iter().map(|udp| ("hep_udp", udp.address()));
        let addresses = addresses.chain(streams.iter().map(|(name, listener)| (*name, listener.address())));
        let addresses = addresses.chain(http.iter().map(|(name, listener)| (*name, listener.address())));
        let addresses = addresses.map(|(name, address)| (name.to_owned(), address)).collect();
        *running = Some(Running { stop, udp, streams, http, ticker });
        Ok(addresses)
    }

    /// Closes the listeners, finishes what they have read, and hands every row over.
    pub async fn stop(&self) {
        let Some(running) = self.running.lock().take() else { return };
        running.stop.cancel();
        let core = Arc::clone(&self.core);
        let Running { udp, streams, http, ticker, .. } = running;
        let blocking = tokio::task::spawn_blocking(move || drop(udp));
        for (_, listener) in streams {
            listener.stopped().await;
        }
        for (_, listener) in http {
            listener.stopped().await;
        }
        let handed_over = blocking.await.and(
            tokio::task::spawn_blocking(move || {
                drop(ticker);
                let _intake = core.lake.intake();
                core.shards.hand_over(&core.lake)
            })
            .await,
        );
        match handed_over {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "rows could not be handed over; the journal has them"),
            Err(error) => tracing::error!(%error, "stopping to capture failed"),
        }
    }

    /// What became of every packet since start.
    pub fn accounting(&self) -> &Accounting {
        &self.core.accounting
    }
}

/// A thread that hands rows over before they grow old.
#[derive(Debug)]
struct Ticker {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(core: &Arc<Core>) -> Result<Self> {
        let (stop, stopped) = mpsc::sync_channel(0);
        let core: Weak<Core> = Arc::downgrade(core);
        let run = move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let Some(core) = core.upgrade() else { return };
                let _intake = core.lake.intake();
                if let Err(error) = core.shards.grow_older(&core.lake)
                    && let Some(suppressed) = core.overload.pass(core.clock.now())
                {
                    tracing::error!(%error, suppressed, "rows could not be handed over; they are tried again");
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("hep-rows".to_owned())
            .spawn(run)
            .map_err(|error| Error::internal("a thread for rows can't start").with_source(error))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.take();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread for rows panicked");
        }
    }
}

/// The processors that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
