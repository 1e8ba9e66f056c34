//! The connection to a server: address, TLS, and who asks.

use std::fs;
use std::path::Path;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use pintail_types::{Error, Result};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::cli::ServerAccess;

use super::flight_error;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest message taken from a server.
const MAX_MESSAGE_BYTES: usize = 256 << 20;
/// The port of Flight SQL where the URL names none.
const DEFAULT_PORT: u16 = 50_055;

/// A server's address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// `host:port`
    authority: String,
    is_tls: bool,
}

impl Address {
    /// Reads `grpc://HOST:PORT` and its relatives.
    ///
    /// # Errors
    /// `Invalid` for a scheme that is not Flight's.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("grpc", url));
        let is_tls = match scheme {
            "grpc" | "grpc+tcp" | "http" => false,
            "grpc+tls" | "grpcs" | "https" => true,
            other => {
                return Err(Error::invalid(format!(
                    "'{url}': scheme '{other}' is not known; write grpc://HOST:PORT, or grpc+tls://HOST:PORT for TLS"
                )));
            }
        };
        let host = rest.trim_end_matches('/');
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { host.to_owned() } else { format!("{host}:{DEFAULT_PORT}") };
        Ok(Self { authority, is_tls })
    }

    fn http_url(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.authority)
    }
}

/// A client of the server at `url`, logged in as the arguments say.
///
/// # Errors
/// `Invalid` for a URL of another kind and for files that can't be used, `Unavailable` when nobody answers, and the
/// server's refusal of user and password.
pub(crate) async fn connect(url: &str, arguments: &ServerAccess) -> Result<FlightSqlServiceClient<Channel>> {
    let address = Address::parse(url)?;
    let mut endpoint = Endpoint::from_shared(address.http_url())
        .map_err(|error| Error::invalid(format!("'{url}' is not a URL: {error}")))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true);
    if address.is_tls {
        endpoint = endpoint
            .tls_config(tls(arguments)?)
            .map_err(|error| Error::invalid(format!("TLS can't be set up: {}", root_cause(&error))))?;
    } else if arguments.ca.is_some() || arguments.cert.is_some() {
        return Err(Error::invalid(format!("'{url}' is in clear: certificates need grpc+tls://")));
    }
    let channel = endpoint.connect().await.map_err(|error| {
        let reason = root_cause(&error);
        Error::unavailable(format!("can't connect to {url}: {reason}"))
    })?;
    let inner = FlightServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let mut client = FlightSqlServiceClient::new_from_inner(inner);
    if let Some(user) = &arguments.user {
        let password = arguments.password.as_deref().unwrap_or_default();
        client.handshake(user, password).await.map_err(flight_error)?;
    } else if let Some(token) = arguments.token.as_deref().filter(|token| !token.is_empty()) {
        client.set_token(token.to_owned());
    }
    Ok(client)
}

/// The authorities to trust, the system's or the given ones, and the certificate to show.
fn tls(arguments: &ServerAccess) -> Result<ClientTlsConfig> {
    let mut config = ClientTlsConfig::new();
    config = match &arguments.ca {
        Some(path) => config.ca_certificate(Certificate::from_pem(read(path)?)),
        None => config.with_native_roots(),
    };
    if let (Some(certificate), Some(key)) = (&arguments.cert, &arguments.key) {
        config = config.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::invalid(format!("{}: {error}", path.display())).with_source(error))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_flight_are_read() {
        for (url, expected) in [
            ("grpc://127.0.0.1:1", Some("http://127.0.0.1:1")),
            ("localhost", Some("http://localhost:50055")),
            ("grpc+tcp://host/", Some("http://host:50055")),
            ("grpc+tls://host:32010", Some("https://host:32010")),
            ("grpcs://[::1]:1", Some("https://[::1]:1")),
            ("https://host", Some("https://host:50055")),
            ("postgres://host", None),
        ] {
            let found = Address::parse(url).ok().map(|address| address.http_url());
            assert_eq!(found.as_deref(), expected, "{url}");
        }
    }
}
