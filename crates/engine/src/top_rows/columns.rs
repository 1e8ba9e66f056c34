//! The same rows of a plan with fewer columns, read anew.

use std::sync::Arc;

use datafusion::common::Result as DataFusionResult;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::expressions::{Column, LikeExpr};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use pintail_lake::{HotRowsExec, fresh_file_scan};

/// The rows of `plan` with `columns` alone, in that order. None for a plan that has other nodes than scans, unions,
/// projections and filters, and for filters that look into texts: to read long texts twice costs more than it spares.
pub(super) fn only(
    plan: &Arc<dyn ExecutionPlan>,
    columns: &[usize],
) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(hot) = plan.downcast_ref::<HotRowsExec>() {
        return Ok(Some(Arc::new(hot.with_columns(columns)?)));
    }
    if let Some(scan) = fresh_file_scan(plan)? {
        let projection = selection(&scan, columns)?;
        let narrowed = scan.try_swapping_with_projection(&projection)?;
        return Ok(Some(narrowed.unwrap_or_else(|| Arc::new(projection))));
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return only_of_filter(filter, columns);
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return only_of_projection(projection, columns);
    }
    if !plan.is::<UnionExec>() && !plan.is::<CooperativeExec>() {
        return Ok(None);
    }
    let children = plan.children().into_iter().map(|child| only(child, columns));
    let children = children.collect::<DataFusionResult<Option<Vec<_>>>>()?;
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    children.map(|children| Arc::clone(plan).replace_children(children, options)).transpose()
}

fn only_of_filter(
    filter: &FilterExec,
    columns: &[usize],
) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
    if filter.predicate().exists(|part| Ok(part.is::<LikeExpr>() || part.is::<ScalarFunctionExpr>()))? {
        return Ok(None);
    }
    let wanted: Vec<usize> = match filter.projection() {
        Some(projection) => columns.iter().map(|column| projection[*column]).collect(),
        None => columns.to_vec(),
    };
    let needed = needed(&wanted, [filter.predicate()]);
    let Some(input) = only(filter.input(), &needed)? else { return Ok(None) };
    let predicate = moved(filter.predicate(), &needed)?;
    let filtered: Arc<dyn ExecutionPlan> = Arc::new(FilterExec::try_new(predicate, input)?);
    let places: Vec<usize> = wanted.iter().filter_map(|column| place(&needed, *column)).collect();
    Ok(Some(Arc::new(selection(&filtered, &places)?)))
}

fn only_of_projection(
    projection: &ProjectionExec,
    columns: &[usize],
) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
    let wanted = columns.iter().map(|column| &projection.expr()[*column]);
    let needed = needed(&[], wanted.clone().map(|part| &part.expr));
    let Some(input) = only(projection.input(), &needed)? else { return Ok(None) };
    let expressions = wanted.map(|part| Ok((moved(&part.expr, &needed)?, part.alias.clone())));
    let expressions = expressions.collect::<DataFusionResult<Vec<_>>>()?;
    Ok(Some(Arc::new(ProjectionExec::try_new(expressions, input)?)))
}

/// The columns and those that the expressions read, each once and in their order.
fn needed<'a>(
    columns: &[usize],
    expressions: impl IntoIterator<Item = &'a Arc<dyn PhysicalExpr>>,
) -> Vec<usize> {
    let read = expressions.into_iter().flat_map(collect_columns).map(|column| column.index());
    let mut needed: Vec<usize> = columns.iter().copied().chain(read).collect();
    needed.sort_unstable();
    needed.dedup();
    needed
}

fn place(needed: &[usize], column: usize) -> Option<usize> {
    needed.binary_search(&column).ok()
}

/// The expression over the columns `needed`.
fn moved(expression: &Arc<dyn PhysicalExpr>, needed: &[usize]) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
    let move_column = |part: Arc<dyn PhysicalExpr>| {
        let column =
            part.downcast_ref::<Column>().map(|column| (column.name(), place(needed, column.index())));
        match column {
            Some((name, Some(index))) => Ok(Transformed::yes(Arc::new(Column::new(name, index)) as _)),
            _ => Ok(Transformed::no(part)),
        }
    };
    Arc::clone(expression).transform_up(move_column).data()
}

fn selection(plan: &Arc<dyn ExecutionPlan>, columns: &[usize]) -> DataFusionResult<ProjectionExec> {
    let schema = plan.schema();
    let column = |index: &usize| {
        let name = schema.field(*index).name();
        (Arc::new(Column::new(name, *index)) as Arc<dyn PhysicalExpr>, name.clone())
    };
    let columns: Vec<_> = columns.iter().map(column).collect();
    ProjectionExec::try_new(columns, Arc::clone(plan))
}
