//! The threads that queries run on, apart from the ones that serve sockets.

use std::fmt;
use std::future::Future;

use pintail_types::{Error, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::error::panicked;

/// Plans and their optimizer recurse; deep ones need more than a thread's usual stack.
const STACK_BYTES: usize = 8 << 20;

/// A thread pool of its own: a plan that computes for long between two waits holds up no socket, and
/// a plan that panics takes nobody with it.
pub(crate) struct QueryRuntime(Option<Runtime>);

impl QueryRuntime {
    pub(crate) fn new(threads: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build()
            .map_err(|error| Error::unavailable("the query threads do not start").with_source(error))?;
        Ok(Self(Some(runtime)))
    }

    /// Starts `task`; dropping what comes back stops it at its next wait.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Result<Task<T>> {
        let runtime = self.0.as_ref().ok_or_else(|| Error::unavailable("the server is stopping"))?;
        Ok(Task(runtime.spawn(task)))
    }

    /// Runs `task` to its end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.spawn(task)?.end().await?
    }
}

impl Drop for QueryRuntime {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed where an async task may drop the engine.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for QueryRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueryRuntime")
    }
}

/// A running task that stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T> Task<T> {
    /// What the task gave.
    ///
    /// # Errors
    /// `Internal` if it panicked, `Cancelled` if it was stopped.
    pub(crate) async fn end(mut self) -> Result<T> {
        self.ended().await
    }

    /// As [`Self::end`], for a task that is kept; to be called once.
    pub(crate) async fn ended(&mut self) -> Result<T> {
        (&mut self.0).await.map_err(|join| match join.is_panic() {
            true => panicked(),
            false => Error::cancelled("the query was stopped"),
        })
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
