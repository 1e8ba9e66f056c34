//! Files that are read again when they change.

use std::fmt;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use parking_lot::Mutex;
use pintail_types::{Error, Result};

/// Something that was read from files and can be read again while it is in use.
pub trait Reload: Send + Sync + fmt::Debug {
    /// What it is, for the log.
    fn describe(&self) -> String;

    /// Whether any of its files looks different from when this was last asked. Blocks.
    fn has_changed(&self) -> bool;

    /// Reads its files. Blocks.
    ///
    /// # Errors
    /// When they can't be used; what was read before stays in use.
    fn reload(&self) -> Result<()>;
}

/// Files and what they last looked like.
#[derive(Debug)]
pub(crate) struct WatchedFiles {
    paths: Vec<PathBuf>,
    seen: Mutex<Vec<Option<Look>>>,
}

/// What is seen of a file without reading it. Following links, so that one that points elsewhere is seen too.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    modified: Option<SystemTime>,
    length: u64,
    /// Number of the file, and the time of its last change of any kind.
    identity: (u64, i64, i64),
}

impl WatchedFiles {
    /// Watches from now on; call it before the files are read.
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        let seen = Mutex::new(look_at(&paths));
        Self { paths, seen }
    }

    /// Whether any looks different from the last time.
    pub(crate) fn have_changed(&self) -> bool {
        let now = look_at(&self.paths);
        let mut seen = self.seen.lock();
        let changed = *seen != now;
        *seen = now;
        changed
    }
}

fn look_at(paths: &[PathBuf]) -> Vec<Option<Look>> {
    let look = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Look {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            identity: identity(&metadata),
        })
    };
    paths.iter().map(look).collect()
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, i64, i64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, i64, i64) {
    (0, 0, 0)
}

/// The bytes of a file that an operator wrote. Blocks.
///
/// # Errors
/// `Invalid` if it can't be read or is longer than `limit`; the message begins with `what` and the path.
pub(crate) fn read_file(what: &str, path: &Path, limit: u64) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| {
        Error::invalid(format!("{what} {}: {error}", path.display())).with_source(error)
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Error::invalid(format!("{what} {}: it is longer than {limit} bytes", path.display())));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let watched = WatchedFiles::new(vec![path.clone()]);
        assert!(!watched.have_changed());
        let changes: [&dyn Fn(); 4] = [
            &|| std::fs::write(&path, "one").unwrap(),
            &|| std::fs::write(&path, "another").unwrap(),
            &|| {
                let other = directory.path().join("other");
                std::fs::write(&other, "renamed").unwrap();
                std::fs::rename(&other, &path).unwrap();
            },
            &|| std::fs::remove_file(&path).unwrap(),
        ];
        for change in changes {
            change();
            assert!(watched.have_changed());
            assert!(!watched.have_changed());
        }
    }

    #[test]
    fn files_have_a_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read_file("file", &path, 4).unwrap(), b"four");
        assert!(read_file("file", &path, 3).unwrap_err().message().contains("longer than 3 bytes"));
        let missing = read_file("users file", &directory.path().join("none"), 3).unwrap_err();
        assert!(missing.message().starts_with("users file ") && missing.message().contains("No such file"));
    }
}
