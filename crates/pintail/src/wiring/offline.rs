//! A lake without a server: for commands that change it while no server does.

use std::sync::Arc;

use pintail_capture::Capture;
use pintail_lake::{Lake, MaintenanceStep, MaintenanceTask};
use pintail_types::{Clock, Error, Result, SystemClock};

use super::runtimes::Runtimes;
use super::tls::ListenerTls;
use super::{create_directories, options, replayed_capture};
use crate::config::Config;

/// A lake that this process alone writes, with everything in it that the last server had taken.
#[derive(Debug)]
pub(crate) struct OfflineLake {
    runtimes: Runtimes,
    lake: Arc<Lake>,
    /// It holds the rows that were replayed until they are flushed.
    _capture: Arc<Capture>,
}

impl OfflineLake {
    /// Opens the lake of `config` and replays its journal; nothing listens.
    ///
    /// # Errors
    /// `Unavailable` when a server has it open.
    pub(crate) fn open(config: &Config) -> Result<Self> {
        if !config.storage.enable {
            return Err(Error::unsupported(
                "the configuration only reads the lake (storage.enable is false): another server maintains it",
            ));
        }
        create_directories(config)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let runtimes = Runtimes::new(config.derived().cores)?;
        let lake = runtimes.ingest.block_on(Lake::open(options::lake(config)?, Arc::clone(&clock)))?;
        let capture = replayed_capture(config, &ListenerTls::default(), &lake, &clock)?;
        Ok(Self { runtimes, lake, _capture: capture })
    }

    /// Does what is asked, and closes the lake.
    ///
    /// # Errors
    /// As [`Lake::maintain`], and what keeps the replayed rows from being flushed: they stay in the journal.
    pub(crate) fn maintain(self, task: &MaintenanceTask) -> Result<Vec<MaintenanceStep>> {
        let runtime = self.runtimes.ingest.handle();
        let steps = runtime.block_on(self.lake.maintain(task));
        runtime.block_on(self.lake.stop())?;
        steps
    }
}
