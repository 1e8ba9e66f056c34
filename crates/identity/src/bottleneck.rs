//! Checks that take time go one after the other, a few at once.

use pintail_types::{Error, Result};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Lets a few checks run and some wait; more are sent away.
#[derive(Debug)]
pub(crate) struct Bottleneck {
    present: Semaphore,
    running: Semaphore,
}

/// The right to run one check.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _present: SemaphorePermit<'a>,
    _running: SemaphorePermit<'a>,
}

impl Bottleneck {
    /// `running` checks at once, and `waiting` behind them.
    pub(crate) fn new(running: usize, waiting: usize) -> Self {
        Self { present: Semaphore::new(running + waiting), running: Semaphore::new(running) }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// `Exhausted` if too many wait already.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>> {
        let full = |_| Error::exhausted("too many logins at the same time: try again in a moment");
        let present = self.present.try_acquire().map_err(full)?;
        // It is never closed.
        let closed = |_| Error::internal("the queue of logins is closed");
        let running = self.running.acquire().await.map_err(closed)?;
        Ok(Turn { _present: present, _running: running })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn some_run_some_wait_and_more_are_sent_away() {
        let bottleneck = Bottleneck::new(1, 1);
        let first = bottleneck.turn().await.unwrap();
        let mut second = std::pin::pin!(bottleneck.turn());
        assert!(futures_poll(second.as_mut()).await.is_none());
        let refused = bottleneck.turn().await.unwrap_err();
        assert_eq!(refused.kind(), pintail_types::ErrorKind::Exhausted);
        drop(first);
        second.await.unwrap();
        bottleneck.turn().await.unwrap();
    }

    /// The result of a future that is ready at once.
    async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            let polled = std::pin::Pin::new(&mut future).poll(context);
            std::task::Poll::Ready(match polled {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
