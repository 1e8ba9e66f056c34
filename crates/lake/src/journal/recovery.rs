//! What a journal holds when it is opened: its segments, and reading them again.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use pintail_types::{Error, ErrorKind, JournalId, JournalPosition, Result};
use tokio::sync::watch;

use super::quarantine::{MAX_QUARANTINE_BYTES, Quarantine};
use super::segment::{self, Item, Segment};
use super::{Journal, JournalOptions, Progress, Shared, State, io_error, writer};
use crate::directories::create_directories;

/// What a replay read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// Records handed to the visitor.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Places where the disk gave back something else than was confirmed: wrong checksums, missing ends of segments,
    /// unreadable heads of segments, records that the visitor calls corrupt.
    pub damaged: u64,
    /// The bytes of those places.
    pub damaged_bytes: u64,
    /// Bytes after the last whole record. A crash leaves such, of a record that was never confirmed.
    pub torn_bytes: u64,
}

/// A journal as it lies on the disk, before anything is appended to it.
#[derive(Debug)]
pub struct JournalRecovery {
    options: JournalOptions,
    id: JournalId,
    segments: Vec<Segment>,
    end: JournalPosition,
    /// What stands after the last whole record.
    torn: Vec<u8>,
    lock: File,
}

impl JournalRecovery {
    /// Takes the directory's lock and finds the segments in it; makes the directory when it is absent.
    ///
    /// # Errors
    /// `Unavailable` when another process holds the journal; `Corrupt` when a segment belongs to another journal, or
    /// none has a head that can be read; `Unsupported` when one was written by a newer version.
    pub fn scan(options: JournalOptions, new_id: JournalId) -> Result<Self> {
        let at = |error: std::io::Error| io_error(&options.path, &error);
        create_directories(&options.path).map_err(at)?;
        let lock = lock_directory(&options.path)?;
        let segments = segment::list(&options.path)?;
        let id = segment::id_of(&segments)?.unwrap_or(new_id);
        let (end, torn) = match segments.last() {
            Some(last) => last.valid_end()?,
            None => (JournalPosition(0), Vec::new()),
        };
        Ok(Self { options, id, segments, end, torn, lock })
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
        let quarantine = Quarantine::open(&self.options.path, MAX_QUARANTINE_BYTES)?;
        // What the lake has is no loss.
        let torn = if self.end < floor { &[][..] } else { self.torn.as_slice() };
        if !torn.is_empty() {
            let kept = quarantine.keep(self.end, torn)?;
            let bytes = torn.len();
            tracing::warn!(position = %self.end, bytes, ?kept, "the journal ends in a torn record, which was not confirmed");
        }
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
            quarantine,
            torn_bytes: torn.len() as u64,
        });
        let writer = writer::spawn(Arc::clone(&shared), base)?;
        Ok(Journal { shared, writer: Mutex::new(Some(writer)), _lock: self.lock })
    }
}

/// Takes the lock of the journal in the directory `path`, which is held until the file is closed.
///
/// # Errors
/// `Unavailable` when another process holds it; I/O errors.
pub fn lock_directory(path: &Path) -> Result<File> {
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

/// Reads the segments that a journal had at one moment; none of them may be trimmed meanwhile.
#[derive(Debug)]
pub struct JournalReader {
    pub(super) segments: Vec<Segment>,
    pub(super) shared: Arc<Shared>,
}

impl JournalReader {
    /// Reads every record from `from` on, oldest first. What is no whole record is kept in a `.quarantine` file
    /// beside its segment, logged and counted; what follows it is read all the same.
    ///
    /// # Errors
    /// What the visitor returns, but `Corrupt`: such a record is set aside too. I/O errors.
    pub fn replay(
        &self,
        from: JournalPosition,
        visit: &mut dyn FnMut(JournalPosition, &[u8]) -> Result<()>,
    ) -> Result<ReplayReport> {
        let torn_bytes = self.shared.torn_bytes;
        let mut replay = Replay {
            from,
            quarantine: &self.shared.quarantine,
            report: ReplayReport { torn_bytes, ..ReplayReport::default() },
        };
        for (index, segment) in self.segments.iter().enumerate() {
            let limit = self.segments.get(index + 1).map(|next| next.base);
            if limit.is_some_and(|limit| limit <= from) {
                continue;
            }
            replay.segment(segment, limit, visit)?;
        }
        Ok(replay.report)
    }
}

struct Replay<'a> {
    from: JournalPosition,
    quarantine: &'a Quarantine,
    report: ReplayReport,
}

impl Replay<'_> {
    fn segment(
        &mut self,
        segment: &Segment,
        limit: Option<JournalPosition>,
        visit: &mut dyn FnMut(JournalPosition, &[u8]) -> Result<()>,
    ) -> Result<()> {
        if let Err(reason) = &segment.head {
            self.report.damaged += 1;
            tracing::error!(segment = %segment.path.display(), reason, "the head of a journal segment is damaged; its records are read");
        }
        let bytes = segment.read()?;
        for item in segment.items(&bytes, limit) {
            match item {
                Item::Record { position, .. } if position < self.from => {}
                Item::Record { position, payload } => match visit(position, payload) {
                    Ok(()) => {
                        self.report.records += 1;
                        self.report.bytes += payload.len() as u64;
                    }
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        tracing::error!(%position, %error, "journal record is not understood");
                        self.set_aside(position, payload)?;
                    }
                    Err(error) => return Err(error),
                },
                Item::Damaged { position, bytes } | Item::Torn { position, bytes } => {
                    self.set_aside(position, bytes)?;
                }
                Item::Missing { position, bytes } => self.miss(position, bytes, segment),
            }
        }
        Ok(())
    }

    /// Keeps what can't be read beside the segment, and says so; the rest goes on.
    fn set_aside(&mut self, position: JournalPosition, bytes: &[u8]) -> Result<()> {
        if position.0 + bytes.len() as u64 <= self.from.0 {
            return Ok(());
        }
        self.report.damaged += 1;
        self.report.damaged_bytes += bytes.len() as u64;
        match self.quarantine.keep(position, bytes)? {
            Some(kept) => {
                tracing::error!(%position, bytes = bytes.len(), kept = %kept.display(), "damaged journal record set aside");
            }
            None => {
                tracing::error!(%position, bytes = bytes.len(), "damaged journal record is lost: {MAX_QUARANTINE_BYTES} bytes are set aside already");
            }
        }
        Ok(())
    }

    /// A segment ends before the next one begins. What is before `from` was skipped when it was opened then, because
    /// the lake had it.
    fn miss(&mut self, position: JournalPosition, bytes: u64, segment: &Segment) {
        let missing = (position.0 + bytes).saturating_sub(self.from.0.max(position.0));
        if missing == 0 {
            return;
        }
        self.report.damaged += 1;
        self.report.damaged_bytes += missing;
        tracing::error!(%position, bytes = missing, segment = %segment.path.display(), "the end of a journal segment is missing");
    }
}
