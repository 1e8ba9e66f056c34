//! Row builders, several sets of them, so that cores rarely wait for each other.

use std::fmt;
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use pintail_lake::{Lake, RowSource};
use pintail_types::{Result, TelemetryTable};

use crate::rows::{BuiltRows, RowBuilder};

/// A table's rows are handed over when there are this many.
const HANDOVER_ROWS: usize = 8192;
/// A table's rows are handed over when they take about this much; far below the 2 GiB of a text column.
const HANDOVER_BYTES: usize = 8 << 20;

/// A table's rows are handed over when so many ticks have passed since the first of them. Each table counts for
/// itself: one that fills quickly is handed over when it is large, and not in pieces of any size in between.
pub(crate) const HANDOVER_AGE: u8 = 5;

/// Places for tables: one per protocol number, then calls and registrations.
const CALL_PLACE: usize = 256;
const REGISTRATION_PLACE: usize = 257;
const PLACES: usize = 258;

/// The builders of one shard.
pub(crate) struct Shard {
    builders: Vec<Option<Box<RowBuilder>>>,
    /// Rows that the lake did not take; they go first, and hold back every flush until they are in.
    waiting: Vec<BuiltRows>,
    buffered: usize,
}

impl Shard {
    pub(crate) fn new() -> Self {
        let mut builders = Vec::new();
        builders.resize_with(PLACES, || None);
        Self { builders, waiting: Vec::new(), buffered: 0 }
    }

    /// The builder of a table that packets go to.
    ///
    /// # Errors
    /// `Internal` for any other table.
    pub(crate) fn builder(&mut self, table: TelemetryTable) -> Result<&mut RowBuilder> {
        let place = match table {
            TelemetryTable::Call => CALL_PLACE,
            TelemetryTable::Registration => REGISTRATION_PLACE,
            other => usize::from(other.protocol().unwrap_or_default()),
        };
        let slot = &mut self.builders[place];
        if slot.is_none() {
            *slot = Some(Box::new(RowBuilder::new(table)?));
        }
        slot.as_deref_mut().ok_or_else(|| pintail_types::Error::internal("a row builder went missing"))
    }

    /// Finishes the tables that have become large.
    fn finish_large(&mut self) -> Result<()> {
        self.finish_if(|builder| builder.rows() >= HANDOVER_ROWS || builder.bytes() >= HANDOVER_BYTES)
    }

    fn finish_if(&mut self, is_due: impl Fn(&mut RowBuilder) -> bool) -> Result<()> {
        for builder in self.builders.iter_mut().flatten() {
            if builder.rows() > 0 && is_due(builder) {
                self.waiting.push(builder.finish()?);
            }
        }
        Ok(())
    }

    /// Finishes the tables that have become large, and gives what is finished to the caller.
    ///
    /// # Errors
    /// `Internal` when rows do not fit their table.
    pub(crate) fn take_large(&mut self) -> Result<Vec<BuiltRows>> {
        self.finish_large()?;
        Ok(std::mem::take(&mut self.waiting))
    }

    fn hand_over(&mut self, lake: &Lake) -> Result<()> {
        while let Some(built) = self.waiting.first() {
            lake.append(built.table, built.rows.clone(), built.last)?;
            self.waiting.remove(0);
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let built: usize = self.waiting.iter().map(|built| built.rows.get_array_memory_size()).sum();
        built + self.builders.iter().flatten().map(|builder| builder.bytes()).sum::<usize>()
    }
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// All shards of one capture.
pub(crate) struct Shards {
    shards: Box<[Mutex<Shard>]>,
    buffered: AtomicUsize,
    /// Weak, because the lake holds its row sources.
    lake: Weak<Lake>,
}

impl Shards {
    pub(crate) fn new(count: usize, lake: Weak<Lake>) -> Self {
        let shards = (0..count.max(1)).map(|_| Mutex::new(Shard::new())).collect();
        Self { shards, buffered: AtomicUsize::new(0), lake }
    }

    /// The shard of a receiver; numbers beyond the last begin again with the first.
    pub(crate) fn lock(&self, number: usize) -> MutexGuard<'_, Shard> {
        self.shards[number % self.shards.len()].lock()
    }

    /// After rows were added: hands over what has become large. Call it under an intake of the lake.
    ///
    /// # Errors
    /// What the lake says; the rows stay and are handed over later.
    pub(crate) fn added(&self, shard: &mut Shard, lake: &Lake) -> Result<()> {
        let result = shard.finish_large().and_then(|()| shard.hand_over(lake));
        self.recount(shard);
        result
    }

    /// A tick has passed: hands over the rows that are old enough. Call it under an intake of the lake.
    ///
    /// # Errors
    /// As [`Shards::added`].
    pub(crate) fn grow_older(&self, lake: &Lake) -> Result<()> {
        self.hand_over_if(lake, |builder| builder.grow_older() >= HANDOVER_AGE)
    }

    /// Hands over every row. Call it under an intake of the lake, or while it seals.
    ///
    /// # Errors
    /// As [`Shards::added`].
    pub(crate) fn hand_over(&self, lake: &Lake) -> Result<()> {
        self.hand_over_if(lake, |_| true)
    }

    fn hand_over_if(&self, lake: &Lake, is_due: impl Fn(&mut RowBuilder) -> bool) -> Result<()> {
        for shard in &self.shards {
            // The shard stays locked until the lake has the rows: a flush that finds a shard empty
            // may rely on it.
            let mut shard = shard.lock();
            let result = shard.finish_if(&is_due).and_then(|()| shard.hand_over(lake));
            self.recount(&mut shard);
            result?;
        }
        Ok(())
    }

    fn recount(&self, shard: &mut Shard) {
        let now = shard.bytes();
        let before = std::mem::replace(&mut shard.buffered, now);
        if now >= before {
            self.buffered.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.buffered.fetch_sub(before - now, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shards")
            .field("shards", &self.shards.len())
            .field("buffered", &self.buffered)
            .finish()
    }
}

impl RowSource for Shards {
    fn seal(&self) -> Result<()> {
        self.lake.upgrade().map_or(Ok(()), |lake| self.hand_over(&lake))
    }

    fn buffered_bytes(&self) -> usize {
        self.buffered.load(Ordering::Relaxed)
    }
}
