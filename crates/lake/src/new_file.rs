//! A file that appears under its name when it is complete and durable, and not before.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use pintail_types::{Error, FaultPoint, Result};

use crate::durable_store::sync_directories;
use crate::journal::io_error;

/// Bytes of a Parquet file after its metadata: the metadata's length and the magic word.
const TRAILER: u64 = 8;

/// A file under a hidden name. Dropping it without [`NewFile::publish`] removes it.
///
/// What a crash leaves under a hidden name is no file of the lake.
#[derive(Debug)]
pub(crate) struct NewFile {
    path: PathBuf,
    hidden: PathBuf,
    file: File,
    published: bool,
}

/// The size of a complete Parquet file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileSize {
    /// Bytes of all.
    pub(crate) file: i64,
    /// Bytes of its metadata.
    pub(crate) footer: i64,
}

impl NewFile {
    /// Makes the file that is to be `path`, and its directories. Blocks.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let at = |error: std::io::Error| io_error(&path, &error);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(at)?;
        }
        let hidden = path.with_extension("parquet.tmp");
        let file = File::options().read(true).write(true).create_new(true).open(&hidden).map_err(at)?;
        Ok(Self { path, hidden, file, published: false })
    }

    /// The file to write to.
    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    /// Where it lies until it is published.
    pub(crate) fn hidden_path(&self) -> &Path {
        &self.hidden
    }

    /// Syncs the file and gives it its name, durable up to the directory `root`. Blocks.
    pub(crate) fn publish(mut self, root: &Path) -> Result<FileSize> {
        let size = self.sync_and_rename(root).map_err(|error| io_error(&self.path, &error))?;
        self.published = true;
        Ok(size)
    }

    fn sync_and_rename(&self, root: &Path) -> std::io::Result<FileSize> {
        FaultPoint::FileSync.pass();
        self.file.sync_all()?;
        let size = size_of(&self.file)?;
        FaultPoint::FileRename.pass();
        fs::rename(&self.hidden, &self.path)?;
        FaultPoint::FileName.pass();
        sync_directories(&self.path, root)?;
        Ok(size)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.published {
            // It names nothing; a failure to remove it is the disk's, and told already.
            let _ = fs::remove_file(&self.hidden);
        }
    }
}

/// The file's length and that of its metadata, from its trailer.
fn size_of(file: &File) -> std::io::Result<FileSize> {
    use std::os::unix::fs::FileExt as _;
    let bytes = file.metadata()?.len();
    let mut length = [0; 4];
    file.read_exact_at(&mut length, bytes.saturating_sub(TRAILER))?;
    let footer = i64::from(u32::from_le_bytes(length));
    Ok(FileSize { file: i64::try_from(bytes).unwrap_or(i64::MAX), footer })
}

/// What the Parquet writer failed with, at the file it was writing.
pub(crate) fn parquet_error(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(error) => io_error(path, &error),
            Err(source) => Error::unavailable(format!("{}: {source}", path.display())),
        },
        other => Error::unavailable(format!("{}: {other}", path.display())),
    }
}
