//! TLS of each listener: what its section says, as the files and rules that it means.

use std::path::PathBuf;

use pintail_identity::tls::{LeastVersion, TlsFiles};
use pintail_types::{Error, Result};

use super::{Config, ingest, other, storage};

/// The keys of one listener's section.
#[derive(Debug, Clone, Copy, Default)]
struct TlsKeys<'a> {
    enable: bool,
    cert: &'a str,
    key: &'a str,
    client_ca: &'a str,
    min_version: &'a str,
}

/// What a listener does about TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsSettings {
    /// Certificate, key and client authorities.
    pub(crate) files: TlsFiles,
    /// The oldest version that is spoken.
    pub(crate) least: LeastVersion,
}

macro_rules! sections_with_tls {
    ($($section:ty),*) => {$(
        impl<'a> From<&'a $section> for TlsKeys<'a> {
            fn from(section: &'a $section) -> Self {
                Self {
                    enable: section.tls_enable,
                    cert: &section.tls_cert,
                    key: &section.tls_key,
                    client_ca: &section.tls_client_ca,
                    min_version: "",
                }
            }
        }
    )*};
}

sections_with_tls!(
    ingest::Tcp,
    ingest::Http,
    storage::FlightServer,
    storage::NodeHttp,
    storage::FlightSqlServer,
    other::Prometheus
);

/// Homer's listeners for TLS alone: its keys, and ours beside them.
macro_rules! sections_of_tls {
    ($($section:ty),*) => {$(
        impl<'a> From<&'a $section> for TlsKeys<'a> {
            fn from(section: &'a $section) -> Self {
                let either = |ours: &'a str, homers: &'a str| if ours.is_empty() { homers } else { ours };
                let asks_for_certificates = section.mutual_tls || !section.tls_client_ca.is_empty();
                Self {
                    enable: true,
                    cert: either(&section.tls_cert, &section.cert),
                    key: either(&section.tls_key, &section.key),
                    client_ca: match asks_for_certificates {
                        true => either(&section.tls_client_ca, &section.cacert),
                        false => "",
                    },
                    min_version: &section.min_tls_version,
                }
            }
        }

        impl $section {
            /// What its TLS keys say that can't be meant.
            fn contradictions(&self, path: &str) -> Vec<String> {
                let mut found = Vec::new();
                if !self.tls_enable {
                    found.push(format!("{path}.tls_enable: this listener is for TLS; set {path}.enable to false"));
                }
                if self.mutual_tls && self.cacert.is_empty() && self.tls_client_ca.is_empty() {
                    found.push(format!("{path}.mutual_tls: a cacert is needed to check client certificates"));
                }
                if self.mutual_tls && self.insecure_skip_verify {
                    found.push(format!(
                        "{path}.insecure_skip_verify: with mutual_tls every client certificate is checked; remove one"
                    ));
                }
                if !matches!(self.min_tls_version.as_str(), "TLS1.0" | "TLS1.1" | "TLS1.2" | "TLS1.3" | "") {
                    found.push(format!(
                        "{path}.min_tls_version: '{}' is neither TLS1.2 nor TLS1.3",
                        self.min_tls_version
                    ));
                }
                if !matches!(self.max_tls_version.as_str(), "TLS1.3" | "") {
                    found.push(format!(
                        "{path}.max_tls_version: '{}': the newest version can't be switched off; remove it",
                        self.max_tls_version
                    ));
                }
                for (ours, homers, name) in [
                    (&self.tls_cert, &self.cert, "tls_cert and cert"),
                    (&self.tls_key, &self.key, "tls_key and key"),
                    (&self.tls_client_ca, &self.cacert, "tls_client_ca and cacert"),
                ] {
                    if !ours.is_empty() && !homers.is_empty() && ours != homers {
                        found.push(format!("{path}: {name} name different files; keep one"));
                    }
                }
                found
            }
        }
    )*};
}

sections_of_tls!(ingest::Tls, ingest::Https);

