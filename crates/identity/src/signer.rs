//! Handles that leave through a door and must come back unchanged.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use pintail_types::{Error, Result};
use sha2::Sha256;

/// Bytes of the tag before the payload.
const TAG_BYTES: usize = 32;
/// Bytes of a SHA-256 block: HMAC's key size (RFC 2104).
const BLOCK_BYTES: usize = 64;

/// Seals handles and tickets with HMAC-SHA256, so that only what this server gave out is taken back.
/// The payload is not hidden.
#[derive(Clone)]
pub struct Signer {
    keyed: Hmac<Sha256>,
}

impl Signer {
    /// A signer with a secret of 32 random bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        // HMAC pads a shorter key with zeros to one block.
        let mut block = [0; BLOCK_BYTES];
        block[..secret.len()].copy_from_slice(&secret);
        Self { keyed: Hmac::new(&block.into()) }
    }

    /// `payload` with its tag before it.
    pub fn seal(&self, payload: &[u8]) -> Vec<u8> {
        let tag = self.keyed.clone().chain_update(payload).finalize().into_bytes();
        let mut sealed = Vec::with_capacity(TAG_BYTES + payload.len());
        sealed.extend_from_slice(&tag);
        sealed.extend_from_slice(payload);
        sealed
    }

    /// The payload of what [`Self::seal`] made.
    ///
    /// # Errors
    /// `NotFound` for anything else.
    pub fn open<'a>(&self, sealed: &'a [u8]) -> Result<&'a [u8]> {
        let unknown = || Error::not_found("the handle is not known here");
        let (tag, payload) = sealed.split_at_checked(TAG_BYTES).ok_or_else(unknown)?;
        // Compares in constant time.
        self.keyed.clone().chain_update(payload).verify_slice(tag).map_err(|_| unknown())?;
        Ok(payload)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_and_nothing_else_does() {
        let signer = Signer::new([7; 32]);
        for payload in [&b""[..], b"x", &[0; 300]] {
            let sealed = signer.seal(payload);
            assert_eq!(signer.open(&sealed).unwrap(), payload);
            assert!(Signer::new([8; 32]).open(&sealed).is_err());
            for index in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[index] ^= 1;
                assert!(signer.open(&changed).is_err());
            }
            assert!(signer.open(&sealed[..sealed.len() - 1]).is_err());
        }
        assert!(signer.open(b"").is_err());
    }

    #[test]
    fn the_tag_is_hmac_sha256() {
        // Computed with another implementation over "abc" with a key of 32 bytes 0x0b.
        let sealed = Signer::new([0x0b; 32]).seal(b"abc");
        let hex: String = sealed[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "cc2b6e43");
    }
}
