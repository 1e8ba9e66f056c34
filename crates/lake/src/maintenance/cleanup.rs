//! Deleting files that nobody needs.
//!
//! Files of the lake are deleted when they are listed for deletion for longer than the grace and no query of ours reads
//! them. Files that the catalog does not know were left behind by a crash or a failed commit; they are deleted when
//! nobody has changed them for longer than the grace, and no write of ours that is still under way can have made them.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use pintail_ducklake::{ScheduledFile, catalog_now};
use pintail_types::{FaultPoint, Micros, Result};

use super::{Done, Stop};
use crate::journal::io_error;
use crate::lake::Lake;
use crate::volume::Volume;

/// How far the clock of a bucket may lie behind ours: S3 refuses requests of a clock that is further off.
const CLOCK_SKEW: Duration = Duration::from_secs(15 * 60);

/// Files that are taken off the catalog's list in one transaction.
const FILES_AT_ONCE: usize = 256;

/// How old an unknown file is at least before the lake deletes it unasked: another program may be about to commit it.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);

/// Which unknown files are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orphans {
    /// Those that are as old as files of the lake have to be.
    AsOld,
    /// Those that are also a day old.
    OnlyOld,
}

/// What was deleted and what was kept.
#[derive(Debug, Default)]
struct Cleaned {
    files: u64,
    bytes: u64,
    orphans: u64,
    waiting: u64,
    in_use: u64,
}

/// Deletes files that have been without use for `older_than` or, without it, for the configured grace. Blocks.
pub(super) fn cleanup(
    lake: &Arc<Lake>,
    volume: &Arc<Volume>,
    older_than: Option<Duration>,
    orphans: Orphans,
    stop: &Stop,
) -> Result<Done> {
    let age = older_than.unwrap_or(lake.options().maintenance.grace);
    let mut cleaned = Cleaned::default();
    // Before the catalog is read: what is committed meanwhile is named in it.
    let unknown = match orphans {
        Orphans::AsOld => candidates(volume, age)?,
        Orphans::OnlyOld => candidates(volume, age.max(ORPHAN_AGE))?,
    };
    let known = volume.catalog.known_files()?;
    let named: HashSet<PathBuf> = known.named.iter().map(|path| real_path(path)).collect();
    delete_scheduled(volume, &known.scheduled, &named, age, stop, &mut cleaned)?;
    let scheduled: HashSet<PathBuf> = known.scheduled.iter().map(|file| real_path(&file.path)).collect();
    for path in unknown {
        stop.check()?;
        let path = real_path(&path.to_string_lossy());
        if !named.contains(&path) && !scheduled.contains(&path) {
            FaultPoint::CleanupOrphan.pass();
            cleaned.delete(volume, &path)?;
            cleaned.orphans += 1;
        }
    }
    Ok(cleaned.done())
}

/// Deletes what is listed for long enough, and takes it off the list.
fn delete_scheduled(
    volume: &Volume,
    scheduled: &[ScheduledFile],
    named: &HashSet<PathBuf>,
    age: Duration,
    stop: &Stop,
    cleaned: &mut Cleaned,
) -> Result<()> {
    let limit = catalog_now().saturating_sub(Micros::try_from(age.as_micros()).unwrap_or(Micros::MAX));
    let in_use = volume.pins.in_use(scheduled.iter().map(|file| file.id));
    let mut gone = Vec::new();
    for file in scheduled {
        stop.check()?;
        if file.since.is_none_or(|since| since > limit) {
            cleaned.waiting += 1;
        } else if in_use.contains(&file.id) {
            cleaned.in_use += 1;
        } else {
            let path = real_path(&file.path);
            // Another program may have added a file again that it had removed.
            if !named.contains(&path) {
                FaultPoint::CleanupFile.pass();
                cleaned.delete(volume, &path)?;
            }
            gone.push(file.id);
        }
        if gone.len() >= FILES_AT_ONCE {
            unschedule(volume, std::mem::take(&mut gone))?;
        }
    }
    match gone.is_empty() {
        true => Ok(()),
        false => unschedule(volume, gone),
    }
}

/// Takes files that are deleted off the catalog's list.
fn unschedule(volume: &Volume, gone: Vec<i64>) -> Result<()> {
    FaultPoint::CleanupListed.pass();
    volume.catalog.unschedule(&gone)
}

impl Cleaned {
    /// Deletes a file; one that is gone already is as good.
    fn delete(&mut self, volume: &Volume, path: &Path) -> Result<()> {
        if let Some(bytes) = volume.remove(&path.to_string_lossy())? {
            self.files += 1;
            self.bytes += bytes;
        }
        Ok(())
    }

    fn done(&self) -> Done {
        let mut message = format!("{} files deleted", self.files);
        if self.orphans > 0 {
            message.push_str(&format!(", {} of them unknown to the catalog", self.orphans));
        }
        if self.in_use > 0 {
            message.push_str(&format!("; {} kept because queries may read them", self.in_use));
        }
        if self.waiting > 0 {
            message.push_str(&format!("; {} wait for the end of their grace", self.waiting));
        }
        Done { files_in: self.files, bytes: self.bytes, message, ..Done::default() }
    }
}

/// The Parquet files below the lake's directory that nobody has changed for `age`, and that no write of ours can have
/// made that is still under way.
fn candidates(volume: &Volume, age: Duration) -> Result<Vec<PathBuf>> {
    let settled = volume.writes.none_before();
    let limit = SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH).min(settled);
    if let Some(remote) = &volume.remote {
        let settled = settled.checked_sub(CLOCK_SKEW).unwrap_or(SystemTime::UNIX_EPOCH);
        let limit = DateTime::<Utc>::from(limit.min(settled));
        let listed = remote.list(&remote.url)?.into_iter();
        let old = listed.filter(|(path, found)| is_data(Path::new(path)) && found.last_modified < limit);
        return Ok(old.map(|(path, _)| PathBuf::from(path)).collect());
    }
    files_before(&volume.data_path, limit)
}

/// The Parquet files below `root`, finished or not, that nobody has changed since `limit`.
pub(crate) fn files_before(root: &Path, limit: SystemTime) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = fs::read_dir(&directory).map_err(|error| io_error(&directory, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| io_error(&directory, &error))?;
            let kind = entry.file_type().map_err(|error| io_error(&entry.path(), &error))?;
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_file() && is_data(&entry.path()) && is_older(&entry, limit)? {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

/// Whether it is a file that a lake makes, finished or not.
fn is_data(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    name.ends_with(".parquet") || name.ends_with(".parquet.tmp")
}

fn is_older(entry: &fs::DirEntry, limit: SystemTime) -> Result<bool> {
    let changed = match entry.metadata() {
        Ok(metadata) => metadata.modified(),
        // Somebody else was quicker.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => Err(error),
    };
    Ok(changed.map_err(|error| io_error(&entry.path(), &error))? < limit)
}

/// The path by which a file is compared with others: two spellings of one place must not look like two files.
pub(crate) fn real_path(path: &str) -> PathBuf {
    if path.contains("://") && !path.starts_with("file://") {
        return PathBuf::from(path);
    }
    let path = Path::new(path.strip_prefix("file://").unwrap_or(path));
    let real = path.parent().zip(path.file_name()).and_then(|(directory, name)| {
        let directory = fs::canonicalize(directory).ok()?;
        Some(directory.join(name))
    });
    real.unwrap_or_else(|| path.to_owned())
}
