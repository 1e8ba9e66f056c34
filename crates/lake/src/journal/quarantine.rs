//! Bytes of the journal that are no whole record, kept for people in files beside its segments.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use pintail_types::{JournalPosition, Result};

use super::io_error;

/// Bytes that are kept in all; what is found beyond is counted and told, and not kept.
pub const MAX_QUARANTINE_BYTES: u64 = 256 << 20;

const SUFFIX: &str = ".quarantine";

/// The `.quarantine` files of one journal. They stay until somebody removes them.
#[derive(Debug)]
pub(super) struct Quarantine {
    directory: PathBuf,
    max_bytes: u64,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Quarantine {
    /// What is kept in `directory` already.
    pub(super) fn open(directory: &Path, max_bytes: u64) -> Result<Self> {
        let at = |error: std::io::Error| io_error(directory, &error);
        let (mut files, mut bytes) = (0, 0);
        for entry in fs::read_dir(directory).map_err(at)? {
            let entry = entry.map_err(at)?;
            if entry.file_name().to_string_lossy().ends_with(SUFFIX) {
                files += 1;
                bytes += entry.metadata().map_err(at)?.len();
            }
        }
        let directory = directory.to_owned();
        Ok(Self { directory, max_bytes, files: files.into(), bytes: bytes.into() })
    }

    /// Keeps the bytes that stand at `position`, durably; none when there is no room for them.
    pub(super) fn keep(&self, position: JournalPosition, bytes: &[u8]) -> Result<Option<PathBuf>> {
        let path = self.directory.join(format!("{:016x}{SUFFIX}", position.0));
        let at = |error: std::io::Error| io_error(&path, &error);
        // A journal that is replayed again finds the same place again.
        let before = fs::metadata(&path).ok().map(|kept| kept.len());
        let others = self.bytes.load(Ordering::Relaxed) - before.unwrap_or(0);
        if others + bytes.len() as u64 > self.max_bytes {
            return Ok(None);
        }
        let mut file = File::create(&path).map_err(at)?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at)?;
        File::open(&self.directory).and_then(|directory| directory.sync_all()).map_err(at)?;
        self.bytes.store(others + bytes.len() as u64, Ordering::Relaxed);
        self.files.fetch_add(u64::from(before.is_none()), Ordering::Relaxed);
        Ok(Some(path))
    }

    /// Files, and the bytes in them.
    pub(super) fn held(&self) -> (u64, u64) {
        (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}
