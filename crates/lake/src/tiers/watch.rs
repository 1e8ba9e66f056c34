//! The points between the steps of a move, where tests let it fail.

use std::fmt;
use std::sync::Arc;

use pintail_types::Result;

/// A point between two steps of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovePoint {
    /// It is noted that files will be written; none is.
    Begun,
    /// A file is complete in the volume it goes to.
    Copied,
    /// All files are verified, and no commit names them.
    Verified,
    /// The volume that takes the rows over has committed them; the other one still has them too.
    TakenOver,
    /// The other volume has ended its files.
    HandedOver,
    /// What was begun before is about to be finished or rolled back.
    Settling,
}

impl MovePoint {
    /// All of them, in the order in which a move passes them.
    pub const ALL: [Self; 6] =
        [Self::Begun, Self::Copied, Self::Verified, Self::TakenOver, Self::HandedOver, Self::Settling];
}

/// Somebody who is told of every point that a move passes, and may end it there.
#[derive(Clone)]
pub struct MoveWatch(pub Arc<dyn Fn(MovePoint) -> Result<()> + Send + Sync>);

impl MoveWatch {
    /// Tells of a point.
    ///
    /// # Errors
    /// What is to end the move.
    pub(crate) fn pass(watch: Option<&Self>, point: MovePoint) -> Result<()> {
        watch.map_or(Ok(()), |watch| (watch.0)(point))
    }
}

impl fmt::Debug for MoveWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MoveWatch")
    }
}
