//! The journal's thread: gathers, writes, syncs, tells how far it came.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pintail_types::{Error, FaultPoint, JournalPosition, Result};

use super::{Failure, Progress, Shared, SyncPolicy, io_error, segment};

/// How long the thread waits before it tries again after a failed write.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Starts the thread with a new segment at `base`.
pub(super) fn spawn(shared: Arc<Shared>, base: JournalPosition) -> Result<JoinHandle<()>> {
    let mut writer = Writer { file: None, written: base, segment_start: base, shared };
    writer.new_segment()?;
    std::thread::Builder::new()
        .name("journal".to_owned())
        .spawn(move || writer.run())
        .map_err(|error| Error::internal(format!("the journal's thread can't start: {error}")))
}

struct Writer {
    shared: Arc<Shared>,
    /// The segment being written; none after a failure.
    file: Option<File>,
    /// Everything before it is on the disk.
    written: JournalPosition,
    segment_start: JournalPosition,
}

impl Writer {
    fn run(mut self) {
        let mut gathered = Vec::new();
        while self.gather(&mut gathered) {
            let started = Instant::now();
            self.store(&gathered);
            gathered.clear();
            self.wait_for_company(started);
        }
    }

    /// Waits for records and takes them; false when the journal is closed and nothing is left.
    fn gather(&self, gathered: &mut Vec<u8>) -> bool {
        let mut state = self.shared.state.lock();
        while state.pending.is_empty() {
            if state.stopping {
                return false;
            }
            self.shared.wake.wait(&mut state);
        }
        std::mem::swap(&mut state.pending, gathered);
        true
    }

    /// Group commit: gives other records until the end of the interval to arrive.
    fn wait_for_company(&self, started: Instant) {
        if self.shared.options.sync != SyncPolicy::Group {
            return;
        }
        let until = started + self.shared.options.sync_interval;
        let mut state = self.shared.state.lock();
        while !state.stopping && !self.shared.wake.wait_until(&mut state, until).timed_out() {}
    }

    /// Puts the bytes on the disk, however often it takes; gives up only when the journal is closed.
    fn store(&mut self, bytes: &[u8]) {
        loop {
            let Err(error) = self.try_store(bytes) else { break };
            // The state of a file after a failed write or sync is unknown: a new segment takes its place.
            self.file = None;
            let Err(again) = self.new_segment().and_then(|()| self.try_store(bytes)) else { break };
            self.file = None;
            if !self.report_failure(&error, &again) {
                return;
            }
        }
        self.report_success();
    }

    fn try_store(&mut self, bytes: &[u8]) -> Result<()> {
        if self.file.is_none() || self.written.0 - self.segment_start.0 >= self.shared.options.segment_bytes {
            self.new_segment()?;
        }
        let Some(file) = &mut self.file else { return Err(Error::internal("no journal segment is open")) };
        let at = |error: std::io::Error| io_error(&self.shared.options.path, &error);
        FaultPoint::JournalWrite.pass();
        file.write_all(bytes).map_err(at)?;
        FaultPoint::JournalSync.pass();
        if self.shared.options.sync != SyncPolicy::Off {
            file.sync_data().map_err(at)?;
        }
        FaultPoint::JournalSynced.pass();
        self.written = JournalPosition(self.written.0 + bytes.len() as u64);
        Ok(())
    }

    fn new_segment(&mut self) -> Result<()> {
        let (segment, file) = segment::create(&self.shared.options.path, self.shared.id, self.written)?;
        let mut state = self.shared.state.lock();
        // A segment that failed before its first record was confirmed is made anew under the same name.
        state.segments.retain(|other| other.base != segment.base);
        state.segments.push(segment);
        drop(state);
        self.segment_start = self.written;
        self.file = Some(file);
        Ok(())
    }

    /// Tells everybody, and waits before the next try; false when the journal is being closed.
    fn report_failure(&self, error: &Error, again: &Error) -> bool {
        let reason: Arc<str> = again.to_string().into();
        let mut state = self.shared.state.lock();
        if state.failure.is_none() {
            tracing::error!(%error, %again, "the journal can't be written; ingest waits");
        }
        let since = state.failure.as_ref().map_or_else(Instant::now, |failure| failure.since);
        state.failure = Some(Failure { reason: Arc::clone(&reason), since });
        self.shared.progress.send_modify(|progress| progress.failure = Some(reason));
        if state.stopping {
            return false;
        }
        let until = Instant::now() + RETRY_AFTER;
        while !state.stopping && !self.shared.wake.wait_until(&mut state, until).timed_out() {}
        true
    }

    fn report_success(&self) {
        let mut state = self.shared.state.lock();
        if state.failure.take().is_some() {
            tracing::info!("the journal can be written again");
        }
        drop(state);
        self.shared.progress.send_replace(Progress { durable: self.written, failure: None });
    }
}
