//! Tokens of the configuration, known by their digests.

use std::fmt;

use pintail_types::{Error, Result};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::Principal;

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
    /// The entry of a token that is known as text.
    pub(crate) fn of_token(name: &str, token: &str, groups: Vec<String>) -> Self {
        Self { name: name.to_owned(), sha256: Sha256::digest(token.as_bytes()).into(), groups }
    }

    /// The digest as hexadecimal digits.
    pub(crate) fn hex(&self) -> String {
        self.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }

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

/// The tokens of a listener.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens {
    entries: Vec<TokenEntry>,
}

impl Tokens {
    pub(crate) const fn new(entries: Vec<TokenEntry>) -> Self {
        Self { entries }
    }

    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Compares with every entry, without leaving early, so that time tells nothing.
    pub(crate) fn find(&self, secret: &str) -> Option<Principal> {
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
