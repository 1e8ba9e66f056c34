//! Who calls: credentials from the request's headers, and the sessions that Handshake opens.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use pintail_identity::{Authenticator, Credentials, Principal, Signer};
use pintail_types::{Clock, Error, Micros, Result};
use tonic::codegen::http::HeaderMap;
use tonic::codegen::http::header::AUTHORIZATION;
use uuid::Uuid;

use crate::handle::{Handle, HandleKind};

/// Bearer tokens of sessions start with it, so that they are told apart from configured tokens.
const SESSION_PREFIX: &str = "pintail-session.";

/// A session ends this long after its Handshake.
const SESSION_LIFETIME: Micros = 24 * 3600 * 1_000_000;

/// Closed sessions that are remembered until they would have expired anyway.
const MAX_CLOSED_SESSIONS: usize = 100_000;

/// The one behind a request: put into the request's extensions before any handler runs.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// The session its bearer names; `None` if it shows a token of the configuration, or nothing.
    pub(crate) session: Option<Handle>,
}

/// Decides who a caller is.
#[derive(Debug)]
pub(crate) struct Access {
    authenticator: Authenticator,
    signer: Signer,
    clock: Arc<dyn Clock>,
    /// Sessions closed before their time, with the time at which they expire by themselves.
    closed: Mutex<HashMap<Uuid, Micros>>,
}

impl Access {
    pub(crate) fn new(authenticator: Authenticator, signer: Signer, clock: Arc<dyn Clock>) -> Self {
        Self { authenticator, signer, clock, closed: Mutex::default() }
    }

    /// The caller of a request with these headers.
    ///
    /// # Errors
    /// `Unauthenticated` without credentials that are valid here.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller> {
        let value = match headers.get(AUTHORIZATION) {
            Some(value) => value
                .to_str()
                .map_err(|_| Error::unauthenticated("the authorization header is not readable text"))?,
            None => "",
        };
        self.caller_with(Credentials::from_authorization_header(value))
    }

    /// The caller that shows `credentials`.
    ///
    /// # Errors
    /// `Unauthenticated` if they are not valid here.
    pub(crate) fn caller_with(&self, credentials: Credentials<'_>) -> Result<Caller> {
        if let Credentials::Bearer(token) = credentials
            && let Some(encoded) = token.strip_prefix(SESSION_PREFIX)
        {
            let session = self.session(encoded)?;
            return Ok(Caller { principal: session.owner.clone(), session: Some(session) });
        }
        let principal = self.authenticator.authenticate(credentials)?;
        Ok(Caller { principal, session: None })
    }

    /// A bearer token that stands for `principal` from now on.
    pub(crate) fn open_session(&self, principal: Principal) -> String {
        let handle = Handle {
            kind: HandleKind::Session,
            id: Uuid::new_v4(),
            expires: self.clock.now().saturating_add(SESSION_LIFETIME),
            owner: principal,
        };
        format!("{SESSION_PREFIX}{}", URL_SAFE_NO_PAD.encode(handle.seal(&self.signer)))
    }

    /// Ends a session: its bearer is refused from now on.
    ///
    /// # Errors
    /// `Exhausted` if too many sessions were closed within a day to remember one more.
    pub(crate) fn close_session(&self, session: &Handle) -> Result<()> {
        let now = self.clock.now();
        let mut closed = self.closed.lock();
        if closed.len() >= MAX_CLOSED_SESSIONS {
            closed.retain(|_, expires| *expires > now);
        }
        if closed.len() >= MAX_CLOSED_SESSIONS {
            return Err(Error::exhausted("too many sessions were closed today; this one expires by itself"));
        }
        closed.insert(session.id, session.expires);
        Ok(())
    }

    fn session(&self, encoded: &str) -> Result<Handle> {
        let refused =
            || Error::unauthenticated("the session is unknown, closed or has expired: connect again");
        let sealed = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| refused())?;
        let session = Handle::open(HandleKind::Session, &sealed, &self.signer, self.clock.now())
            .map_err(|_| refused())?;
        if self.closed.lock().contains_key(&session.id) {
            return Err(refused());
        }
        Ok(session)
    }
}

#[cfg(test)]
mod tests {
    use pintail_types::{ErrorKind, ManualClock};

    use super::*;

    #[test]
    fn a_session_bearer_works_until_it_is_closed_or_expires() {
        let clock = Arc::new(ManualClock::at(0));
        let authenticator = Authenticator::new("flight", Some("secret".into()), Vec::new(), false, true);
        let access = Access::new(authenticator, Signer::new([3; 32]), clock.clone());
        let named = |token: &str| access.caller_with(Credentials::Bearer(token));

        let caller = named("secret").unwrap();
        assert_eq!(caller.principal.name, "flight");
        let first = access.open_session(caller.principal.clone());
        let second = access.open_session(caller.principal);
        let session = named(&first).unwrap().session.unwrap();
        access.close_session(&session).unwrap();
        assert_eq!(named(&first).unwrap_err().kind(), ErrorKind::Unauthenticated);
        assert_eq!(named(&second).unwrap().principal.name, "flight");
        clock.advance(SESSION_LIFETIME);
        for token in [second.as_str(), "pintail-session.", "pintail-session.AAAA", "wrong", ""] {
            assert_eq!(named(token).unwrap_err().kind(), ErrorKind::Unauthenticated, "{token}");
        }
    }
}
