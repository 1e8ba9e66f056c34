//! Connections to one SQLite catalog file, and the one way to write it.

use std::path::Path;
use std::time::{Duration, Instant};

use datafusion_ducklake::SnapshotCommitMetadata;
use parking_lot::{Mutex, MutexGuard};
use pintail_types::FaultPoint;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::commit::Commit;
use crate::error::{CatalogError, Result};

/// The first wait for a lock that another process holds; each following wait is longer.
const FIRST_WAIT: Duration = Duration::from_millis(1);
/// The longest single wait for a lock.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// Prepared statements that a connection keeps; there are about as many in [`crate::sql`].
const CACHED_STATEMENTS: usize = 96;

/// One writing and one reading connection.
#[derive(Debug)]
pub(crate) struct Database {
    /// None when the file was opened for reading only.
    writer: Option<Mutex<Connection>>,
    reader: Mutex<Connection>,
    busy_timeout: Duration,
}

impl Database {
    /// Opens the file, which is made when it does not exist and `create` is set, and switches it to WAL.
    pub(crate) fn open(path: &Path, create: bool, busy_timeout: Duration) -> Result<Self> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let writer = Connection::open_with_flags(path, flags)?;
        // Waiting is done here, with jitter, so that two waiting processes do not move in step.
        writer.busy_timeout(Duration::ZERO)?;
        patiently(busy_timeout, || {
            let mode: String = writer.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
            match mode.as_str() {
                "wal" => Ok(()),
                other => Err(CatalogError::Unsupported(format!(
                    "sqlite stays in journal mode {other}, WAL is needed"
                ))),
            }
        })?;
        writer.execute_batch("PRAGMA synchronous = FULL")?;
        writer.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        let reader = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        reader.busy_timeout(busy_timeout)?;
        reader.execute_batch("PRAGMA query_only = ON")?;
        reader.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        Ok(Self { writer: Some(Mutex::new(writer)), reader: Mutex::new(reader), busy_timeout })
    }

    /// Opens the file for reading only: it is neither locked nor changed, whatever journal mode it is in.
    pub(crate) fn open_read_only(path: &Path, busy_timeout: Duration) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(path, flags)?;
        reader.busy_timeout(busy_timeout)?;
        reader.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        Ok(Self { writer: None, reader: Mutex::new(reader), busy_timeout })
    }

    /// Whether nothing can be written.
    pub(crate) const fn is_read_only(&self) -> bool {
        self.writer.is_none()
    }

    fn writer(&self) -> Result<MutexGuard<'_, Connection>> {
        let writer = self.writer.as_ref().map(Mutex::lock);
        writer.ok_or_else(|| CatalogError::Unsupported("the catalog is open for reading only".to_owned()))
    }

    /// How long to wait for a lock that another process holds.
    pub(crate) const fn busy_timeout(&self) -> Duration {
        self.busy_timeout
    }

    /// Runs `read` in one read transaction.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut reader = self.reader.lock();
        let transaction = reader.transaction_with_behavior(TransactionBehavior::Deferred)?;
        read(&transaction)
    }

    /// Copies the whole file as it is now to `path`, where there must be none.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<()> {
        self.writer()?.execute("VACUUM INTO $1", [path.to_string_lossy()])?;
        Ok(())
    }

    /// Runs `write` in one write transaction that adds no snapshot.
    pub(crate) fn write<T>(&self, write: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut writer = self.writer()?;
        let transaction = begin_immediate(&mut writer, self.busy_timeout)?;
        let value = write(&transaction)?;
        FaultPoint::CatalogWrite.pass();
        transaction.commit()?;
        FaultPoint::CatalogWritten.pass();
        Ok(value)
    }

    /// Runs `change` in one write transaction that adds one snapshot; returns that snapshot's id.
    ///
    /// `metadata` is set in the same transaction. When `change` fails, nothing is written.
    pub(crate) fn commit<T>(
        &self,
        about: &SnapshotCommitMetadata,
        metadata: &[(String, String)],
        change: impl FnOnce(&mut Commit<'_>) -> Result<T>,
    ) -> Result<(i64, T)> {
        let mut writer = self.writer()?;
        let mut commit = Commit::begin(begin_immediate(&mut writer, self.busy_timeout)?)?;
        let value = change(&mut commit)?;
        Ok((commit.finish(about, metadata)?, value))
    }

    /// As [`Database::commit`], but adds no snapshot when `change` recorded no change; `None` then.
    pub(crate) fn commit_if_changed(
        &self,
        about: &SnapshotCommitMetadata,
        change: impl FnOnce(&mut Commit<'_>) -> Result<()>,
    ) -> Result<Option<i64>> {
        let mut writer = self.writer()?;
        let mut commit = Commit::begin(begin_immediate(&mut writer, self.busy_timeout)?)?;
        change(&mut commit)?;
        if commit.is_empty() {
            return Ok(None);
        }
        commit.finish(about, &[]).map(Some)
    }
}

/// Takes the write lock at once: a read transaction that upgrades later would fail without waiting.
fn begin_immediate(writer: &mut Connection, busy_timeout: Duration) -> Result<Transaction<'_>> {
    let writer = &*writer;
    patiently(busy_timeout, || Ok(Transaction::new_unchecked(writer, TransactionBehavior::Immediate)?))
}

/// Repeats `attempt` while another process holds the lock, until `timeout` has passed.
fn patiently<T>(timeout: Duration, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + timeout;
    let mut wait = FIRST_WAIT;
    loop {
        match attempt() {
            Err(error) if error.is_busy() => {}
            other => return other,
        }
        if Instant::now() >= deadline {
            return Err(CatalogError::Locked);
        }
        std::thread::sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0));
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
