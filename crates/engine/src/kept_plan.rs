//! A physical plan that is kept between executions: run again at another moment, with other values for its parameters.
//!
//! While no table changes its columns or files, what one execution has planned holds for the next. Only what is
//! known to read the moment and the values of its own execution is kept; every other plan is made anew each time.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as DataFusionResult, ScalarValue, internal_err, not_impl_err};
use datafusion::datasource::source_as_provider;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::expressions::{DynamicFilterPhysicalExpr, Literal};
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use pintail_lake::{HotRowsExec, LookupExec, fresh_file_scan, with_plain_text};

use crate::named_file;

/// Whether a plan over a table reads the moment that its execution pins.
pub(crate) type FollowsPin<'a> = &'a (dyn Fn(&dyn TableProvider) -> bool + Sync);

/// A physical plan for every moment until a table changes.
#[derive(Debug)]
pub(crate) struct KeptPlan(Arc<dyn ExecutionPlan>);

impl KeptPlan {
    /// The physical plan of an optimized one; none if it can't be kept, whatever the reason.
    pub(crate) async fn new(
        state: &SessionState,
        plan: &LogicalPlan,
        follows_pin: FollowsPin<'_>,
    ) -> Option<Self> {
        if !may_be_kept(plan, follows_pin).ok()? {
            return None;
        }
        let plan = plan.clone().transform_up(with_parameters).data().ok()?;
        let physical = state.query_planner().create_physical_plan(&plan, state).await.ok()?;
        let physical = with_plain_text(physical).ok()?;
        is_rerunnable(&physical).ok()?.then_some(Self(physical))
    }

    /// Runs it at the moment of `context`, with `values` as its parameters.
    pub(crate) fn start(
        &self,
        values: &[ScalarValue],
        context: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        named_file::execute(anew(&self.0, values)?, context)
    }
}

