//! The ready file: who listens where, written once everything does.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use pintail_types::{Error, Result};
use serde_json::{Value, json};

/// The listeners that are open, by name.
pub(crate) type Listeners = BTreeMap<String, SocketAddr>;

/// The contents of the ready file.
pub(crate) fn document(listeners: &Listeners) -> Value {
    let listeners: BTreeMap<&str, String> =
        listeners.iter().map(|(name, address)| (name.as_str(), address.to_string())).collect();
    json!({"pid": std::process::id(), "version": env!("CARGO_PKG_VERSION"), "listeners": listeners})
}

/// Writes the ready file at once or not at all: whoever sees it sees the whole.
///
/// # Errors
/// `Unavailable` when its directory can't be written.
pub(crate) fn write(path: &Path, listeners: &Listeners) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::unavailable(format!("ready file {}: {error}", path.display())).with_source(error)
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    writeln!(file, "{}", document(listeners)).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}
