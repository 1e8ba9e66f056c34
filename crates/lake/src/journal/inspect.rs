//! A look at a journal that another process may be writing.

use std::path::Path;

use pintail_types::{ErrorKind, JournalId, JournalPosition, Result};

use super::quarantine::{MAX_QUARANTINE_BYTES, Quarantine};
use super::segment::{self, Item};

/// What a journal holds that is no whole record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Places, as [`super::ReplayReport::damaged`] counts them.
    pub damaged: u64,
    /// The bytes of those places.
    pub damaged_bytes: u64,
    /// Bytes after the last whole record.
    pub torn_bytes: u64,
    /// Files of bytes that were set aside before.
    pub quarantine_files: u64,
    /// Their bytes.
    pub quarantine_bytes: u64,
}

/// Reads the segments in `directory` and changes nothing. `flushed` says how far a journal is in the lake: nothing before
/// that counts.
///
/// # Errors
/// As [`super::JournalRecovery::scan`], but for the lock; what `flushed` returns.
pub fn inspect(
    directory: &Path,
    flushed: impl FnOnce(JournalId) -> Result<JournalPosition>,
) -> Result<Inspection> {
    let (quarantine_files, quarantine_bytes) = Quarantine::open(directory, MAX_QUARANTINE_BYTES)?.held();
    let mut found = Inspection { quarantine_files, quarantine_bytes, ..Inspection::default() };
    let segments = match segment::list(directory) {
        // A flush has just removed one.
        Err(error) if error.kind() == ErrorKind::NotFound => segment::list(directory)?,
        other => other?,
    };
    let Some(id) = segment::id_of(&segments)? else { return Ok(found) };
    let from = flushed(id)?;
    for (index, segment) in segments.iter().enumerate() {
        let limit = segments.get(index + 1).map(|next| next.base);
        if limit.is_some_and(|limit| limit <= from) {
            continue;
        }
        found.damaged += u64::from(segment.head.is_err());
        let bytes = match segment.read() {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other?,
        };
        for item in segment.items(&bytes, limit) {
            let (position, length, torn) = match item {
                Item::Record { .. } => continue,
                Item::Damaged { position, bytes } => (position, bytes.len() as u64, false),
                Item::Torn { position, bytes } => (position, bytes.len() as u64, true),
                Item::Missing { position, bytes } => (position, bytes, false),
            };
            let length = (position.0 + length).saturating_sub(position.0.max(from.0));
            if torn {
                found.torn_bytes += length;
            } else if length > 0 {
                found.damaged += 1;
                found.damaged_bytes += length;
            }
        }
    }
    Ok(found)
}
