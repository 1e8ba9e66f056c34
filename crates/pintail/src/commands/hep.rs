//! `pintail hep`: packets to a server.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use pintail_types::{Clock, Error, Result, SystemClock};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::output;
use crate::traffic::{
    self, GenerateOptions, GeneratorOptions, Limits, Mix, Pace, Progress, ReplayFormat, ReplayOptions,
    SendOptions, Transport,
};
use crate::wiring::Signals;

/// How often progress is shown.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// `pintail hep`
#[derive(Debug, Subcommand)]
pub(crate) enum Hep {
    /// Generate calls, registrations and reports, and send them
    Gen(Generate),
    /// Send what captures (.pcap, .pcapng) and HEP files hold, at the pace of their times
    Replay(Replay),
    /// Send HEP files as fast as the server takes them
    Send(SendFiles),
}

/// Where packets go.
#[derive(Debug, Args)]
struct Target {
    /// HOST:PORT of the listener; the usual port of the transport on this machine by default
    #[arg(long, value_name = "HOST:PORT")]
    to: Option<String>,
    /// How they go there
    #[arg(long, value_enum, default_value_t = Way::Udp)]
    transport: Way,
    /// Packets handed over at once: in one HTTP request, or between two looks at the clock
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Bearer token of the HTTP listener
    #[arg(long, env = "PINTAIL_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// HEP authentication key, put into packets that are made here
    #[arg(long)]
    auth_key: Option<String>,
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    Udp,
    Tcp,
    Http,
}

/// `pintail hep gen`
#[derive(Debug, Args)]
pub(crate) struct Generate {
    #[command(flatten)]
    target: Target,
    /// Packets a second; 0 is as fast as the server takes them
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    /// End after so many packets
    #[arg(long)]
    packets: Option<u64>,
    /// End after so many calls, each with all its messages
    #[arg(long)]
    calls: Option<u64>,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// Connections that share the load
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    connections: u16,
    /// The same calls for the same number; another one every time by default, which is shown at the end
    #[arg(long)]
    seed: Option<u64>,
    /// Calls only: no registrations, OPTIONS, reports and log lines
    #[arg(long)]
    calls_only: bool,
    /// Capture agent ids, given to dialogs in turn
    #[arg(long, value_delimiter = ',', value_name = "ID,…")]
    capture_ids: Vec<u32>,
}

/// `pintail hep replay`
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// .pcap, .pcapng, .hep or .bin
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    target: Target,
    /// How much faster than the times in the files
    #[arg(long, default_value_t = 1.0, conflicts_with = "rate")]
    speed: f64,
    /// Packets a second instead of the times in the files
    #[arg(long)]
    rate: Option<f64>,
    /// How often; 0 is for ever
    #[arg(long, default_value_t = 1)]
    repeat: u64,
    /// Capture agent id of packets that are put into HEP here
    #[arg(long, default_value_t = 2001)]
    capture_id: u32,
}

/// `pintail hep send`
#[derive(Debug, Args)]
pub(crate) struct SendFiles {
    /// .hep or .bin
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    target: Target,
}

/// Sends, shows progress on a terminal, and says at the end what was sent.
pub(crate) fn run(command: Hep) -> Result<ExitCode> {
    let progress = Arc::new(Progress::default());
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let started = Instant::now();
    let (target, seed, sent) = match command {
        Hep::Gen(arguments) => {
            let options = generate_options(&arguments)?;
            let sent = watched(&progress, || traffic::generate(&options, &progress, &stop));
            (arguments.target, Some(options.traffic.seed), sent)
        }
        Hep::Replay(arguments) => {
            let options = replay_options(&arguments)?;
            let sent = watched(&progress, || traffic::replay(&options, &progress, &stop));
            (arguments.target, None, sent)
        }
        Hep::Send(arguments) => {
            let options = send_options(&arguments);
            let sent = watched(&progress, || traffic::replay(&options, &progress, &stop));
            (arguments.target, None, sent)
        }
    };
    report(&target, &progress, started.elapsed(), seed)?;
    sent.map(|()| ExitCode::SUCCESS)
}

fn generate_options(arguments: &Generate) -> Result<GenerateOptions> {
    if arguments.rate < 0.0 || !arguments.rate.is_finite() {
        return Err(Error::invalid("--rate must be 0 or more"));
    }
    let mut generator = GeneratorOptions {
        // Short enough to be copied by hand.
        seed: arguments.seed.unwrap_or_else(|| u64::from(fastrand::u32(..))),
        start: SystemClock.now(),
        calls: arguments.calls,
        mix: if arguments.calls_only { Mix::CALLS } else { Mix::REALISTIC },
        capture_ids: arguments.capture_ids.clone(),
        auth_key: arguments.target.auth_key.clone(),
        ..GeneratorOptions::default()
    };
    if arguments.rate > 0.0 {
        generator = generator.for_packet_rate(arguments.rate);
    }
    Ok(GenerateOptions {
        traffic: generator,
        send: send_to(&arguments.target),
        pace: if arguments.rate > 0.0 { Pace::Rate(arguments.rate) } else { Pace::Unlimited },
        limits: Limits { packets: arguments.packets, duration: arguments.duration.map(Duration::from_secs) },
        connections: usize::from(arguments.connections),
    })
}

