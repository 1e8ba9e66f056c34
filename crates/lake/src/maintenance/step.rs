//! What is done at once, in one volume.

use std::sync::Arc;
use std::time::Duration;

use pintail_ducklake::TableName;
use pintail_types::{Error, Result};

use super::cleanup::{Orphans, cleanup};
use super::expire::expire;
use super::merge::{Zeal, compact};
use super::retention::retain;
use super::{Done, Stop};
use crate::fsck;
use crate::lake::Lake;
use crate::tiers::{self, Partition, Transfer};
use crate::volume::Volume;

/// One step of a task, and the volume that it is for.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) volume: Arc<Volume>,
    pub(super) work: Work,
}

#[derive(Debug, Clone)]
pub(super) enum Work {
    Flush,
    Retain(TableName),
    Compact(TableName, Zeal),
    Expire(Option<Duration>),
    Cleanup(Option<Duration>, Orphans),
    Fsck(bool),
    Move(Arc<Transfer>),
    /// What a step of the policy would do.
    Plan(Arc<Transfer>),
    Drop(Arc<Partition>),
    PlanDrop(Arc<Partition>),
    /// What was begun and did not end.
    Settle,
}

impl Step {
    pub(super) const fn new(volume: Arc<Volume>, work: Work) -> Self {
        Self { volume, work }
    }

    /// The procedure's name.
    pub(super) const fn task(&self) -> &'static str {
        match self.work {
            Work::Flush => "flush",
            Work::Retain(_) => "retention",
            Work::Compact(..) => "compact",
            Work::Expire(_) => "expire_snapshots",
            Work::Cleanup(..) => "cleanup",
            Work::Fsck(_) => "fsck",
            Work::Move(_) | Work::Settle => "move",
            Work::Plan(_) | Work::Drop(_) | Work::PlanDrop(_) => "apply_storage_policy",
        }
    }

    /// The table, if it is about one.
    pub(super) fn table(&self) -> Option<&TableName> {
        match &self.work {
            Work::Retain(table) | Work::Compact(table, _) => Some(table),
            Work::Move(transfer) | Work::Plan(transfer) => Some(&transfer.partition.table),
            Work::Drop(partition) | Work::PlanDrop(partition) => Some(&partition.table),
            Work::Flush | Work::Expire(_) | Work::Cleanup(..) | Work::Fsck(_) | Work::Settle => None,
        }
    }

    /// Does it. Blocks.
    pub(super) fn run(&self, lake: &Arc<Lake>, stop: &Stop) -> Result<Done> {
        let volume = &self.volume;
        match &self.work {
            Work::Flush => Err(Error::internal("a flush does not run beside other steps")),
            Work::Retain(table) => retain(lake, volume, table),
            Work::Compact(table, zeal) => compact(lake, volume, table, *zeal, stop),
            Work::Expire(older_than) => expire(lake, volume, *older_than),
            Work::Cleanup(older_than, orphans) => cleanup(lake, volume, *older_than, *orphans, stop),
            Work::Fsck(repair) => fsck::step(lake, *repair),
            Work::Move(transfer) => transfer.run(lake, stop),
            Work::Plan(transfer) => transfer.plan(lake),
            Work::Drop(partition) => partition.drop_rows(lake, volume),
            Work::PlanDrop(partition) => partition.plan_drop(lake, volume),
            Work::Settle => tiers::settle(lake),
        }
    }
}