/// Whether every table is read at the moment of the execution, and nothing is remembered in between.
fn may_be_kept(plan: &LogicalPlan, follows_pin: FollowsPin<'_>) -> DataFusionResult<bool> {
    let mut may_be_kept = true;
    plan.apply(|node| {
        may_be_kept &= match node {
            LogicalPlan::TableScan(scan) => follows_pin(source_as_provider(&scan.source)?.as_ref()),
            LogicalPlan::RecursiveQuery(_) | LogicalPlan::Extension(_) => false,
            _ => true,
        };
        node.apply_expressions(|expression| {
            may_be_kept &= !expression.exists(|part| Ok(is_subquery(part)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if may_be_kept { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(may_be_kept)
}

const fn is_subquery(expression: &Expr) -> bool {
    matches!(
        expression,
        Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
    )
}

/// The node with functions where parameters are: the physical planner knows no parameters.
fn with_parameters(plan: LogicalPlan) -> DataFusionResult<Transformed<LogicalPlan>> {
    plan.map_expressions(|expression| {
        expression.transform_up(|part| match part {
            Expr::Placeholder(placeholder) => Ok(Transformed::yes(Parameter::new(placeholder)?.call())),
            other => Ok(Transformed::no(other)),
        })
    })
}

/// Whether the plan reads the moment and the values of each execution, and shares nothing between two.
fn is_rerunnable(plan: &Arc<dyn ExecutionPlan>) -> DataFusionResult<bool> {
    let is_known_leaf = plan.is::<HotRowsExec>()
        || plan.is::<LookupExec>()
        || plan.is::<EmptyExec>()
        || plan.is::<PlaceholderRowExec>()
        || fresh_file_scan(plan)?.is_some();
    if plan.children().is_empty() && !is_known_leaf {
        return Ok(false);
    }
    let takes_values = plan.is::<FilterExec>() || plan.is::<ProjectionExec>() || plan.is::<LookupExec>();
    let mut rerunnable = true;
    plan.apply_expressions(&mut |expression| {
        // A filter that one execution sharpens would leave out rows of the next.
        rerunnable &= !expression.exists(|part| {
            Ok(part.is::<DynamicFilterPhysicalExpr>() || !takes_values && parameter(part).is_some())
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    for child in plan.children() {
        rerunnable = rerunnable && is_rerunnable(child)?;
    }
    Ok(rerunnable)
}

/// The plan with counters and states of its own, and values in the place of parameters.
fn anew(plan: &Arc<dyn ExecutionPlan>, values: &[ScalarValue]) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    if let Some(lookup) = plan.downcast_ref::<LookupExec>() {
        return Ok(Arc::new(lookup.with_texts(|text| bound(text, values))?));
    }
    if let Some(scan) = fresh_file_scan(plan)? {
        return Ok(scan);
    }
    let children = plan.children().into_iter().map(|child| anew(child, values));
    let children = children.collect::<DataFusionResult<Vec<_>>>()?;
    if let (Some(filter), [input]) = (plan.downcast_ref::<FilterExec>(), children.as_slice())
        && has_parameter(filter.predicate())?
    {
        let predicate = bound(filter.predicate(), values)?;
        let filter = FilterExecBuilder::from(filter).with_predicate(predicate);
        return Ok(Arc::new(filter.with_input(Arc::clone(input)).build()?));
    }
    if let (Some(projection), [input]) = (plan.downcast_ref::<ProjectionExec>(), children.as_slice()) {
        let columns = projection.expr().iter().map(|column| {
            Ok(ProjectionExpr { expr: bound(&column.expr, values)?, alias: column.alias.clone() })
        });
        let columns = columns.collect::<DataFusionResult<Vec<_>>>()?;
        return Ok(Arc::new(ProjectionExec::try_new(columns, Arc::clone(input))?));
    }
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
    Arc::clone(plan).replace_children(children, options)?.reset_state()
}

/// The expression with values in the place of parameters.
fn bound(
    expression: &Arc<dyn PhysicalExpr>,
    values: &[ScalarValue],
) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
    let bind = |part: Arc<dyn PhysicalExpr>| match parameter(&part) {
        Some(Parameter { number, .. }) => match values.get(number - 1) {
            Some(value) => Ok(Transformed::yes(Arc::new(Literal::new(value.clone())) as _)),
            None => internal_err!("parameter {number} has no value"),
        },
        None => Ok(Transformed::no(part)),
    };
    Arc::clone(expression).transform_up(bind).data()
}

fn has_parameter(expression: &Arc<dyn PhysicalExpr>) -> DataFusionResult<bool> {
    expression.exists(|part| Ok(parameter(part).is_some()))
}

fn parameter(expression: &Arc<dyn PhysicalExpr>) -> Option<&Parameter> {
    expression.downcast_ref::<ScalarFunctionExpr>()?.fun().inner().downcast_ref::<Parameter>()
}

/// Stands for the value of a parameter in a physical plan.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Parameter {
    /// `$1`, `$2`, ...
    id: String,
    number: usize,
    data_type: DataType,
    signature: Signature,
}

impl Parameter {
    fn new(Placeholder { id, field }: Placeholder) -> DataFusionResult<Self> {
        let number = id.strip_prefix('$').and_then(|number| number.parse().ok()).filter(|number| *number > 0);
        let data_type = field.as_ref().map(|field: &FieldRef| field.data_type().clone());
        let (Some(number), Some(data_type)) = (number, data_type) else {
            return not_impl_err!("parameter {id} has no type");
        };
        // Volatile, so that nobody takes it for a constant.
        Ok(Self { id, number, data_type, signature: Signature::nullary(Volatility::Volatile) })
    }

    fn call(self) -> Expr {
        ScalarUDF::new_from_impl(self).call(Vec::new())
    }
}

impl ScalarUDFImpl for Parameter {
    fn name(&self) -> &str {
        &self.id
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(self.data_type.clone())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        internal_err!("parameter {} has no value", self.id)
    }
}

#[cfg(test)]
mod tests;
