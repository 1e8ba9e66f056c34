//! The lake's own maintenance, from time to time.

use std::sync::Arc;
use std::time::Duration;

use super::Step;
use super::cleanup::Orphans;
use super::merge::Zeal;
use super::steps::Listing;
use crate::lake::Lake;

impl Lake {
    /// Looks after the lake at every interval until it stops. The first time is after one interval: a start has enough
    /// to do.
    pub(crate) async fn run_maintenance(self: Arc<Self>, interval: Duration) {
        while !self.is_stopping() {
            let stopped = tokio::time::timeout(interval, self.stop_wanted()).await.is_ok();
            if stopped {
                return;
            }
            self.maintain_by_itself().await;
        }
    }

    /// One round: what is too old goes, small files are merged, snapshots expire, files are deleted.
    async fn maintain_by_itself(self: &Arc<Self>) {
        let tables = match self.tables_named(None).await {
            Ok(tables) => tables,
            Err(error) => {
                tracing::warn!(%error, "maintenance can't read the catalog; it is tried again at the next interval");
                return;
            }
        };
        let compact = tables.iter().cloned().map(|table| Step::Compact(table, Zeal::WorthIt));
        let mut steps: Vec<Step> = compact.collect();
        // By a clock that jumped nobody can say what is old.
        if self.clock_watch.jump().is_none() {
            steps.splice(..0, tables.into_iter().map(Step::Retain));
            steps.push(Step::Expire(None));
            steps.push(Step::Cleanup(None, Orphans::OnlyOld));
        }
        for step in steps {
            if self.is_stopping() {
                return;
            }
            self.take(step, Listing::IfSomethingWasDone).await;
        }
    }
}
