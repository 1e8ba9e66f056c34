//! What stands behind tickets and prepared handles: kept for a while, never too many, the one unused for longest
//! goes first.

use std::sync::Arc;

use hashlink::LruCache;
use parking_lot::Mutex;
use pintail_identity::{Principal, Signer};
use pintail_types::{Clock, Error, Micros, QueryId, Result};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::handle::{Handle, HandleKind};

/// Executions of one entry that are remembered, to be cancelled through its handle.
const MAX_EXECUTIONS: usize = 16;

/// No handle is good for longer, however often its entry is used.
const HANDLE_LIFETIME: Micros = 24 * 3600 * 1_000_000;

/// What a client holds a handle of.
#[derive(Debug)]
pub(crate) struct Held<T> {
    id: Uuid,
    pub(crate) content: T,
    owner: Principal,
    executions: Mutex<Vec<QueryId>>,
    cancelled: CancellationToken,
}

impl<T> Held<T> {
    /// Starts an execution with `start`, and remembers it by its `id`, so that it can be cancelled, also while it
    /// waits to start.
    ///
    /// # Errors
    /// `Cancelled` if the entry was cancelled before or meanwhile, and those of `start`.
    pub(crate) async fn start<R>(
        &self,
        start: impl Future<Output = Result<R>>,
        id: impl FnOnce(&R) -> QueryId,
    ) -> Result<R> {
        let cancelled = || Error::cancelled("the query was cancelled");
        let started = tokio::select! {
            biased;
            () = self.cancelled.cancelled() => return Err(cancelled()),
            started = start => started?,
        };
        let mut executions = self.executions.lock();
        if executions.len() == MAX_EXECUTIONS {
            executions.remove(0);
        }
        executions.push(id(&started));
        drop(executions);
        // Who cancels after this finds the execution; who did before is found here.
        if self.cancelled.is_cancelled() { Err(cancelled()) } else { Ok(started) }
    }

    /// Refuses every further execution, and gives those that were started.
    pub(crate) fn cancel(&self) -> Vec<QueryId> {
        self.cancelled.cancel();
        self.executions.lock().clone()
    }
}

/// A bounded store behind the handles of one kind.
#[derive(Debug)]
pub(crate) struct Store<T> {
    kind: HandleKind,
    lifetime: Micros,
    signer: Signer,
    clock: Arc<dyn Clock>,
    entries: Mutex<LruCache<Uuid, Entry<T>>>,
}

#[derive(Debug)]
struct Entry<T> {
    held: Arc<Held<T>>,
    last_used: Micros,
}

impl<T> Store<T> {
    /// A store of at most `capacity` entries; each is forgotten `lifetime` after its last use.
    pub(crate) fn new(
        kind: HandleKind,
        capacity: usize,
        lifetime: Micros,
        signer: Signer,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { kind, lifetime, signer, clock, entries: Mutex::new(LruCache::new(capacity)) }
    }

    /// Keeps `content` and gives its handle. When the store is full the entry unused for longest goes.
    pub(crate) fn insert(&self, content: T, owner: &Principal) -> Vec<u8> {
        let id = Uuid::new_v4();
        let (owner, executions, cancelled) = (owner.clone(), Mutex::default(), CancellationToken::new());
        let held = Arc::new(Held { id, content, owner, executions, cancelled });
        let handle = self.handle_of(&held);
        let entry = Entry { held, last_used: self.clock.now() };
        // What is pushed out is dropped after the lock is given back: its plan may be large.
        let pushed_out = {
            let mut entries = self.entries.lock();
            let full = entries.len() >= entries.capacity();
            let pushed_out = if full { entries.remove_lru() } else { None };
            entries.insert(id, entry);
            pushed_out
        };
        drop(pushed_out);
        handle
    }

    /// A fresh handle of an entry.
    pub(crate) fn handle_of(&self, held: &Held<T>) -> Vec<u8> {
        let expires = self.clock.now().saturating_add(HANDLE_LIFETIME);
        Handle { kind: self.kind, id: held.id, expires, owner: held.owner.clone() }.seal(&self.signer)
    }

    /// When an entry used now is forgotten, if it is not used again.
    pub(crate) fn forgotten_at(&self) -> Micros {
        self.clock.now().saturating_add(self.lifetime)
    }

    /// The entry of a handle, for the one it was given to. This counts as a use.
    ///
    /// # Errors
    /// `NotFound` if it is not ours, not the caller's, or is gone.
    pub(crate) fn get(&self, sealed: &[u8], caller: &Principal) -> Result<Arc<Held<T>>> {
        let held = self.find(sealed)?;
        if held.owner.name != caller.name {
            return Err(Error::not_found("the handle is not known here"));
        }
        Ok(held)
    }

