//! What flows, in one line.

use std::io::Write;
use std::time::{Duration, Instant};

use pintail_capture::AccountRow;
use pintail_lake::Lake;
use pintail_types::Result;

use crate::output;
use crate::wiring::Server;

/// How often the line is written anew on a terminal.
const TERMINAL_INTERVAL: Duration = Duration::from_secs(1);
/// How often a line is written elsewhere.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Rows and files as they stand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    pub(super) hot_rows: u64,
    pub(super) rows: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) snapshot: Option<i64>,
}

impl Figures {
    /// What is in memory and in files; what the catalog can't say now counts as nothing.
    pub(super) fn at_rest(lake: &Lake) -> Self {
        let stats = lake.stats();
        let mut figures = Self {
            hot_rows: stats.hot_rows as u64,
            snapshot: stats.last_commit.map(|commit| commit.snapshot.0),
            ..Self::default()
        };
        let tables = lake.catalog().statistics("main").unwrap_or_else(|error| {
            tracing::warn!("statistics: {error}");
            Vec::new()
        });
        for table in tables {
            figures.rows += table.rows;
            figures.files += table.files;
            figures.bytes += table.bytes;
        }
        figures
    }

    /// In words.
    pub(super) fn describe(&self) -> String {
        let snapshot =
            self.snapshot.map_or_else(|| "no snapshot yet".to_owned(), |id| format!("snapshot {id}"));
        format!(
            "{} rows, {} of them in memory | {} files, {} | {snapshot}",
            grouped(self.rows + self.hot_rows),
            grouped(self.hot_rows),
            grouped(self.files),
            bytes(self.bytes)
        )
    }
}

/// Packets that are stored, over all transports.
pub(super) fn stored(rows: &[AccountRow]) -> u64 {
    rows.iter().filter(|row| row.outcome == "stored").map(|row| row.packets).sum()
}

/// The line, again and again.
#[derive(Debug)]
pub(super) struct Display {
    terminal: bool,
    shown: Instant,
    stored: u64,
}

impl Display {
    pub(super) fn new(now: Instant) -> Self {
        Self { terminal: output::is_terminal(), shown: now, stored: 0 }
    }

    /// How long until the next line.
    pub(super) const fn interval(&self) -> Duration {
        if self.terminal { TERMINAL_INTERVAL } else { LINE_INTERVAL }
    }

    /// Writes the line as things stand.
    pub(super) fn show(&mut self, server: &Server) -> Result<()> {
        let stored = stored(&server.accounting().rows());
        let elapsed = self.shown.elapsed().as_secs_f64().max(0.001);
        #[expect(clippy::cast_precision_loss, reason = "counts of packets fit")]
        let rate = stored.saturating_sub(self.stored) as f64 / elapsed;
        (self.shown, self.stored) = (Instant::now(), stored);
        let line = format!("{rate:.0} packets/s | {}", Figures::at_rest(server.lake()).describe());
        if !self.terminal {
            return output::line(line);
        }
        let mut out = std::io::stdout().lock();
        write!(out, "\r\x1b[2K{line}").and_then(|()| out.flush()).map_err(output::failed)
    }
}

/// Digits in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the unit that suits.
pub(super) fn bytes(number: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let mut value = number as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{number} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([5, 1536, 3 << 20].map(bytes), ["5 B", "1.5 KiB", "3.0 MiB"]);
    }
}
