//! Who calls: credentials from the request's headers, and the sessions that Handshake opens.

use std::net::IpAddr;

use pintail_identity::sessions::{Session, Sessions};
use pintail_identity::{Authenticator, Credentials, Login, Principal};
use pintail_types::{Error, Result};
use tonic::codegen::http::HeaderMap;
use tonic::codegen::http::header::AUTHORIZATION;

/// The one behind a request: put into the request's extensions before any handler runs.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// The session its bearer names; `None` if it shows a token of the configuration, or nothing.
    pub(crate) session: Option<Session>,
}

/// Decides who a caller is.
#[derive(Debug)]
pub(crate) struct Access {
    authenticator: Authenticator,
    pub(crate) sessions: Sessions,
}

impl Access {
    pub(crate) const fn new(authenticator: Authenticator, sessions: Sessions) -> Self {
        Self { authenticator, sessions }
    }

    /// The caller of a request with these headers over a connection of `peer`.
    ///
    /// # Errors
    /// Those of [`Self::caller_with`].
    pub(crate) async fn caller(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<Caller> {
        let value = match headers.get(AUTHORIZATION) {
            Some(value) => value
                .to_str()
                .map_err(|_| Error::unauthenticated("the authorization header is not readable text"))?,
            None => "",
        };
        self.caller_with(Login::new(Credentials::from_authorization_header(value), peer)).await
    }

    /// The caller that makes this `login`.
    ///
    /// # Errors
    /// `Unauthenticated` if its credentials are not valid here, and `Exhausted` after too many such.
    pub(crate) async fn caller_with(&self, login: Login<'_>) -> Result<Caller> {
        if let Credentials::Bearer(token) = login.credentials
            && Sessions::is_session_token(token)
        {
            let session = self.sessions.resume(token)?;
            return Ok(Caller { principal: session.principal.clone(), session: Some(session) });
        }
        let principal = self.authenticator.authenticate(login).await?;
        Ok(Caller { principal, session: None })
    }
}
