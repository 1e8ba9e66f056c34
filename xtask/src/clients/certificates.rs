//! Certificates for the servers and clients of one run, signed by an authority that only this run knows.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::Result;

/// A certificate chain and its private key, both PEM files.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// The authority, a server that it vouches for, and a client.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) authority: PathBuf,
    pub(crate) server: Pair,
    pub(crate) client: Pair,
}

impl Certificates {
    /// Makes them in `folder`; the server's is good for `localhost` and `127.0.0.1`.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Pintail client tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let authority_file = folder.join("authority.pem");
        fs::write(&authority_file, authority.pem())?;
        let pair = |name: &str, names: &[&str], usage| -> Result<Pair> {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let mut params = CertificateParams::new(names)?;
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &authority)?;
            let pair = Pair {
                certificate: folder.join(format!("{name}.pem")),
                key: folder.join(format!("{name}.key")),
            };
            fs::write(&pair.certificate, certificate.pem())?;
            fs::write(&pair.key, key.serialize_pem())?;
            Ok(pair)
        };
        let server = pair("server", &["localhost", "127.0.0.1"], ExtendedKeyUsagePurpose::ServerAuth)?;
        let client = pair("client", &["client"], ExtendedKeyUsagePurpose::ClientAuth)?;
        Ok(Self { authority: authority_file, server, client })
    }
}
