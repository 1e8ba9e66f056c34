//! The plan node that finds the bound of a sort's first rows before it reads them.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DataFusionResult, ScalarValue};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, DynamicFilterPhysicalExpr, IsNullExpr, Literal, lit,
};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::filter_pushdown::{
    ChildFilterDescription, FilterDescription, FilterPushdownPhase,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
    ReplaceChildrenOptions, collect,
};
use futures::TryStreamExt;
use tokio::sync::OnceCell;

/// Gives the rows of its input. Before, it runs `keys`, the first rows by the leading column of an order, with that
/// column alone: the last of them bounds what the scans below the input have to read.
#[derive(Debug)]
pub(super) struct SortBoundExec {
    keys: Arc<dyn ExecutionPlan>,
    input: Arc<dyn ExecutionPlan>,
    /// The leading column of the order, as the input has it.
    leading: PhysicalSortExpr,
    rows: usize,
    /// What scans leave rows out by: all pass until the bound is found.
    bound: Arc<DynamicFilterPhysicalExpr>,
    found: Arc<OnceCell<()>>,
    properties: Arc<PlanProperties>,
}

impl SortBoundExec {
    /// `keys` has one column and one partition, and at most `rows` rows in the order of `leading`.
    pub(super) fn new(
        keys: Arc<dyn ExecutionPlan>,
        input: Arc<dyn ExecutionPlan>,
        leading: PhysicalSortExpr,
        rows: usize,
    ) -> Self {
        let bound = DynamicFilterPhysicalExpr::new(vec![Arc::clone(&leading.expr)], lit(true));
        let properties = Arc::clone(input.properties());
        Self { keys, input, leading, rows, bound: Arc::new(bound), found: Arc::default(), properties }
    }
}

/// Runs `keys` and tells the scans.
async fn find(
    keys: Arc<dyn ExecutionPlan>,
    rows: usize,
    leading: PhysicalSortExpr,
    bound: Arc<DynamicFilterPhysicalExpr>,
    context: Arc<TaskContext>,
) -> DataFusionResult<()> {
    let batches = collect(keys, context).await?;
    let found: usize = batches.iter().map(|batch| batch.num_rows()).sum();
    if found >= rows
        && let Some(last) = batches.iter().rfind(|batch| batch.num_rows() > 0)
    {
        let value = ScalarValue::try_from_array(last.column(0), last.num_rows() - 1)?;
        bound.update(reaching(&leading, value)?)?;
    }
    bound.mark_complete();
    Ok(())
}

/// The condition that a row comes no later than `last` in the order, equal ones included.
fn reaching(order: &PhysicalSortExpr, last: ScalarValue) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
    let column = || Arc::clone(&order.expr);
    let is_null: Arc<dyn PhysicalExpr> = Arc::new(IsNullExpr::new(column()));
    let nulls_first = order.options.nulls_first;
    if last.is_null() {
        return Ok(if nulls_first { is_null } else { lit(true) });
    }
    let operator = if order.options.descending { Operator::GtEq } else { Operator::LtEq };
    let reaches: Arc<dyn PhysicalExpr> =
        Arc::new(BinaryExpr::new(column(), operator, Arc::new(Literal::new(last))));
    if !nulls_first {
        return Ok(reaches);
    }
    Ok(Arc::new(BinaryExpr::new(is_null, Operator::Or, reaches)))
}

impl DisplayAs for SortBoundExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SortBoundExec: {}, rows={}", self.leading, self.rows)
    }
}

impl ExecutionPlan for SortBoundExec {
    fn name(&self) -> &'static str {
        "SortBoundExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.keys, &self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        let bound: Arc<dyn PhysicalExpr> = Arc::<DynamicFilterPhysicalExpr>::clone(&self.bound);
        visit(&bound)
    }

    /// The scans below keep the bound that they know.
    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let [keys, input] = <[_; 2]>::try_from(children).map_err(|children| {
            DataFusionError::Internal(format!("SortBoundExec has 2 inputs, not {}", children.len()))
        })?;
        Ok(Arc::new(Self {
            properties: Arc::clone(input.properties()),
            keys,
            input,
            leading: self.leading.clone(),
            rows: self.rows,
            bound: Arc::clone(&self.bound),
            found: Arc::default(),
        }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> DataFusionResult<FilterDescription> {
        // What is above filters whole rows, and the keys are the first of all.
        let keys = ChildFilterDescription::all_unsupported(&parent_filters);
        let input = ChildFilterDescription::from_child(&parent_filters, &self.input)?;
        let bound = Arc::<DynamicFilterPhysicalExpr>::clone(&self.bound);
        Ok(FilterDescription::new().with_child(keys).with_child(input.with_self_filter(bound)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let (keys, input) = (Arc::clone(&self.keys), Arc::clone(&self.input));
        let (found, bound) = (Arc::clone(&self.found), Arc::clone(&self.bound));
        let (leading, rows) = (self.leading.clone(), self.rows);
        let schema = self.input.schema();
        let read = async move {
            let find = || find(keys, rows, leading, bound, Arc::clone(&context));
            found.get_or_try_init(find).await?;
            input.execute(partition, context)
        };
        let read = futures::stream::once(read).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, read)))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::compute::SortOptions;
    use datafusion::physical_expr::expressions::Column;

    use super::*;

    #[test]
    fn rows_up_to_the_last_and_its_equals_are_read() {
        let last = ScalarValue::Int64(Some(7));
        let null = ScalarValue::Int64(None);
        for (descending, nulls_first, last, expected) in [
            (true, true, &last, "time@0 IS NULL OR time@0 >= 7"),
            (true, false, &last, "time@0 >= 7"),
            (false, true, &last, "time@0 IS NULL OR time@0 <= 7"),
            (false, false, &last, "time@0 <= 7"),
            (true, true, &null, "time@0 IS NULL"),
            (true, false, &null, "true"),
        ] {
            let options = SortOptions { descending, nulls_first };
            let order = PhysicalSortExpr::new(Arc::new(Column::new("time", 0)), options);
            assert_eq!(reaching(&order, last.clone()).unwrap().to_string(), expected);
        }
    }
}
