//! A turn: the time between two waits of a task, in which its thread does nothing else.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use datafusion::common::{DataFusionError, Result as DataFusionResult};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio_util::sync::CancellationToken;

/// From here on a turn is long: others would feel it.
const LONG: Duration = Duration::from_millis(10);

thread_local! {
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

struct Turn {
    began: Instant,
    end: CancellationToken,
}

/// Ends the turn, also of a task that panics.
struct Ending;

impl Drop for Ending {
    fn drop(&mut self) {
        TURN.take();
    }
}

/// Does `work` as a turn of a query that may `end`. Inside of a turn it is a part of that.
pub(super) fn take<T>(end: &CancellationToken, work: impl FnOnce() -> T) -> T {
    let _ending = TURN.with_borrow_mut(|turn| {
        let is_first = turn.is_none();
        turn.get_or_insert_with(|| Turn { began: Instant::now(), end: end.clone() });
        // Not `then_some`: what that does not give is dropped here, where the turn is borrowed.
        if is_first { Some(Ending) } else { None }
    });
    work()
}

/// Does `work`, a small part of a turn. In a long one the other tasks of this thread go on elsewhere meanwhile.
///
/// # Errors
/// Those of `work`, and in a long turn that the query has ended.
pub(super) fn part<T>(work: impl FnOnce() -> DataFusionResult<T>) -> DataFusionResult<T> {
    let has_ended = TURN.with_borrow(|turn| {
        let turn = turn.as_ref().filter(|turn| turn.began.elapsed() > LONG)?;
        Some(turn.end.is_cancelled())
    });
    match has_ended {
        None => work(),
        Some(true) => Err(DataFusionError::Execution("the query has ended".to_owned())),
        // What goes on elsewhere stays there: after the first time in a turn this does nothing more.
        Some(false) if has_other_threads() => tokio::task::block_in_place(work),
        Some(false) => work(),
    }
}

fn has_other_threads() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}
