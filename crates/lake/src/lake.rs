//! The lake: journal, buffer, flusher and volume put together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use datafusion::datasource::TableProvider;
use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use parking_lot::Mutex;
use pintail_ducklake::ViewSpec;
use pintail_types::{
    Clock, Error, FaultPoint, JournalId, JournalPosition, Micros, Result, SnapshotId, TelemetryTable,
};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant};

use crate::barrier::{Barrier, Intake, RowSource};
use crate::catalog::LakeCatalog;
use crate::change_feed::ChangeFeed;
use crate::clock_watch::{ClockWatch, Jump};
use crate::cut::{Cut, VolumeCut};
use crate::flush::{self, FlushReport, MAIN};
use crate::fsck::Findings;
use crate::hot::{Generation, HotBuffer, HotCut};
use crate::journal::{Journal, JournalRecovery, ReplayReport};
use crate::maintenance::Maintenance;
use crate::options::LakeOptions;
use crate::pins::Pin;
use crate::table::LakeTable;
use crate::tiers::{Generations, Heads};
use crate::views;
use crate::volume::{Hidden, Volume};

/// How often a waiting receiver looks again whether there is room.
const ADMISSION_POLL: Duration = Duration::from_millis(20);

/// How long a flush that failed waits before it is tried again.
const FLUSH_RETRY: Duration = Duration::from_secs(2);

/// The newest commit of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastCommit {
    /// When it was done.
    pub at: Micros,
    /// Its snapshot.
    pub snapshot: SnapshotId,
}

/// Something that fails, again and again, until its cause is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What the newest try said.
    pub reason: String,
    /// When the first try failed.
    pub since: Micros,
}

/// How a lake stands.
#[derive(Debug, Clone, Default)]
pub struct LakeStats {
    /// Rows in memory.
    pub hot_rows: usize,
    /// Bytes of memory they take, those still in builders included.
    pub hot_bytes: usize,
    /// When the oldest row that is not in a file arrived.
    pub oldest_unflushed: Option<Micros>,
    /// Bytes of journal records that are not in the lake yet.
    pub journal_bytes: u64,
    /// Our newest commit since start.
    pub last_commit: Option<LastCommit>,
    /// Rows committed since start.
    pub committed_rows: u64,
    /// Files committed since start.
    pub committed_files: u64,
    /// Flushes that failed since start.
    pub flush_failures: u64,
    /// Why flushes fail; none when the newest succeeded.
    pub flush_error: Option<Trouble>,
    /// Why the journal can't be written; none when it can.
    pub journal_error: Option<Trouble>,
    /// The last jump of the clock, while the lake deletes nothing by itself because of it.
    pub clock_jump: Option<Jump>,
    /// What the start found in the journal.
    pub replayed: ReplayReport,
    /// The `.quarantine` files beside the journal's segments, which nobody has removed yet.
    pub quarantine_files: u64,
    /// Their bytes.
    pub quarantine_bytes: u64,
}

#[derive(Debug, Default)]
struct Counters {
    committed_rows: AtomicU64,
    committed_files: AtomicU64,
    flush_failures: AtomicU64,
    hot_bytes: AtomicUsize,
}

/// Rows of one telemetry lake: in the journal, in memory, in files. Made by [`Lake::open`].
#[derive(Debug)]
pub struct Lake {
    options: LakeOptions,
    clock: Arc<dyn Clock>,
    journal: Journal,
    /// The journal as it was found, until it is replayed.
    found: Mutex<Option<FoundJournal>>,
    hot: HotBuffer,
    barrier: Barrier,
    /// The hottest volume: rows are flushed into it, and it has the user tables.
    pub(crate) volume: Arc<Volume>,
    /// All volumes, hottest first.
    pub(crate) volumes: Vec<Arc<Volume>>,
    generations: Generations,
    counters: Counters,
    last_commit: Mutex<Option<LastCommit>>,
    flush_error: Mutex<Option<FlushFailure>>,
    replayed: Mutex<ReplayReport>,
    /// One flush at a time.
    flushing: tokio::sync::Mutex<()>,
    flush_wanted: Notify,
    room: Notify,
    stopping: AtomicBool,
    stop_wanted: watch::Sender<bool>,
    flusher: Mutex<Option<JoinHandle<()>>>,
    /// What keeps the lake in shape.
    maintainers: Mutex<Vec<JoinHandle<()>>>,
    pub(crate) maintenance: Maintenance,
    pub(crate) findings: Findings,
    pub(crate) clock_watch: ClockWatch,
}

