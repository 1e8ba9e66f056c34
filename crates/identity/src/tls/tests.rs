use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pintail_types::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::Listener;
use crate::Reload as _;
use crate::tls::{LeastVersion, ServerTls, TlsFiles};

/// An authority that signs certificates for `localhost`.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key.
    fn sign(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// Files of certificates and keys.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Writes what a server shows.
    fn show(&self, (certificate, key): &(String, String)) -> TlsFiles {
        TlsFiles {
            certificate: self.write("cert.pem", certificate),
            key: self.write("key.pem", key),
            client_authorities: None,
        }
    }
}

fn open(files: &TlsFiles) -> Result<Arc<ServerTls>> {
    ServerTls::open(files.clone(), LeastVersion::Tls12, &["h2"])
}

/// A client that trusts `authority` and shows `certificate`.
fn client(authority: &Authority, certificate: Option<&(String, String)>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    match certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    }
}

/// Greets a listener that answers with what it was sent; true if the answer came back.
async fn greet(tls: &Arc<ServerTls>, client: ClientConfig) -> bool {
    let mut listener = listen(tls).await;
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut heard = [0; 5];
        connection.read_exact(&mut heard).await.unwrap();
        connection.write_all(&heard).await.unwrap();
        connection.shutdown().await.unwrap();
    });
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let talk = async {
        let mut stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await?;
        stream.write_all(b"hello").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answered = talk.await;
    server.abort();
    answered.is_ok_and(|answer| answer == "hello")
}

async fn listen(tls: &Arc<ServerTls>) -> Listener {
    Listener::new(TcpListener::bind("127.0.0.1:0").await.unwrap(), Some(Arc::clone(tls)))
}

#[tokio::test]
async fn a_certificate_that_changed_is_shown_and_a_broken_one_is_not() {
    let (files, old, new) = (Files::new(), Authority::new(), Authority::new());
    let shown = files.show(&old.sign());
    let tls = open(&shown).unwrap();
    assert!(greet(&tls, client(&old, None)).await);
    assert!(!greet(&tls, client(&new, None)).await);
    assert!(!tls.has_changed());

    // Between two writes certificate and key do not fit.
    let next = new.sign();
    files.write("cert.pem", &next.0);
    assert!(tls.has_changed());
    assert!(tls.reload().unwrap_err().message().contains("not the key of the certificate"));
    assert!(greet(&tls, client(&old, None)).await);
    files.write("key.pem", &next.1);
    assert!(tls.has_changed() && !tls.has_changed());
    tls.reload().unwrap();
    assert!(greet(&tls, client(&new, None)).await);
    assert!(!greet(&tls, client(&old, None)).await);

    std::fs::remove_file(&shown.key).unwrap();
    assert!(tls.has_changed());
    assert!(tls.reload().is_err());
    assert!(greet(&tls, client(&new, None)).await);
}

#[tokio::test]
async fn where_client_certificates_are_asked_for_only_those_of_the_authority_talk() {
    let (files, ours, theirs) = (Files::new(), Authority::new(), Authority::new());
    let mut shown = files.show(&ours.sign());
    shown.client_authorities = Some(files.write("clients.pem", &ours.pem()));
    let tls = open(&shown).unwrap();
    let (good, foreign) = (ours.sign(), theirs.sign());
    assert!(greet(&tls, client(&ours, Some(&good))).await);
    assert!(!greet(&tls, client(&ours, Some(&foreign))).await);
    assert!(!greet(&tls, client(&ours, None)).await);
    // Other authorities from now on.
    files.write("clients.pem", &theirs.pem());
    assert!(tls.has_changed());
    tls.reload().unwrap();
    assert!(!greet(&tls, client(&ours, Some(&good))).await);
    assert!(greet(&tls, client(&ours, Some(&foreign))).await);
}

