//! Joins a source and a sender: load from the generator, replay of files.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pintail_types::{Error, Micros, Result};
use tokio_util::sync::CancellationToken;

use super::Progress;
use super::pace::TokenBucket;
use super::replay::{Replay, ReplayFormat};
use super::{FrameBatch, FrameSource, Generator, GeneratorOptions, Pace, SendOptions, Sender, Transport};

/// Packets in a second of virtual time when there is no rate.
const UNLIMITED_RATE: f64 = 200_000.0;
/// The longest sleep, so that a stop is seen soon.
const MAX_SLEEP: Duration = Duration::from_millis(50);
/// A rate is kept in steps of this length.
const RATE_STEP: Duration = Duration::from_millis(10);

/// Where a load ends by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    /// After so many packets.
    pub(crate) packets: Option<u64>,
    /// After so much time.
    pub(crate) duration: Option<Duration>,
}

/// A load made by the generator.
#[derive(Debug, Clone)]
pub(crate) struct GenerateOptions {
    pub(crate) traffic: GeneratorOptions,
    pub(crate) send: SendOptions,
    /// The pace of all connections together.
    pub(crate) pace: Pace,
    pub(crate) limits: Limits,
    /// Each connection has a thread, a generator with a seed of its own, and an equal part of the load.
    pub(crate) connections: usize,
}

/// Files to send.
#[derive(Debug, Clone)]
pub(crate) struct ReplayOptions {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) format: ReplayFormat,
    pub(crate) send: SendOptions,
    pub(crate) pace: Pace,
    /// How often the files are sent; 0 is for ever.
    pub(crate) repeat: u64,
}

/// Sends generated traffic until a limit is reached or `stop` is cancelled. Blocks.
///
/// # Errors
/// The first error of a connection, which ends the others; `progress` says what had been handed over.
pub(crate) fn generate(
    options: &GenerateOptions,
    progress: &Arc<Progress>,
    stop: &CancellationToken,
) -> Result<()> {
    let connections = options.connections.max(1);
    // One connection's failure stops the others and not the caller's token.
    let stop = stop.child_token();
    // The others then fail too, some of them before it in their order.
    let first_error = OnceLock::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|index| {
                let (progress, stop, first_error) = (&**progress, stop.clone(), &first_error);
                scope.spawn(move || {
                    if let Err(error) = generate_on_one(options, index, connections, progress, &stop) {
                        let _ = first_error.set(error);
                        stop.cancel();
                    }
                })
            })
            .collect();
        for thread in threads {
            if thread.join().is_err() {
                let _ = first_error.set(Error::internal("a sending thread panicked"));
            }
        }
    });
    first_error.into_inner().map_or(Ok(()), Err)
}

