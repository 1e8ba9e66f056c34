//! `pintail serve`

use std::process::ExitCode;

use pintail_types::{Error, Result};

use crate::cli::Serve;
use crate::config::{self, Loaded};
use crate::wiring::{Server, Signals, install_log};

/// Runs until a signal or until a listener fails.
pub(crate) fn run(arguments: &Serve) -> Result<ExitCode> {
    let loaded = config::load(arguments.config.as_deref())?;
    install_log(&loaded.config.log, "")?;
    say(&loaded);
    if let Some(refusal) = loaded.refusals.first() {
        return Err(Error::unsupported(refusal.clone()));
    }
    let signal_runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("no runtime: {error}")))?;
    // Before anything starts, so that a signal during a long replay is not lost.
    let mut signals = {
        let _entered = signal_runtime.enter();
        Signals::listen()?
    };
    let mut server = Server::start(&loaded.config)?;
    server.announce(arguments.ready_file.as_deref())?;
    let ended = signal_runtime.block_on(async {
        tokio::select! {
            name = signals.next() => Ok(name),
            error = server.door_failed() => Err(error),
        }
    });
    // The second signal is listened for on a thread that does nothing else.
    let watcher = std::thread::Builder::new().name("pintail-signals".into()).spawn(move || {
        signal_runtime.block_on(signals.abort_on_next());
    });
    watcher.map_err(|error| Error::internal(format!("no thread: {error}")))?;
    match &ended {
        Ok(name) => tracing::info!("{name}: draining; a second signal ends at once"),
        Err(error) => tracing::error!("{error}; draining"),
    }
    server.stop()?;
    ended.map(|_| ExitCode::SUCCESS)
}

fn say(loaded: &Loaded) {
    match &loaded.file {
        Some(path) => tracing::info!("pintail {} with {}", env!("CARGO_PKG_VERSION"), path.display()),
        None => tracing::info!("pintail {} with defaults: no configuration file", env!("CARGO_PKG_VERSION")),
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
}
