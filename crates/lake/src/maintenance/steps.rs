//! What maintenance does and did, for people.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use pintail_types::{Clock, Error, ErrorKind, Micros, Result};

/// Steps that ended and are still listed.
pub const MAX_STEPS: usize = 1000;

/// One step of maintenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaintenanceStep {
    /// The procedure's name.
    pub task: &'static str,
    /// The volume's catalog.
    pub catalog: String,
    /// The table, if it is about one.
    pub table_name: Option<String>,
    /// Where it is in its life.
    pub state: StepState,
    /// When it began.
    pub started_at: Micros,
    /// When it ended.
    pub finished_at: Option<Micros>,
    /// What it did.
    pub done: Done,
}

/// Where a step is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// It goes on.
    Running,
    /// It has done what there was to do.
    Finished,
    /// It failed with this.
    Failed(ErrorKind, String),
    /// Whoever asked for it went away, or the server stopped.
    Cancelled,
}

impl StepState {
    /// The name in `system.maintenance`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed(..) => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a step did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Files that were read, left the lake, or were deleted.
    pub files_in: u64,
    /// Files that were made.
    pub files_out: u64,
    /// Rows that were written or removed.
    pub rows: u64,
    /// Bytes of the files that were made or, if none were, of those that went.
    pub bytes: u64,
    /// The same in words, with what was left and why.
    pub message: String,
}

impl Done {
    /// Counts what was done besides.
    pub(crate) const fn add(&mut self, more: &Self) {
        self.files_in += more.files_in;
        self.files_out += more.files_out;
        self.rows += more.rows;
        self.bytes += more.bytes;
    }

    /// Whether there was nothing to do.
    pub(crate) const fn is_nothing(&self) -> bool {
        self.files_in == 0 && self.files_out == 0 && self.rows == 0 && self.bytes == 0
    }
}

impl MaintenanceStep {
    /// What it did or, if it failed, why.
    pub fn message(&self) -> &str {
        match &self.state {
            StepState::Failed(_, why) => why,
            StepState::Running | StepState::Finished | StepState::Cancelled => &self.done.message,
        }
    }

    /// Why it failed, if it did.
    pub fn error(&self) -> Option<Error> {
        match &self.state {
            StepState::Failed(kind, why) => Some(Error::new(*kind, why.clone())),
            StepState::Running | StepState::Finished | StepState::Cancelled => None,
        }
    }
}

/// The steps that go on, and the last ones that ended.
#[derive(Debug, Default)]
pub(super) struct Steps(Mutex<Listed>);

#[derive(Debug, Default)]
struct Listed {
    next: u64,
    running: BTreeMap<u64, MaintenanceStep>,
    ended: VecDeque<MaintenanceStep>,
}

/// Whether a step that found nothing to do is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    Always,
    IfSomethingWasDone,
}

/// A step that goes on. Dropping it cancels it.
#[derive(Debug)]
pub(super) struct RunningStep {
    steps: Arc<Steps>,
    clock: Arc<dyn Clock>,
    number: u64,
}

impl Steps {
    pub(super) fn list(&self) -> Vec<MaintenanceStep> {
        let listed = self.0.lock();
        listed.ended.iter().chain(listed.running.values()).cloned().collect()
    }

    pub(super) fn begin(
        self: &Arc<Self>,
        clock: &Arc<dyn Clock>,
        task: &'static str,
        catalog: String,
        table_name: Option<String>,
    ) -> RunningStep {
        let step = MaintenanceStep {
            task,
            catalog,
            table_name,
            state: StepState::Running,
            started_at: clock.now(),
            finished_at: None,
            done: Done::default(),
        };
        let mut listed = self.0.lock();
        let number = listed.next;
        listed.next += 1;
        listed.running.insert(number, step);
        RunningStep { steps: Arc::clone(self), clock: Arc::clone(clock), number }
    }

    fn end(
        &self,
        number: u64,
        now: Micros,
        state: StepState,
        done: Done,
        listing: Listing,
    ) -> Option<MaintenanceStep> {
        let mut listed = self.0.lock();
        let step = listed.running.remove(&number)?;
        let step = MaintenanceStep { state, done, finished_at: Some(now), ..step };
        let is_worth_it =
            listing == Listing::Always || step.state != StepState::Finished || !step.done.is_nothing();
        if is_worth_it {
            listed.ended.push_back(step.clone());
            if listed.ended.len() > MAX_STEPS {
                listed.ended.pop_front();
            }
        }
        Some(step)
    }
}

impl RunningStep {
    /// Ends it, and tells of it.
    pub(super) fn end(self, outcome: Result<Done>, listing: Listing) -> Option<MaintenanceStep> {
        let (state, done) = match outcome {
            Ok(done) => (StepState::Finished, done),
            Err(error) if error.kind() == ErrorKind::Cancelled => (StepState::Cancelled, Done::default()),
            Err(error) => (StepState::Failed(error.kind(), error.message().to_owned()), Done::default()),
        };
        self.steps.end(self.number, self.clock.now(), state, done, listing)
    }
}

impl Drop for RunningStep {
    fn drop(&mut self) {
        let now = self.clock.now();
        self.steps.end(self.number, now, StepState::Cancelled, Done::default(), Listing::Always);
    }
}

#[cfg(test)]
mod tests {
    use pintail_types::ManualClock;

    use super::*;

    #[test]
    fn steps_are_listed_while_they_run_and_for_a_while_after() {
        let steps = Arc::new(Steps::default());
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(7));
        let begin = || steps.begin(&clock, "compact", "lake_default".to_owned(), None);
        let states = || steps.list().iter().map(|step| step.state.name()).collect::<Vec<_>>();
        let running = begin();
        assert_eq!(states(), ["running"]);
        running.end(Ok(Done { rows: 3, ..Done::default() }), Listing::IfSomethingWasDone);
        begin().end(Ok(Done::default()), Listing::IfSomethingWasDone);
        begin().end(Err(Error::conflict("somebody else did")), Listing::IfSomethingWasDone);
        drop(begin());
        assert_eq!(states(), ["finished", "failed", "cancelled"]);
        assert_eq!(steps.list()[1].message(), "somebody else did");
        for _ in 0..2 * MAX_STEPS {
            begin().end(Ok(Done::default()), Listing::Always);
        }
        assert_eq!(steps.list().len(), MAX_STEPS);
    }
}
