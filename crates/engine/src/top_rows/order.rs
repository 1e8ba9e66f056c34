//! A request for an order, carried down to the scans of files.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::common::Result as DataFusionResult;
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions, SortOrderPushdownResult,
};

/// The plan with files read roughly in the order of `column`; none if nothing below can do that. Its rows are the same,
/// and nothing is promised of their order.
pub(super) fn in_order(
    plan: &Arc<dyn ExecutionPlan>,
    column: usize,
    options: SortOptions,
) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
    let column_below = if plan.is::<UnionExec>() {
        Some(column)
    } else if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        filter.projection().as_ref().map_or(Some(column), |projection| projection.get(column).copied())
    } else if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let expression = projection.expr().get(column);
        expression.and_then(|part| part.expr.downcast_ref::<Column>()).map(Column::index)
    } else {
        return pushed_down(plan, column, options);
    };
    let Some(column) = column_below else { return Ok(None) };
    let children = plan.children().into_iter().map(|child| in_order(child, column, options));
    let ordered = children.collect::<DataFusionResult<Vec<_>>>()?;
    if ordered.iter().all(Option::is_none) {
        return Ok(None);
    }
    let children = ordered.into_iter().zip(plan.children());
    let children = children.map(|(ordered, child)| ordered.unwrap_or_else(|| Arc::clone(child)));
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(plan).replace_children(children.collect(), options).map(Some)
}

fn pushed_down(
    plan: &Arc<dyn ExecutionPlan>,
    column: usize,
    options: SortOptions,
) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
    let schema = plan.schema();
    let column = Arc::new(Column::new(schema.field(column).name(), column));
    match plan.try_pushdown_sort(&[PhysicalSortExpr::new(column, options)])? {
        SortOrderPushdownResult::Exact { inner } | SortOrderPushdownResult::Inexact { inner } => {
            Ok(Some(inner))
        }
        SortOrderPushdownResult::Unsupported => Ok(None),
    }
}
