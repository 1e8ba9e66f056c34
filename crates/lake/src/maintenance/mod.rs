//! Keeping a lake in shape: old rows go, small files become large ones, snapshots expire, and files that nobody needs
//! are deleted.
//!
//! One step runs at a time. None holds the catalog's write lock while it reads or writes files, so flushes, loads and
//! queries go on beside it; a step that finds its files changed by somebody else looks again a few times. A caller that
//! goes away ends its step at the next batch of rows or file.

mod background;
mod cleanup;
mod expire;
mod merge;
mod options;
mod retention;
mod steps;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pintail_ducklake::TableName;
use pintail_types::{Error, ErrorKind, Result, TelemetryTable, reason};

use self::cleanup::{Orphans, cleanup};
pub(crate) use self::cleanup::{files_before, real_path};
use self::expire::expire;
use self::merge::{Zeal, compact};
use self::retention::retain;
use self::steps::{Listing, Steps};
use crate::flush::MAIN;
use crate::fsck::{self, Finding};
use crate::lake::{Lake, blocking};

pub use self::options::{MaintenanceOptions, MergeOptions, Retention, RetentionUnit};
pub use self::steps::{Done, MAX_STEPS, MaintenanceStep, StepState};

/// The name of the check.
const FSCK: &str = "fsck";

/// How often a step looks again when somebody else changed what it was about to change.
const ATTEMPTS: usize = 3;

/// Something to be done to a lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaintenanceTask {
    /// Puts the rows in memory into files.
    Flush,
    /// Merges small files and rewrites those with many deleted rows: of one table, or of all.
    Compact {
        /// `table` in schema `main`, or `schema.table`.
        table: Option<String>,
        /// The only volume to do it in.
        volume: Option<String>,
    },
    /// Takes old snapshots out of the catalog.
    ExpireSnapshots {
        /// How old; absent, as configured.
        older_than: Option<Duration>,
    },
    /// Deletes files that no snapshot shows, and files that the catalog does not know.
    Cleanup {
        /// For how long already; absent, the configured grace.
        older_than: Option<Duration>,
    },
    /// Removes rows that are older than they are to be kept.
    Retention,
    /// All of these, one after the other.
    Vacuum {
        /// How old snapshots expire and their files are deleted; absent, as configured.
        expire_older_than: Option<Duration>,
    },
    /// Looks for damage in the catalog, the files and the journal.
    Fsck {
        /// Whether what can be mended of the catalog is mended.
        repair: bool,
    },
}

/// One step of a task.
#[derive(Debug, Clone)]
enum Step {
    Flush,
    Retain(TableName),
    Compact(TableName, Zeal),
    Expire(Option<Duration>),
    Cleanup(Option<Duration>, Orphans),
    Fsck(bool),
}

impl Step {
    const fn task(&self) -> &'static str {
        match self {
            Self::Flush => "flush",
            Self::Retain(_) => "retention",
            Self::Compact(..) => "compact",
            Self::Expire(_) => "expire_snapshots",
            Self::Cleanup(..) => "cleanup",
            Self::Fsck(_) => FSCK,
        }
    }

    const fn table(&self) -> Option<&TableName> {
        match self {
            Self::Retain(table) | Self::Compact(table, _) => Some(table),
            Self::Flush | Self::Expire(_) | Self::Cleanup(..) | Self::Fsck(_) => None,
        }
    }

    /// Does it. Blocks.
    fn run(&self, lake: &Arc<Lake>, stop: &Stop) -> Result<Done> {
        match self {
            Self::Flush => Err(Error::internal("a flush does not run beside other steps")),
            Self::Retain(table) => retain(lake, table),
            Self::Compact(table, zeal) => compact(lake, table, *zeal, stop),
            Self::Expire(older_than) => expire(lake, *older_than),
            Self::Cleanup(older_than, orphans) => cleanup(lake, *older_than, *orphans, stop),
            Self::Fsck(repair) => fsck::step(lake, *repair),
        }
    }
}

