//! Plans that make much out of little let others have their thread, and stop when they are told to.
//!
//! A task of Tokio stops at a wait. DataFusion's leaves wait after some batches, and that is enough for operators that
//! give about as much as they take. A join can make a million batches of two, or reject them all, before it asks for the
//! next: so many such plans as there are query threads would stop every other query, and could not be stopped themselves.
//!
//! - [`FairExec`] around a join waits after some batches that the join gave.
//! - [`FairFilter`] inside a join, whose loops are inside one turn where it rejects all, hands the thread's other tasks to
//!   another thread when a turn takes long, and fails when the query has ended.

mod fair_exec;
mod fair_filter;
#[cfg(test)]
mod tests;
mod turn;

use std::sync::Arc;

use datafusion::common::Result as DataFusionResult;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, PiecewiseMergeJoinExec,
    SortMergeJoinExec, SymmetricHashJoinExec,
};
use datafusion::physical_plan::unnest::UnnestExec;
use tokio_util::sync::CancellationToken;

use self::fair_exec::FairExec;
use self::fair_filter::FairFilter;

/// When the query of a plan has ended: an extension of the configuration that it runs with.
#[derive(Debug)]
pub(crate) struct QueryEnd(pub(crate) CancellationToken);

/// The rule; the last one, so that no other looks for joins after it.
#[derive(Debug)]
pub(crate) struct FairJoins;

impl PhysicalOptimizerRule for FairJoins {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if !makes_much_of_little(node.as_ref()) {
                return Ok(Transformed::no(node));
            }
            let node = with_fair_filter(node)?;
            Ok(Transformed::yes(Arc::new(FairExec::new(node)) as Arc<dyn ExecutionPlan>))
        })
        .data()
    }

    fn name(&self) -> &str {
        "FairJoins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn makes_much_of_little(plan: &dyn ExecutionPlan) -> bool {
    plan.is::<HashJoinExec>()
        || plan.is::<NestedLoopJoinExec>()
        || plan.is::<CrossJoinExec>()
        || plan.is::<SortMergeJoinExec>()
        || plan.is::<PiecewiseMergeJoinExec>()
        || plan.is::<SymmetricHashJoinExec>()
        || plan.is::<UnnestExec>()
}

fn with_fair_filter(plan: Arc<dyn ExecutionPlan>) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>()
        && let Some(filter) = join.filter()
    {
        return join.builder().with_filter(Some(fair(filter))).build_exec();
    }
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>()
        && let Some(filter) = join.filter()
    {
        let join = NestedLoopJoinExecBuilder::from(join).with_filter(Some(fair(filter))).build()?;
        return Ok(Arc::new(join));
    }
    Ok(plan)
}

fn fair(filter: &JoinFilter) -> JoinFilter {
    let expression = Arc::new(FairFilter(Arc::clone(filter.expression())));
    JoinFilter::new(expression, filter.column_indices().to_vec(), Arc::clone(filter.schema()))
}
