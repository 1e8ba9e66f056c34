//! The write-ahead journal: one sequence of records over all receivers, made durable by group commit.
//!
//! A record is opaque bytes with a length and a checksum. Its name is the [`JournalPosition`] where it
//! starts; positions never repeat in the life of a journal. Appending is one lock and one copy into
//! memory; a thread of the journal's own writes and syncs what has gathered, at most every
//! `sync_interval`. A failed write or sync is fatal to its segment: the same bytes go to a new segment,
//! never again to the old file.

mod block;
mod inspect;
mod quarantine;
mod recovery;
mod segment;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use pintail_types::{Error, FaultPoint, JournalId, JournalPosition, Result};
use tokio::sync::watch;

pub use block::Block;
pub use inspect::{Inspection, inspect};
pub use quarantine::MAX_QUARANTINE_BYTES;
use quarantine::Quarantine;
pub use recovery::{JournalReader, JournalRecovery, ReplayReport, lock_directory};
use segment::Segment;

/// Bytes that may wait for the journal's thread; more are refused with `Exhausted`.
pub const MAX_PENDING_BYTES: usize = 32 << 20;

/// When appended records are forced to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Together, at most every `sync_interval`.
    Group,
    /// As soon as the disk is free, without waiting for company.
    Always,
    /// Never: a crash of the machine loses what the operating system had not written.
    Off,
}

/// How a journal is kept.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Its directory.
    pub path: PathBuf,
    /// When records are forced to the disk.
    pub sync: SyncPolicy,
    /// The shortest time between two syncs of [`SyncPolicy::Group`].
    pub sync_interval: Duration,
    /// A segment that has reached this size is closed.
    pub segment_bytes: u64,
    /// Records that are not yet in the lake may take this much; more are refused.
    pub max_bytes: u64,
}

impl JournalOptions {
    /// The defaults, in this directory.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            sync: SyncPolicy::Group,
            sync_interval: Duration::from_millis(10),
            segment_bytes: 64 << 20,
            max_bytes: 4 << 30,
        }
    }
}

/// How far the journal is safe.
#[derive(Debug, Clone)]
struct Progress {
    durable: JournalPosition,
    failure: Option<Arc<str>>,
}

#[derive(Debug)]
struct Shared {
    id: JournalId,
    options: JournalOptions,
    state: Mutex<State>,
    wake: Condvar,
    progress: watch::Sender<Progress>,
    quarantine: Quarantine,
    /// Bytes that were found after the last whole record.
    torn_bytes: u64,
}

#[derive(Debug)]
struct State {
    /// The next position to give out.
    end: JournalPosition,
    /// Everything before it is in the lake.
    trimmed: JournalPosition,
    /// Records waiting for the thread.
    pending: Vec<u8>,
    /// Segments on the disk, oldest first; the last one is being written.
    segments: Vec<Segment>,
    /// Why nothing can be written at the moment.
    failure: Option<Failure>,
    stopping: bool,
}

#[derive(Debug)]
struct Failure {
    reason: Arc<str>,
    since: Instant,
}

/// The open journal. Dropping it writes and syncs what is pending.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
    _lock: File,
}

impl Journal {
    /// The journal's id.
    pub fn id(&self) -> JournalId {
        self.shared.id
    }

    /// Appends the block's records; their positions follow from the returned one by
    /// [`Block::position`]. They are durable when [`Journal::durable`] says so.
    ///
    /// # Errors
    /// `Exhausted` when [`MAX_PENDING_BYTES`] wait for the disk or `max_bytes` wait for the lake;
    /// `Unavailable` while the disk refuses writes. Nothing is appended then.
    pub fn append(&self, block: &Block) -> Result<JournalPosition> {
        let mut state = self.shared.state.lock();
        self.shared.admit(&state, block.bytes().len())?;
        let first = state.end;
        let was_empty = state.pending.is_empty();
        state.pending.extend_from_slice(block.bytes());
        state.end = block.end(first);
        drop(state);
        if was_empty {
            self.shared.wake.notify_one();
        }
        Ok(first)
    }