/// A finding of `check`.
fn step_of(finding: &Finding, check: &MaintenanceStep) -> MaintenanceStep {
    let repair = match (&finding.repair, finding.is_repaired) {
        (Some(repair), true) => format!(" (repaired: {repair})"),
        (Some(repair), false) => format!(" (repair: {repair})"),
        (None, _) => String::new(),
    };
    let message = format!("{}: {}{repair}", finding.place, finding.message);
    let state = match finding.is_error() {
        true => StepState::Failed(ErrorKind::Corrupt, message.clone()),
        false => StepState::Finished,
    };
    let table_name = finding.misleading.first().map(ToString::to_string);
    MaintenanceStep { state, table_name, done: Done { message, ..Done::default() }, ..check.clone() }
}

/// What a lake needs to maintain itself.
#[derive(Debug, Default)]
pub(crate) struct Maintenance {
    steps: Arc<Steps>,
    /// One step at a time.
    alone: Arc<tokio::sync::Mutex<()>>,
}

/// Whether a step is to end before it is done.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    lake: Arc<Lake>,
    given_up: Arc<AtomicBool>,
}

impl Stop {
    /// # Errors
    /// `Cancelled` when nobody waits any more, or the lake stops.
    pub(crate) fn check(&self) -> Result<()> {
        match self.given_up.load(Ordering::Relaxed) || self.lake.is_stopping() {
            true => Err(Error::cancelled("maintenance was stopped")),
            false => Ok(()),
        }
    }
}