/// Why flushes fail. How long is measured, so that a clock that jumps tells no lies.
#[derive(Debug)]
struct FlushFailure {
    reason: String,
    since: Instant,
}

#[derive(Debug)]
struct FoundJournal {
    segments: crate::journal::JournalReader,
    from: JournalPosition,
}

impl Lake {
    /// Opens the lake, or makes it if it may be written: catalog, tables, views, journal. Nothing runs until
    /// [`Lake::start`].
    ///
    /// # Errors
    /// `NotFound` when it is to be read only and does not exist.
    /// `Unavailable` when another process has it open for writing; `Corrupt` or `Unsupported` when the
    /// catalog or journal can't be understood; `Invalid` when it was made for another data path.
    pub async fn open(options: LakeOptions, clock: Arc<dyn Clock>) -> Result<Arc<Self>> {
        let open = move || Self::open_blocking(options, clock);
        tokio::task::spawn_blocking(open)
            .await
            .map_err(|error| Error::internal("opening the lake was stopped").with_source(error))?
    }

    fn open_blocking(options: LakeOptions, clock: Arc<dyn Clock>) -> Result<Arc<Self>> {
        let new_id = JournalId::from_bits(uuid::Uuid::new_v4().as_u64_pair().0);
        let recovery = JournalRecovery::scan(options.journal.clone(), new_id)?;
        let volumes = open_volumes(&options, &LakeOptions::position_key(recovery.id()))?;
        let Some(volume) = volumes.first().map(Arc::clone) else {
            return Err(Error::invalid(format!("lake {} has no volume", options.name)));
        };
        let (_, flushed) = volume.head()?;
        let journal = recovery.open(flushed)?;
        journal.trim(flushed)?;
        let found = FoundJournal { segments: journal.reader(), from: flushed };
        Ok(Arc::new(Self {
            journal,
            found: Mutex::new(Some(found)),
            hot: HotBuffer::default(),
            barrier: Barrier::default(),
            volume,
            volumes,
            generations: Generations::default(),
            counters: Counters::default(),
            last_commit: Mutex::default(),
            flush_error: Mutex::default(),
            replayed: Mutex::default(),
            flushing: tokio::sync::Mutex::default(),
            flush_wanted: Notify::new(),
            room: Notify::new(),
            stopping: AtomicBool::new(false),
            stop_wanted: watch::Sender::new(false),
            flusher: Mutex::default(),
            maintainers: Mutex::default(),
            maintenance: Maintenance::default(),
            findings: Findings::default(),
            clock_watch: ClockWatch::new(Arc::clone(&clock)),
            clock,
            options,
        }))
    }

    /// The catalog name in SQL.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// How the lake is kept.
    pub const fn options(&self) -> &LakeOptions {
        &self.options
    }

    /// The names of the volumes, hottest first.
    pub fn volumes(&self) -> Vec<String> {
        self.volumes.iter().map(|volume| volume.name.clone()).collect()
    }

    /// The DuckLake catalog of the first volume.
    pub fn catalog(&self) -> &pintail_ducklake::Catalog {
        &self.volume.catalog
    }

