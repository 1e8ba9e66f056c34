//! The gate of one listener.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use pintail_types::{Error, Result};

use crate::login_limit::Attempt;
use crate::oidc::{OidcProvider, is_jwt, issuer_of};
use crate::tokens::{TokenEntry, Tokens};
use crate::users::{Checked, Users};
use crate::{Credentials, Login, LoginLimit, Principal};

/// Decides who a caller of one listener is.
pub struct Authenticator {
    listener: String,
    /// The listener's own token, as it stands in its section.
    own: Option<TokenEntry>,
    tokens: Tokens,
    users: Option<Arc<Users>>,
    providers: Vec<Arc<OidcProvider>>,
    allow_unauthenticated: bool,
    loopback: bool,
    limit: Option<Arc<LoginLimit>>,
}

impl Authenticator {
    /// The gate of `listener` (its name in the ready file).
    ///
    /// `auth_token` is the listener's own token; its principal is named after the listener and is an
    /// admin. An empty one counts as absent. `loopback` says that the listener is bound to loopback,
    /// where every caller is the admin `local` as long as no credential is configured.
    pub fn new(
        listener: &str,
        auth_token: Option<String>,
        tokens: Vec<TokenEntry>,
        allow_unauthenticated: bool,
        loopback: bool,
    ) -> Self {
        let own = auth_token.filter(|token| !token.is_empty());
        let own = own.map(|token| TokenEntry::of_token(listener, &token, vec![Principal::ADMIN.to_owned()]));
        let mut entries = tokens;
        entries.extend(own.clone());
        Self {
            listener: listener.to_owned(),
            own,
            tokens: Tokens::new(entries),
            users: None,
            providers: Vec::new(),
            allow_unauthenticated,
            loopback,
            limit: None,
        }
    }

    /// The same gate, which lets in these users too.
    #[must_use]
    pub fn with_users(mut self, users: Arc<Users>) -> Self {
        self.users = Some(users);
        self
    }

    /// The same gate, which lets in whom these identity providers know.
    #[must_use]
    pub fn with_providers(mut self, providers: impl IntoIterator<Item = Arc<OidcProvider>>) -> Self {
        self.providers.extend(providers);
        self
    }

    /// The same gate, which refuses an address after too many failures.
    #[must_use]
    pub fn with_login_limit(mut self, limit: Arc<LoginLimit>) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The listener's name.
    pub fn listener(&self) -> &str {
        &self.listener
    }

    /// What keys of this listener's sessions are made for. It changes with the listener's own token, and when
    /// credentials are configured for the first time: sessions of before are not taken then.
    pub fn session_purpose(&self) -> String {
        let own = self.own.as_ref().map(TokenEntry::hex).unwrap_or_default();
        format!("session/{}/{}/{own}", self.listener, if self.has_credentials() { "gated" } else { "open" })
    }

    /// Whether any credential is configured.
    pub fn has_credentials(&self) -> bool {
        !self.tokens.is_empty() || self.users.is_some() || !self.providers.is_empty()
    }

    /// Whether a caller that shows nothing is refused.
    pub fn requires_credentials(&self) -> bool {
        !self.allow_unauthenticated && (self.has_credentials() || !self.loopback)
    }

    /// Who the caller is.
    ///
    /// A token counts as a bearer, as a Basic password under any user, and as a Basic user. User and password are
    /// looked for in the file of users, then with each identity provider in turn; a user of the file is not asked for
    /// elsewhere.
    ///
    /// # Errors
    /// `Unauthenticated` for missing, unknown or unreadable credentials; `Exhausted` for any from an address
    /// with too many failures; `Unavailable` if only an identity provider that is away could tell. Where no
    /// credential is configured, any readable one is as good as none.
    pub async fn authenticate(&self, login: Login<'_>) -> Result<Principal> {
        if let Credentials::Malformed(problem) = login.credentials {
            return Err(Error::unauthenticated(problem));
        }
        if !self.has_credentials() {
            return self.without_credentials();
        }
        let secret = match &login.credentials {
            Credentials::Bearer(token) => *token,
            Credentials::Basic { password, .. } => password.as_str(),
            Credentials::None | Credentials::Malformed(_) if self.allow_unauthenticated => {
                return Ok(Principal::anonymous());
            }
            Credentials::None | Credentials::Malformed(_) => {
                return Err(Error::unauthenticated("credentials are required: send a bearer token"));
            }
        };
        // A signature can't be guessed: such a token neither counts as a guess, nor waits for those of others.
        if !self.providers.is_empty() && is_jwt(secret) {
            return self.jwt(secret).await;
        }
        let attempt = Attempt::new(self.limit.as_deref(), login.peer);
        attempt.check()?;
        let found = self.find(&login.credentials, &attempt).await;
        attempt.ended(&found);
        found
    }

