//! Files that are written and not committed yet, and their end when they never will be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use pintail_types::{Error, Result};

use crate::new_file::{FileSize, NewFile};

/// Files that no commit names yet. Dropping it removes them.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewFiles(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    paths: Vec<PathBuf>,
    given_up: bool,
}

impl NewFiles {
    /// Publishes a file, unless the load has been given up meanwhile. Blocks.
    pub(crate) fn publish(&self, file: NewFile, path: &Path, root: &Path) -> Result<FileSize> {
        let size = file.publish(root)?;
        let mut kept = self.0.lock();
        if kept.given_up {
            remove(path);
            return Err(Error::cancelled("the load was given up"));
        }
        kept.paths.push(path.to_owned());
        Ok(size)
    }

    /// The files, which belong to the caller from now on.
    pub(crate) fn take(&self) -> Vec<PathBuf> {
        std::mem::take(&mut self.0.lock().paths)
    }

    fn give_up(&self) {
        let mut kept = self.0.lock();
        kept.given_up = true;
        let paths = std::mem::take(&mut kept.paths);
        drop(kept);
        if paths.is_empty() {
            return;
        }
        let removal = move || remove_all(&paths);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(removal)),
            Err(_) => removal(),
        }
    }
}

/// Gives the files up when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Guard(pub(crate) NewFiles);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

/// Removes files that no commit names. Blocks.
pub(crate) fn remove_all(paths: &[PathBuf]) {
    paths.iter().for_each(|path| remove(path));
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(%error, file = %path.display(), "a file that no commit names could not be removed");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn files_that_were_given_up_are_gone() {
        let directory = tempfile::tempdir().unwrap();
        let guard = Guard::default();
        let path = directory.path().join("a.parquet");
        let file = NewFile::create(path.clone()).unwrap();
        file.file().write_all(b"12345678").unwrap();
        guard.0.publish(file, &path, directory.path()).unwrap();
        let unfinished = NewFile::create(directory.path().join("b.parquet")).unwrap();
        let new_files = guard.0.clone();
        drop(guard);
        assert!(
            new_files.publish(unfinished, &directory.path().join("b.parquet"), directory.path()).is_err()
        );
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
