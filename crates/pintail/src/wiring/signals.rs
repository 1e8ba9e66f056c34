//! Signals that end the server: the first drains, the second ends at once.

use std::process;

use pintail_types::{Error, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code after a second signal: nothing was flushed.
const ABORTED: i32 = 1;

/// SIGTERM and SIGINT, from now on.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts to listen; must be called on a runtime.
    ///
    /// # Errors
    /// `Internal` when the handlers can't be installed.
    pub(crate) fn listen() -> Result<Self> {
        let install =
            |kind| signal(kind).map_err(|error| Error::internal(format!("no signal handler: {error}")));
        Ok(Self {
            terminate: install(SignalKind::terminate())?,
            interrupt: install(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal and gives its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Ends the process at the next signal, without draining.
    pub(crate) async fn abort_on_next(mut self) {
        let name = self.next().await;
        eprintln!("pintail: second signal ({name}): ending without draining");
        process::exit(ABORTED);
    }
}
