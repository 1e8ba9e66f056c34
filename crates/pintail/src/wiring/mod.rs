//! The rooms wired into one process.
//!
//! Order matters in both directions: the journal is replayed before any listener opens, the ready file is
//! written when every listener is open, and at the end packets stop first, then rows are flushed while
//! running queries finish, and the doors close last.

mod access;
mod doors;
mod facts;
mod findings_table;
mod identity;
mod logging;
mod metrics;
mod offline;
mod options;
mod ready;
mod reload;
mod runtimes;
mod signals;
mod system_tables;
mod tls;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pintail_capture::{Accounting, Capture};
use pintail_engine::Engine;
use pintail_lake::{FilePlace, Lake};
use pintail_types::{Clock, Error, Result, SystemClock};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;

pub(crate) use access::check as check_access;
pub(crate) use logging::install as install_log;
pub(crate) use offline::OfflineLake;
pub(crate) use ready::Listeners;
pub(crate) use signals::Signals;

use access::Access;
use runtimes::Runtimes;
use tls::ListenerTls;

/// How long running queries may go on once the server was told to stop: less than the doors wait, so that their
/// readers hear that they were cancelled.
const QUERY_GRACE: Duration = Duration::from_secs(8);
/// How long the doors may take to close after that.
const DOOR_GRACE: Duration = Duration::from_secs(3);
/// How long a start looks at the lake before it serves it.
const CHECK_LIMIT: Duration = Duration::from_secs(5);
/// How long what was already read may take to be stored.
const CAPTURE_GRACE: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    runtimes: Runtimes,
    lake: Arc<Lake>,
    capture: Arc<Capture>,
    engine: Arc<Engine>,
    doors: JoinSet<(&'static str, Result<()>)>,
    shutdown: CancellationToken,
    listeners: Listeners,
}

impl Server {
    /// Starts everything that `config` asks for; when this returns, every listener is open.
    ///
    /// # Errors
    /// What keeps any part from starting; parts that had started are stopped.
    pub(crate) fn start(config: &Config) -> Result<Self> {
        let derived = config.derived();
        tracing::info!("limits: {}", derived.describe(config));
        create_directories(config)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let access = Access::open(config, &clock)?;
        let runtimes = Runtimes::new(derived.cores)?;

        let ingest = runtimes.ingest.handle().clone();
        let lake = ingest.block_on(Lake::open(options::lake(config)?, Arc::clone(&clock)))?;
        if let Err(error) = lake.check_quickly(CHECK_LIMIT) {
            tracing::error!(%error, "the lake can't be checked");
        }
        let capture = replayed_capture(config, &access.tls, &lake, &clock)?;
        {
            let _entered = ingest.enter();
            lake.start();
        }
        let doors = runtimes.doors.handle().clone();
        let engine = {
            let _entered = doors.enter();
            Engine::new(options::engine(config), Arc::clone(&lake), Arc::clone(&clock))?
        };
        system_tables::register(&engine, &lake, &capture);
        engine.set_node_facts(Arc::new(facts::Facts::new(Arc::clone(&lake), Arc::clone(&clock))));

        let mut server = Self {
            runtimes,
            lake,
            capture,
            engine,
            doors: JoinSet::new(),
            shutdown: CancellationToken::new(),
            listeners: Listeners::new(),
        };
        let opened = server.open(config, access, &ingest, &doors, &clock);
        match opened {
            Ok(()) => Ok(server),
            Err(error) => {
                if let Err(stopping) = server.stop() {
                    tracing::error!("stopping after a failed start: {stopping}");
                }
                Err(error)
            }
        }
    }

    fn open(
        &mut self,
        config: &Config,
        access: Access,
        ingest: &Handle,
        door_threads: &Handle,
        clock: &Arc<dyn Clock>,
    ) -> Result<()> {
        // Doors first: a sender must not be taken from when the server then fails for an occupied door.
        let opened = door_threads.block_on(doors::open(config, &access.tls))?;
        let addresses = ingest.block_on(self.capture.start())?;
        self.listeners.extend(addresses);
        let rooms = doors::Rooms {
            engine: Arc::clone(&self.engine),
            lake: Arc::clone(&self.lake),
            capture: Arc::clone(&self.capture),
            clock: Arc::clone(clock),
            identity: access.identity,
        };
        let reloads = rooms.identity.reloads().chain(access.tls.reloads()).collect();
        let watching = reload::watch(reloads, self.shutdown.clone());
        self.doors.spawn_on(async move { ("reload", watching.await) }, door_threads);
        let flight_address = doors::flight_address(&opened);
        for door in opened {
            self.listeners.insert(door.name.to_owned(), door.address);
            doors::serve(
                door,
                config,
                &rooms,
                flight_address,
                &self.shutdown,
                &mut self.doors,
                door_threads,
            )?;
        }
        Ok(())
    }

    /// Who listens where.
    pub(crate) fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// The rows at rest.
    pub(crate) fn lake(&self) -> &Arc<Lake> {
        &self.lake
    }

