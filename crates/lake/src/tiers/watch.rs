//! The points between the steps of a move, where tests let it fail.

use std::fmt;
use std::sync::Arc;

use pintail_types::{FaultPoint, Result};

/// Somebody who is told of every point that a move passes, and may end it there with an error.
#[derive(Clone)]
pub struct MoveWatch(pub Arc<dyn Fn(FaultPoint) -> Result<()> + Send + Sync>);

impl MoveWatch {
    /// Passes a point, and tells of it.
    ///
    /// # Errors
    /// What is to end the move.
    pub(crate) fn pass(watch: Option<&Self>, point: FaultPoint) -> Result<()> {
        point.pass();
        watch.map_or(Ok(()), |watch| (watch.0)(point))
    }
}

impl fmt::Debug for MoveWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MoveWatch")
    }
}
