//! Keeping a lake in shape: old rows go, small files become large ones, snapshots expire, and files that nobody needs
//! are deleted.
//!
//! One step runs at a time. None holds the catalog's write lock while it reads or writes files, so flushes, loads and
//! queries go on beside it; a step that finds its files changed by somebody else looks again a few times. A caller that
//! goes away ends its step at the next batch of rows or file.

mod background;
mod cleanup;
mod expire;
pub(crate) mod merge;
mod options;
mod retention;
mod step;
mod steps;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pintail_ducklake::TableName;
use pintail_types::{Error, ErrorKind, Result, TelemetryTable, reason};

use self::cleanup::Orphans;
pub(crate) use self::cleanup::{files_before, real_path};
use self::merge::Zeal;
use self::step::{Step, Work};
use self::steps::{Listing, Steps};
use crate::flush::MAIN;
use crate::fsck::Finding;
use crate::lake::{Lake, blocking};
use crate::tiers::{self, Heads, Partition, Planned, Transfer};
use crate::volume::{Hidden, Volume};

pub use self::options::{MaintenanceOptions, MergeOptions, Retention, RetentionUnit};
pub use self::steps::{Done, MAX_STEPS, MaintenanceStep, StepState};
pub use self::task::MaintenanceTask;

/// How often a step looks again when somebody else changed what it was about to change.
const ATTEMPTS: usize = 3;

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

