//! `pintail demo`: the server in this process, on loopback, with calls coming in over real sockets.

mod live;
mod setup;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pintail_types::{Clock, Error, Result, SystemClock};
use tokio_util::sync::CancellationToken;

use crate::cli::Demo;
use crate::output;
use crate::traffic::{
    self, GenerateOptions, GeneratorOptions, Limits, Mix, Pace, Progress, SendOptions, Transport,
};
use crate::wiring::{Server, Signals, install_log};

use live::{Display, Figures};
use setup::Setup;

/// Packets handed over between two looks at the clock.
const BATCH_FRAMES: usize = 16;
/// Mean time from answer to BYE: short, so that whole calls are soon there to look at.
const TALK_SECONDS: f64 = 8.0;
/// On loopback nobody needs to hear that packets come without keys.
const QUIET: &str = "pintail_capture=error";
/// Seeds of the two transports lie this far apart, so that their calls differ.
const SEED_STEP: u64 = 1_000_003;

/// Why the demonstration ends.
enum End {
    Signal,
    Traffic(Error),
}

/// Runs until Ctrl-C, or for `--duration`.
pub(crate) fn run(arguments: &Demo) -> Result<ExitCode> {
    let setup = Setup::new(arguments)?;
    install_log(&setup.config.log, QUIET)?;
    let (ends, ended) = mpsc::sync_channel(8);
    watch_signals(ends.clone())?;
    let server = Server::start(&setup.config)?;
    server.announce(arguments.ready_file.as_deref())?;
    output::line(setup.introduction(server.listeners()))?;

    let stop = CancellationToken::new();
    let progress = Arc::new(Progress::default());
    let senders = start_traffic(arguments, &server, &progress, &stop, &ends)?;
    let end = show_until_the_end(arguments, &server, &ended);
    stop.cancel();
    for sender in senders {
        if sender.join().is_err() {
            tracing::error!("a sending thread panicked");
        }
    }
    output::line("\nstopping: storing what was sent, flushing rows to Parquet …")?;
    let lake = Arc::clone(server.lake());
    let stored = live::stored(&server.accounting().rows());
    server.stop()?;
    let figures = Figures::at_rest(&lake);
    output::line(setup.summary(progress.frames(), stored, &figures))?;
    match end? {
        Some(End::Traffic(error)) => Err(error.context("the generated traffic failed")),
        Some(End::Signal) | None => Ok(ExitCode::SUCCESS),
    }
}

/// Shows what flows until something ends it; nothing when the time is over.
fn show_until_the_end(arguments: &Demo, server: &Server, ended: &Receiver<End>) -> Result<Option<End>> {
    let started = Instant::now();
    let deadline = arguments.duration.map(|seconds| started + Duration::from_secs(seconds));
    let mut display = Display::new(started);
    loop {
        let mut pause = display.interval();
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            pause = pause.min(left);
        }
        match ended.recv_timeout(pause) {
            Ok(end) => return Ok(Some(end)),
            Err(RecvTimeoutError::Timeout) => display.show(server)?,
            Err(RecvTimeoutError::Disconnected) => return Ok(Some(End::Signal)),
        }
    }
}

/// Calls over UDP and over TCP, each on a thread of its own.
fn start_traffic(
    arguments: &Demo,
    server: &Server,
    progress: &Arc<Progress>,
    stop: &CancellationToken,
    ends: &SyncSender<End>,
) -> Result<Vec<JoinHandle<()>>> {
    let mut senders = Vec::new();
    for (index, (listener, transport)) in
        [("hep_udp", Transport::Udp), ("hep_tcp", Transport::Tcp)].into_iter().enumerate()
    {
        let Some(address) = server.listeners().get(listener) else { continue };
        let options = GenerateOptions {
            traffic: GeneratorOptions {
                seed: arguments.seed.wrapping_add(SEED_STEP.wrapping_mul(index as u64)),
                start: SystemClock.now(),
                talk_seconds: TALK_SECONDS,
                mix: Mix::REALISTIC,
                ..GeneratorOptions::default()
            }
            .for_packet_rate(f64::from(arguments.rate) / 2.0),
            send: SendOptions {
                transport,
                target: address.to_string(),
                auth_token: None,
                batch_frames: BATCH_FRAMES,
            },
            // Calls ring, talk and end in real time.
            pace: Pace::Timed(1.0),
            limits: Limits::default(),
            connections: 1,
        };
        let (progress, stop, ends) = (Arc::clone(progress), stop.clone(), ends.clone());
        let send = move || {
            if let Err(error) = traffic::generate(&options, &progress, &stop)
                && ends.try_send(End::Traffic(error)).is_err()
            {
                tracing::warn!("the traffic ended while the demonstration was ending");
            }
        };
        let thread = std::thread::Builder::new().name(format!("pintail-gen-{index}")).spawn(send);
        senders.push(thread.map_err(|error| Error::exhausted(format!("no thread: {error}")))?);
    }
    Ok(senders)
}

/// The first signal ends the demonstration in good order, the second at once.
fn watch_signals(ends: SyncSender<End>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("no runtime: {error}")))?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::listen()?
    };
    let watch = move || {
        runtime.block_on(async {
            signals.next().await;
            // A full channel means that it is ending already.
            let _ = ends.try_send(End::Signal);
            signals.abort_on_next().await;
        });
    };
    let thread = std::thread::Builder::new().name("pintail-signals".into()).spawn(watch);
    thread.map(drop).map_err(|error| Error::internal(format!("no thread: {error}")))
}
