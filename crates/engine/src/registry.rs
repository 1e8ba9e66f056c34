//! Every query: running ones with their cancellation, and the last ones that ended.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use datafusion::execution::memory_pool::PeakRecordingPool;
use parking_lot::Mutex;
use pintail_identity::Principal;
use pintail_types::{Clock, Error, ErrorKind, Micros, QueryId, Result};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// Queries that ended and are still listed.
pub const MAX_HISTORY: usize = 1000;
/// Queries that wait for others to end; more are refused.
pub const MAX_QUEUED: usize = 1000;
/// Bytes of a statement that are kept for the list.
const MAX_LISTED_SQL_BYTES: usize = 4096;

/// Where a query is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryState {
    /// Being parsed and planned.
    Planning,
    /// Waiting for other queries to end.
    Queued,
    /// Giving rows.
    Running,
    /// All rows were taken.
    Finished,
    /// Ended by an error.
    Failed,
    /// Stopped on request, or because its reader went away.
    Cancelled,
}

impl QueryState {
    /// The name in `system.queries`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A query as `system.queries` lists it.
#[derive(Debug, Clone)]
pub struct QueryInfo {
    /// Its id.
    pub id: QueryId,
    /// Where it is in its life.
    pub state: QueryState,
    /// The listener it came through.
    pub door: &'static str,
    /// Who asked.
    pub principal: String,
    /// The statement's first bytes.
    pub sql: Arc<str>,
    /// When it was asked.
    pub submitted_at: Micros,
    /// When its plan started.
    pub started_at: Option<Micros>,
    /// When it ended.
    pub finished_at: Option<Micros>,
    /// Rows handed out.
    pub rows: u64,
    /// Bytes handed out, as Arrow arrays in memory.
    pub bytes: u64,
    /// The most memory its operators held at once.
    pub peak_memory_bytes: u64,
    /// Why it failed.
    pub error: Option<String>,
}

/// All queries of an engine.
pub struct QueryRegistry {
    clock: Arc<dyn Clock>,
    listed: Mutex<Listed>,
    slots: Arc<Semaphore>,
    queued: AtomicUsize,
    stall_timeout: Option<Duration>,
    /// Told whenever a query has ended.
    ended: Notify,
}

#[derive(Default)]
struct Listed {
    live: BTreeMap<QueryId, Arc<Entry>>,
    ended: VecDeque<Arc<Entry>>,
}

struct Entry {
    id: QueryId,
    door: &'static str,
    principal: String,
    sql: Arc<str>,
    submitted_at: Micros,
    progress: Mutex<Progress>,
    rows: AtomicU64,
    bytes: AtomicU64,
    cancel: CancellationToken,
    /// A child of that.
    end: CancellationToken,
}

struct Progress {
    state: QueryState,
    started_at: Option<Micros>,
    finished_at: Option<Micros>,
    error: Option<String>,
    memory: Option<Arc<PeakRecordingPool>>,
    peak_memory_bytes: u64,
    /// Held while the query counts as running.
    slot: Option<OwnedSemaphorePermit>,
}

impl QueryRegistry {
    /// A registry that lets `max_queries` run at a time, and a reader pause for `stall_timeout`.
    pub(crate) fn new(max_queries: usize, stall_timeout: Option<Duration>, clock: Arc<dyn Clock>) -> Self {
        let slots = max_queries.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            clock,
            listed: Mutex::default(),
            slots: Arc::new(Semaphore::new(slots)),
            queued: AtomicUsize::new(0),
            stall_timeout,
            ended: Notify::new(),
        }
    }

    /// What time it is for queries.
    pub(crate) fn now(&self) -> Micros {
        self.clock.now()
    }

    /// The queries that `principal` may see, oldest first: its own, or all for an admin.
    pub fn list(&self, principal: &Principal) -> Vec<QueryInfo> {
        let listed = self.listed.lock();
        let mut queries: Vec<QueryInfo> = listed
            .ended
            .iter()
            .chain(listed.live.values())
            .filter(|entry| entry.is_visible_to(principal))
            .map(|entry| entry.info())
            .collect();
        drop(listed);
        queries.sort_by_key(|query| (query.submitted_at, query.id));
        queries
    }

    /// Stops a query; its reader gets an error of kind `Cancelled`.
    ///
    /// # Errors
    /// `NotFound` if no such query is running, or `principal` may not see it.
    pub fn cancel(&self, id: QueryId, principal: &Principal) -> Result<()> {
        let entry = self.listed.lock().live.get(&id).map(Arc::clone);
        let Some(entry) = entry.filter(|entry| entry.is_visible_to(principal)) else {
            return Err(Error::not_found(format!("query {id} is not running")));
        };
        entry.cancel.cancel();
        Ok(())
    }

    /// Queries that did not end yet.
    pub fn live(&self) -> usize {
        self.listed.lock().live.len()
    }

    /// Waits until the query has ended, whoever it belongs to.
    pub async fn ended(&self, id: QueryId) {
        loop {
            let mut told = pin!(self.ended.notified());
            // From here on nothing is missed.
            told.as_mut().enable();
            if !self.listed.lock().live.contains_key(&id) {
                return;
            }
            told.await;
        }
    }

