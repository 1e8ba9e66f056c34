//! Window functions over partitions that are sorted one behind the other, some whole partitions at a time.
//!
//! DataFusion keeps a state for each partition and each batch, and evaluates row by row: right for partitions that do
//! not end, and slow for a hundred thousand of five rows, as one finds them by caller or address.

mod rest_exec;
mod window_partitions_exec;

use std::sync::Arc;

use datafusion::common::Result as DataFusionResult;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::windows::BoundedWindowAggExec;
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};

use self::window_partitions_exec::WindowPartitionsExec;

/// The rule.
#[derive(Debug)]
pub(crate) struct WindowPartitions;

impl PhysicalOptimizerRule for WindowPartitions {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let whole = match node.downcast_ref::<BoundedWindowAggExec>() {
                Some(window) if is_of_sorted_partitions(window) => WindowPartitionsExec::new(window)?,
                _ => return Ok(Transformed::no(node)),
            };
            Ok(Transformed::yes(Arc::new(whole) as Arc<dyn ExecutionPlan>))
        })
        .data()
    }

    fn name(&self) -> &str {
        "WindowPartitions"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_of_sorted_partitions(window: &BoundedWindowAggExec) -> bool {
    window.input_order_mode == InputOrderMode::Sorted
        && window.state_observer().is_none()
        && !window.partition_keys().is_empty()
}
