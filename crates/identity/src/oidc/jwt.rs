//! JSON web tokens: their header, which algorithms are taken, and the signature.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Validation};
use pintail_types::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::claims::Claims;
use super::keys::Key;

/// Longest token: more does not fit into headers.
const MAX_TOKEN_BYTES: usize = 64 << 10;

/// The types of tokens that are taken (RFC 7519 section 5.1, RFC 9068 section 2.1); not, for example,
/// `logout+jwt`.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// The kind of key that an algorithm wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// An algorithm that is taken: only signatures with a key that is public. Never `none`, never a shared key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    name: &'static str,
    algorithm: Algorithm,
    key_kind: KeyKind,
}

const ACCEPTED: [Accepted; 9] = [
    Accepted::new("RS256", Algorithm::RS256, KeyKind::Rsa),
    Accepted::new("RS384", Algorithm::RS384, KeyKind::Rsa),
    Accepted::new("RS512", Algorithm::RS512, KeyKind::Rsa),
    Accepted::new("PS256", Algorithm::PS256, KeyKind::Rsa),
    Accepted::new("PS384", Algorithm::PS384, KeyKind::Rsa),
    Accepted::new("PS512", Algorithm::PS512, KeyKind::Rsa),
    Accepted::new("ES256", Algorithm::ES256, KeyKind::P256),
    Accepted::new("ES384", Algorithm::ES384, KeyKind::P384),
    Accepted::new("EdDSA", Algorithm::EdDSA, KeyKind::Ed25519),
];

impl Accepted {
    const fn new(name: &'static str, algorithm: Algorithm, key_kind: KeyKind) -> Self {
        Self { name, algorithm, key_kind }
    }

    pub(super) const fn name(self) -> &'static str {
        self.name
    }

    pub(super) const fn key_kind(self) -> KeyKind {
        self.key_kind
    }
}

/// What a token's header says, as far as it is taken.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) accepted: Accepted,
    pub(super) key_id: Option<String>,
}

#[derive(Deserialize)]
struct RawHeader {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// Whether `token` has the form of a JWT: three parts, the first of which is a header. A token of another form is
/// opaque.
pub(crate) fn is_jwt(token: &str) -> bool {
    parts(token).is_some_and(|[header, ..]| read_part::<RawHeader>(header).is_some())
}

/// The issuer that a token names. Nothing of it is checked yet.
pub(crate) fn issuer_of(token: &str) -> Option<String> {
    let [_, claims, _] = parts(token)?;
    match read_part::<Map<String, Value>>(claims)?.remove("iss")? {
        Value::String(issuer) => Some(issuer),
        _ => None,
    }
}

/// Reads the header of `token`.
///
/// # Errors
/// `Unauthenticated` for algorithms and types that are not taken.
pub(super) fn header(token: &str) -> Result<Header> {
    let refused = |message: String| Error::unauthenticated(message);
    let unreadable = || refused("the token is not a readable JWT".to_owned());
    let [header, ..] = parts(token).ok_or_else(unreadable)?;
    let raw: RawHeader = read_part(header).ok_or_else(unreadable)?;
    let accepted = ACCEPTED.into_iter().find(|accepted| accepted.name == raw.alg).ok_or_else(|| {
        let names = ACCEPTED.map(|accepted| accepted.name).join(", ");
        refused(format!("the token's algorithm '{}' is not taken; {names} are", printable(&raw.alg)))
    })?;
    if raw.crit.is_some() {
        return Err(refused("the token has critical extensions that are not known here".to_owned()));
    }
    if let Some(kind) = raw.typ
        && !TYPES.contains(&kind.to_ascii_lowercase().as_str())
    {
        return Err(refused(format!("a token of type '{}' is not for logging in", printable(&kind))));
    }
    Ok(Header { accepted, key_id: raw.kid })
}

/// The claims of a token that `key` has signed. Their content is not checked yet.
///
/// # Errors
/// `Unauthenticated` for a wrong signature.
pub(super) fn verify(token: &str, header: &Header, key: &Key) -> Result<Claims> {
    let mut validation = Validation::new(header.accepted.algorithm);
    // Only the signature: claims are checked by our own clock, and more strictly.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode::<Map<String, Value>>(token, &key.decoding, &validation)
        .map(|verified| Claims::new(verified.claims))
        .map_err(|error| Error::unauthenticated("the token's signature is wrong").with_source(error))
}

fn parts(token: &str) -> Option<[&str; 3]> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let mut parts = token.split('.');
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

fn read_part<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// The start of a foreign text, without what could confuse a terminal or a log.
fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(32).collect()
}