/// Ends the step when it is dropped.
struct GiveUp(Arc<AtomicBool>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Lake {
    /// Does what is asked, and tells of each step: one that failed says why, and the others go on. What a check found
    /// follows it, as failed steps unless it is harmless or repaired.
    ///
    /// # Errors
    /// `NotFound` for a table or volume that is not there; the first step's error when none succeeded; `Unsupported`
    /// when the lake is only read.
    pub async fn maintain(self: &Arc<Self>, task: &MaintenanceTask) -> Result<Vec<MaintenanceStep>> {
        if self.options().read_only {
            return Err(Error::unsupported(
                "this node only reads the lake: the process that writes it maintains it",
            ));
        }
        let steps = self.steps_of(task).await?;
        let mut told = Vec::with_capacity(steps.len());
        for step in steps {
            told.extend(self.take(step, Listing::Always).await);
        }
        if let (MaintenanceTask::Fsck { .. }, [check]) = (task, told.as_slice())
            && check.state == StepState::Finished
        {
            let found: Vec<_> = self.findings().iter().map(|finding| step_of(finding, check)).collect();
            told.extend(found);
        }
        let succeeded = told.iter().any(|step| step.state == StepState::Finished);
        match told.first().and_then(MaintenanceStep::error) {
            Some(error) if !succeeded => Err(error),
            _ => Ok(told),
        }
    }

    /// The steps that go on and the last ones that ended, oldest first.
    pub fn maintenance_steps(&self) -> Vec<MaintenanceStep> {
        let mut steps = self.maintenance.steps.list();
        steps.sort_by_key(|step| step.started_at);
        steps
    }

    async fn steps_of(self: &Arc<Self>, task: &MaintenanceTask) -> Result<Vec<Step>> {
        Ok(match task {
            MaintenanceTask::Flush => vec![Step::Flush],
            MaintenanceTask::Compact { table, volume } => {
                self.known_volume(volume.as_deref())?;
                let tables = self.tables_named(table.as_deref()).await?;
                tables.into_iter().map(|table| Step::Compact(table, Zeal::All)).collect()
            }
            MaintenanceTask::ExpireSnapshots { older_than } => vec![Step::Expire(*older_than)],
            MaintenanceTask::Cleanup { older_than } => vec![Step::Cleanup(*older_than, Orphans::AsOld)],
            MaintenanceTask::Fsck { repair } => vec![Step::Fsck(*repair)],
            MaintenanceTask::Retention => {
                self.tables_named(None).await?.into_iter().map(Step::Retain).collect()
            }
            MaintenanceTask::Vacuum { expire_older_than } => {
                let tables = self.tables_named(None).await?;
                let compact = tables.iter().cloned().map(|table| Step::Compact(table, Zeal::All));
                let mut steps = vec![Step::Flush];
                steps.extend(tables.iter().cloned().map(Step::Retain));
                steps.extend(compact);
                steps.push(Step::Expire(*expire_older_than));
                steps.push(Step::Cleanup(*expire_older_than, Orphans::OnlyOld));
                steps
            }
        })
    }

    fn known_volume(&self, name: Option<&str>) -> Result<()> {
        match name {
            Some(name) if name != self.volume.name => Err(Error::not_found(format!(
                "volume {name} does not exist; there are: {}",
                self.volumes().join(", ")
            ))),
            _ => Ok(()),
        }
    }

    /// The table of this name, or all.
    async fn tables_named(self: &Arc<Self>, name: Option<&str>) -> Result<Vec<TableName>> {
        let lake = Arc::clone(self);
        let tables = blocking("listing tables", move || lake.volume.catalog.tables()).await?;
        let Some(name) = name else { return Ok(tables) };
        let is_named = |table: &TableName| {
            table.to_string().eq_ignore_ascii_case(name)
                || table.schema == MAIN && table.name.eq_ignore_ascii_case(name)
        };
        let found: Vec<TableName> = tables.into_iter().filter(is_named).collect();
        match found.is_empty() {
            true => {
                Err(Error::not_found(format!("table {name} does not exist"))
                    .with_reason(reason::UNDEFINED_TABLE))
            }
            false => Ok(found),
        }
    }

    /// Takes one step; none if a step of this kind has nothing to do with the lake as it is.
    async fn take(self: &Arc<Self>, step: Step, listing: Listing) -> Option<MaintenanceStep> {
        if let Step::Retain(table) = &step
            && self.rows_kept_since(table).is_none()
        {
            return None;
        }
        let catalog = format!("{}_{}", self.name(), self.volume.name);
        let table = step.table().map(ToString::to_string);
        let running = self.maintenance.steps.begin(self.clock(), step.task(), catalog, table);
        let outcome = match step {
            Step::Flush => self.flush_step().await,
            other => self.run_alone(other).await,
        };
        if let Err(error) = &outcome {
            tracing::warn!(%error, "a step of maintenance failed");
        }
        running.end(outcome, listing)
    }

    async fn flush_step(self: &Arc<Self>) -> Result<Done> {
        let report = self.flush().await?;
        Ok(Done {
            files_out: report.files as u64,
            rows: report.rows as u64,
            message: match report.snapshot {
                Some(snapshot) => format!("snapshot {snapshot}"),
                None => "no rows were in memory".to_owned(),
            },
            ..Done::default()
        })
    }

    async fn run_alone(self: &Arc<Self>, step: Step) -> Result<Done> {
        let alone = Arc::clone(&self.maintenance.alone).lock_owned().await;
        let given_up = GiveUp(Arc::default());
        let (lake, flag) = (Arc::clone(self), Arc::clone(&given_up.0));
        blocking("maintenance", move || {
            // Held to the end of the work, also when nobody waits for it any more.
            let _alone = alone;
            let stop = Stop { lake: Arc::clone(&lake), given_up: flag };
            stop.check()?;
            step.run(&lake, &stop)
        })
        .await
    }

    /// The time before which rows of a table are to go.
    fn rows_kept_since(&self, table: &TableName) -> Option<pintail_types::Micros> {
        let is_telemetry = table.schema == MAIN && TelemetryTable::from_name(&table.name).is_some();
        let name = if table.schema == MAIN { table.name.clone() } else { table.to_string() };
        let retention = &self.options().maintenance.retention;
        retention.limit(&name, is_telemetry, self.clock().now())
    }
}