    /// The write-ahead journal.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Keeps flushes from drawing their line; see [`Intake`].
    pub fn intake(&self) -> Intake<'_> {
        self.barrier.intake()
    }

    /// Adds a builder of rows that every flush empties first.
    pub fn register_rows(&self, source: Arc<dyn RowSource>) {
        self.barrier.register(source);
    }

    /// Reads every journal record that is not in the lake, oldest first. Once, before [`Lake::start`]; blocks.
    ///
    /// # Errors
    /// What the visitor returns, and I/O errors.
    pub fn replay(
        &self,
        visit: &mut dyn FnMut(JournalPosition, &[u8]) -> Result<()>,
    ) -> Result<ReplayReport> {
        let Some(found) = self.found.lock().take() else { return Ok(ReplayReport::default()) };
        let report = found.segments.replay(found.from, &mut |position, payload| {
            if self.held_bytes() >= self.options.hot_buffer.high_water_bytes() {
                self.flush_replayed(position)?;
            }
            visit(position, payload)
        })?;
        *self.replayed.lock() = report;
        Ok(report)
    }

    /// Bytes of the rows in memory, those still in builders included.
    fn held_bytes(&self) -> usize {
        self.counters.hot_bytes.load(Ordering::Relaxed) + self.barrier.buffered_bytes()
    }

    /// Makes room during a replay: what came before the record at `position` goes into files.
    fn flush_replayed(&self, position: JournalPosition) -> Result<()> {
        let (_, sealed) = self.barrier.draw(|| position, || self.hot.begin_flush())?;
        let report = self.write(&sealed, position)?;
        self.finish(&report);
        self.note_commit(&report);
        Ok(())
    }

    /// Adds rows to a table; they are readable when this returns. `last` is the position of the newest
    /// record among them. Call it under an [`Intake`], or from [`RowSource::seal`].
    ///
    /// # Errors
    /// `Internal` when the columns are not the table's.
    pub fn append(&self, table: TelemetryTable, rows: RecordBatch, last: JournalPosition) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let held = self.hot.append(table, rows, last, self.clock.now())?;
        self.counters.hot_bytes.store(held, Ordering::Relaxed);
        if held >= self.options.hot_buffer.high_water_bytes() {
            self.flush_wanted.notify_one();
        }
        Ok(())
    }

    /// Whether rows can be taken now.
    ///
    /// # Errors
    /// `Exhausted` when the hot buffer or the journal is full, `Unavailable` when the journal's disk fails.
    pub fn admission(&self) -> Result<()> {
        self.journal.admission()?;
        let held = self.held_bytes();
        let limit = self.options.hot_buffer.max_bytes;
        if held >= limit {
            self.flush_wanted.notify_one();
            return Err(Error::exhausted(format!(
                "{held} bytes of rows wait to be flushed; storage.ducklake.hot_buffer.max_bytes is {limit}"
            )));
        }
        Ok(())
    }

    /// Returns when [`Lake::admission`] lets rows in again.
    pub async fn admitted(&self) {
        while self.admission().is_err() {
            // The journal frees its room by itself, without telling: look again after a while.
            let _ = tokio::time::timeout(ADMISSION_POLL, self.room.notified()).await;
        }
    }

    /// Starts the flusher, and what keeps the lake in shape.
    pub fn start(self: &Arc<Self>) {
        let flusher = tokio::spawn(Arc::clone(self).run_flusher());
        *self.flusher.lock() = Some(flusher);
        if self.options.read_only {
            return;
        }
        let mut maintainers = self.maintainers.lock();
        if let Some(interval) = self.options.maintenance.interval {
            maintainers.push(tokio::spawn(Arc::clone(self).run_maintenance(interval)));
        }
        if self.volumes.len() > 1 {
            maintainers.push(tokio::spawn(Arc::clone(self).run_storage_policy()));
        }
    }

    /// What time it is for the lake.
    pub(crate) const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Whether the lake is to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Returns when the lake is to stop.
    pub(crate) async fn stop_wanted(&self) {
        // It fails only without a sender, which the lake keeps.
        let _ = self.stop_wanted.subscribe().wait_for(|stop| *stop).await;
    }

    async fn run_flusher(self: Arc<Self>) {
        let mut pause = self.options.flush_interval;
        while !self.stopping.load(Ordering::SeqCst) {
            let wanted = tokio::time::timeout(pause, self.flush_wanted.notified()).await.is_ok();
            if self.stopping.load(Ordering::SeqCst) {
                return;
            }
            let failed_before = self.flush_error.lock().is_some();
            if wanted && failed_before {
                // The buffer is full and stays full: every append would ask again at once.
                tokio::time::sleep(FLUSH_RETRY).await;
            }
            pause = match self.flush().await {
                Ok(_) => self.options.flush_interval,
                Err(_) => FLUSH_RETRY.min(self.options.flush_interval),
            };
        }
    }

    /// Puts everything that came before now into files, and commits it.
    ///
    /// # Errors
    /// What the disk or the catalog says. The rows stay in memory and in the journal.
    pub async fn flush(self: &Arc<Self>) -> Result<FlushReport> {
        // A task of its own: a caller that goes away must not let a second flush in beside this one.
        let flush = tokio::spawn(Arc::clone(self).flush_next());
        flush.await.map_err(|error| Error::internal("the flush panicked").with_source(error))?
    }

    async fn flush_next(self: Arc<Self>) -> Result<FlushReport> {
        let _one_at_a_time = self.flushing.lock().await;
        let result = self.flush_alone().await;
        match &result {
            Ok(report) => self.note_commit(report),
            Err(error) => {
                tracing::error!(%error, "flush failed; the rows stay in the journal and in memory");
                self.counters.flush_failures.fetch_add(1, Ordering::Relaxed);
                let mut failure = self.flush_error.lock();
                let since = failure.as_ref().map_or_else(Instant::now, |failure| failure.since);
                *failure = Some(FlushFailure { reason: error.to_string(), since });
            }
        }
        result
    }

    async fn flush_alone(self: &Arc<Self>) -> Result<FlushReport> {
        let lake = Arc::clone(self);
        let draw = move || lake.barrier.draw(|| lake.journal.end(), || lake.hot.begin_flush());
        let (position, sealed) = blocking("drawing a flush's line", draw).await?;
        FaultPoint::FlushLine.pass();
        if let Err(error) = self.journal.durable(position).await {
            // The rows are safe in files too, and a journal whose disk is full gets its room from nothing else.
            tracing::warn!(%error, "rows go into files that the journal does not have");
        }
        let lake = Arc::clone(self);
        let report = blocking("a flush", move || lake.write(&sealed, position)).await?;
        self.finish(&report);
        Ok(report)
    }

    fn write(&self, sealed: &Generation, position: JournalPosition) -> Result<FlushReport> {
        flush::write(&self.volume, self.journal.id(), sealed, position, self.options.batch_size)
    }

    /// The rows are in files: memory and journal let go of them.
    fn finish(&self, report: &FlushReport) {
        FaultPoint::FlushCommitted.pass();
        self.hot.end_flush();
        self.counters.hot_bytes.store(self.hot.stats().bytes, Ordering::Relaxed);
        self.room.notify_waiters();
        if let Err(error) = self.journal.trim(report.position) {
            tracing::warn!(%error, "a journal segment that is not needed any more could not be removed");
        }
    }

    fn note_commit(&self, report: &FlushReport) {
        *self.flush_error.lock() = None;
        let Some(snapshot) = report.snapshot else { return };
        self.counters.committed_rows.fetch_add(report.rows as u64, Ordering::Relaxed);
        self.counters.committed_files.fetch_add(report.files as u64, Ordering::Relaxed);
        *self.last_commit.lock() = Some(LastCommit { at: self.clock.now(), snapshot });
    }

    /// Ends the flusher, flushes once more and closes the journal. Receivers must have stopped before.
    ///
    /// # Errors
    /// What the last flush says; the journal is closed all the same and holds what was not flushed.
    pub async fn stop(self: &Arc<Self>) -> Result<()> {
        self.stopping.store(true, Ordering::SeqCst);
        self.flush_wanted.notify_one();
        self.stop_wanted.send_replace(true);
        let flusher = self.flusher.lock().take();
        let maintainers = std::mem::take(&mut *self.maintainers.lock());
        if let Some(flusher) = flusher {
            flusher.await.map_err(|error| Error::internal("the flusher panicked").with_source(error))?;
        }
        for maintainer in maintainers {
            maintainer.await.map_err(|error| Error::internal("maintenance panicked").with_source(error))?;
        }
        let last = self.flush().await;
        let lake = Arc::clone(self);
        blocking("closing the journal", move || {
            lake.journal.close();
            Ok(())
        })
        .await?;
        last.map(|_| ())
    }

    /// One consistent moment of buffer and files.
    ///
    /// # Errors
    /// When the catalog can't be read.
    pub async fn cut(self: &Arc<Self>) -> Result<Arc<Cut>> {
        let hold = |volume: &Arc<Volume>| Arc::new(volume.pins.hold(volume.newest_seen()));
        let pins: Vec<Arc<Pin>> = self.volumes.iter().map(hold).collect();
        let hot = self.hot.cut();
        let lake = Arc::clone(self);
        let heads = blocking("reading the heads of the catalogs", move || Heads::of(&lake.volumes)).await?;
        let generation = self.generations.of(&heads);
        let Heads { snapshots, flushed, hidden } = heads;
        let volume = |(volume, ((snapshot, hidden), pin)): (usize, ((SnapshotId, Hidden), Arc<Pin>))| {
            pin.settle(snapshot);
            VolumeCut { volume, snapshot, hidden, _pin: Some(pin) }
        };
        let volumes = snapshots.into_iter().zip(hidden).zip(pins).enumerate().map(volume).collect();
        Ok(Arc::new(Cut { hot, flushed, generation, volumes }))
    }

    /// The rows in memory, as they are now.
    pub(crate) fn hot_cut(&self) -> HotCut {
        self.hot.cut()
    }

    /// The telemetry tables that have rows in memory.
    pub(crate) fn hot_tables(&self) -> Vec<TelemetryTable> {
        self.hot.cut().tables().collect()
    }

    /// The catalogs to register: the union under the lake's name, and each volume's own.
    pub fn catalogs(self: &Arc<Self>) -> Vec<LakeCatalog> {
        LakeCatalog::of(self)
    }

    /// Whether it is a table of a lake, whose plans read the [`Cut`] that their execution brings.
    pub fn is_table(table: &dyn TableProvider) -> bool {
        table.downcast_ref::<LakeTable>().is_some_and(|table| !table.is_in_the_past())
    }

    /// Whether it is a table that shows the past: its plans hold as long as their snapshots are there.
    pub fn is_of_the_past(table: &dyn TableProvider) -> bool {
        table.downcast_ref::<LakeTable>().is_some_and(LakeTable::is_in_the_past) || table.is::<ChangeFeed>()
    }

    /// The object stores that table providers read from.
    pub fn object_stores(&self) -> Vec<(ObjectStoreUrl, Arc<dyn ObjectStore>)> {
        let local: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new());
        let remote = self.volumes.iter().filter_map(|volume| volume.remote.as_ref());
        let remote = remote.map(|remote| (remote.store_url.clone(), Arc::clone(&remote.store)));
        [(ObjectStoreUrl::local_filesystem(), local)].into_iter().chain(remote).collect()
    }

    /// The time that it was so long ago.
    fn ago(&self, lasts: Duration) -> Micros {
        self.clock.now().saturating_sub(Micros::try_from(lasts.as_micros()).unwrap_or(Micros::MAX))
    }

    /// How the lake stands.
    pub fn stats(&self) -> LakeStats {
        let hot = self.hot.stats();
        let (quarantine_files, quarantine_bytes) = self.journal.quarantined();
        LakeStats {
            hot_rows: hot.rows,
            hot_bytes: hot.bytes + self.barrier.buffered_bytes(),
            oldest_unflushed: hot.oldest,
            journal_bytes: self.journal.unflushed_bytes(),
            last_commit: *self.last_commit.lock(),
            committed_rows: self.counters.committed_rows.load(Ordering::Relaxed),
            committed_files: self.counters.committed_files.load(Ordering::Relaxed),
            flush_failures: self.counters.flush_failures.load(Ordering::Relaxed),
            flush_error: self.flush_error.lock().as_ref().map(|failure| Trouble {
                reason: failure.reason.clone(),
                since: self.ago(failure.since.elapsed()),
            }),
            journal_error: self
                .journal
                .failure()
                .map(|(reason, lasts)| Trouble { reason, since: self.ago(lasts) }),
            clock_jump: self.clock_watch.jump(),
            replayed: *self.replayed.lock(),
            quarantine_files,
            quarantine_bytes,
        }
    }
}

/// Opens the volumes, and makes what is missing of them unless they are only read. Blocks.
fn open_volumes(options: &LakeOptions, position_key: &str) -> Result<Vec<Arc<Volume>>> {
    let mut volumes = Vec::with_capacity(options.volumes.len());
    for volume in &options.volumes {
        let volume = Volume::open(volume, &options.name, options.read_only, position_key.to_owned())?;
        if !options.read_only {
            let specs: Vec<_> = TelemetryTable::KNOWN.into_iter().map(flush::table_spec).collect();
            volume.catalog.ensure_tables(MAIN, &specs)?;
            let views: Vec<ViewSpec> = views::duckdb_views();
            volume.catalog.ensure_views(MAIN, &views)?;
        }
        volumes.push(Arc::new(volume));
    }
    Ok(volumes)
}

/// Runs what blocks on a thread for it.
pub(crate) async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::internal(format!("{what} was stopped")).with_source(error))?
}
