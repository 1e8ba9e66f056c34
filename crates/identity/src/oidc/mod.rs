//! Identity providers that speak OpenID Connect.
//!
//! A provider is found by discovery (OpenID Connect Discovery 1.0): its metadata must name the issuer that is
//! configured. Its keys (JWKS, RFC 7517) are kept, fetched again when a token names one that is not among them, and
//! used on while it is away. A caller shows a JWT of the provider (RFC 7519), or a user and password that are given to
//! the provider's token endpoint (RFC 6749 section 4.3), or an opaque token that it is asked about (RFC 7662).

mod claims;
mod discovery;
mod http;
mod jwt;
mod kept;
mod keys;
mod token_endpoint;

use std::fmt;
use std::sync::Arc;

use pintail_types::{Clock, Error, Micros, Result};

use self::claims::Claims;
use self::discovery::Metadata;
use self::http::Http;
use self::kept::Kept;
use self::keys::KeySet;
use crate::Principal;
use crate::bottleneck::Bottleneck;
use crate::login_limit::Attempt;
use crate::short_cache::ShortCache;

pub(crate) use jwt::{is_jwt, issuer_of};

/// Metadata are fetched again after so long.
const METADATA_LIFETIME: Micros = 60 * 60 * 1_000_000;
/// Keys are fetched again after so long, so that a key that was withdrawn is not trusted for longer.
const KEYS_LIFETIME: Micros = 5 * 60 * 1_000_000;
/// What was right is not asked again for so long: a password, and an opaque token.
const PASSWORD_LIFETIME: Micros = 5 * 60 * 1_000_000;
const INTROSPECTION_LIFETIME: Micros = 60 * 1_000_000;
/// Passwords and opaque tokens that are remembered as right.
const MAX_REMEMBERED: usize = 4096;
/// Requests about callers to a provider at once, and those that wait.
const MAX_REQUESTS: usize = 16;
const MAX_WAITING: usize = 1024;

/// How a provider is reached and what is taken from it.
#[derive(Clone)]
pub struct OidcOptions {
    /// The issuer, exactly as it stands in the provider's metadata and tokens; HTTPS, but for loopback.
    pub issuer: String,
    /// Our name at the provider.
    pub client_id: String,
    /// Our password at the provider; empty for a public client.
    pub client_secret: String,
    /// What a token's `aud` must hold; empty for `client_id`.
    pub audience: String,
    /// The claim with the groups, an array or text with spaces or commas; dots lead into objects.
    pub groups_claim: String,
    /// Whether users and passwords are given to the provider's token endpoint.
    pub password_grant: bool,
    /// Whether the provider is asked about opaque tokens.
    pub introspection: bool,
}

impl OidcOptions {
    /// Checks what can be checked without asking the provider.
    ///
    /// # Errors
    /// `Invalid` for an issuer that is no HTTPS URL (HTTP only on loopback), for an empty client id, and for
    /// introspection without the secret that it needs.
    pub fn check(&self) -> Result<()> {
        http::check_url(&self.issuer).map_err(|error| error.context("issuer"))?;
        if self.client_id.is_empty() {
            return Err(Error::invalid(format!("issuer {}: a client_id is needed", self.issuer)));
        }
        if self.introspection && self.client_secret.is_empty() {
            return Err(Error::invalid(format!(
                "issuer {}: introspection needs a client_secret",
                self.issuer
            )));
        }
        Ok(())
    }
}

/// Shows neither our secret nor anybody's.
impl fmt::Debug for OidcOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OidcOptions")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("audience", &self.audience)
            .field("groups_claim", &self.groups_claim)
            .field("password_grant", &self.password_grant)
            .field("introspection", &self.introspection)
            .finish_non_exhaustive()
    }
}

/// One identity provider.
#[derive(Debug)]
pub struct OidcProvider {
    options: OidcOptions,
    http: Http,
    clock: Arc<dyn Clock>,
    metadata: Kept<Metadata>,
    keys: Kept<KeySet>,
    passwords: ShortCache<Principal>,
    opaque_tokens: ShortCache<Principal>,
    bottleneck: Bottleneck,
}

