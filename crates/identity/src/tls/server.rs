//! What a listener shows and asks for, read again when its files change.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pintail_types::{Error, Result};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::files::{authorities, certificates, private_key};
use crate::reload::{Reload, WatchedFiles};

/// The files of a listener's TLS, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
    /// The authorities of client certificates; with them every client must show one.
    pub client_authorities: Option<PathBuf>,
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeastVersion {
    /// TLS 1.2 and 1.3.
    #[default]
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

/// What a listener shows and asks for.
///
/// The whole of it is swapped when its files change, client authorities and resumable sessions included:
/// connections from then on see the new, those from before go on.
pub struct ServerTls {
    files: TlsFiles,
    least: LeastVersion,
    protocols: Vec<Vec<u8>>,
    watched: WatchedFiles,
    current: ArcSwap<ServerConfig>,
}

impl ServerTls {
    /// Reads the files. `protocols` are offered by ALPN, such as `h2`. Blocks.
    ///
    /// # Errors
    /// `Invalid` with the file and what is wrong with it.
    pub fn open(files: TlsFiles, least: LeastVersion, protocols: &[&str]) -> Result<Arc<Self>> {
        let mut paths = vec![files.certificate.clone(), files.key.clone()];
        paths.extend(files.client_authorities.clone());
        let watched = WatchedFiles::new(paths);
        let protocols: Vec<_> = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let current = ArcSwap::from(server_config(&files, least, &protocols)?);
        Ok(Arc::new(Self { files, least, protocols, watched, current }))
    }

    /// What does the handshake of a connection that begins now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

impl Reload for ServerTls {
    fn describe(&self) -> String {
        format!("certificate {}", self.files.certificate.display())
    }

    fn has_changed(&self) -> bool {
        self.watched.have_changed()
    }

    fn reload(&self) -> Result<()> {
        self.current.store(server_config(&self.files, self.least, &self.protocols)?);
        Ok(())
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("files", &self.files)
            .field("least", &self.least)
            .finish_non_exhaustive()
    }
}

fn server_config(files: &TlsFiles, least: LeastVersion, protocols: &[Vec<u8>]) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: &[_] = match least {
        LeastVersion::Tls12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
        LeastVersion::Tls13 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| Error::internal("TLS can't be set up").with_source(error))?;
    let builder = match &files.client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(authorities(path)?, Arc::clone(&provider))
                    .build()
                    .map_err(|error| {
                        Error::invalid(format!("certificate file {}: {error}", path.display()))
                            .with_source(error)
                    })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let shown = certified_key(files, &provider)?;
    let resolver = rustls::sign::SingleCertAndKey::from(shown);
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = protocols.to_vec();
    Ok(Arc::new(config))
}

fn certified_key(files: &TlsFiles, provider: &rustls::crypto::CryptoProvider) -> Result<CertifiedKey> {
    let (chain, key) = (certificates(&files.certificate)?, private_key(&files.key)?);
    CertifiedKey::from_der(chain, key, provider).map_err(|error| {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        let message = match &error {
            rustls::Error::InconsistentKeys(_) => {
                format!("key file {key}: it is not the key of the certificate in {certificate}")
            }
            rustls::Error::InvalidCertificate(_) => format!("certificate file {certificate}: {error}"),
            _ => format!("key file {key}: {error}"),
        };
        Error::invalid(message).with_source(error)
    })
}