fn generate_on_one(
    options: &GenerateOptions,
    index: usize,
    connections: usize,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<()> {
    let mut traffic = match options.pace {
        // Nobody knows how fast it will be; virtual time is not to run days ahead of the clock.
        Pace::Unlimited => options.traffic.clone().for_packet_rate(UNLIMITED_RATE),
        Pace::Rate(_) | Pace::Timed(_) => options.traffic.clone(),
    };
    #[expect(clippy::cast_precision_loss, reason = "connections are few")]
    let part = 1.0 / connections as f64;
    traffic.seed = traffic.seed.wrapping_add(index as u64);
    traffic.calls_per_second *= part;
    traffic.calls = traffic.calls.map(|calls| share(calls, index, connections));
    traffic.max_running = traffic.max_running.div_ceil(connections);
    let limits = Limits {
        packets: options.limits.packets.map(|packets| share(packets, index, connections)),
        ..options.limits
    };
    let pace = match options.pace {
        Pace::Rate(rate) => Pace::Rate(rate * part),
        other => other,
    };
    let mut source = Generator::new(traffic)?;
    let mut sender = Sender::connect(&options.send)?;
    pump(&mut source, &mut sender, pace, limits, options.send.batch_frames, progress, stop)?;
    sender.finish(progress)
}

/// The part of `total` that falls to one of several; the parts add up.
fn share(total: u64, index: usize, of: usize) -> u64 {
    let (index, of) = (index as u64, of as u64);
    total / of + u64::from(index < total % of)
}

/// Sends files until they end or `stop` is cancelled. Blocks.
///
/// # Errors
/// When a file cannot be read (it is named) or the receiver is lost.
pub(crate) fn replay(
    options: &ReplayOptions,
    progress: &Arc<Progress>,
    stop: &CancellationToken,
) -> Result<()> {
    let mut format = options.format.clone();
    format.as_version_3 |= options.send.transport != Transport::Udp;
    let mut sender = Sender::connect(&options.send)?;
    let mut round = 0;
    while (options.repeat == 0 || round < options.repeat) && !stop.is_cancelled() {
        let before = progress.frames();
        let mut source = Replay::new(options.files.clone(), format.clone(), Arc::clone(progress));
        let batch = options.send.batch_frames;
        pump(&mut source, &mut sender, options.pace, Limits::default(), batch, progress, stop)?;
        if progress.frames() == before {
            // Files without a packet are not read for ever.
            break;
        }
        round += 1;
    }
    sender.finish(progress)
}

/// Sends what `source` yields at `pace`, at most `batch_frames` packets at once, until it ends, a limit is
/// reached, or `stop` is cancelled.
pub(crate) fn pump(
    source: &mut dyn FrameSource,
    sender: &mut Sender,
    pace: Pace,
    limits: Limits,
    batch_frames: usize,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<()> {
    let started = Instant::now();
    let batch_frames = batch_frames.max(1);
    let mut gate = Gate::new(pace, batch_frames, started);
    let mut batch = FrameBatch::default();
    let mut left = limits.packets.unwrap_or(u64::MAX);
    while left > 0 && !stop.is_cancelled() {
        let now = Instant::now();
        if limits.duration.is_some_and(|duration| now.duration_since(started) >= duration) {
            break;
        }
        let wanted = batch_frames.min(usize::try_from(left).unwrap_or(usize::MAX));
        batch.clear();
        match gate.open(source, wanted, now)? {
            Opened::Frames(count) => {
                for _ in 0..count {
                    if !batch.pull(source)? {
                        break;
                    }
                }
                // A timed source is asked packet by packet whether the next one is due.
                while batch.len() < wanted && gate.is_due(source, now)? {
                    batch.pull(source)?;
                }
            }
            Opened::After(pause) => {
                std::thread::sleep(pause.min(MAX_SLEEP));
                continue;
            }
            Opened::End => break,
        }
        if batch.is_empty() {
            break;
        }
        sender.send(&batch, progress)?;
        left -= batch.len() as u64;
    }
    Ok(())
}

/// Says how many packets may go now.
enum Gate {
    Open,
    Rate(TokenBucket),
    Timed { speed: f64, started: Instant, first: Option<Micros> },
}

enum Opened {
    /// So many may go, and no more be asked for one by one.
    Frames(usize),
    /// None before this has passed.
    After(Duration),
    /// Nothing is left.
    End,
}

impl Gate {
    fn new(pace: Pace, batch_frames: usize, now: Instant) -> Self {
        match pace {
            Pace::Unlimited => Self::Open,
            Pace::Rate(rate) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts saturate")]
                let step = (rate * RATE_STEP.as_secs_f64() * 4.0) as usize;
                Self::Rate(TokenBucket::new(rate, step.max(batch_frames), now))
            }
            Pace::Timed(speed) => Self::Timed { speed, started: now, first: None },
        }
    }

    fn open(&mut self, source: &mut dyn FrameSource, wanted: usize, now: Instant) -> Result<Opened> {
        match self {
            Self::Open => Ok(Opened::Frames(wanted)),
            Self::Rate(bucket) => Ok(match bucket.take(wanted, now) {
                0 => Opened::After(bucket.until(wanted).min(RATE_STEP)),
                granted => Opened::Frames(granted),
            }),
            Self::Timed { .. } => match source.next_time()? {
                None => Ok(Opened::End),
                Some(time) => Ok(match self.due_in(time, now) {
                    Duration::ZERO => Opened::Frames(1),
                    pause => Opened::After(pause),
                }),
            },
        }
    }

    /// Whether a timed source has one more packet that is due.
    fn is_due(&mut self, source: &mut dyn FrameSource, now: Instant) -> Result<bool> {
        if !matches!(self, Self::Timed { .. }) {
            return Ok(false);
        }
        let Some(time) = source.next_time()? else { return Ok(false) };
        Ok(self.due_in(time, now).is_zero())
    }

    /// How long until a packet of this time is due; the first packet is due at once.
    fn due_in(&mut self, time: Micros, now: Instant) -> Duration {
        let Self::Timed { speed, started, first } = self else { return Duration::ZERO };
        let since_first = time.saturating_sub(*first.get_or_insert(time)).max(0);
        #[expect(clippy::cast_precision_loss, reason = "microseconds of years fit")]
        let offset = since_first as f64 / 1e6 / *speed;
        let due = Duration::try_from_secs_f64(offset).unwrap_or(Duration::MAX);
        due.saturating_sub(now.duration_since(*started))
    }
}
