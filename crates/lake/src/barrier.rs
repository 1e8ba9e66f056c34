//! The line that a flush draws through the stream of rows.
//!
//! Receivers append records to the journal and build rows from them, many at a time. A flush must know that
//! the rows of every record before some position are in the hot buffer, and of none after it. So receivers
//! hold an [`Intake`] from the journal append until the rows are in a builder, and a flush excludes them for
//! the moment in which it reads the journal's end and has the builders emptied.

use std::fmt;
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};
use pintail_types::{JournalPosition, Result};

/// Somebody who builds rows: holds them until they are sealed.
pub trait RowSource: Send + Sync + fmt::Debug {
    /// Hands over every row built so far with [`crate::Lake::append`]. Called while no [`Intake`] is held.
    ///
    /// # Errors
    /// What [`crate::Lake::append`] returns.
    fn seal(&self) -> Result<()>;

    /// The bytes that are held.
    fn buffered_bytes(&self) -> usize;
}

/// While it lives, no flush draws its line.
///
/// Hold it from [`crate::Journal::append`] until the rows of those records are in a [`RowSource`], and from
/// taking rows out of a builder until [`crate::Lake::append`] has returned. It can't be held across an await.
#[derive(Debug)]
pub struct Intake<'a> {
    _shared: RwLockReadGuard<'a, ()>,
}

#[derive(Debug, Default)]
pub(crate) struct Barrier {
    gate: RwLock<()>,
    sources: RwLock<Vec<Arc<dyn RowSource>>>,
}

impl Barrier {
    pub(crate) fn register(&self, source: Arc<dyn RowSource>) {
        self.sources.write().push(source);
    }

    pub(crate) fn intake(&self) -> Intake<'_> {
        Intake { _shared: self.gate.read() }
    }

    pub(crate) fn buffered_bytes(&self) -> usize {
        self.sources.read().iter().map(|source| source.buffered_bytes()).sum()
    }

    /// Draws the line: excludes receivers, has every builder emptied, and then, still alone, calls `end` for
    /// the journal's end and `sealed` to take the rows. All rows before the position are sealed, none after.
    pub(crate) fn draw<T>(
        &self,
        end: impl FnOnce() -> JournalPosition,
        sealed: impl FnOnce() -> T,
    ) -> Result<(JournalPosition, T)> {
        let _alone = self.gate.write();
        for source in self.sources.read().iter() {
            source.seal()?;
        }
        Ok((end(), sealed()))
    }
}