    /// The entry of a handle, for its owner or an admin.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) fn get_to_cancel(&self, sealed: &[u8], caller: &Principal) -> Result<Arc<Held<T>>> {
        if caller.is_admin() { self.find(sealed) } else { self.get(sealed, caller) }
    }

    /// Forgets the entry of a handle. A handle that is unknown, or not the caller's, changes nothing.
    pub(crate) fn remove(&self, sealed: &[u8], caller: &Principal) {
        if let Ok(held) = self.get(sealed, caller) {
            self.entries.lock().remove(&held.id);
        }
    }

    /// Forgets the entry unused for longest; `false` if there is none.
    pub(crate) fn remove_oldest(&self) -> bool {
        let oldest = self.entries.lock().remove_lru();
        oldest.is_some()
    }

    /// Forgets what was not used for its lifetime.
    pub(crate) fn remove_expired(&self) {
        let now = self.clock.now();
        let mut entries = self.entries.lock();
        entries.retain(|_, entry| self.is_live(entry.last_used, now));
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.lock().len()
    }

    fn find(&self, sealed: &[u8]) -> Result<Arc<Held<T>>> {
        let now = self.clock.now();
        let handle = Handle::open(self.kind, sealed, &self.signer, now)?;
        match self.entries.lock().get_mut(&handle.id) {
            Some(entry) if self.is_live(entry.last_used, now) => {
                entry.last_used = now;
                Ok(Arc::clone(&entry.held))
            }
            _ => Err(Error::not_found("the handle was closed or has expired: run the statement again")),
        }
    }

    const fn is_live(&self, last_used: Micros, now: Micros) -> bool {
        now.saturating_sub(last_used) < self.lifetime
    }
}

#[cfg(test)]
mod tests {
    use pintail_types::{ErrorKind, ManualClock};

    use super::*;

    fn store(clock: &Arc<ManualClock>) -> Store<u32> {
        Store::new(HandleKind::Ticket, 2, 100, Signer::new([5; 32]), Arc::clone(clock) as Arc<dyn Clock>)
    }

    fn found(store: &Store<u32>, handle: &[u8], caller: &Principal) -> Result<u32, ErrorKind> {
        store.get(handle, caller).map(|held| held.content).map_err(|error| error.kind())
    }

    #[test]
    fn the_one_unused_for_longest_makes_room() {
        let clock = Arc::new(ManualClock::at(0));
        let (store, me) = (store(&clock), Principal::local());
        let handles = [1, 2].map(|content| store.insert(content, &me));
        assert_eq!(found(&store, &handles[0], &me), Ok(1));
        let third = store.insert(3, &me);
        assert_eq!(found(&store, &handles[0], &me), Ok(1));
        assert_eq!(found(&store, &handles[1], &me), Err(ErrorKind::NotFound));
        assert_eq!(found(&store, &third, &me), Ok(3));
        for content in 0..10_000 {
            store.insert(content, &me);
        }
        assert_eq!(store.len(), 2);
    }

    #[test]
    fn use_prolongs_and_idleness_ends() {
        let clock = Arc::new(ManualClock::at(0));
        let (store, me) = (store(&clock), Principal::local());
        let handle = store.insert(1, &me);
        for _ in 0..5 {
            clock.advance(99);
            assert_eq!(found(&store, &handle, &me), Ok(1));
        }
        clock.advance(100);
        assert_eq!(found(&store, &handle, &me), Err(ErrorKind::NotFound));
        assert_eq!(store.len(), 1);
        store.remove_expired();
        assert_eq!(store.len(), 0);
    }

    #[test]
    fn a_fresh_handle_means_the_same_entry() {
        let clock = Arc::new(ManualClock::at(0));
        let (store, me) = (store(&clock), Principal::local());
        let first = store.insert(1, &me);
        clock.advance(1);
        let second = store.handle_of(&store.get(&first, &me).unwrap());
        assert_ne!(first, second);
        assert_eq!((found(&store, &first, &me), found(&store, &second, &me)), (Ok(1), Ok(1)));
        assert!(store.remove_oldest() && !store.remove_oldest());
    }

    #[tokio::test]
    async fn only_the_owner_uses_and_removes_and_an_admin_may_cancel() {
        let clock = Arc::new(ManualClock::at(0));
        let store = store(&clock);
        let (owner, other) = (Principal::new("anna", ["readers"]), Principal::new("bert", ["readers"]));
        let handle = store.insert(1, &owner);
        store.remove(&handle, &other);
        assert_eq!(found(&store, &handle, &other), Err(ErrorKind::NotFound));
        assert!(store.get_to_cancel(&handle, &other).is_err());
        let query = QueryId::new();
        let started = store.get(&handle, &owner).unwrap();
        started.start(async { Ok(query) }, |query| *query).await.unwrap();
        let waiting = started.start(std::future::pending::<Result<QueryId>>(), |query| *query);
        let mut waiting = std::pin::pin!(waiting);
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        let held = store.get_to_cancel(&handle, &Principal::local()).unwrap();
        assert_eq!(held.cancel(), [query]);
        assert_eq!(waiting.await.unwrap_err().kind(), ErrorKind::Cancelled);
        store.remove(&handle, &owner);
        assert_eq!(found(&store, &handle, &owner), Err(ErrorKind::NotFound));
    }
}
