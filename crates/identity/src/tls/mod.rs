//! TLS for every listener: certificates from files that may change, and connections that speak it or not.
//!
//! [`ServerTls`] is what a listener shows and asks for, read again when its files change. [`Listener`] accepts
//! connections, with the handshakes of several going on at once, so that a client that says nothing holds up
//! nobody. [`Connection`] is the stream of bytes behind either.
//!
//! A client certificate that is asked for (`tls_client_ca`) lets a client talk; it does not say who it is: that is
//! still the credentials' task.

mod connection;
mod files;
mod listener;
mod server;

pub use connection::Connection;
pub use listener::Listener;
pub use server::{LeastVersion, ServerTls, TlsFiles};

/// Makes ring the provider of cryptography for whatever in this process does not name one itself.
pub fn install_provider() {
    // Fails only where one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
