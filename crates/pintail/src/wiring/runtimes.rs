//! Threads: packets and doors have their own, so that neither waits behind the other. The engine computes on
//! threads of its own again.

use pintail_types::{Error, Result};
use tokio::runtime::{Builder, Runtime};

/// The two sets of threads of a server.
#[derive(Debug)]
pub(crate) struct Runtimes {
    /// Listeners of packets, the journal's waiters, the flusher.
    pub(crate) ingest: Runtime,
    /// Connections of those who ask.
    pub(crate) doors: Runtime,
}

impl Runtimes {
    /// Threads for `cores` cores.
    ///
    /// # Errors
    /// `Exhausted` when the machine gives no threads.
    pub(crate) fn new(cores: usize) -> Result<Self> {
        Ok(Self {
            ingest: runtime("ingest", cores.clamp(2, 8))?,
            doors: runtime("doors", cores.clamp(2, 16))?,
        })
    }
}

fn runtime(name: &str, threads: usize) -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(format!("pintail-{name}"))
        .enable_all()
        .build()
        .map_err(|error| Error::exhausted(format!("no threads for {name}: {error}")).with_source(error))
}
