//! Where the files of a volume lie: in a directory, or in a bucket of an object store.
//!
//! Files are written below a directory in either case. Those of a bucket are sent there when they are complete, before a
//! commit names them, and leave the directory, where nothing outlives the process.

mod bucket;
mod remote;

use std::path::PathBuf;

pub use self::bucket::BucketOptions;
pub(crate) use self::remote::{Fetched, Remote};

/// Where the files of a volume lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilePlace {
    /// In this directory.
    Directory(PathBuf),
    /// In a bucket.
    Bucket {
        /// Which one.
        bucket: BucketOptions,
        /// Where files are until they are sent, and while they are read as a whole.
        staging: PathBuf,
    },
}

impl FilePlace {
    /// The directory in which files are written.
    pub(crate) fn directory(&self) -> &PathBuf {
        match self {
            Self::Directory(directory) | Self::Bucket { staging: directory, .. } => directory,
        }
    }
}