    /// Whether a block would be taken now.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn admission(&self) -> Result<()> {
        self.shared.admit(&self.shared.state.lock(), 0)
    }

    /// The position after the newest record.
    pub fn end(&self) -> JournalPosition {
        self.shared.state.lock().end
    }

    /// Bytes of records that are not yet in the lake.
    pub fn unflushed_bytes(&self) -> u64 {
        let state = self.shared.state.lock();
        state.end.0 - state.trimmed.0
    }

    /// Why records can't be written at the moment, and for how long that has been so.
    pub fn failure(&self) -> Option<(String, Duration)> {
        let state = self.shared.state.lock();
        state.failure.as_ref().map(|failure| (failure.reason.to_string(), failure.since.elapsed()))
    }

    /// The `.quarantine` files beside the segments, and the bytes in them: what was damaged in this or an earlier life
    /// of the journal, until somebody removes them.
    pub fn quarantined(&self) -> (u64, u64) {
        self.shared.quarantine.held()
    }

    /// Waits until every record before `upto` is on the disk (with [`SyncPolicy::Off`]: with the
    /// operating system).
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses it; the records stay in memory and are tried again.
    pub async fn durable(&self, upto: JournalPosition) -> Result<()> {
        let mut progress = self.shared.progress.subscribe();
        let reached = progress
            .wait_for(|now| now.durable >= upto || now.failure.is_some())
            .await
            .map_err(|_| Error::unavailable("the journal is closed"))?;
        if reached.durable >= upto {
            return Ok(());
        }
        let reason = reached.failure.as_deref().unwrap_or("unknown");
        Err(Error::unavailable(format!("the journal can't be written: {reason}")))
    }

    /// What stands in the journal now, for reading.
    pub fn reader(&self) -> JournalReader {
        JournalReader {
            segments: self.shared.state.lock().segments.clone(),
            shared: Arc::clone(&self.shared),
        }
    }

    /// Forgets the records before `upto`: they are in the lake. Removes segments that hold no others.
    ///
    /// # Errors
    /// I/O errors of removing files.
    pub fn trim(&self, upto: JournalPosition) -> Result<()> {
        let removable = {
            let mut state = self.shared.state.lock();
            state.trimmed = state.trimmed.max(upto.min(state.end));
            let keep_from = state
                .segments
                .windows(2)
                .position(|pair| pair[1].base > upto)
                .unwrap_or(state.segments.len().saturating_sub(1));
            state.segments.drain(..keep_from).collect::<Vec<_>>()
        };
        for segment in removable {
            FaultPoint::JournalTrim.pass();
            fs::remove_file(&segment.path).map_err(|error| io_error(&segment.path, &error))?;
        }
        Ok(())
    }

    /// Writes and syncs what is pending, and ends the journal's thread. Appending fails afterwards.
    pub fn close(&self) {
        self.shared.state.lock().stopping = true;
        self.shared.wake.notify_one();
        let writer = self.writer.lock().take();
        if writer.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the journal's thread panicked");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn admit(&self, state: &State, bytes: usize) -> Result<()> {
        if state.stopping {
            return Err(Error::unavailable("the journal is closed"));
        }
        if let Some(Failure { reason, .. }) = &state.failure {
            return Err(Error::unavailable(format!("the journal can't be written: {reason}")));
        }
        if state.pending.len() + bytes > MAX_PENDING_BYTES {
            return Err(Error::exhausted(format!(
                "{} bytes wait for the journal's disk already",
                state.pending.len()
            )));
        }
        let unflushed = state.end.0 - state.trimmed.0;
        if unflushed + bytes as u64 >= self.options.max_bytes {
            return Err(Error::exhausted(format!(
                "the journal holds {unflushed} bytes that are not in the lake yet; ingest.journal.max_bytes is {}",
                self.options.max_bytes
            )));
        }
        Ok(())
    }
}

pub(crate) fn io_error(path: &Path, error: &std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull => pintail_types::ErrorKind::Exhausted,
        std::io::ErrorKind::NotFound => pintail_types::ErrorKind::NotFound,
        _ => pintail_types::ErrorKind::Unavailable,
    };
    Error::new(kind, format!("{}: {error}", path.display()))
}
