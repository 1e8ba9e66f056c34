//! What stands in files besides the configuration and decides who gets in: users, secrets, certificates.

use std::sync::Arc;

use pintail_types::{Clock, Result, SystemClock};

use super::identity::{self, Identity};
use super::tls::ListenerTls;
use crate::config::Config;

/// Who may ask, and what listeners show.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) identity: Identity,
    pub(super) tls: ListenerTls,
}

impl Access {
    /// Reads what the configuration names. Blocks.
    ///
    /// # Errors
    /// `Invalid` with the file and what is wrong with it.
    pub(super) fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self> {
        Ok(Self { identity: Identity::new(config, clock)?, tls: ListenerTls::open(config)? })
    }
}

/// Reads the files that [`Access::open`] would read, and makes none: what keeps the server from starting.
pub(crate) fn check(config: &Config) -> Vec<String> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let users = identity::users(config, &clock).map(drop);
    let tls = ListenerTls::open(config).map(drop);
    [users, tls].into_iter().filter_map(Result::err).map(|error| error.to_string()).collect()
}
