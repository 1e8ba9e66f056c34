//! The lake's own maintenance, from time to time.

use std::sync::Arc;
use std::time::Duration;

use pintail_ducklake::TableName;

use super::cleanup::Orphans;
use super::merge::Zeal;
use super::steps::Listing;
use super::{Step, Work};
use crate::lake::Lake;
use crate::volume::Volume;

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

    /// Moves what the storage policy says at every interval until the lake stops, and at first what was begun before.
    pub(crate) async fn run_storage_policy(self: Arc<Self>) {
        self.settle_moves().await;
        let policy = &self.options().policy;
        let Some(interval) = policy.interval else { return };
        let mut is_due = policy.on_start;
        while !self.is_stopping() {
            if is_due {
                self.apply_storage_policy().await;
            }
            is_due = true;
            if tokio::time::timeout(interval, self.stop_wanted()).await.is_ok() {
                return;
            }
        }
    }

    async fn apply_storage_policy(self: &Arc<Self>) {
        self.settle_moves().await;
        if self.clock_watch.jump().is_some() {
            // By a clock that jumped nobody can say what is old.
            return;
        }
        let steps = self.policy_steps(false).await;
        match steps {
            Ok(steps) => self.take_all(steps).await,
            Err(error) => {
                tracing::warn!(%error, "no moves can be planned; it is tried again at the next interval")
            }
        }
    }

    /// One round: what is too old goes, small files are merged, snapshots expire, files are deleted.
    async fn maintain_by_itself(self: &Arc<Self>) {
        self.settle_moves().await;
        let tables = match self.tables_named(None).await {
            Ok(tables) => tables,
            Err(error) => {
                tracing::warn!(%error, "maintenance can't read the catalogs; it is tried again at the next interval");
                return;
            }
        };
        let retain = |(volume, table): &(Arc<Volume>, TableName)| {
            Step::new(Arc::clone(volume), Work::Retain(table.clone()))
        };
        let retain: Vec<Step> = tables.iter().map(retain).collect();
        let compact = |(volume, table)| Step::new(volume, Work::Compact(table, Zeal::WorthIt));
        let mut steps: Vec<Step> = tables.into_iter().map(compact).collect();
        // By a clock that jumped nobody can say what is old.
        if self.clock_watch.jump().is_none() {
            steps.splice(..0, retain);
            for volume in &self.volumes {
                steps.push(Step::new(Arc::clone(volume), Work::Expire(None)));
                steps.push(Step::new(Arc::clone(volume), Work::Cleanup(None, Orphans::OnlyOld)));
            }
        }
        self.take_all(steps).await;
    }

    async fn take_all(self: &Arc<Self>, steps: Vec<Step>) {
        for step in steps {
            if self.is_stopping() {
                return;
            }
            self.take(step, Listing::IfSomethingWasDone).await;
        }
    }
}
