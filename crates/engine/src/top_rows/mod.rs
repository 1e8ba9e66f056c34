//! The first rows in an order, such as the newest 500: read from the files that hold them and no others.
//!
//! Two things are done to a sort with a limit, at any depth of a plan.
//!
//! - **Files are read in the order that is asked for,** newest first, through unions and filters that DataFusion's own
//!   rule stops at. The threshold that the sort finds in the first files leaves out the others by their statistics.
//! - **Wide columns are read late.** When the rows have text besides what they are ordered by, the leading column of the
//!   order is sorted alone first. It tells the last value that can be among the rows, and only rows that reach it are
//!   read with all their columns: [`SortBoundExec`].

mod columns;
mod order;
mod sort_bound_exec;

use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::common::Result as DataFusionResult;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use pintail_lake::{is_file_scan, with_row_filters};

use self::sort_bound_exec::SortBoundExec;

/// More rows than this are not looked for twice.
const MAX_ROWS_BOUNDED: usize = 10_000;

/// The rule.
#[derive(Debug)]
pub(crate) struct TopRows;

impl TopRows {
    /// The rule of DataFusion that it comes after. The ones behind that push the thresholds of sorts into scans.
    pub(crate) const AFTER: &str = "PushdownSort";
}

impl PhysicalOptimizerRule for TopRows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        // A bound is found once, and such a plan runs its parts again and again.
        if plan.exists(|node| Ok(node.is::<RecursiveQueryExec>()))? {
            return Ok(plan);
        }
        plan.transform_up(|node| {
            let Some(sort) = node.downcast_ref::<SortExec>() else { return Ok(Transformed::no(node)) };
            match top_rows(sort)? {
                Some(sort) => Ok(Transformed::yes(sort)),
                None => Ok(Transformed::no(node)),
            }
        })
        .data()
    }

    fn name(&self) -> &str {
        "TopRows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The sort over an input that is read in its order; none if nothing can be gained.
fn top_rows(sort: &SortExec) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
    let Some(rows) = sort.fetch() else { return Ok(None) };
    let leading = sort.expr().first();
    let Some(column) = leading.expr.downcast_ref::<Column>().map(Column::index) else { return Ok(None) };
    let reads_files = sort.input().exists(|node| Ok(is_file_scan(node)))?;
    if !reads_files {
        return Ok(None);
    }
    let ordered = order::in_order(sort.input(), column, leading.options)?;
    let input = ordered.unwrap_or_else(|| Arc::clone(sort.input()));
    let input = match keys(sort.input(), leading, column, rows)? {
        Some(keys) => Arc::new(SortBoundExec::new(keys, with_row_filters(input)?, leading.clone(), rows)),
        None => input,
    };
    let sorted = SortExec::new(sort.expr().clone(), input)
        .with_fetch(Some(rows))
        .with_preserve_partitioning(sort.preserve_partitioning());
    Ok(Some(Arc::new(sorted)))
}

/// The first `rows` values of the leading column of an order; none if nothing is gained by reading them first.
fn keys(
    input: &Arc<dyn ExecutionPlan>,
    leading: &PhysicalSortExpr,
    column: usize,
    rows: usize,
) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
    let schema = input.schema();
    if rows > MAX_ROWS_BOUNDED || !schema.field(column).data_type().is_primitive() || !has_text(&schema) {
        return Ok(None);
    }
    let Some(keys) = columns::only(input, &[column])? else { return Ok(None) };
    let keys = order::in_order(&keys, 0, leading.options)?.unwrap_or(keys);
    let key = PhysicalSortExpr::new(Arc::new(Column::new(schema.field(column).name(), 0)), leading.options);
    let order = LexOrdering::from([key]);
    let partitions = keys.output_partitioning().partition_count();
    let sorted = SortExec::new(order.clone(), keys).with_fetch(Some(rows));
    if partitions == 1 {
        return Ok(Some(Arc::new(sorted)));
    }
    let sorted = Arc::new(sorted.with_preserve_partitioning(true));
    Ok(Some(Arc::new(SortPreservingMergeExec::new(order, sorted).with_fetch(Some(rows)))))
}

fn has_text(schema: &Schema) -> bool {
    schema.fields().iter().any(|field| {
        let data_type = field.data_type();
        data_type.is_string() || data_type.is_binary() || data_type.is_nested()
    })
}
