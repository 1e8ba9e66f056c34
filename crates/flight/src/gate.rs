//! The gate of a listener that is about to stop: no new request is taken, those that were taken end.

use std::sync::Arc;

use parking_lot::Mutex;
use pintail_types::{Error, Result};
use tokio::sync::mpsc;

/// Lets requests in until it is closed.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Mutex<Option<mpsc::Sender<()>>>>);

/// Held by a request until its answer is complete.
#[derive(Debug)]
pub(crate) struct Pass(#[expect(dead_code, reason = "dropping it is what counts")] mpsc::Sender<()>);

/// Comes to its end when all requests have.
#[derive(Debug)]
pub(crate) struct Drained(mpsc::Receiver<()>);

impl Gate {
    /// An open gate.
    pub(crate) fn open() -> (Self, Drained) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(Arc::new(Mutex::new(Some(sender)))), Drained(receiver))
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// `Unavailable` if the gate was closed.
    pub(crate) fn enter(&self) -> Result<Pass> {
        let sender = self.0.lock().clone();
        sender.map(Pass).ok_or_else(|| Error::unavailable("the server is shutting down: connect again later"))
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        *self.0.lock() = None;
    }
}

impl Drained {
    /// Waits until the gate is closed and every pass is given back.
    pub(crate) async fn wait(mut self) {
        while self.0.recv().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use pintail_types::ErrorKind;

    use super::*;

    #[tokio::test]
    async fn a_closed_gate_waits_for_those_inside() {
        let (gate, drained) = Gate::open();
        let pass = gate.enter().unwrap();
        gate.close();
        assert_eq!(gate.enter().unwrap_err().kind(), ErrorKind::Unavailable);
        let mut wait = std::pin::pin!(drained.wait());
        assert!(futures::poll!(wait.as_mut()).is_pending());
        drop(pass);
        wait.await;
    }
}