fn no_table(name: &str) -> Error {
    Error::not_found(format!("table {name} does not exist")).with_reason(reason::UNDEFINED_TABLE)
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
        if !matches!(task, MaintenanceTask::Flush) {
            self.settle_moves().await;
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
        let each = |work: &dyn Fn() -> Work| -> Vec<Step> {
            self.volumes.iter().map(|volume| Step::new(Arc::clone(volume), work())).collect()
        };
        Ok(match task {
            MaintenanceTask::Flush => vec![self.flush_first()],
            MaintenanceTask::Compact { table, volume } => {
                let volume = volume.as_deref().map(|name| self.volume_named(name)).transpose()?;
                let mut steps =
                    self.for_tables(table.as_deref(), |table| Work::Compact(table, Zeal::All)).await?;
                steps.retain(|step| volume.is_none_or(|volume| Arc::ptr_eq(volume, &step.volume)));
                steps
            }
            MaintenanceTask::ExpireSnapshots { older_than } => each(&|| Work::Expire(*older_than)),
            MaintenanceTask::Cleanup { older_than } => each(&|| Work::Cleanup(*older_than, Orphans::AsOld)),
            MaintenanceTask::Fsck { repair } => {
                vec![Step::new(Arc::clone(&self.volume), Work::Fsck(*repair))]
            }
            MaintenanceTask::Retention => self.for_tables(None, Work::Retain).await?,
            MaintenanceTask::ApplyStoragePolicy { dry_run } => self.policy_steps(*dry_run).await?,
            MaintenanceTask::Move { table, date, from_volume, to_volume } => {
                let (from, to) = (self.volume_named(from_volume)?, self.volume_named(to_volume)?);
                let table = self.one_table(table).await?;
                let partition = Partition::new(table, date)?;
                let transfer = Transfer::new(partition, from, to)?;
                vec![Step::new(Arc::clone(from), Work::Move(Arc::new(transfer)))]
            }
            MaintenanceTask::Vacuum { expire_older_than } => {
                let mut steps = vec![self.flush_first()];
                steps.extend(self.for_tables(None, Work::Retain).await?);
                steps.extend(self.for_tables(None, |table| Work::Compact(table, Zeal::All)).await?);
                steps.extend(each(&|| Work::Expire(*expire_older_than)));
                steps.extend(each(&|| Work::Cleanup(*expire_older_than, Orphans::OnlyOld)));
                steps
            }
        })
    }

    fn flush_first(&self) -> Step {
        Step::new(Arc::clone(&self.volume), Work::Flush)
    }

    /// What the storage policy says of the lake as it is.
    async fn policy_steps(self: &Arc<Self>, dry_run: bool) -> Result<Vec<Step>> {
        let lake = Arc::clone(self);
        let planned = blocking("planning moves", move || tiers::plan(&lake)).await?;
        let step = |planned: Planned| match planned {
            Planned::Move(transfer) => {
                let (volume, transfer) = (Arc::clone(&transfer.from), Arc::new(transfer));
                Step::new(volume, if dry_run { Work::Plan(transfer) } else { Work::Move(transfer) })
            }
            Planned::Drop(volume, partition) => {
                let partition = Arc::new(partition);
                Step::new(volume, if dry_run { Work::PlanDrop(partition) } else { Work::Drop(partition) })
            }
        };
        Ok(planned.into_iter().map(step).collect())
    }

    fn volume_named(&self, name: &str) -> Result<&Arc<Volume>> {
        self.volumes.iter().find(|volume| volume.name == name).ok_or_else(|| {
            Error::not_found(format!(
                "volume {name} does not exist; there are: {}",
                self.volumes().join(", ")
            ))
        })
    }

    /// The only table of this name.
    async fn one_table(self: &Arc<Self>, name: &str) -> Result<TableName> {
        let tables = self.tables_named(Some(name)).await?;
        tables.into_iter().next().map(|(_, table)| table).ok_or_else(|| no_table(name))
    }

    /// A step for the table of this name, or for each, in every volume that has it.
    async fn for_tables(
        self: &Arc<Self>,
        name: Option<&str>,
        work: impl Fn(TableName) -> Work,
    ) -> Result<Vec<Step>> {
        let tables = self.tables_named(name).await?;
        Ok(tables.into_iter().map(|(volume, table)| Step::new(volume, work(table))).collect())
    }

    /// The table of this name, or all, in every volume that has it.
    async fn tables_named(self: &Arc<Self>, name: Option<&str>) -> Result<Vec<(Arc<Volume>, TableName)>> {
        let lake = Arc::clone(self);
        let list = move || {
            let mut tables = Vec::new();
            for volume in &lake.volumes {
                let of_volume = volume.catalog.tables()?;
                tables.extend(of_volume.into_iter().map(|table| (Arc::clone(volume), table)));
            }
            Ok(tables)
        };
        let tables = blocking("listing tables", list).await?;
        let Some(name) = name else { return Ok(tables) };
        let is_named = |(_, table): &(Arc<Volume>, TableName)| {
            table.to_string().eq_ignore_ascii_case(name)
                || table.schema == MAIN && table.name.eq_ignore_ascii_case(name)
        };
        let found: Vec<_> = tables.into_iter().filter(is_named).collect();
        match found.is_empty() {
            true => Err(no_table(name)),
            false => Ok(found),
        }
    }

    /// Takes one step; none if a step of this kind has nothing to do with the lake as it is.
    async fn take(self: &Arc<Self>, step: Step, listing: Listing) -> Option<MaintenanceStep> {
        if let Work::Retain(table) = &step.work
            && self.rows_kept_since(table).is_none()
        {
            return None;
        }
        let catalog = step.volume.catalog_name.clone();
        let table = step.table().map(ToString::to_string);
        let running = self.maintenance.steps.begin(self.clock(), step.task(), catalog, table);
        let outcome = match step.work {
            Work::Flush => self.flush_step().await,
            _ => self.run_alone(step).await,
        };
        if let Err(error) = &outcome {
            tracing::warn!(%error, "a step of maintenance failed");
        }
        running.end(outcome, listing)
    }

    /// Ends the moves that were begun before and did not end.
    pub(crate) async fn settle_moves(self: &Arc<Self>) {
        if self.volumes.len() > 1 {
            let step = Step::new(Arc::clone(&self.volume), Work::Settle);
            self.take(step, Listing::IfSomethingWasDone).await;
        }
    }

    /// The files of a volume whose rows another one shows.
    pub(crate) fn hidden_files(&self, volume: &Arc<Volume>) -> Result<Hidden> {
        let hidden = Heads::of(&self.volumes)?.hidden;
        let own = self.volumes.iter().zip(hidden).find(|(other, _)| Arc::ptr_eq(other, volume));
        Ok(own.map(|(_, hidden)| hidden).unwrap_or_default())
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