#[tokio::test]
async fn the_oldest_version_is_kept_to() {
    let (files, authority) = (Files::new(), Authority::new());
    let shown = files.show(&authority.sign());
    let only_12 = || {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    };
    for (least, fine) in [(LeastVersion::Tls12, true), (LeastVersion::Tls13, false)] {
        let tls = ServerTls::open(shown.clone(), least, &[]).unwrap();
        assert_eq!(greet(&tls, only_12()).await, fine, "{least:?}");
        assert!(greet(&tls, client(&authority, None)).await);
    }
}

#[test]
fn unusable_files_are_named_with_what_is_wrong() {
    let (files, authority) = (Files::new(), Authority::new());
    let (certificate, key) = authority.sign();
    let other_key = authority.sign().1;
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let legacy =
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let long = "x".repeat((1 << 20) + 1);
    for (certificate, key, authorities, wanted) in [
        ("", key.as_str(), None, "cert.pem: no certificate in it"),
        (key.as_str(), key.as_str(), None, "cert.pem: no certificate in it"),
        ("-----BEGIN CERTIFICATE-----\n", key.as_str(), None, "cert.pem: not readable as PEM"),
        (nonsense, key.as_str(), None, "cert.pem: invalid peer certificate"),
        (long.as_str(), key.as_str(), None, "cert.pem: it is longer than 1048576 bytes"),
        (certificate.as_str(), "", None, "key.pem: no private key in it"),
        (certificate.as_str(), certificate.as_str(), None, "key.pem: no private key in it"),
        (certificate.as_str(), encrypted, None, "key.pem: the key is encrypted"),
        (certificate.as_str(), legacy, None, "key.pem: the key is encrypted"),
        (certificate.as_str(), other_key.as_str(), None, "key.pem: it is not the key of the certificate in"),
        (certificate.as_str(), key.as_str(), Some(""), "clients.pem: no certificate in it"),
        (certificate.as_str(), key.as_str(), Some(nonsense), "clients.pem: not an authority"),
    ] {
        let mut shown = files.show(&(certificate.to_owned(), key.to_owned()));
        shown.client_authorities = authorities.map(|text| files.write("clients.pem", text));
        let error = open(&shown).unwrap_err();
        assert!(error.message().contains(wanted), "{wanted}: {error}");
    }
    let missing = |name: &str| Path::new("/none").join(name);
    let files = TlsFiles { certificate: missing("a.pem"), key: missing("b.pem"), client_authorities: None };
    let error = open(&files).unwrap_err();
    assert!(error.message().contains("certificate file /none/a.pem: No such file"), "{error}");
}

#[tokio::test]
async fn a_silent_client_holds_up_nobody_and_is_sent_away() {
    let (files, authority) = (Files::new(), Authority::new());
    let tls = open(&files.show(&authority.sign())).unwrap();
    let connect = async |address| {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(client(&authority, None))).connect(name, stream).await
    };
    let mut listener = listen(&tls).await;
    let address = listener.local_addr().unwrap();
    let silent = TcpStream::connect(address).await.unwrap();
    let (accepted, connected) = tokio::join!(listener.accept(), connect(address));
    connected.unwrap();
    assert_ne!(accepted.unwrap().1, silent.local_addr().unwrap());

    // With room for one handshake the next client waits until the silent one leaves.
    let mut listener = listen(&tls).await.with_limits(1, Duration::from_secs(3600));
    let address = listener.local_addr().unwrap();
    let silent = TcpStream::connect(address).await.unwrap();
    let talk = tokio::spawn(async move {
        let (connection, _) = listener.accept().await.unwrap();
        drop(connection);
        listener
    });
    drop(silent);
    // The server may close as soon as it has accepted.
    let _ = connect(address).await;
    talk.await.unwrap();

    let mut listener = listen(&tls).await.with_limits(1, Duration::ZERO);
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move { listener.accept().await.map(drop) });
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
    accepting.abort();
}

#[tokio::test]
async fn what_speaks_in_clear_is_no_connection_of_tls() {
    let (files, authority) = (Files::new(), Authority::new());
    let tls = open(&files.show(&authority.sign())).unwrap();
    let mut listener = listen(&tls).await;
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move { listener.accept().await.map(drop) });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // An alert, or nothing; never an answer of HTTP.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    assert!(!accepting.is_finished());
    accepting.abort();
}
