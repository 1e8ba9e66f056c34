//! Who calls: credentials from the request's headers, and the session they name.

use pintail_engine::WireProfile;
use pintail_identity::sessions::{Session, Sessions};
use pintail_identity::{Authenticator, Credentials, Login, Principal};
use pintail_types::{Error, Result};
use tonic::codegen::http::header::{AUTHORIZATION, COOKIE, HeaderName};
use tonic::codegen::http::{HeaderMap, HeaderValue};

use crate::connection::ConnectionInfo;
use crate::profile;

/// The cookie that names a session, beside its bearer, for clients that show other credentials with every call.
const COOKIE_NAME: &str = "arrow_flight_session_id";

/// A bare token, as the first Flight clients send it: binary metadata, which gRPC writes as base64.
const TOKEN_HEADER: HeaderName = HeaderName::from_static("auth-token-bin");

/// The one behind a request: put into the request's extensions before any handler runs.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
    /// The session that its bearer or its cookie names; without one, the connection is the session.
    pub(crate) session: Option<Session>,
    pub(crate) connection: ConnectionInfo,
    /// What the request's headers ask for.
    pub(crate) profile: Option<WireProfile>,
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

    /// The caller of a request with these headers.
    ///
    /// # Errors
    /// `Unauthenticated` without credentials that are valid here, and for a session that is not; `Exhausted` after too
    /// many wrong ones; `Invalid` for a profile that is not known.
    pub(crate) async fn caller(&self, headers: &HeaderMap, connection: &ConnectionInfo) -> Result<Caller> {
        let header = |name: &HeaderName| {
            let read = headers.get(name).map(HeaderValue::to_str).transpose();
            read.map_err(|_| Error::unauthenticated(format!("the header {name} is not readable text")))
        };
        let token = header(&TOKEN_HEADER)?.map(Credentials::token_of_binary_header);
        let credentials = match (header(&AUTHORIZATION)?, &token) {
            (Some(value), _) => Credentials::from_authorization_header(value),
            (None, Some(Some(token))) => Credentials::Bearer(token),
            (None, Some(None)) => {
                Credentials::Malformed("the header auth-token-bin is not base64 of a token")
            }
            (None, None) => Credentials::None,
        };
        let mut caller = self.caller_with(credentials, connection).await?;
        caller.profile = profile::of_headers(headers)?;
        Ok(caller)
    }

    /// The caller that shows `credentials`.
    ///
    /// # Errors
    /// `Unauthenticated` if they are not valid here, and `Exhausted` after too many such.
    pub(crate) async fn caller_with(
        &self,
        credentials: Credentials<'_>,
        connection: &ConnectionInfo,
    ) -> Result<Caller> {
        let (principal, session) = match credentials {
            Credentials::Bearer(token) if Sessions::is_session_token(token) => {
                let session = self.sessions.resume(token)?;
                (session.principal.clone(), Some(session))
            }
            other => {
                let login = Login::new(other, Some(connection.peer().ip()));
                (self.authenticator.authenticate(login).await?, None)
            }
        };
        Ok(Caller { principal, session, connection: connection.clone(), profile: None })
    }

    /// Finds the session that a caller's cookie names, if its bearer names none. Gives the cookie, which is echoed.
    ///
    /// # Errors
    /// `Unauthenticated` if the session is not good any more, or is another's.
    pub(crate) fn take_cookie(&self, caller: &mut Caller, headers: &HeaderMap) -> Result<Option<String>> {
        let Some(token) = cookie(headers) else {
            return Ok(None);
        };
        if caller.session.is_none() {
            let session = self.sessions.resume(token)?;
            if session.principal != caller.principal {
                return Err(Error::unauthenticated("the session of the cookie belongs to somebody else"));
            }
            caller.session = Some(session);
        }
        Ok(Some(set_cookie(token)))
    }
}

/// The value of `set-cookie` that makes a client name its session.
pub(crate) fn set_cookie(token: &str) -> String {
    format!("{COOKIE_NAME}={token}")
}

/// The session that the cookie headers name.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE_NAME).map(|(_, token)| token.trim_matches('"')).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        for (values, expected) in [
            (&[][..], None),
            (&["a=b"][..], None),
            (&["arrow_flight_session_id=x.y"][..], Some("x.y")),
            (&["a=b; arrow_flight_session_id=\"x\"; c=d"][..], Some("x")),
            (&["a=b", "arrow_flight_session_id=x=="][..], Some("x==")),
        ] {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| {
                headers.append(COOKIE, value.parse().unwrap());
            });
            assert_eq!(cookie(&headers), expected, "{values:?}");
        }
    }
}
