//! Certificates and users that changed on the disk are read again while the server runs.

use std::sync::Arc;
use std::time::Duration;

use pintail_identity::Reload;
use pintail_types::{Error, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How often files are looked at.
const PERIOD: Duration = Duration::from_secs(2);

/// Reads `items` again when their files change, and all of them at SIGHUP, until `shutdown`. What can't be read is
/// logged, and what was read before stays in use.
///
/// # Errors
/// `Internal` when the signal can't be listened for.
pub(super) async fn watch(items: Vec<Arc<dyn Reload>>, shutdown: CancellationToken) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup())
        .map_err(|error| Error::internal("no signal handler").with_source(error))?;
    let mut ticks = tokio::time::interval(PERIOD);
    loop {
        let asked = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = hangup.recv() => true,
            _ = ticks.tick() => false,
        };
        for item in &items {
            let item = Arc::clone(item);
            let looked = tokio::task::spawn_blocking(move || reload(item.as_ref(), asked)).await;
            looked.map_err(|panic| Error::internal(format!("reading files again: {panic}")))?;
        }
    }
}

fn reload(item: &dyn Reload, asked: bool) {
    // Asked first, so that a change is not seen a second time.
    let changed = item.has_changed();
    if !changed && !asked {
        return;
    }
    match item.reload() {
        Ok(()) => tracing::info!("{}: read again", item.describe()),
        Err(error) => {
            tracing::error!("{}: not read again, the old one stays in use: {error}", item.describe())
        }
    }
}
