//! The certificates of all listeners.

use std::collections::BTreeMap;
use std::sync::Arc;

use pintail_identity::Reload;
use pintail_identity::tls::ServerTls;
use pintail_types::Result;

use crate::config::Config;

/// Protocols that a listener of this section offers by ALPN. Flight is HTTP/2, which clients insist on; HEP has no
/// name.
fn protocols(section: &str) -> &'static [&'static str] {
    match section {
        "node.flight_server" | "node.flightsql_server" => &["h2"],
        "ingest.tcp" | "ingest.tls" => &[],
        _ => &["http/1.1"],
    }
}

/// What each listener that speaks TLS shows and asks for, by section.
#[derive(Debug, Default)]
pub(super) struct ListenerTls(BTreeMap<&'static str, Arc<ServerTls>>);

impl ListenerTls {
    /// Reads the files that the configuration names. Blocks.
    ///
    /// # Errors
    /// `Invalid` with the section, the file and what is wrong with it.
    pub(super) fn open(config: &Config) -> Result<Self> {
        let mut by_section = BTreeMap::new();
        for (section, settings) in config.tls()? {
            let tls = ServerTls::open(settings.files, settings.least, protocols(section))
                .map_err(|error| error.context(section))?;
            by_section.insert(section, tls);
        }
        Ok(Self(by_section))
    }

    /// The TLS of the listener of this section; none if it speaks in clear.
    pub(super) fn of(&self, section: &str) -> Option<Arc<ServerTls>> {
        self.0.get(section).cloned()
    }

    /// What to read again when it changes.
    pub(super) fn reloads(&self) -> impl Iterator<Item = Arc<dyn Reload>> {
        self.0.values().map(|tls| Arc::clone(tls) as Arc<dyn Reload>)
    }
}
