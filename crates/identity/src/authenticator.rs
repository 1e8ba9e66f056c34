//! The gate of one listener.

use std::fmt;
use std::net::IpAddr;

use pintail_types::{Error, Result};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::{Credentials, Principal};

/// A configured token: only its SHA-256 is kept.
#[derive(Clone)]
pub struct TokenEntry {
    /// The principal's name.
    pub name: String,
    /// SHA-256 of the token's bytes.
    pub sha256: [u8; 32],
    /// The principal's groups.
    pub groups: Vec<String>,
}

impl TokenEntry {
    /// An entry whose digest is given as 64 hexadecimal digits, as it stands in the configuration.
    ///
    /// # Errors
    /// `Invalid` if `sha256` is anything else.
    pub fn from_hex(name: impl Into<String>, sha256: &str, groups: Vec<String>) -> Result<Self> {
        let name = name.into();
        let digest = decode_hex(sha256)
            .ok_or_else(|| Error::invalid(format!("token '{name}': sha256 must be 64 hexadecimal digits")))?;
        Ok(Self { name, sha256: digest, groups })
    }
}

impl fmt::Debug for TokenEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEntry")
            .field("name", &self.name)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]))
        .collect::<Result<_, _>>()
        .ok()?;
    if digits.len() != 64 {
        return None;
    }
    bytes.try_into().ok()
}

/// Decides who a caller of one listener is.
pub struct Authenticator {
    listener: String,
    entries: Vec<TokenEntry>,
    allow_unauthenticated: bool,
    loopback: bool,
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
        let mut entries = tokens;
        if let Some(token) = auth_token.filter(|token| !token.is_empty()) {
            let sha256 = Sha256::digest(token.as_bytes()).into();
            let groups = vec![Principal::ADMIN.to_owned()];
            entries.push(TokenEntry { name: listener.to_owned(), sha256, groups });
        }
        Self { listener: listener.to_owned(), entries, allow_unauthenticated, loopback }
    }

    /// The listener's name.
    pub fn listener(&self) -> &str {
        &self.listener
    }

    /// Whether any credential is configured.
    pub fn has_credentials(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Whether a caller that shows nothing is refused.
    pub fn requires_credentials(&self) -> bool {
        !self.allow_unauthenticated && (self.has_credentials() || !self.loopback)
    }

    /// Who the caller is. A token counts as a bearer, as a Basic password under any user, and as a
    /// Basic user.
    ///
    /// # Errors
    /// `Unauthenticated` for missing, unknown or unreadable credentials. Where no credential is
    /// configured, any readable one is as good as none.
    pub fn authenticate(&self, credentials: Credentials<'_>) -> Result<Principal> {
        if let Credentials::Malformed(problem) = credentials {
            return Err(Error::unauthenticated(problem));
        }
        if !self.has_credentials() {
            return self.without_credentials();
        }
        let found = match credentials {
            Credentials::None if self.allow_unauthenticated => return Ok(Principal::anonymous()),
            Credentials::None | Credentials::Malformed(_) => {
                return Err(Error::unauthenticated("credentials are required: send a bearer token"));
            }
            Credentials::Bearer(token) => self.find(token),
            Credentials::Basic { user, password } => self.find(&password).or_else(|| self.find(&user)),
        };
        found.ok_or_else(|| Error::unauthenticated("the credentials are not valid here"))
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

    /// Compares with every entry, without leaving early, so that time tells nothing.
    fn find(&self, secret: &str) -> Option<Principal> {
        let digest: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        let mut found = u64::MAX;
        for (index, entry) in self.entries.iter().enumerate() {
            let equal: Choice = entry.sha256.ct_eq(&digest);
            found.conditional_assign(&(index as u64), equal);
        }
        let entry = self.entries.get(usize::try_from(found).ok()?)?;
        Some(Principal { name: entry.name.clone(), groups: entry.groups.clone() })
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("listener", &self.listener)
            .field("credentials", &self.entries.len())
            .field("allow_unauthenticated", &self.allow_unauthenticated)
            .field("loopback", &self.loopback)
            .finish()
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
        "listener {listener} would be open to the network on {address} without credentials: set its auth_token \
         or identity.tokens, bind it to 127.0.0.1, or set allow_unauthenticated: true"
    )))
}

#[cfg(test)]
mod tests;
