//! What a caller keeps between requests: the engine's session, with its settings and temporary tables.
//!
//! A session is named by the bearer that Handshake gave, or else by the connection. Whether a bearer is still good
//! is decided by [`pintail_identity::sessions`]; here is what hangs on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use pintail_engine::{Session, WireProfile};
use pintail_identity::Principal;
use pintail_identity::sessions::SessionId;
use pintail_types::{Error, Result};

/// Admins get in when the sessions are used up, to look what is going on; so many of them.
const ADMIN_RESERVE: usize = 100;

/// Engine sessions at a time, and who holds one.
#[derive(Debug)]
pub(crate) struct Places {
    limit: usize,
    taken: AtomicUsize,
}

/// One taken place; dropping it gives it back.
#[derive(Debug)]
struct Place(Arc<Places>);

impl Places {
    fn take(self: &Arc<Self>, owner: &Principal) -> Option<Place> {
        let limit = if owner.is_admin() { self.limit.saturating_add(ADMIN_RESERVE) } else { self.limit };
        let take = |taken: usize| (taken < limit).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok()?;
        Some(Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one caller keeps between requests.
#[derive(Debug)]
pub(crate) struct DoorSession {
    owner: Principal,
    /// Bound when the session was opened: a client may send its headers with the first calls only.
    profile: WireProfile,
    /// The engine's sessions, one for each profile that was asked for; in practice it is one.
    engine: Mutex<Vec<Session>>,
    _place: Place,
}

impl DoorSession {
    pub(crate) const fn owner(&self) -> &Principal {
        &self.owner
    }

    /// The engine's session for requests that ask for `profile`, or for none; made by `open` the first time.
    pub(crate) fn engine_session(
        &self,
        profile: Option<WireProfile>,
        open: impl FnOnce(WireProfile) -> Session,
    ) -> Session {
        let profile = profile.unwrap_or(self.profile);
        let mut sessions = self.engine.lock();
        if let Some(session) = sessions.iter().find(|session| session.profile() == profile) {
            return session.clone();
        }
        let session = open(profile);
        sessions.push(session.clone());
        session
    }

    /// As [`Self::engine_session`], if it is there.
    pub(crate) fn opened_engine_session(&self, profile: Option<WireProfile>) -> Option<Session> {
        let profile = profile.unwrap_or(self.profile);
        self.engine.lock().iter().find(|session| session.profile() == profile).cloned()
    }
}

/// The sessions of one listener that a bearer names, and the places that all its sessions share.
#[derive(Debug)]
pub(crate) struct DoorSessions {
    places: Arc<Places>,
    named: Mutex<HashMap<SessionId, Arc<DoorSession>>>,
}

impl DoorSessions {
    /// At most `limit` sessions, and some more for admins.
    pub(crate) fn new(limit: usize) -> Self {
        let places = Arc::new(Places { limit, taken: AtomicUsize::new(0) });
        Self { places, named: Mutex::default() }
    }

    /// A session that nothing names yet. When all places are taken, sessions that ended without being closed
    /// make room; `is_live` tells them.
    ///
    /// # Errors
    /// `Unavailable` if all places are taken.
    pub(crate) fn open(
        &self,
        owner: &Principal,
        profile: WireProfile,
        is_live: impl Fn(SessionId) -> bool,
    ) -> Result<DoorSession> {
        let place = match self.places.take(owner) {
            Some(place) => place,
            None => {
                self.retain(is_live);
                self.places.take(owner).ok_or_else(|| {
                    Error::unavailable(format!(
                        "all {} sessions are taken: close some, or raise limits.max_sessions",
                        self.places.limit
                    ))
                })?
            }
        };
        Ok(DoorSession { owner: owner.clone(), profile, engine: Mutex::default(), _place: place })
    }

    pub(crate) fn named(&self, id: SessionId) -> Option<Arc<DoorSession>> {
        self.named.lock().get(&id).map(Arc::clone)
    }

    /// Gives a session its name. If another request was faster, that one's stays.
    pub(crate) fn name(&self, id: SessionId, session: DoorSession) -> Arc<DoorSession> {
        Arc::clone(self.named.lock().entry(id).or_insert_with(|| Arc::new(session)))
    }

    pub(crate) fn close(&self, id: SessionId) {
        self.named.lock().remove(&id);
    }

    /// Forgets the named sessions that are not live any more.
    pub(crate) fn retain(&self, is_live: impl Fn(SessionId) -> bool) {
        self.named.lock().retain(|id, _| is_live(*id));
    }
}

#[cfg(test)]
mod tests {
    use pintail_types::ErrorKind;

    use super::*;

    #[test]
    fn places_are_given_back_and_admins_have_some_more() {
        let sessions = DoorSessions::new(2);
        let (reader, admin) = (Principal::anonymous(), Principal::local());
        let open = |owner: &Principal| sessions.open(owner, WireProfile::Standard, |_| true);
        let mut held = vec![open(&reader).unwrap(), open(&reader).unwrap()];
        assert_eq!(open(&reader).unwrap_err().kind(), ErrorKind::Unavailable);
        for _ in 0..ADMIN_RESERVE {
            held.push(open(&admin).unwrap());
        }
        assert_eq!(open(&admin).unwrap_err().kind(), ErrorKind::Unavailable);
        held.clear();
        assert!(open(&reader).is_ok());
    }
}
