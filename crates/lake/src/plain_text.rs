//! Rows that leave as they were read: their text is made plain where that costs least.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::Result as DataFusionResult;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use crate::hot_rows_exec::HotRowsExec;

/// The plan, without views of text where its rows are those of a buffer as they lie there. What leaves the server has
/// no views, and to make them first would copy the text twice. Every other plan stays as it is.
///
/// # Errors
/// Those of planning.
pub fn with_plain_text(plan: Arc<dyn ExecutionPlan>) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    Ok(plain(&plan)?.unwrap_or(plan))
}

/// None if no row passes through it untouched from a buffer.
fn plain(plan: &Arc<dyn ExecutionPlan>) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(hot) = plan.downcast_ref::<HotRowsExec>() {
        return Ok(Some(Arc::new(hot.with_plain_text())));
    }
    let passes_rows_on = plan.is::<CoalescePartitionsExec>()
        || plan.is::<CooperativeExec>()
        || plan.is::<GlobalLimitExec>()
        || plan.is::<LocalLimitExec>()
        || plan.is::<UnionExec>();
    if !passes_rows_on {
        return Ok(None);
    }
    let children = plan.children().into_iter().map(plain).collect::<DataFusionResult<Vec<_>>>()?;
    if children.iter().all(Option::is_none) {
        return Ok(None);
    }
    let children = children.into_iter().zip(plan.children());
    let children = children.map(|(plain, child)| plain.map_or_else(|| cast(child), Ok));
    let children = children.collect::<DataFusionResult<Vec<_>>>()?;
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Arc::clone(plan).replace_children(children, options).map(Some)
}

/// The plan with its views made plain text.
fn cast(plan: &Arc<dyn ExecutionPlan>) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    let schema: Arc<Schema> = plan.schema();
    let column = |(index, field): (usize, &Arc<Field>)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), index));
        let expression: Arc<dyn PhysicalExpr> = match field.data_type() {
            DataType::Utf8View => {
                let text = Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8));
                Arc::new(CastExpr::new_with_target_field(column, text, None))
            }
            _ => column,
        };
        (expression, field.name().clone())
    };
    let columns: Vec<_> = schema.fields().iter().enumerate().map(column).collect();
    Ok(Arc::new(ProjectionExec::try_new(columns, Arc::clone(plan))?))
}
