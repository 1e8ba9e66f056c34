//! The write-ahead journal: one sequence of records over all receivers, made durable by group commit.
//!
//! A record is opaque bytes with a length and a checksum. Its name is the [`JournalPosition`] where it
//! starts; positions never repeat in the life of a journal. Appending is one lock and one copy into
//! memory; a thread of the journal's own writes and syncs what has gathered, at most every
//! `sync_interval`. A failed write or sync is fatal to its segment: the same bytes go to a new segment,
//! never again to the old file.

mod block;
mod segment;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use pintail_types::{Error, ErrorKind, FaultPoint, JournalId, JournalPosition, Result};
use tokio::sync::watch;

pub use block::Block;
use segment::{Item, Segment};

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

/// What a replay read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Records handed to the visitor.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records with a wrong checksum, or that the visitor calls corrupt, kept aside in `.quarantine` files.
    pub damaged: u64,
}

/// A journal as it lies on the disk, before anything is appended to it.
#[derive(Debug)]
pub struct JournalRecovery {
    options: JournalOptions,
    id: JournalId,
    segments: Vec<Segment>,
    end: JournalPosition,
    lock: File,
}

impl JournalRecovery {
    /// Takes the directory's lock and finds the segments in it; makes the directory when it is absent.
    ///
    /// # Errors
    /// `Unavailable` when another process holds the journal; `Corrupt` when a segment belongs to
    /// another journal or to a newer version.
    pub fn scan(options: JournalOptions, new_id: JournalId) -> Result<Self> {
        let at = |error: std::io::Error| io_error(&options.path, &error);
        fs::create_dir_all(&options.path).map_err(at)?;
        let lock = lock_directory(&options.path)?;
        let segments = segment::list(&options.path)?;
        let id = segments.first().map_or(new_id, |first| first.id);
        if let Some(foreign) = segments.iter().find(|segment| segment.id != id) {
            return Err(Error::corrupt(format!(
                "journal segment {} belongs to journal {}, the others to {id}",
                foreign.path.display(),
                foreign.id
            )));
        }
        let end = match segments.last() {
            Some(last) => last.valid_end()?,
            None => JournalPosition(0),
        };
        Ok(Self { options, id, segments, end, lock })
    }

    /// The journal's id.
    pub const fn id(&self) -> JournalId {
        self.id
    }

    /// Opens the journal for appending, in a new segment. The next position is not before `floor`,
    /// so that a row that was committed from an unsynced record is never mistaken for a later one.
    ///
    /// # Errors
    /// I/O errors.
    pub fn open(self, floor: JournalPosition) -> Result<Journal> {
        let base = self.end.max(floor);
        let (progress, _) = watch::channel(Progress { durable: base, failure: None });
        let shared = Arc::new(Shared {
            id: self.id,
            options: self.options,
            state: Mutex::new(State {
                end: base,
                trimmed: self.segments.first().map_or(base, |first| first.base),
                pending: Vec::new(),
                segments: self.segments,
                failure: None,
                stopping: false,
            }),
            wake: Condvar::new(),
            progress,
        });
        let writer = writer::spawn(Arc::clone(&shared), base)?;
        Ok(Journal { shared, writer: Mutex::new(Some(writer)), _lock: self.lock })
    }
}

/// Reads the segments that a journal had at one moment; none of them may be trimmed meanwhile.
#[derive(Debug)]
pub struct JournalReader {
    segments: Vec<Segment>,
}

impl JournalReader {
    /// Reads every record from `from` on, oldest first. Damaged records are copied into a
    /// `.quarantine` file beside their segment, logged and counted; the rest goes on.
    ///
    /// # Errors
    /// What the visitor returns, but `Corrupt`: such a record is set aside too. I/O errors.
    pub fn replay(
        &self,
        from: JournalPosition,
        visit: &mut dyn FnMut(JournalPosition, &[u8]) -> Result<()>,
    ) -> Result<ReplayReport> {
        let mut report = ReplayReport::default();
        for (index, segment) in self.segments.iter().enumerate() {
            let limit = self.segments.get(index + 1).map(|next| next.base);
            if limit.is_some_and(|limit| limit <= from) {
                continue;
            }
            replay_segment(segment, limit, from, visit, &mut report)?;
        }
        Ok(report)
    }
}

fn replay_segment(
    segment: &Segment,
    limit: Option<JournalPosition>,
    from: JournalPosition,
    visit: &mut dyn FnMut(JournalPosition, &[u8]) -> Result<()>,
    report: &mut ReplayReport,
) -> Result<()> {
    let bytes = segment.read()?;
    for item in segment.items(&bytes, limit) {
        match item {
            Item::Record { position, .. } if position < from => {}
            Item::Record { position, payload } => match visit(position, payload) {
                Ok(()) => {
                    report.records += 1;
                    report.bytes += payload.len() as u64;
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(%position, %error, "journal record is not understood");
                    set_aside(segment, position, payload, report)?;
                }
                Err(error) => return Err(error),
            },
            Item::Damaged { position, .. } if position < from => {}
            Item::Damaged { position, bytes } => {
                set_aside(segment, position, bytes, report)?;
            }
            Item::Torn { position, bytes } => {
                tracing::warn!(%position, bytes, segment = %segment.path.display(), "journal ends in a torn record: it was never synced");
            }
        }
    }
    Ok(())
}

/// Keeps what can't be read beside the segment, and says so; the rest goes on.
fn set_aside(
    segment: &Segment,
    position: JournalPosition,
    bytes: &[u8],
    report: &mut ReplayReport,
) -> Result<()> {
    report.damaged += 1;
    let kept = segment.quarantine(position, bytes)?;
    tracing::error!(%position, bytes = bytes.len(), kept = %kept.display(), "damaged journal record set aside");
    Ok(())
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
    failure: Option<Arc<str>>,
    stopping: bool,
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
        JournalReader { segments: self.shared.state.lock().segments.clone() }
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
        if let Some(reason) = &state.failure {
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

fn lock_directory(path: &Path) -> Result<File> {
    let lock_path = path.join("journal.lock");
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(|error| io_error(&lock_path, &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(Error::unavailable(format!(
            "another process writes the journal in {}; stop it, or give this one its own data_dir",
            path.display()
        ))),
        Err(fs::TryLockError::Error(error)) => Err(io_error(&lock_path, &error)),
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