    /// What became of the packets.
    pub(crate) fn accounting(&self) -> &Accounting {
        self.capture.accounting()
    }

    /// Writes the ready file, and says the same on standard output.
    ///
    /// # Errors
    /// As [`ready::write`].
    pub(crate) fn announce(&self, ready_file: Option<&Path>) -> Result<()> {
        for (name, address) in &self.listeners {
            tracing::info!("{name} listens on {address}");
        }
        let Some(path) = ready_file else { return Ok(()) };
        ready::write(path, &self.listeners)?;
        crate::output::line(format!("ready {}", ready::document(&self.listeners)))
    }

    /// Waits until a door ends by itself, which none should.
    pub(crate) async fn door_failed(&mut self) -> Error {
        loop {
            match self.doors.join_next().await {
                Some(Ok((name, Ok(())))) => return Error::internal(format!("listener {name} ended")),
                Some(Ok((name, Err(error)))) => return error.context(format!("listener {name}")),
                Some(Err(panic)) => return Error::internal(format!("a listener ended: {panic}")),
                None => std::future::pending::<()>().await,
            }
        }
    }

    /// Stops packets, flushes, lets queries finish for a while, closes the doors.
    ///
    /// # Errors
    /// What kept rows from being flushed: they are in the journal still.
    pub(crate) fn stop(mut self) -> Result<()> {
        let started = std::time::Instant::now();
        let ingest = self.runtimes.ingest.handle().clone();
        let doors = self.runtimes.doors.handle().clone();
        let (lake, capture) = (Arc::clone(&self.lake), Arc::clone(&self.capture));
        let flushed = ingest.spawn(async move {
            if tokio::time::timeout(CAPTURE_GRACE, capture.stop()).await.is_err() {
                tracing::warn!(
                    "packets that were read are still not stored after {CAPTURE_GRACE:?}; going on without"
                );
            }
            lake.stop().await
        });
        self.shutdown.cancel();
        doors.block_on(close_doors(&mut self.doors, &self.engine));
        let flushed = ingest
            .block_on(flushed)
            .map_err(|panic| Error::internal(format!("the last flush ended: {panic}")))?;
        self.runtimes.doors.shutdown_timeout(DOOR_GRACE);
        self.runtimes.ingest.shutdown_timeout(DOOR_GRACE);
        match &flushed {
            Ok(()) => tracing::info!("drained in {:.1} s", started.elapsed().as_secs_f64()),
            Err(error) => tracing::error!("the last flush failed, its rows stay in the journal: {error}"),
        }
        flushed
    }
}

/// Lets running answers end; those that don't within the grace are cancelled.
async fn close_doors(doors: &mut JoinSet<(&'static str, Result<()>)>, engine: &Arc<Engine>) {
    let all_closed = async {
        while let Some(ended) = doors.join_next().await {
            if let Ok((name, Err(error))) = ended {
                tracing::warn!("listener {name}: {error}");
            }
        }
    };
    tokio::pin!(all_closed);
    if tokio::time::timeout(QUERY_GRACE, &mut all_closed).await.is_ok() {
        return;
    }
    let cancelled = facts::cancel_all(engine);
    tracing::warn!("{cancelled} queries were still running after {QUERY_GRACE:?} and were cancelled");
    if tokio::time::timeout(DOOR_GRACE, &mut all_closed).await.is_err() {
        tracing::warn!("connections were still open {DOOR_GRACE:?} later and are cut");
    }
}

/// A capture whose journal is replayed: everything of the last run that was not in a file is rows again.
fn replayed_capture(
    config: &Config,
    tls: &ListenerTls,
    lake: &Arc<Lake>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Capture>> {
    let capture = Capture::new(options::capture(config, tls)?, Arc::clone(lake), Arc::clone(clock));
    let replay = capture.replay()?;
    if replay.records > 0 || replay.damaged > 0 || replay.torn_bytes > 0 {
        tracing::info!(
            "journal replayed: {} records of {} bytes, {} damaged places of {} bytes, {} torn bytes at its end",
            replay.records,
            replay.bytes,
            replay.damaged,
            replay.damaged_bytes,
            replay.torn_bytes
        );
    }
    Ok(capture)
}

/// Makes the directories that the server keeps things in.
fn create_directories(config: &Config) -> Result<()> {
    let place = config.lake_place()?;
    let derived = config.derived();
    let mut wanted = vec![derived.journal_path, derived.spill_path];
    if config.storage.enable {
        for volume in place.volumes {
            let parent = volume.catalog_path.parent().filter(|parent| !parent.as_os_str().is_empty());
            wanted.extend(parent.map(Path::to_path_buf));
            if let FilePlace::Directory(directory) = volume.files {
                wanted.push(directory);
            }
        }
    }
    for directory in wanted {
        pintail_lake::create_directories(&directory).map_err(|error| {
            Error::invalid(format!(
                "directory {} can't be made: {error}; set data_dir to a place this user may write to",
                directory.display()
            ))
            .with_source(error)
        })?;
    }
    Ok(())
}
