//! What goes to standard output: results only; words about them go to standard error.

use std::io::{self, IsTerminal, Write};

use pintail_types::{Error, Result};

/// Writes one line and sends it off at once.
///
/// # Errors
/// `Unavailable` when nobody reads any more.
pub(crate) fn line(text: impl AsRef<str>) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush()).map_err(failed)
}

/// Writes a value as indented JSON.
///
/// # Errors
/// As [`line`].
pub(crate) fn json(value: &serde_json::Value) -> Result<()> {
    line(format!("{value:#}"))
}

/// Whether a person looks at standard output.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// An error of writing to standard output.
pub(crate) fn failed(error: io::Error) -> Error {
    Error::unavailable(format!("standard output: {error}")).with_source(error)
}

/// Whether `error` says no more than that the reader of standard output has gone, as `head` does.
pub(crate) fn is_closed_pipe(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return true;
        }
        source = inner.source();
    }
    false
}
