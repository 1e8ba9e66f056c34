//! The files of a volume, beside what its catalog says of them: in a directory of this machine, or in a bucket.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use pintail_ducklake::{AppendedFiles, LiveFile};
use pintail_types::Result;

use crate::journal::io_error;
use crate::stores::Fetched;
use crate::volume::Volume;

/// A data file whose rows can be read from this machine, with its delete file.
#[derive(Debug)]
pub(crate) struct ReadableFile {
    /// As the catalog has it, with paths of this machine.
    pub(crate) file: LiveFile,
    /// Copies that go away with this.
    copies: Vec<Fetched>,
}

impl Volume {
    /// Where its files lie: a directory or a URL.
    pub(crate) fn place(&self) -> String {
        match &self.remote {
            Some(remote) => remote.url.clone(),
            None => self.data_path.display().to_string(),
        }
    }

    /// Where a file is written that is to be `path` in the catalog.
    pub(crate) fn written(&self, path: &str) -> PathBuf {
        let staged = self.remote.as_ref().and_then(|remote| remote.staged(path));
        staged.unwrap_or_else(|| PathBuf::from(path))
    }

    /// Puts a complete file that was written for `path` where readers look for it. Blocks.
    ///
    /// # Errors
    /// `Unavailable` when the bucket can't be reached; the file is not there then, or not yet known to be.
    pub(crate) fn publish(&self, path: &str) -> Result<()> {
        match &self.remote {
            Some(remote) => remote.send(&self.written(path), path),
            None => Ok(()),
        }
    }

    /// The same for all files of an append. Those that were written are removed if one can't be published. Blocks.
    pub(crate) fn publish_all(&self, appends: &[AppendedFiles]) -> Result<()> {
        if self.remote.is_none() {
            return Ok(());
        }
        let published = paths_of(appends).try_for_each(|path| self.publish(&path));
        if published.is_err() {
            for path in paths_of(appends) {
                // It may have been sent already, and be gone here.
                let _ = fs::remove_file(self.written(&path));
            }
        }
        published
    }

    /// Removes files that no commit names: the commit that was to name them did not happen. Blocks.
    pub(crate) fn discard(&self, appends: &[AppendedFiles]) {
        for path in paths_of(appends) {
            if let Err(error) = self.remove(&path) {
                tracing::warn!(%error, file = path, "a file that no commit names could not be removed");
            }
        }
    }

    /// A data file and its delete file as files of this machine: a bucket's are copied. Blocks.
    pub(crate) fn readable(&self, file: &LiveFile) -> Result<ReadableFile> {
        let mut readable = ReadableFile { file: file.clone(), copies: Vec::new() };
        let Some(remote) = &self.remote else { return Ok(readable) };
        let deletes = readable.file.deletes.as_mut().map(|deletes| &mut deletes.path);
        for path in [Some(&mut readable.file.path), deletes].into_iter().flatten() {
            let copy = remote.fetch(path)?;
            *path = copy.0.to_string_lossy().into_owned();
            readable.copies.push(copy);
        }
        Ok(readable)
    }

    /// Removes a file, and gives its size; none if it was gone already. Blocks.
    pub(crate) fn remove(&self, path: &str) -> Result<Option<u64>> {
        if let Some(remote) = &self.remote {
            return remote.remove(path);
        }
        let path = Path::new(path);
        let bytes = fs::metadata(path).map_or(0, |found| found.len());
        match fs::remove_file(path) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(path, &error)),
        }
    }

    /// Removes files that no commit names, whose paths begin with `prefix`; gives their number. Blocks.
    pub(crate) fn remove_files_of_prefix(&self, prefix: &str) -> Result<u64> {
        let Some((directory, _)) = prefix.rsplit_once('/') else { return Ok(0) };
        let paths = match &self.remote {
            Some(remote) => remote.list(directory)?.into_iter().map(|(path, _)| path).collect(),
            None => paths_in(Path::new(directory))?,
        };
        let mut removed = 0;
        for path in paths.iter().filter(|path| path.starts_with(prefix)) {
            removed += u64::from(self.remove(path)?.is_some());
        }
        Ok(removed)
    }
}

/// The paths of new files as the catalog is to have them.
fn paths_of(appends: &[AppendedFiles]) -> impl Iterator<Item = String> {
    appends.iter().flat_map(|AppendedFiles { target, files, deletes }| {
        let deletes = deletes.iter().map(|entry| &entry.delete.path);
        let paths = files.iter().map(|file| &file.path).chain(deletes);
        paths.map(move |path| format!("{}{path}", target.directory))
    })
}

/// The paths of what lies in a directory; nothing if there is none.
fn paths_in(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| io_error(directory, &error))?,
    };
    let path = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.map_err(|error| io_error(directory, &error))?;
        Ok(entry.path().to_string_lossy().into_owned())
    };
    entries.map(path).collect()
}
