//! A local object store whose files survive a power cut once they are written.
//!
//! `object_store` 0.13 writes local files without syncing them (it can from 0.14 on). A DuckLake commit must
//! never name a file that a power cut can take away, so this wrapper syncs each file and the
//! directories above it, up to the root of the data, before the write counts as done.

use std::fmt;
use std::fs::File;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// The machine's file system; what is written below `root` is durable.
#[derive(Debug)]
pub(crate) struct DurableLocalStore {
    inner: LocalFileSystem,
    root: Arc<FilePath>,
}

impl DurableLocalStore {
    /// The file system below `/`, syncing every directory from a new file up to `root`.
    pub(crate) fn new(root: &FilePath) -> Self {
        Self { inner: LocalFileSystem::new(), root: root.into() }
    }

    async fn sync(&self, location: &Path) -> Result<()> {
        sync(self.inner.path_to_filesystem(location)?, Arc::clone(&self.root)).await
    }
}

impl fmt::Display for DurableLocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "durable {}", self.inner)
    }
}

/// Syncs the file and whatever names it.
async fn sync(path: PathBuf, root: Arc<FilePath>) -> Result<()> {
    let synced = tokio::task::spawn_blocking(move || sync_blocking(&path, &root)).await;
    synced.map_err(|source| object_store::Error::JoinError { source })?.map_err(|source| {
        object_store::Error::Generic { store: "durable local store", source: Box::new(source) }
    })
}

fn sync_blocking(path: &FilePath, root: &FilePath) -> std::io::Result<()> {
    File::open(path)?.sync_all()?;
    sync_directories(path, root)
}

/// Syncs the directories above a file, from its own up to `root`. Blocks.
pub(crate) fn sync_directories(path: &FilePath, root: &FilePath) -> std::io::Result<()> {
    for directory in path.ancestors().skip(1).take_while(|directory| directory.starts_with(root)) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

#[async_trait]
impl ObjectStore for DurableLocalStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let result = self.inner.put_opts(location, payload, opts).await?;
        self.sync(location).await?;
        Ok(result)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.inner.path_to_filesystem(location)?;
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(DurableUpload { inner, path, root: Arc::clone(&self.root) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[std::ops::Range<u64>],
    ) -> Result<Vec<bytes::Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        self.sync(to).await
    }
}

#[derive(Debug)]
struct DurableUpload {
    inner: Box<dyn MultipartUpload>,
    path: PathBuf,
    root: Arc<FilePath>,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.inner.complete().await?;
        sync(self.path.clone(), Arc::clone(&self.root)).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
