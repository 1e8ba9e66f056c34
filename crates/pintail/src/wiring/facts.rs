//! What doors say about the node: whether data is safe.

use std::sync::Arc;
use std::time::Duration;

use pintail_engine::{Engine, Health, NodeFacts};
use pintail_identity::Principal;
use pintail_lake::Lake;
use pintail_types::{Clock, Micros};

/// Flush intervals that may pass before unflushed rows are a problem.
const LATE_FLUSHES: u32 = 3;
/// What a flush itself may take.
const FLUSH_ALLOWANCE: Duration = Duration::from_secs(30);

/// Facts of one lake.
#[derive(Debug)]
pub(super) struct Facts {
    lake: Arc<Lake>,
    clock: Arc<dyn Clock>,
}

impl Facts {
    pub(super) fn new(lake: Arc<Lake>, clock: Arc<dyn Clock>) -> Self {
        Self { lake, clock }
    }
}

impl NodeFacts for Facts {
    fn health(&self) -> Health {
        let stats = self.lake.stats();
        let age = stats.oldest_unflushed.map(|oldest| age(self.clock.now(), oldest));
        let mut problems = Vec::new();
        if let Some(error) = &stats.flush_error {
            problems.push(format!("the last flush failed: {error}"));
        }
        if let Err(error) = self.lake.admission() {
            problems.push(format!("no packets are taken: {error}"));
        }
        let late = self.lake.options().flush_interval * LATE_FLUSHES + FLUSH_ALLOWANCE;
        if let Some(age) = age.filter(|age| *age > late) {
            problems.push(format!("rows wait {} s for a flush; they are in the journal", age.as_secs()));
        }
        Health {
            ok: problems.is_empty(),
            problems,
            oldest_unflushed_age_ms: age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            last_commit: stats.last_commit.map(|commit| commit.at),
            last_snapshot: stats.last_commit.map(|commit| commit.snapshot.0),
            journal_bytes: stats.journal_bytes,
            hot_rows: stats.hot_rows as u64,
            hot_bytes: stats.hot_bytes as u64,
        }
    }

    fn volumes(&self) -> Vec<String> {
        self.lake.volumes()
    }
}

fn age(now: Micros, since: Micros) -> Duration {
    Duration::from_micros(u64::try_from(now.saturating_sub(since)).unwrap_or(0))
}

/// Cancels every query that still runs, and says how many there were.
pub(super) fn cancel_all(engine: &Arc<Engine>) -> usize {
    let admin = Principal::local();
    let running = engine.queries().list(&admin);
    let unfinished = running.iter().filter(|query| query.finished_at.is_none());
    unfinished.filter(|query| engine.queries().cancel(query.id, &admin).is_ok()).count()
}
