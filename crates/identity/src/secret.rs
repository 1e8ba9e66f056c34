//! Secrets of this server: drawn at random, kept in a file when they must outlive the process.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use pintail_types::{Error, Result};
use sha2::Sha256;

use crate::Signer;

/// Bytes of a secret.
const SECRET_BYTES: usize = 32;

/// A secret of 32 bytes. Keys for single purposes are derived from it, so that what is signed for one is
/// never taken for another.
#[derive(Clone)]
pub struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// A new secret.
    ///
    /// # Errors
    /// `Internal` if the system gives no random numbers.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; SECRET_BYTES];
        fill_random(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The secret in the file at `path`; a new one is written there, for this user alone, if there is no file.
    /// Blocks.
    ///
    /// # Errors
    /// `Invalid` for a file that is not exactly 32 bytes or that everybody may read, and for a place that can't
    /// be written.
    pub fn from_file(path: &Path) -> Result<Self> {
        match read(path) {
            Err(error) if error.kind() == IoErrorKind::NotFound => {}
            Err(error) => return Err(unusable(path, &error)),
            Ok(bytes) => return Self::checked(path, &bytes),
        }
        let secret = Self::random()?;
        match write_new(path, &secret.0) {
            Ok(()) => Ok(secret),
            // Another process was quicker: its secret counts.
            Err(error) if error.kind() == IoErrorKind::AlreadyExists => {
                Self::checked(path, &read(path).map_err(|error| unusable(path, &error))?)
            }
            Err(error) => Err(unusable(path, &error)),
        }
    }

    fn checked(path: &Path, bytes: &[u8]) -> Result<Self> {
        let found = bytes.len();
        bytes.try_into().map(Self).map_err(|_| {
            Error::invalid(format!(
                "secret file {}: {SECRET_BYTES} bytes are wanted and {found} are there; remove it to have one made",
                path.display()
            ))
        })
    }

    /// A signer whose key depends on this secret and on `purpose`.
    pub fn signer(&self, purpose: &str) -> Signer {
        Signer::new(self.derive(purpose.as_bytes()))
    }

    /// HMAC-SHA256 of `message`: a value that only who knows the secret can make.
    pub(crate) fn derive(&self, message: &[u8]) -> [u8; 32] {
        self.keyed().chain_update(message).finalize().into_bytes().into()
    }

    /// HMAC-SHA256 of several parts, each with its length, so that no two lists of parts run together alike.
    pub(crate) fn digest(&self, parts: &[&str]) -> [u8; 32] {
        let mut keyed = self.keyed();
        for part in parts {
            keyed.update(&(part.len() as u64).to_be_bytes());
            keyed.update(part.as_bytes());
        }
        keyed.finalize().into_bytes().into()
    }

    fn keyed(&self) -> Hmac<Sha256> {
        // HMAC pads a shorter key with zeros to one block of SHA-256 (RFC 2104).
        let mut block = [0; 64];
        block[..SECRET_BYTES].copy_from_slice(&self.0);
        Hmac::new(&block.into())
    }
}

/// Never shows the bytes.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Fills `bytes` from the system's source of random numbers.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<()> {
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(bytes)
        .map_err(|_| Error::internal("the system gives no random numbers"))
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    refuse_readable_by_all(&file)?;
    let mut bytes = Vec::with_capacity(SECRET_BYTES + 1);
    // One byte more tells a longer file.
    file.take(SECRET_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(unix)]
fn refuse_readable_by_all(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata()?.permissions().mode();
    // A group may be let in on purpose, as where secrets are mounted for a user in it.
    if mode & 0o007 == 0 {
        return Ok(());
    }
    Err(std::io::Error::other(format!("everybody may read it (mode {:03o}); chmod 600 it", mode & 0o777)))
}

#[cfg(not(unix))]
fn refuse_readable_by_all(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn unusable(path: &Path, error: &std::io::Error) -> Error {
    Error::invalid(format!("secret file {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_is_made_once_and_read_from_then_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let first = Secret::from_file(&path).unwrap();
        assert_eq!(first.0, Secret::from_file(&path).unwrap().0);
        assert_ne!(first.0, Secret::random().unwrap().0);
        assert_ne!(first.derive(b"a"), first.derive(b"b"));
        assert_ne!(first.digest(&["ab", "c"]), first.digest(&["a", "bc"]));
        assert_eq!(format!("{first:?}"), "Secret(..)");
    }

    #[cfg(unix)]
    #[test]
    fn unusable_secret_files_are_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8], mode: u32| {
            let path = directory.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        for (path, wanted) in [
            (file("short", b"abc", 0o600), "32 bytes are wanted and 3 are there"),
            (file("long", &[7; 40], 0o600), "32 bytes are wanted and 33 are there"),
            (file("open", &[7; 32], 0o644), "everybody may read it (mode 644)"),
            (directory.path().join("none/secret"), "secret file"),
        ] {
            let error = Secret::from_file(&path).unwrap_err();
            assert!(error.message().contains(wanted), "{error}");
        }
        let made = directory.path().join("made");
        Secret::from_file(&made).unwrap();
        assert_eq!(std::fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
