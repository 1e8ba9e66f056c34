//! What a token says, and who that is.

use pintail_types::{Error, Result};
use serde_json::{Map, Value};

use crate::Principal;

/// Clocks may differ by so much, in seconds.
const LEEWAY: i64 = 60;

/// Longest name of a principal or group.
const MAX_NAME_BYTES: usize = 256;

/// Groups that are taken from one token.
const MAX_GROUPS: usize = 256;

/// The claims that name a principal; the first that is there counts. Introspection says `username`.
const NAME_CLAIMS: [&str; 3] = ["preferred_username", "username", "sub"];

/// Claims whose origin has been checked.
#[derive(Debug)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    pub(super) const fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// Checks issuer, audience and times of a token.
    ///
    /// # Errors
    /// `Unauthenticated` with the one that is wrong.
    pub(super) fn check(&self, issuer: &str, audience: &str, now: i64) -> Result<()> {
        let refused = |message: &str| Err(Error::unauthenticated(message));
        if self.0.get("iss").and_then(Value::as_str) != Some(issuer) {
            return refused("the token is of another issuer");
        }
        if !self.is_for(audience) {
            return Err(Error::unauthenticated(format!("the token is not for the audience '{audience}'")));
        }
        let Some(expiry) = self.expiry() else { return refused("the token has no expiry") };
        if now.saturating_sub(LEEWAY) >= expiry {
            return refused("the token has expired");
        }
        self.check_start(now)
    }

    /// Checks what an introspection says beyond `active` (RFC 7662 section 2.2); there it may all be absent.
    ///
    /// # Errors
    /// `Unauthenticated` with what is wrong.
    pub(super) fn check_introspected(&self, issuer: &str, audience: &str, now: i64) -> Result<()> {
        let other =
            |claim: &str, wanted: &str| self.0.get(claim).is_some_and(|value| value.as_str() != Some(wanted));
        if other("iss", issuer) {
            return Err(Error::unauthenticated("the token is of another issuer"));
        }
        if self.0.contains_key("aud") && !self.is_for(audience) {
            return Err(Error::unauthenticated(format!("the token is not for the audience '{audience}'")));
        }
        if self.expiry().is_some_and(|expiry| now.saturating_sub(LEEWAY) >= expiry) {
            return Err(Error::unauthenticated("the token has expired"));
        }
        self.check_start(now)
    }

    fn check_start(&self, now: i64) -> Result<()> {
        match self.0.get("nbf").map(seconds) {
            None => Ok(()),
            Some(Some(start)) if start <= now.saturating_add(LEEWAY) => Ok(()),
            Some(_) => Err(Error::unauthenticated("the token is not valid yet")),
        }
    }

    fn is_for(&self, audience: &str) -> bool {
        match self.0.get("aud") {
            Some(Value::String(only)) => only == audience,
            Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        }
    }

    /// `exp`, in seconds since 1970 UTC.
    pub(super) fn expiry(&self) -> Option<i64> {
        self.0.get("exp").and_then(seconds)
    }

    /// Whether an introspection says that the token is good.
    pub(super) fn is_active(&self) -> bool {
        self.0.get("active") == Some(&Value::Bool(true))
    }

    /// Whether there is something at `claim`.
    pub(super) fn has(&self, claim: &str) -> bool {
        self.find(claim).is_some()
    }

    /// Who it is, with the groups of `groups_claim`.
    ///
    /// # Errors
    /// `Unauthenticated` if it names nobody, or in a way that can't be shown.
    pub(super) fn principal(&self, groups_claim: &str) -> Result<Principal> {
        let name = NAME_CLAIMS.iter().find_map(|claim| self.0.get(*claim)?.as_str());
        let Some(name) = name.filter(|name| is_name(name)) else {
            return Err(Error::unauthenticated(format!(
                "the token names nobody: none of {} is usable",
                NAME_CLAIMS.join(", ")
            )));
        };
        let groups: Vec<&str> = match self.find(groups_claim) {
            Some(Value::String(text)) => text.split([' ', ',']).collect(),
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let groups = groups.into_iter().filter(|group| is_name(group)).take(MAX_GROUPS);
        Ok(Principal::new(name, groups))
    }

    /// The claim of this name; else dots lead into objects, as in `realm_access.roles`.
    fn find(&self, claim: &str) -> Option<&Value> {
        if let Some(value) = self.0.get(claim) {
            return Some(value);
        }
        let (first, rest) = claim.split_once('.')?;
        rest.split('.').try_fold(self.0.get(first)?, |value, key| value.get(key))
    }
}

/// A NumericDate (RFC 7519 section 2): seconds, maybe with a fraction.
fn seconds(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "saturates; a fraction of a second does not matter")]
    value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests;
