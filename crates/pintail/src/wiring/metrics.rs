//! Samples of every room, taken at the moment of the request.

use std::sync::Arc;

use pintail_rest::{MetricsSource, Samples};

use super::doors::Rooms;

/// What `/metrics` shows.
pub(super) fn source(rooms: &Rooms) -> MetricsSource {
    let mut source = MetricsSource::new();
    let capture = Arc::clone(&rooms.capture);
    source.register(move |samples| ingest(samples, capture.accounting()));
    let (lake, clock) = (Arc::clone(&rooms.lake), Arc::clone(&rooms.clock));
    source.register(move |samples| {
        let stats = lake.stats();
        let gauge = |name, help, value| samples.gauge(name, help, &[], value);
        gauge("pintail_hot_rows", "Rows in memory.", float(stats.hot_rows as u64));
        gauge("pintail_hot_bytes", "Bytes that rows in memory take.", float(stats.hot_bytes as u64));
        gauge(
            "pintail_journal_bytes",
            "Bytes of journal records that are not in a file yet.",
            float(stats.journal_bytes),
        );
        let age = stats.oldest_unflushed.map_or(0, |oldest| clock.now().saturating_sub(oldest).max(0));
        gauge(
            "pintail_oldest_unflushed_seconds",
            "Age of the oldest row that is not in a file.",
            float(age.unsigned_abs()) / 1e6,
        );
        if let Some(commit) = stats.last_commit {
            gauge(
                "pintail_last_commit_timestamp_seconds",
                "When rows were last committed.",
                float(commit.at.unsigned_abs()) / 1e6,
            );
            gauge(
                "pintail_last_commit_snapshot",
                "The snapshot of that commit.",
                float(commit.snapshot.0.unsigned_abs()),
            );
        }
        samples.counter(
            "pintail_committed_rows_total",
            "Rows committed to files.",
            &[],
            stats.committed_rows,
        );
        samples.counter("pintail_committed_files_total", "Files committed.", &[], stats.committed_files);
        samples.counter("pintail_flush_failures_total", "Flushes that failed.", &[], stats.flush_failures);
        let found = &stats.replayed;
        samples.counter(
            "pintail_journal_damaged_total",
            "Damaged places that the start found in the journal.",
            &[],
            found.damaged,
        );
        samples.counter(
            "pintail_journal_torn_bytes_total",
            "Bytes after the last whole record that the start found in the journal.",
            &[],
            found.torn_bytes,
        );
        let gauge = |name, help, value| samples.gauge(name, help, &[], value);
        gauge(
            "pintail_journal_quarantine_bytes",
            "Damaged and torn bytes of the journal that are set aside.",
            float(stats.quarantine_bytes),
        );
        let failing = |trouble: bool| float(u64::from(trouble));
        gauge(
            "pintail_journal_failing",
            "Whether the journal can't be written.",
            failing(stats.journal_error.is_some()),
        );
        gauge(
            "pintail_flush_failing",
            "Whether the newest flush failed.",
            failing(stats.flush_error.is_some()),
        );
        let errors = lake.findings().iter().filter(|finding| finding.is_error()).count() as u64;
        gauge("pintail_lake_findings", "Problems that the newest check of the lake found.", float(errors));
    });
    let engine = Arc::clone(&rooms.engine);
    source.register(move |samples| {
        let live = engine.queries().live() as u64;
        samples.gauge("pintail_queries_live", "Queries that have not ended.", &[], float(live));
    });
    source
}

/// The same numbers as `system.ingest`.
fn ingest(samples: &Samples<'_>, accounting: &pintail_capture::Accounting) {
    for row in accounting.rows() {
        let labels = [("transport", row.transport), ("outcome", row.outcome), ("reason", row.reason)];
        samples.counter(
            "pintail_ingest_packets_total",
            "Packets by transport, outcome and reason.",
            &labels,
            row.packets,
        );
        if let Some(bytes) = row.bytes {
            samples.counter("pintail_ingest_bytes_total", "Bytes of those packets.", &labels, bytes);
        }
    }
    for (note, transport, times) in accounting.notes() {
        let labels = [("transport", transport), ("note", note)];
        samples.counter(
            "pintail_ingest_notes_total",
            "What was remarkable about packets; never an outcome.",
            &labels,
            times,
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has nothing but floats")]
fn float(value: u64) -> f64 {
    value as f64
}
