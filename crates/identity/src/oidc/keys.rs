//! The keys that a provider signs with (RFC 7517), and which of them fits a token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use pintail_types::{Error, Result};
use serde::Deserialize;

use super::jwt::{Accepted, Header, KeyKind};

/// Keys of a provider that are looked at.
const MAX_KEYS: usize = 256;

/// Shortest RSA modulus: 2048 bits (RFC 7518 section 3.3).
const MIN_MODULUS_BYTES: usize = 256;

/// A key set as it comes. A key that can't be read is left out: others may be good.
#[derive(Debug, Deserialize)]
pub(super) struct KeysDocument {
    keys: Vec<serde_json::Value>,
}

/// The keys for checking signatures.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    kind: KeyKind,
    /// The only algorithm it is for, if it says so.
    algorithm: Option<String>,
    pub(super) decoding: DecodingKey,
}

impl KeySet {
    pub(super) fn new(document: KeysDocument) -> Self {
        Self { keys: document.keys.into_iter().take(MAX_KEYS).filter_map(read_key).collect() }
    }

    /// The key that a token with this header is signed with. A token that names none is only taken where one key
    /// fits.
    ///
    /// # Errors
    /// `Unauthenticated` if the key that it names is for something else, or none is named and several fit.
    pub(super) fn find(&self, header: &Header) -> Result<Option<&Key>> {
        let Some(id) = &header.key_id else {
            let mut fitting = self.keys.iter().filter(|key| key.fits(header.accepted));
            return match (fitting.next(), fitting.next()) {
                (Some(_), Some(_)) => Err(Error::unauthenticated("the token does not name its key (kid)")),
                (only, _) => Ok(only),
            };
        };
        let mut named = self.keys.iter().filter(|key| key.id.as_ref() == Some(id)).peekable();
        if named.peek().is_none() {
            return Ok(None);
        }
        match named.find(|key| key.fits(header.accepted)) {
            Some(key) => Ok(Some(key)),
            None => Err(Error::unauthenticated(format!(
                "the token's algorithm {} does not fit the key that it names",
                header.accepted.name()
            ))),
        }
    }
}

impl Key {
    fn fits(&self, accepted: Accepted) -> bool {
        self.kind == accepted.key_kind()
            && self.algorithm.as_deref().is_none_or(|algorithm| algorithm == accepted.name())
    }
}

fn read_key(value: serde_json::Value) -> Option<Key> {
    let algorithm = value.get("alg").and_then(|algorithm| algorithm.as_str()).map(str::to_owned);
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let is_for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    if !is_for_signatures {
        return None;
    }
    let kind = kind_of(&jwk)?;
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    Some(Key { id: jwk.common.key_id, kind, algorithm, decoding })
}

fn kind_of(jwk: &Jwk) -> Option<KeyKind> {
    match &jwk.algorithm {
        AlgorithmParameters::RSA(key) => {
            let modulus = URL_SAFE_NO_PAD.decode(&key.n).ok()?;
            let length = modulus.iter().skip_while(|byte| **byte == 0).count();
            (length >= MIN_MODULUS_BYTES).then_some(KeyKind::Rsa)
        }
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Some(KeyKind::P256),
            EllipticCurve::P384 => Some(KeyKind::P384),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(key) => {
            (key.curve == EllipticCurve::Ed25519).then_some(KeyKind::Ed25519)
        }
        // Keys that are shared, and kinds that are not known.
        _ => None,
    }
}
