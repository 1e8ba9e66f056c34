//! Keys that tokens are signed with.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};
use serde_json::{Value, json};

/// A key for one algorithm, with its name.
pub(crate) struct SigningKey {
    pub(crate) id: &'static str,
    pub(crate) algorithm: Algorithm,
    encoding: EncodingKey,
}

impl SigningKey {
    /// A key for `algorithm`. RSA keys are read, as drawing one takes seconds; they serve nothing but these tests.
    pub(crate) fn new(id: &'static str, algorithm: Algorithm) -> Self {
        let encoding = match algorithm {
            Algorithm::ES256 => {
                let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
                EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap()
            }
            Algorithm::ES384 => {
                let pair = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
                EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap()
            }
            // PKCS #8 of Ed25519 (RFC 8410 section 7) with a seed of sevens.
            Algorithm::EdDSA => {
                let head = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
                EncodingKey::from_ed_der(&[head.as_slice(), &[7; 32]].concat())
            }
            _ => EncodingKey::from_rsa_pem(include_bytes!("rsa-2048.pem")).unwrap(),
        };
        Self { id, algorithm, encoding }
    }

    /// An RSA key that is shorter than is taken.
    pub(crate) fn short(id: &'static str) -> Self {
        let encoding = EncodingKey::from_rsa_pem(include_bytes!("rsa-1024.pem")).unwrap();
        Self { id, algorithm: Algorithm::RS256, encoding }
    }

    /// The public key, for the provider's key set.
    pub(crate) fn public(&self) -> Value {
        let mut jwk =
            serde_json::to_value(Jwk::from_encoding_key(&self.encoding, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk
    }

    /// A signed token.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(claims, |_| {})
    }

    /// A signed token with another header.
    pub(crate) fn sign_with(&self, claims: &Value, change: impl FnOnce(&mut Header)) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.to_owned());
        change(&mut header);
        jsonwebtoken::encode(&header, claims, &self.encoding).unwrap()
    }
}
