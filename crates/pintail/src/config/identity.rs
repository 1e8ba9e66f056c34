//! Section `identity`: from its keys to what the identity room takes, and what is wrong with them.

use std::collections::BTreeSet;

use pintail_identity::{OidcOptions, TokenEntry};
use pintail_types::Result;

use super::{Config, Oidc, Token};

impl Token {
    /// The entry that this element means.
    ///
    /// # Errors
    /// `Invalid` for a digest that is none.
    pub(crate) fn entry(&self) -> Result<TokenEntry> {
        TokenEntry::from_hex(self.name.as_str(), &self.sha256, self.groups.clone())
    }
}

impl Oidc {
    /// The provider's options.
    pub(crate) fn options(&self) -> OidcOptions {
        OidcOptions {
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            client_secret: self.client_secret.clone(),
            audience: self.audience.clone(),
            groups_claim: self.groups_claim.clone(),
            password_grant: self.password_grant,
            introspection: self.introspection,
        }
    }
}

/// Adds what is wrong with the section to `errors`.
pub(super) fn check(config: &Config, errors: &mut Vec<String>) {
    let identity = &config.identity;
    for (index, token) in identity.tokens.iter().enumerate() {
        if token.name.is_empty() {
            errors.push(format!("identity.tokens.{index}.name: a name is needed"));
        }
        if let Err(error) = token.entry() {
            errors.push(format!("identity.tokens.{index}: {error}"));
        }
    }
    let mut issuers = BTreeSet::new();
    for (index, oidc) in identity.oidc.iter().enumerate() {
        if let Err(error) = oidc.options().check() {
            errors.push(format!("identity.oidc.{index}: {error}"));
        }
        if !issuers.insert(&oidc.issuer) {
            errors.push(format!("identity.oidc.{index}.issuer: '{}' is there twice", oidc.issuer));
        }
    }
    let session = &identity.session;
    if session.idle_sec == 0 || session.max_sec < session.idle_sec {
        errors.push("identity.session: idle_sec must be at least 1, and max_sec at least idle_sec".into());
    }
    if config.limits.max_sessions == 0 {
        errors.push("limits.max_sessions: must be at least 1".into());
    }
}