impl TlsKeys<'_> {
    /// The files and rules of the listener in section `path`; none if it speaks in clear.
    ///
    /// # Errors
    /// `Invalid` with the key that is missing, or that would be ignored although it asks for more safety.
    fn settings(self, path: &str) -> Result<Option<TlsSettings>> {
        if !self.enable {
            if !self.client_ca.is_empty() {
                return Err(Error::invalid(format!(
                    "{path}.tls_client_ca: client certificates need TLS: set {path}.tls_enable to true"
                )));
            }
            return Ok(None);
        }
        for (value, key) in [(self.cert, "tls_cert"), (self.key, "tls_key")] {
            if value.is_empty() {
                return Err(Error::invalid(format!("{path}.{key}: TLS needs it, the path of a PEM file")));
            }
        }
        let client_authorities = Some(self.client_ca).filter(|path| !path.is_empty()).map(PathBuf::from);
        let files = TlsFiles { certificate: self.cert.into(), key: self.key.into(), client_authorities };
        let least = if self.min_version == "TLS1.3" { LeastVersion::Tls13 } else { LeastVersion::Tls12 };
        Ok(Some(TlsSettings { files, least }))
    }

    /// Whether certificates are named that are not used.
    fn is_idle(self) -> bool {
        !self.enable && [self.cert, self.key].iter().any(|path| !path.is_empty())
    }
}

impl Config {
    /// The listeners that can speak TLS: section, keys, and whether they are enabled.
    fn tls_listeners(&self) -> [(&'static str, TlsKeys<'_>, bool); 8] {
        let (ingest, node) = (&self.ingest, &self.node);
        [
            ("ingest.tcp", (&ingest.tcp).into(), ingest.enable && ingest.tcp.enable),
            ("ingest.tls", (&ingest.tls).into(), ingest.enable && ingest.tls.enable),
            ("ingest.http", (&ingest.http).into(), ingest.enable && ingest.http.enable),
            ("ingest.https", (&ingest.https).into(), ingest.enable && ingest.https.enable),
            ("node.flight_server", (&node.flight_server).into(), node.enable && node.flight_server.enable),
            ("node.http_server", (&node.http_server).into(), node.enable && node.http_server.enable),
            (
                "node.flightsql_server",
                (&node.flightsql_server).into(),
                node.enable && node.flightsql_server.enable,
            ),
            ("prometheus", (&self.prometheus).into(), self.prometheus.enable),
        ]
    }

    /// The TLS of every enabled listener that speaks it, by section.
    ///
    /// # Errors
    /// As [`TlsKeys::settings`].
    pub(crate) fn tls(&self) -> Result<Vec<(&'static str, TlsSettings)>> {
        let mut found = Vec::new();
        for (path, keys, enabled) in self.tls_listeners() {
            if enabled && let Some(settings) = keys.settings(path)? {
                found.push((path, settings));
            }
        }
        Ok(found)
    }

    /// What is wrong with the TLS keys of enabled listeners, and what is worth knowing about them.
    pub(super) fn check_tls(&self, errors: &mut Vec<String>, warnings: &mut Vec<String>) {
        for (path, keys, enabled) in self.tls_listeners() {
            if !enabled {
                continue;
            }
            if let Err(error) = keys.settings(path) {
                errors.push(error.to_string());
            }
            if keys.is_idle() {
                warnings.push(format!(
                    "{path}: certificates are named and tls_enable is false: it speaks in clear"
                ));
            }
            if matches!(keys.min_version, "TLS1.0" | "TLS1.1") {
                warnings.push(format!("{path}.min_tls_version: 1.2 is the oldest version that is spoken"));
            }
        }
        if self.ingest.enable && self.ingest.tls.enable {
            errors.extend(self.ingest.tls.contradictions("ingest.tls"));
        }
        if self.ingest.enable && self.ingest.https.enable {
            errors.extend(self.ingest.https.contradictions("ingest.https"));
        }
    }
}
