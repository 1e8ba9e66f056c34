//! Who may ask: what all listeners share, and the gate of each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pintail_identity::sessions::{SessionLimits, Sessions};
use pintail_identity::{
    Authenticator, LoginLimit, OidcProvider, Reload, Secret, TokenEntry, Users, check_binding,
};
use pintail_types::{Clock, Error, Result};

use crate::config::{Config, Oidc, Token};

/// What listeners share to tell who asks.
#[derive(Debug)]
pub(super) struct Identity {
    tokens: Vec<TokenEntry>,
    users: Option<Arc<Users>>,
    providers: Vec<Arc<OidcProvider>>,
    login_limit: Arc<LoginLimit>,
    secret: Secret,
    session_limits: SessionLimits,
    clock: Arc<dyn Clock>,
}

/// A listener's own settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct GateSettings<'a> {
    /// Its name in the ready file.
    pub(super) name: &'static str,
    /// Its own token; empty for none.
    pub(super) auth_token: &'a str,
    /// Whether those who show nothing are let in.
    pub(super) allow_unauthenticated: bool,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

impl Identity {
    /// Reads what the configuration names; makes the secret of sessions at the first start. Blocks.
    ///
    /// # Errors
    /// `Invalid` for files and values that can't be used.
    pub(super) fn new(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self> {
        let identity = &config.identity;
        let provider = |oidc: &Oidc| OidcProvider::new(oidc.options(), Arc::clone(clock)).map(Arc::new);
        let session = &identity.session;
        Ok(Self {
            tokens: identity.tokens.iter().map(Token::entry).collect::<Result<_>>()?,
            users: users(config, clock)?,
            providers: identity.oidc.iter().map(provider).collect::<Result<_>>()?,
            login_limit: Arc::new(LoginLimit::new(Arc::clone(clock))),
            secret: session_secret(config)?,
            session_limits: SessionLimits {
                idle: Duration::from_secs(session.idle_sec),
                max: Duration::from_secs(session.max_sec),
                max_sessions: usize::try_from(config.limits.max_sessions).unwrap_or(usize::MAX),
            },
            clock: Arc::clone(clock),
        })
    }

    /// The gate of a listener: its own token, the configured credentials, or loopback.
    ///
    /// # Errors
    /// `Invalid` when it would be open to the network without credentials.
    pub(super) fn authenticator(&self, gate: GateSettings<'_>) -> Result<Authenticator> {
        let ip = gate.address.ip();
        let mut authenticator = Authenticator::new(
            gate.name,
            Some(gate.auth_token.to_owned()),
            self.tokens.clone(),
            gate.allow_unauthenticated,
            ip.to_canonical().is_loopback(),
        )
        .with_providers(self.providers.iter().cloned())
        .with_login_limit(Arc::clone(&self.login_limit));
        if let Some(users) = &self.users {
            authenticator = authenticator.with_users(Arc::clone(users));
        }
        check_binding(gate.name, ip, authenticator.has_credentials(), gate.allow_unauthenticated)?;
        Ok(authenticator)
    }

    /// What to read again when it changes.
    pub(super) fn reloads(&self) -> impl Iterator<Item = Arc<dyn Reload>> {
        self.users.iter().map(|users| Arc::clone(users) as Arc<dyn Reload>)
    }

    /// The sessions of the listener behind `authenticator`. Their tokens are good after a restart, at this
    /// listener only, and no longer than its credentials stay the same in kind.
    pub(super) fn sessions(&self, authenticator: &Authenticator) -> Sessions {
        let signer = self.secret.signer(&authenticator.session_purpose());
        Sessions::new(signer, Arc::clone(&self.clock), self.session_limits)
    }
}

/// The users of the configured file, if one is.
///
/// # Errors
/// `Invalid` with the line that can't be used.
pub(super) fn users(config: &Config, clock: &Arc<dyn Clock>) -> Result<Option<Arc<Users>>> {
    match config.identity.users_file.as_str() {
        "" => Ok(None),
        path => Users::open(path.into(), Arc::clone(clock)).map(|users| Some(Arc::new(users))),
    }
}

/// The secret of session tokens, made at the first start.
fn session_secret(config: &Config) -> Result<Secret> {
    let path = config.session_secret_path();
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory).map_err(|error| {
            Error::invalid(format!(
                "directory {} can't be made: {error}; set data_dir or identity.session.secret_file to a place this user \
                 may write to",
                directory.display()
            ))
            .with_source(error)
        })?;
    }
    Secret::from_file(&path)
}