    async fn jwt(&self, token: &str) -> Result<Principal> {
        if let Some(found) = self.tokens.find(token) {
            return Ok(found);
        }
        let issuer = issuer_of(token);
        let provider = self.providers.iter().find(|provider| issuer.as_deref() == Some(provider.issuer()));
        match provider {
            Some(provider) => provider.jwt(token).await,
            None => Err(Error::unauthenticated("the token is of no issuer that is configured here")),
        }
    }

    async fn find(&self, credentials: &Credentials<'_>, attempt: &Attempt<'_>) -> Result<Principal> {
        let found = match credentials {
            Credentials::None | Credentials::Malformed(_) => None,
            Credentials::Bearer(token) => match self.tokens.find(token) {
                Some(found) => Some(found),
                None => self.opaque(token, attempt).await?,
            },
            Credentials::Basic { user, password } => {
                match self.tokens.find(password).or_else(|| self.tokens.find(user)) {
                    Some(found) => Some(found),
                    None => self.password(user, password, attempt).await?,
                }
            }
        };
        found.ok_or_else(|| Error::unauthenticated("the credentials are not valid here"))
    }

    async fn password(&self, user: &str, password: &str, attempt: &Attempt<'_>) -> Result<Option<Principal>> {
        if let Some(users) = &self.users {
            match users.check(user, password, attempt).await? {
                Checked::Right(principal) => return Ok(Some(principal)),
                Checked::Wrong => return Ok(None),
                Checked::Unknown if self.providers.is_empty() => users.pretend(password, attempt).await?,
                Checked::Unknown => {}
            }
        }
        let mut away = None;
        for provider in &self.providers {
            match provider.password(user, password, attempt).await {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => away = Some(error),
            }
        }
        match (self.opaque(password, attempt).await?, away) {
            (None, Some(error)) => Err(error),
            (found, _) => Ok(found),
        }
    }

    async fn opaque(&self, token: &str, attempt: &Attempt<'_>) -> Result<Option<Principal>> {
        let mut away = None;
        for provider in &self.providers {
            match provider.opaque(token, attempt).await {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => away = Some(error),
            }
        }
        away.map_or(Ok(None), Err)
    }

    fn without_credentials(&self) -> Result<Principal> {
        match (self.loopback, self.allow_unauthenticated) {
            (true, _) => Ok(Principal::local()),
            (false, true) => Ok(Principal::anonymous()),
            (false, false) => {
                Err(Error::unauthenticated(format!("{} has no credentials configured", self.listener)))
            }
        }
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("listener", &self.listener)
            .field("tokens", &self.tokens.len())
            .field("users", &self.users.is_some())
            .field("providers", &self.providers.len())
            .field("allow_unauthenticated", &self.allow_unauthenticated)
            .field("loopback", &self.loopback)
            .finish_non_exhaustive()
    }
}

/// Whether a query listener may bind to `address`.
///
/// # Errors
/// `Invalid` if it has no credential, is not allowed to go without, and `address` is reachable from
/// other machines. The message says which settings would help.
pub fn check_binding(
    listener: &str,
    address: IpAddr,
    has_credentials: bool,
    allow_unauthenticated: bool,
) -> Result<()> {
    if has_credentials || allow_unauthenticated || address.to_canonical().is_loopback() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "listener {listener} would be open to the network on {address} without credentials: set its auth_token, \
         identity.tokens, identity.users_file or identity.oidc, bind it to 127.0.0.1, or set allow_unauthenticated: \
         true"
    )))
}

#[cfg(test)]
mod tests;
