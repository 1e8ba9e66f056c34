//! What doors say about the node: whether data is safe.

use std::sync::Arc;
use std::time::Duration;

use pintail_engine::{Engine, Health, NodeFacts};
use pintail_identity::Principal;
use pintail_lake::{Finding, Lake, Trouble};
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
        if let Some(Trouble { reason, since }) = &stats.flush_error {
            problems.push(format!("flushes fail since {}: {reason}", iso_8601(*since)));
        }
        if let Some(Trouble { reason, since }) = &stats.journal_error {
            problems.push(format!("the journal can't be written since {}: {reason}", iso_8601(*since)));
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
            warnings: warnings(&self.lake),
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

/// What a person should look at, while the node does its work.
fn warnings(lake: &Lake) -> Vec<String> {
    let mut warnings: Vec<String> = of_journal(lake).map(|found| found.message).into_iter().collect();
    if let Some(jump) = lake.stats().clock_jump {
        let (seconds, way) = (jump.by.unsigned_abs() / 1_000_000, if jump.by < 0 { "back" } else { "ahead" });
        warnings.push(format!(
            "the clock jumped {seconds} s {way}: for a day the lake deletes nothing by itself"
        ));
    }
    let findings = lake.findings();
    let mut errors = findings.iter().filter(|finding| finding.is_error());
    // Nobody needs credentials to read this: where the lake lies is told in system.findings.
    if let Some(first) = errors.next() {
        warnings.push(format!("the lake is damaged in {} places; see system.findings", 1 + errors.count()));
        let refused = first.misleading.iter().map(|table| format!("queries of {table} are refused"));
        warnings.extend(refused);
    }
    warnings
}

/// What is set aside of the journal, if anything is.
pub(super) fn of_journal(lake: &Lake) -> Option<Finding> {
    let stats = lake.stats();
    if stats.quarantine_files == 0 && stats.replayed.damaged == 0 {
        return None;
    }
    Some(Finding {
        place: format!("journal {}", lake.options().journal.path.display()),
        message: format!(
            "the start found {} damaged places of {} bytes and {} torn bytes in the journal; {} bytes are kept in {} \
             .quarantine files",
            stats.replayed.damaged,
            stats.replayed.damaged_bytes,
            stats.replayed.torn_bytes,
            stats.quarantine_bytes,
            stats.quarantine_files
        ),
        is_harmless: stats.replayed.damaged == 0,
        misleading: Vec::new(),
        repair: Some("look at the files, and remove them".to_owned()),
        is_repaired: false,
    })
}

fn iso_8601(time: Micros) -> String {
    let time = arrow::temporal_conversions::timestamp_us_to_datetime(time).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
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
