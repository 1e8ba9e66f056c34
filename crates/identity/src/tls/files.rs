//! Certificates and keys from PEM files, with errors that name the file and what is wrong with it.

use std::path::Path;
use std::sync::Arc;

use pintail_types::{Error, Result};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::reload::read_file;

/// Longest file of certificates or keys: a bundle of all public authorities has a quarter of it.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The certificates of a file, in its order.
///
/// # Errors
/// `Invalid` if there is none, or one that can't be read.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = read_file("certificate file", path, MAX_FILE_BYTES)?;
    let found = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>().map_err(|error| {
        Error::invalid(format!("certificate file {}: not readable as PEM: {error}", path.display()))
    })?;
    if found.is_empty() {
        return Err(Error::invalid(format!(
            "certificate file {}: no certificate in it; PEM (-----BEGIN CERTIFICATE-----) is wanted",
            path.display()
        )));
    }
    Ok(found)
}

/// The first private key of a file: PKCS #8, PKCS #1 or SEC 1.
///
/// # Errors
/// `Invalid` if there is none, or it is encrypted.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let bytes = read_file("key file", path, MAX_FILE_BYTES)?;
    let contains = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    if contains(b"BEGIN ENCRYPTED PRIVATE KEY") || contains(b"Proc-Type: 4,ENCRYPTED") {
        return Err(Error::invalid(format!(
            "key file {}: the key is encrypted; write it without a passphrase (openssl pkey -in OLD -out NEW)",
            path.display()
        )));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        Error::invalid(format!(
            "key file {}: no private key in it ({error}); PEM (-----BEGIN PRIVATE KEY-----) is wanted",
            path.display()
        ))
    })
}

/// The authorities of a file.
///
/// # Errors
/// As [`certificates`], and for one that can't be an authority.
pub(super) fn authorities(path: &Path) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| {
            Error::invalid(format!("certificate file {}: not an authority: {error}", path.display()))
        })?;
    }
    Ok(Arc::new(roots))
}
