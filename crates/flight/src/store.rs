//! The statements behind tickets and prepared handles: planned once, kept for a while, never too many.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pintail_engine::Statement;
use pintail_identity::{Principal, Signer};
use pintail_types::{Clock, Error, Micros, QueryId, Result};
use uuid::Uuid;

use crate::handle::{Handle, HandleKind};

/// Executions of one statement that are remembered, to be cancelled through its handle.
const MAX_EXECUTIONS: usize = 16;

/// A statement that a client holds a handle of.
#[derive(Debug)]
pub(crate) struct Held<S = Statement> {
    pub(crate) id: Uuid,
    pub(crate) statement: S,
    owner: Principal,
    state: Mutex<HeldState>,
}

#[derive(Debug, Default)]
struct HeldState {
    executions: Vec<QueryId>,
    cancelled: bool,
}

impl<S> Held<S> {
    /// Remembers an execution, so that it can be cancelled.
    ///
    /// # Errors
    /// `Cancelled` if the statement was cancelled before.
    pub(crate) fn started(&self, query: QueryId) -> Result<()> {
        let mut state = self.state.lock();
        if state.cancelled {
            return Err(Error::cancelled("the query was cancelled"));
        }
        if state.executions.len() == MAX_EXECUTIONS {
            state.executions.remove(0);
        }
        state.executions.push(query);
        Ok(())
    }

    /// Refuses every further execution, and gives those that were started.
    pub(crate) fn cancel(&self) -> Vec<QueryId> {
        let mut state = self.state.lock();
        state.cancelled = true;
        state.executions.clone()
    }
}

/// A bounded store of statements of one kind.
#[derive(Debug)]
pub(crate) struct Store<S = Statement> {
    kind: HandleKind,
    capacity: usize,
    lifetime: Micros,
    signer: Signer,
    clock: Arc<dyn Clock>,
    entries: Mutex<HashMap<Uuid, Entry<S>>>,
}

#[derive(Debug)]
struct Entry<S> {
    held: Arc<Held<S>>,
    last_used: Micros,
}

impl<S> Store<S> {
    /// A store of at most `capacity` statements; each is forgotten `lifetime` after its last use.
    pub(crate) fn new(
        kind: HandleKind,
        capacity: usize,
        lifetime: Micros,
        signer: Signer,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { kind, capacity, lifetime, signer, clock, entries: Mutex::default() }
    }

    /// Keeps a statement and gives its handle. When the store is full the one unused for longest goes.
    pub(crate) fn insert(&self, statement: S, owner: &Principal) -> Vec<u8> {
        let now = self.clock.now();
        let id = Uuid::new_v4();
        let held =
            Arc::new(Held { id, statement, owner: owner.clone(), state: Mutex::new(HeldState::default()) });
        let mut entries = self.entries.lock();
        if entries.len() >= self.capacity {
            self.make_room(&mut entries, now);
        }
        entries.insert(id, Entry { held, last_used: now });
        drop(entries);
        // A handle may be used up to the longest time that any use could have prolonged it to: a day.
        let expires = now.saturating_add(self.lifetime.max(24 * 3600 * 1_000_000));
        Handle { kind: self.kind, id, expires, owner: owner.clone() }.seal(&self.signer)
    }

    /// The statement of a handle, for the one it was given to.
    ///
    /// # Errors
    /// `NotFound` if it is not ours, not the caller's, or is gone.
    pub(crate) fn get(&self, sealed: &[u8], caller: &Principal) -> Result<Arc<Held<S>>> {
        let held = self.find(sealed)?;
        if held.owner.name != caller.name {
            return Err(Error::not_found("the handle is not known here"));
        }
        Ok(held)
    }

    /// The statement of a handle, for its owner or an admin.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(crate) fn get_to_cancel(&self, sealed: &[u8], caller: &Principal) -> Result<Arc<Held<S>>> {
        if caller.is_admin() { self.find(sealed) } else { self.get(sealed, caller) }
    }

    /// Forgets the statement of a handle. A handle that is unknown, or not the caller's, changes nothing.
    pub(crate) fn remove(&self, sealed: &[u8], caller: &Principal) {
        if let Ok(held) = self.get(sealed, caller) {
            self.entries.lock().remove(&held.id);
        }
    }

    fn find(&self, sealed: &[u8]) -> Result<Arc<Held<S>>> {
        let now = self.clock.now();
        let handle = Handle::open(self.kind, sealed, &self.signer, now)?;
        let mut entries = self.entries.lock();
        match entries.get_mut(&handle.id) {
            Some(entry) if now.saturating_sub(entry.last_used) < self.lifetime => {
                entry.last_used = now;
                Ok(Arc::clone(&entry.held))
            }
            _ => Err(Error::not_found("the handle was closed or has expired: run the statement again")),
        }
    }

    fn make_room(&self, entries: &mut HashMap<Uuid, Entry<S>>, now: Micros) {
        entries.retain(|_, entry| now.saturating_sub(entry.last_used) < self.lifetime);
        while entries.len() >= self.capacity {
            let Some(oldest) = entries.iter().min_by_key(|(_, entry)| entry.last_used).map(|(id, _)| *id)
            else {
                return;
            };
            entries.remove(&oldest);
        }
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
        store.get(handle, caller).map(|held| held.statement).map_err(|error| error.kind())
    }

    #[test]
    fn the_one_unused_for_longest_makes_room() {
        let clock = Arc::new(ManualClock::at(0));
        let (store, me) = (store(&clock), Principal::local());
        let handles = [1, 2].map(|statement| {
            clock.advance(1);
            store.insert(statement, &me)
        });
        clock.advance(1);
        assert_eq!(found(&store, &handles[0], &me), Ok(1));
        clock.advance(1);
        let third = store.insert(3, &me);
        assert_eq!(found(&store, &handles[0], &me), Ok(1));
        assert_eq!(found(&store, &handles[1], &me), Err(ErrorKind::NotFound));
        assert_eq!(found(&store, &third, &me), Ok(3));
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
    }

    #[test]
    fn only_the_owner_uses_and_removes_and_an_admin_may_cancel() {
        let clock = Arc::new(ManualClock::at(0));
        let store = store(&clock);
        let (owner, other) = (Principal::new("anna", ["readers"]), Principal::new("bert", ["readers"]));
        let handle = store.insert(1, &owner);
        store.remove(&handle, &other);
        assert_eq!(found(&store, &handle, &other), Err(ErrorKind::NotFound));
        assert!(store.get_to_cancel(&handle, &other).is_err());
        let query = QueryId::new();
        store.get(&handle, &owner).unwrap().started(query).unwrap();
        let held = store.get_to_cancel(&handle, &Principal::local()).unwrap();
        assert_eq!(held.cancel(), [query]);
        assert_eq!(held.started(QueryId::new()).unwrap_err().kind(), ErrorKind::Cancelled);
        store.remove(&handle, &owner);
        assert_eq!(found(&store, &handle, &owner), Err(ErrorKind::NotFound));
    }
}
