//! A bucket as the place of a volume's files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion_ducklake::path_resolver::parse_object_store_url;
use futures::{StreamExt, TryStreamExt};
use object_store::buffered::BufWriter;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use pintail_types::{Error, Result};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::BucketOptions;
use crate::journal::io_error;
use crate::volume::from_ducklake;

/// Bytes of a file that are sent as one request; larger ones are sent in parts of this size.
const PART_BYTES: usize = 8 << 20;

/// A bucket, and the prefix in it that is a volume's.
#[derive(Debug)]
pub(crate) struct Remote {
    /// The volume's name, for errors.
    volume: String,
    /// The volume's data path: a URL with a slash at the end.
    pub(crate) url: String,
    /// What scans know the store by.
    pub(crate) store_url: ObjectStoreUrl,
    /// The store, whose root is the bucket.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The directory that stands for [`Self::url`] while files are written.
    staging: PathBuf,
    runtime: tokio::runtime::Handle,
}

impl Remote {
    /// Nothing is asked of the store: it may be away. Files that the last process left in the directory are removed.
    pub(crate) fn new(
        volume: &str,
        bucket: &BucketOptions,
        staging: &Path,
        runtime: tokio::runtime::Handle,
    ) -> Result<Self> {
        let url = bucket.directory();
        let (store_url, _) = parse_object_store_url(&url)
            .map_err(|error| from_ducklake(&format!("volume {volume}: {url} is no data path"), error))?;
        Ok(Self {
            volume: volume.to_owned(),
            store: bucket.store()?,
            store_url,
            url,
            staging: staging.to_owned(),
            runtime,
        })
    }

    /// Where a file of the bucket is while it is written. None for a path that is not below the volume's.
    pub(crate) fn staged(&self, path: &str) -> Option<PathBuf> {
        Some(self.staging.join(path.strip_prefix(&self.url)?))
    }

    /// Sends a complete file to `path`, makes sure that it is there, and removes it here. Blocks.
    pub(crate) fn send(&self, file: &Path, path: &str) -> Result<()> {
        self.runtime.block_on(async {
            let location = self.location(path)?;
            let bytes = fs::metadata(file).map_err(|error| io_error(file, &error))?.len();
            if let Err(error) = self.put(file, &location, path).await
                // The answer may have been lost, and the file be there.
                && self.size(&location, path).await.ok() != Some(bytes)
            {
                return Err(error);
            }
            match self.size(&location, path).await? {
                found if found == bytes => Ok(()),
                found => Err(self
                    .unavailable(path, &format!("{found} bytes are there, not the {bytes} that were sent"))),
            }
        })?;
        fs::remove_file(file).map_err(|error| io_error(file, &error))
    }

    async fn put(&self, file: &Path, location: &ObjectPath, path: &str) -> Result<()> {
        let read = |error: std::io::Error| io_error(file, &error);
        let sent = |error: std::io::Error| self.unavailable(path, &error.to_string());
        let mut source = tokio::fs::File::open(file).await.map_err(read)?;
        let mut target = BufWriter::with_capacity(Arc::clone(&self.store), location.clone(), PART_BYTES);
        if let Err(error) = tokio::io::copy(&mut source, &mut target).await {
            // Parts that were sent cost space until they are given up; a bucket that is away keeps them.
            let _ = target.abort().await;
            return Err(sent(error));
        }
        target.shutdown().await.map_err(sent)
    }

    async fn size(&self, location: &ObjectPath, path: &str) -> Result<u64> {
        let found = self.store.head(location).await;
        found.map(|found| found.size).map_err(|error| self.failed(path, error))
    }

    /// A copy of a file, to be read as a whole. Blocks.
    pub(crate) fn fetch(&self, path: &str) -> Result<Fetched> {
        let copy = Fetched(self.staging.join(format!("fetched-{}.parquet", Uuid::now_v7())));
        self.runtime.block_on(async {
            let location = self.location(path)?;
            let failed = |error| self.failed(path, error);
            let mut chunks = self.store.get(&location).await.map_err(failed)?.into_stream();
            let write = |error: std::io::Error| io_error(&copy.0, &error);
            let mut file = tokio::fs::File::create(&copy.0).await.map_err(write)?;
            while let Some(chunk) = chunks.next().await {
                file.write_all(&chunk.map_err(failed)?).await.map_err(write)?;
            }
            file.flush().await.map_err(write)
        })?;
        Ok(copy)
    }

    /// Removes a file, and gives its size; none if it is gone already. Blocks.
    pub(crate) fn remove(&self, path: &str) -> Result<Option<u64>> {
        self.runtime.block_on(async {
            let location = self.location(path)?;
            let size = match self.store.head(&location).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                other => other.map_err(|error| self.failed(path, error))?.size,
            };
            match self.store.delete(&location).await {
                Ok(()) => Ok(Some(size)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(self.failed(path, error)),
            }
        })
    }

    /// The files below a directory of the volume: their paths, and what the store says of them. Blocks.
    pub(crate) fn list(&self, directory: &str) -> Result<Vec<(String, ObjectMeta)>> {
        let prefix = self.location(directory)?;
        let listed = self.store.list(Some(&prefix)).try_collect::<Vec<ObjectMeta>>();
        let listed = self.runtime.block_on(listed).map_err(|error| self.failed(directory, error))?;
        let root = self.store_url.as_str().trim_end_matches('/');
        Ok(listed.into_iter().map(|found| (format!("{root}/{}", found.location), found)).collect())
    }

    /// The place of a path in the bucket.
    fn location(&self, path: &str) -> Result<ObjectPath> {
        let (_, key) = parse_object_store_url(path)
            .map_err(|error| from_ducklake(&format!("volume {}: {path} is no place", self.volume), error))?;
        ObjectPath::parse(key.trim_matches('/'))
            .map_err(|error| Error::invalid(format!("volume {}: {path}: {error}", self.volume)))
    }

    fn failed(&self, path: &str, error: object_store::Error) -> Error {
        self.unavailable(path, &error.to_string()).with_source(error)
    }

    fn unavailable(&self, path: &str, why: &str) -> Error {
        let path = path.strip_prefix(&self.url).unwrap_or(path);
        Error::unavailable(format!("volume {}: {}{path}: {why}", self.volume, self.url))
    }
}

/// A copy of a file that goes away with this.
#[derive(Debug)]
pub(crate) struct Fetched(pub(crate) PathBuf);

impl Drop for Fetched {
    fn drop(&mut self) {
        // It may never have been made; what is left is removed at the next start.
        let _ = fs::remove_file(&self.0);
    }
}
