//! Sessions: a signed bearer that stands for a principal, until it is idle or old.
//!
//! The token carries principal and absolute expiry, so it is good after a restart. When it was last used is
//! kept in memory; the start of the process counts as a use of every session from before it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use pintail_types::{Clock, Error, Micros, Result};
use serde::{Deserialize, Serialize};

use crate::secret::fill_random;
use crate::{Principal, Signer};

/// Bearers of sessions start with it, so that they are told apart from other tokens.
const PREFIX: &str = "pintail-session.";

/// How long sessions last, and how many there are.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// A session that is not used for so long ends.
    pub idle: Duration,
    /// No session is older than this.
    pub max: Duration,
    /// Sessions at a time; beyond it the one that was not used for longest ends.
    pub max_sessions: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { idle: Duration::from_secs(3600), max: Duration::from_secs(24 * 3600), max_sessions: 10_000 }
    }
}

/// Names a session: 128 random bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SessionId(u128);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A session that is good at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// Whose it is.
    pub principal: Principal,
    /// It ends then, however much it is used; microseconds since 1970 UTC.
    pub expires: Micros,
    issued: Micros,
}

/// The sessions of one listener.
#[derive(Debug)]
pub struct Sessions {
    signer: Signer,
    clock: Arc<dyn Clock>,
    limits: SessionLimits,
    started: Micros,
    uses: Mutex<Uses>,
}

#[derive(Debug, Default)]
struct Uses {
    /// When each session was last used.
    last: HashMap<SessionId, Micros>,
    /// Sessions from before the start that were closed, with their expiry.
    closed: HashMap<SessionId, Micros>,
    /// Set when `closed` was full: then no session from before the start is taken that is not in `last`.
    refuses_earlier: bool,
}

/// What a token says.
#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(rename = "v")]
    version: u8,
    id: SessionId,
    #[serde(rename = "iat")]
    issued: Micros,
    #[serde(rename = "exp")]
    expires: Micros,
    name: String,
    groups: Vec<String>,
}

/// The version of [`Claims`].
const VERSION: u8 = 1;

impl Sessions {
    /// Sessions whose tokens `signer` seals. With the same key, tokens of an earlier process are good here.
    pub fn new(signer: Signer, clock: Arc<dyn Clock>, limits: SessionLimits) -> Self {
        let started = clock.now();
        Self { signer, clock, limits, started, uses: Mutex::default() }
    }

    /// Whether `token` says that it is one of a session; [`Self::resume`] tells whether it is right.
    pub fn is_session_token(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// Opens a session of `principal`; the token is its bearer.
    ///
    /// # Errors
    /// `Internal` if the system gives no random numbers.
    pub fn open(&self, principal: Principal) -> Result<(String, Session)> {
        let mut id = [0; 16];
        fill_random(&mut id)?;
        let now = self.clock.now();
        let expires = now.saturating_add(micros(self.limits.max));
        let claims = Claims {
            version: VERSION,
            id: SessionId(u128::from_be_bytes(id)),
            issued: now,
            expires,
            name: principal.name.clone(),
            groups: principal.groups.clone(),
        };
        let payload = serde_json::to_vec(&claims)
            .map_err(|error| Error::internal("a session can't be written").with_source(error))?;
        self.remember(&mut self.uses.lock(), claims.id, now);
        let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(self.signer.seal(&payload)));
        Ok((token, Session { id: claims.id, principal, expires, issued: now }))
    }

    /// The session of a token; this counts as a use.
    ///
    /// # Errors
    /// `Unauthenticated` if it is not ours, was closed, was idle for too long or is too old.
    pub fn resume(&self, token: &str) -> Result<Session> {
        let ended = || Error::unauthenticated("the session is unknown, closed or has expired: connect again");
        let claims = self.read(token).ok_or_else(ended)?;
        let now = self.clock.now();
        if claims.expires <= now || !self.use_now(&claims, now) {
            return Err(ended());
        }
        let Claims { id, issued, expires, name, groups, .. } = claims;
        Ok(Session { id, principal: Principal::new(name, groups), expires, issued })
    }

    /// Ends a session: its token is refused from now on.
    pub fn close(&self, session: &Session) {
        let mut uses = self.uses.lock();
        uses.last.remove(&session.id);
        // Those of this process are refused because they are not among the used ones.
        if session.issued >= self.started {
            return;
        }
        if uses.closed.len() >= self.limits.max_sessions {
            let now = self.clock.now();
            uses.closed.retain(|_, expires| *expires > now);
        }
        if uses.closed.len() >= self.limits.max_sessions {
            uses.refuses_earlier = true;
        } else {
            uses.closed.insert(session.id, session.expires);
        }
    }

    /// Whether a session is in use: was used within the idle time, and neither closed nor pushed out by others.
    pub fn is_live(&self, id: SessionId) -> bool {
        let now = self.clock.now();
        self.uses.lock().last.get(&id).is_some_and(|last| !self.is_idle(*last, now))
    }

    fn read(&self, token: &str) -> Option<Claims> {
        let sealed = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
        let payload = self.signer.open(&sealed).ok()?;
        serde_json::from_slice::<Claims>(payload).ok().filter(|claims| claims.version == VERSION)
    }

    /// Counts a use, if the session is neither closed nor idle.
    fn use_now(&self, claims: &Claims, now: Micros) -> bool {
        let mut uses = self.uses.lock();
        if let Some(last) = uses.last.get_mut(&claims.id) {
            let is_live = !self.is_idle(*last, now);
            if is_live {
                *last = now;
            }
            return is_live;
        }
        let is_live = claims.issued < self.started
            && !uses.refuses_earlier
            && !uses.closed.contains_key(&claims.id)
            && !self.is_idle(self.started, now);
        if is_live {
            self.remember(&mut uses, claims.id, now);
        }
        is_live
    }

    fn is_idle(&self, last: Micros, now: Micros) -> bool {
        now.saturating_sub(last) >= micros(self.limits.idle)
    }

    fn remember(&self, uses: &mut Uses, id: SessionId, now: Micros) {
        if uses.last.len() >= self.limits.max_sessions {
            uses.last.retain(|_, last| !self.is_idle(*last, now));
        }
        while uses.last.len() >= self.limits.max_sessions.max(1) {
            let oldest = uses.last.iter().min_by_key(|(_, last)| **last).map(|(id, _)| *id);
            let Some(oldest) = oldest else { break };
            uses.last.remove(&oldest);
        }
        uses.last.insert(id, now);
    }
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).unwrap_or(Micros::MAX)
}

#[cfg(test)]
mod tests;