    /// Lists a new query in state `planning`.
    pub(crate) fn begin(
        self: &Arc<Self>,
        id: QueryId,
        door: &'static str,
        principal: &Principal,
        sql: &str,
    ) -> ActiveQuery {
        let kept = &sql[..sql.floor_char_boundary(MAX_LISTED_SQL_BYTES)];
        let cancel = CancellationToken::new();
        let entry = Arc::new(Entry {
            id,
            door,
            principal: principal.name.clone(),
            sql: kept.into(),
            submitted_at: self.clock.now(),
            progress: Mutex::new(Progress {
                state: QueryState::Planning,
                started_at: None,
                finished_at: None,
                error: None,
                memory: None,
                peak_memory_bytes: 0,
                slot: None,
            }),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            end: cancel.child_token(),
            cancel,
        });
        self.listed.lock().live.insert(id, Arc::clone(&entry));
        ActiveQuery { registry: Arc::clone(self), entry }
    }
}

impl fmt::Debug for QueryRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryRegistry").field("live", &self.live()).finish_non_exhaustive()
    }
}

impl Entry {
    fn is_visible_to(&self, principal: &Principal) -> bool {
        principal.is_admin() || self.principal == principal.name
    }

    fn info(&self) -> QueryInfo {
        let progress = self.progress.lock();
        QueryInfo {
            id: self.id,
            state: progress.state,
            door: self.door,
            principal: self.principal.clone(),
            sql: Arc::clone(&self.sql),
            submitted_at: self.submitted_at,
            started_at: progress.started_at,
            finished_at: progress.finished_at,
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            peak_memory_bytes: progress.peak(),
            error: progress.error.clone(),
        }
    }
}

impl Progress {
    fn peak(&self) -> u64 {
        self.memory.as_ref().map_or(self.peak_memory_bytes, |memory| memory.max_reserved() as u64)
    }
}

/// One listed query. Dropping it without an outcome says that its reader went away.
pub(crate) struct ActiveQuery {
    registry: Arc<QueryRegistry>,
    entry: Arc<Entry>,
}

impl ActiveQuery {
    pub(crate) fn id(&self) -> QueryId {
        self.entry.id
    }

    /// Cancelled when somebody asks for it through [`QueryRegistry::cancel`].
    pub(crate) fn cancellation(&self) -> CancellationToken {
        self.entry.cancel.clone()
    }

    /// Cancelled with that, and when the query has ended in any way.
    pub(crate) fn end(&self) -> CancellationToken {
        self.entry.end.clone()
    }

    /// How long its reader may take no rows; `None` is for ever.
    pub(crate) fn stall_timeout(&self) -> Option<Duration> {
        self.registry.stall_timeout
    }

    /// Waits until fewer than the allowed number of queries run.
    ///
    /// # Errors
    /// `Exhausted` if too many wait already.
    pub(crate) async fn admit(&self) -> Result<()> {
        let slot = match Arc::clone(&self.registry.slots).try_acquire_owned() {
            Ok(slot) => slot,
            Err(_) => self.wait_for_slot().await?,
        };
        let mut progress = self.entry.progress.lock();
        progress.state = QueryState::Planning;
        progress.slot = Some(slot);
        Ok(())
    }

    async fn wait_for_slot(&self) -> Result<OwnedSemaphorePermit> {
        let _place = Place::take(&self.registry.queued)?;
        self.entry.progress.lock().state = QueryState::Queued;
        let slots = Arc::clone(&self.registry.slots);
        slots.acquire_owned().await.map_err(|_| Error::unavailable("the server takes no more queries"))
    }

    /// The plan starts; `memory` records what it holds, if there is one.
    pub(crate) fn started(&self, memory: Option<Arc<PeakRecordingPool>>) {
        let mut progress = self.entry.progress.lock();
        progress.state = QueryState::Running;
        progress.started_at = Some(self.registry.clock.now());
        progress.memory = memory;
    }

    /// Rows were handed to the reader.
    pub(crate) fn delivered(&self, rows: usize, bytes: usize) {
        self.entry.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.entry.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Takes the query off the list without a trace: it was planned, and is executed later.
    pub(crate) fn forget(self) {
        self.registry.listed.lock().live.remove(&self.entry.id);
    }

    /// Ends the query; only the first outcome counts. Frees its slot.
    pub(crate) fn close(&self, outcome: Result<(), &Error>) {
        let mut listed = self.registry.listed.lock();
        if listed.live.remove(&self.entry.id).is_none() {
            return;
        }
        let mut progress = self.entry.progress.lock();
        progress.state = match outcome {
            Ok(()) => QueryState::Finished,
            Err(error) if error.kind() == ErrorKind::Cancelled => QueryState::Cancelled,
            Err(_) => QueryState::Failed,
        };
        progress.error = outcome.err().map(ToString::to_string);
        progress.finished_at = Some(self.registry.clock.now());
        progress.peak_memory_bytes = progress.peak();
        progress.memory = None;
        progress.slot = None;
        drop(progress);
        if listed.ended.len() == MAX_HISTORY {
            listed.ended.pop_front();
        }
        listed.ended.push_back(Arc::clone(&self.entry));
        drop(listed);
        self.registry.ended.notify_waiters();
        // Whoever read its rows may be gone; what still computes some is to hear of it.
        self.entry.end.cancel();
    }
}

impl Drop for ActiveQuery {
    fn drop(&mut self) {
        self.close(Err(&Error::cancelled("the reader went away")));
    }
}

/// A place in the queue.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(queued: &'a AtomicUsize) -> Result<Self> {
        if queued.fetch_add(1, Ordering::Relaxed) >= MAX_QUEUED {
            queued.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::exhausted("too many queries are waiting: try again later"));
        }
        Ok(Self(queued))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