fn replay_options(arguments: &Replay) -> Result<ReplayOptions> {
    let positive = |value: f64| value > 0.0 && value.is_finite();
    if !positive(arguments.speed) || arguments.rate.is_some_and(|rate| !positive(rate)) {
        return Err(Error::invalid("--speed and --rate must be more than 0"));
    }
    Ok(ReplayOptions {
        files: arguments.files.clone(),
        format: ReplayFormat {
            as_version_3: false,
            capture_id: arguments.capture_id,
            auth_key: arguments.target.auth_key.clone(),
        },
        send: send_to(&arguments.target),
        pace: arguments.rate.map_or(Pace::Timed(arguments.speed), Pace::Rate),
        repeat: arguments.repeat,
    })
}

fn send_options(arguments: &SendFiles) -> ReplayOptions {
    ReplayOptions {
        files: arguments.files.clone(),
        format: ReplayFormat {
            as_version_3: false,
            capture_id: 2001,
            auth_key: arguments.target.auth_key.clone(),
        },
        send: send_to(&arguments.target),
        pace: Pace::Unlimited,
        repeat: 1,
    }
}

fn send_to(target: &Target) -> SendOptions {
    let (transport, usual) = match target.transport {
        Way::Udp => (Transport::Udp, "127.0.0.1:9060"),
        Way::Tcp => (Transport::Tcp, "127.0.0.1:9060"),
        Way::Http => (Transport::Http, "127.0.0.1:9080"),
    };
    SendOptions {
        transport,
        target: target.to.clone().unwrap_or_else(|| usual.to_owned()),
        auth_token: target.token.clone(),
        batch_frames: usize::from(target.batch),
    }
}

/// Runs `work` and shows progress beside it where a person looks.
fn watched(progress: &Progress, work: impl FnOnce() -> Result<()>) -> Result<()> {
    if !std::io::stderr().is_terminal() {
        return work();
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let shower = scope.spawn(|| {
            let mut before = 0;
            while !done.load(Ordering::Relaxed) {
                std::thread::park_timeout(REPORT_INTERVAL);
                let frames = progress.frames();
                eprint!("\r\x1b[2K{frames} packets sent, {} a second", frames.saturating_sub(before));
                before = frames;
            }
            eprintln!();
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        shower.thread().unpark();
        result
    })
}

fn report(target: &Target, progress: &Progress, elapsed: Duration, seed: Option<u64>) -> Result<()> {
    let seconds = elapsed.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "counts of packets fit")]
    let per_second = progress.frames() as f64 / seconds.max(1e-9);
    let http = target.transport == Way::Http;
    if target.json {
        return output::json(&json!({
            "packets": progress.frames(),
            "bytes": progress.bytes(),
            "seconds": seconds,
            "packets_per_second": per_second,
            "skipped": progress.skipped(),
            "acknowledged": http.then(|| progress.acknowledged()),
            "rejected": http.then(|| progress.rejected()),
            "waited": http.then(|| progress.waited()),
            "seed": seed,
        }));
    }
    let mut text = format!(
        "{} packets of {} bytes sent in {seconds:.1} s ({per_second:.0} a second)",
        progress.frames(),
        progress.bytes()
    );
    if http {
        text += &format!(
            "; {} acknowledged, {} rejected, asked to wait {} times",
            progress.acknowledged(),
            progress.rejected(),
            progress.waited()
        );
    }
    if progress.skipped() > 0 {
        text += &format!("; {} skipped: neither SIP, RTCP nor HEP, or too long", progress.skipped());
    }
    if let Some(seed) = seed {
        text += &format!("; seed {seed}");
    }
    output::line(text)
}

/// Cancels `stop` at the first signal; the second ends the process.
fn stop_on_signal(stop: CancellationToken) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("no runtime: {error}")))?;
    let watch = move || {
        runtime.block_on(async {
            let Ok(mut signals) = Signals::listen() else { return };
            signals.next().await;
            stop.cancel();
            signals.abort_on_next().await;
        });
    };
    std::thread::Builder::new()
        .name("pintail-signals".into())
        .spawn(watch)
        .map(drop)
        .map_err(|error| Error::internal(format!("no thread: {error}")))
}