impl OidcProvider {
    /// A provider that is asked when it is first needed: it may be away now.
    ///
    /// # Errors
    /// Those of [`OidcOptions::check`].
    pub fn new(options: OidcOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        options.check()?;
        Ok(Self {
            http: Http::new()?,
            metadata: Kept::new(Arc::clone(&clock), METADATA_LIFETIME),
            keys: Kept::new(Arc::clone(&clock), KEYS_LIFETIME),
            passwords: ShortCache::new(Arc::clone(&clock), MAX_REMEMBERED, PASSWORD_LIFETIME)?,
            opaque_tokens: ShortCache::new(Arc::clone(&clock), MAX_REMEMBERED, INTROSPECTION_LIFETIME)?,
            bottleneck: Bottleneck::new(MAX_REQUESTS, MAX_WAITING),
            clock,
            options,
        })
    }

    /// The issuer.
    pub fn issuer(&self) -> &str {
        &self.options.issuer
    }

    /// Who a JWT of this provider stands for.
    ///
    /// # Errors
    /// `Unauthenticated` with what is wrong with the token; `Unavailable` while the provider's keys can't be had.
    pub(crate) async fn jwt(&self, token: &str) -> Result<Principal> {
        self.verified(token, self.audience()).await?.principal(&self.options.groups_claim)
    }

    /// Who a user and password stand for; `None` if the provider does not know them together, or is not asked.
    ///
    /// # Errors
    /// `Unavailable` while the provider does not answer or refuses us, and those of [`Attempt::check`].
    pub(crate) async fn password(
        &self,
        user: &str,
        password: &str,
        attempt: &Attempt<'_>,
    ) -> Result<Option<Principal>> {
        if !self.options.password_grant || user.is_empty() || password.is_empty() {
            return Ok(None);
        }
        if let Some(known) = self.passwords.get(&[user, password]) {
            return Ok(Some(known));
        }
        let _turn = self.bottleneck.turn().await?;
        if let Some(known) = self.passwords.get(&[user, password]) {
            return Ok(Some(known));
        }
        attempt.check()?;
        let Some(granted) = self.grant(user, password).await? else { return Ok(None) };
        let principal = self.principal_of_grant(&granted).await?;
        let not_after = granted.expires_in.map_or(Micros::MAX, |seconds| self.in_seconds(seconds));
        self.passwords.put(&[user, password], principal.clone(), not_after);
        Ok(Some(principal))
    }

    /// Who an opaque token stands for; `None` if the provider says it is not good, or is not asked.
    ///
    /// # Errors
    /// As [`Self::password`].
    pub(crate) async fn opaque(&self, token: &str, attempt: &Attempt<'_>) -> Result<Option<Principal>> {
        if !self.options.introspection || token.is_empty() {
            return Ok(None);
        }
        if let Some(known) = self.opaque_tokens.get(&[token]) {
            return Ok(Some(known));
        }
        let _turn = self.bottleneck.turn().await?;
        if let Some(known) = self.opaque_tokens.get(&[token]) {
            return Ok(Some(known));
        }
        attempt.check()?;
        let Some(claims) = self.introspect(token).await? else { return Ok(None) };
        let principal = claims.principal(&self.options.groups_claim)?;
        let not_after = claims.expiry().map_or(Micros::MAX, |seconds| seconds.saturating_mul(1_000_000));
        self.opaque_tokens.put(&[token], principal.clone(), not_after);
        Ok(Some(principal))
    }

    fn audience(&self) -> &str {
        if self.options.audience.is_empty() { &self.options.client_id } else { &self.options.audience }
    }

    /// Now, in seconds since 1970 UTC.
    fn now(&self) -> i64 {
        self.clock.now().div_euclid(1_000_000)
    }

    fn in_seconds(&self, seconds: i64) -> Micros {
        self.clock.now().saturating_add(seconds.saturating_mul(1_000_000))
    }

    /// The claims of a token whose signature, issuer, audience and times are right.
    async fn verified(&self, token: &str, audience: &str) -> Result<Claims> {
        let header = jwt::header(token)?;
        let known = self.keys.get(|| self.fetch_keys()).await?;
        let claims = match known.find(&header)? {
            Some(key) => jwt::verify(token, &header, key)?,
            None => {
                // The provider may have a new key. It is not asked again and again for a key that nobody has.
                let newer = self.keys.newer_than(&known, || self.fetch_keys()).await?;
                let key = newer.find(&header)?.ok_or_else(|| {
                    Error::unauthenticated("the token is signed with a key that its issuer does not have")
                })?;
                jwt::verify(token, &header, key)?
            }
        };
        claims.check(&self.options.issuer, audience, self.now())?;
        Ok(claims)
    }
}
