//! A plan that is kept between executions, with as much of the work done as the next one may use.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Result as DataFusionResult, ScalarValue};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use pintail_lake::with_plain_text;
use tokio::sync::OnceCell;

use crate::kept_plan::{FollowsPin, KeptPlan};
use crate::named_file;

/// A plan that can be run again and again, each time with other values for its parameters.
#[derive(Debug)]
pub(crate) enum ReadyPlan {
    /// One row of constants, which needs no run.
    Row(RecordBatch),
    /// Ready to run: it reads no table and has no parameter.
    Physical(Arc<dyn ExecutionPlan>),
    /// Optimized once: nothing in it depends on when it runs. The physical plan is kept from the first execution on,
    /// if it can be.
    Optimized(LogicalPlan, OnceCell<Option<KeptPlan>>),
    /// Optimized at each execution: `now()` and its like become constants then, and a limit that is a parameter
    /// decides how rows are sorted.
    AsWritten(LogicalPlan),
}

impl ReadyPlan {
    pub(crate) async fn new(state: &SessionState, plan: LogicalPlan) -> DataFusionResult<Self> {
        if depends_on_execution(&plan)? {
            return Ok(Self::AsWritten(plan));
        }
        let plan = state.optimize(&plan)?;
        if !is_constant(&plan)? {
            return Ok(Self::Optimized(plan, OnceCell::new()));
        }
        let plan = state.query_planner().create_physical_plan(&plan, state).await?;
        Ok(constant_row(&plan)?.map_or(Self::Physical(plan), Self::Row))
    }

    /// The schema of the plan, before types are made those of the wire.
    pub(crate) fn schema(&self) -> SchemaRef {
        match self {
            Self::Row(row) => row.schema(),
            Self::Physical(plan) => plan.schema(),
            Self::Optimized(plan, _) | Self::AsWritten(plan) => Arc::clone(plan.schema().inner()),
        }
    }

    /// Runs it with `values` as its parameters.
    pub(crate) async fn start(
        &self,
        state: &SessionState,
        values: Vec<ScalarValue>,
        context: Arc<TaskContext>,
        follows_pin: FollowsPin<'_>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        if let Self::Optimized(plan, kept) = self {
            let kept = kept.get_or_init(|| KeptPlan::new(state, plan, follows_pin)).await;
            if let Some(kept) = kept {
                return kept.start(&values, context);
            }
        }
        named_file::execute(with_plain_text(self.physical(state, values).await?)?, context)
    }

    /// The plan that the first execution has made, if it holds for the next.
    pub(crate) fn kept(&self) -> Option<&KeptPlan> {
        match self {
            Self::Optimized(_, kept) => kept.get()?.as_ref(),
            Self::Row(_) | Self::Physical(_) | Self::AsWritten(_) => None,
        }
    }

    /// The row, if it is one of constants.
    pub(crate) const fn row(&self) -> Option<&RecordBatch> {
        match self {
            Self::Row(row) => Some(row),
            Self::Physical(_) | Self::Optimized(..) | Self::AsWritten(_) => None,
        }
    }

    /// Whether it runs in any moment, without one having to be chosen.
    pub(crate) const fn is_timeless(&self) -> bool {
        matches!(self, Self::Row(_) | Self::Physical(_))
    }

    async fn physical(
        &self,
        state: &SessionState,
        values: Vec<ScalarValue>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        match self {
            Self::Row(row) => Ok(MemorySourceConfig::try_new_exec(&[vec![row.clone()]], row.schema(), None)?),
            Self::Physical(plan) => reset_plan_states(Arc::clone(plan)),
            Self::AsWritten(plan) => state.create_physical_plan(&bound(plan, values)?).await,
            Self::Optimized(plan, _) if values.is_empty() => {
                state.query_planner().create_physical_plan(plan, state).await
            }
            Self::Optimized(plan, _) => {
                let plan = simplified(state, bound(plan, values)?)?;
                state.query_planner().create_physical_plan(&plan, state).await
            }
        }
    }
}

/// The row of a plan that has nothing but literals.
fn constant_row(plan: &Arc<dyn ExecutionPlan>) -> DataFusionResult<Option<RecordBatch>> {
    let Some(projection) = plan.downcast_ref::<ProjectionExec>() else { return Ok(None) };
    if !projection.input().is::<PlaceholderRowExec>() {
        return Ok(None);
    }
    let literals = projection.expr().iter().map(|column| column.expr.downcast_ref::<Literal>());
    let Some(literals) = literals.collect::<Option<Vec<_>>>() else { return Ok(None) };
    let values = literals.into_iter().map(|literal| literal.value().to_array());
    let values = values.collect::<DataFusionResult<Vec<_>>>()?;
    Ok(Some(RecordBatch::try_new(plan.schema(), values)?))
}

fn bound(plan: &LogicalPlan, values: Vec<ScalarValue>) -> DataFusionResult<LogicalPlan> {
    match values.is_empty() {
        true => Ok(plan.clone()),
        false => plan.clone().replace_params_with_values(&values.into()),
    }
}

/// Folds what the values made constant, so that scans can leave files out by it.
fn simplified(state: &SessionState, plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![Arc::new(SimplifyExpressions::new())];
    Optimizer::with_rules(rules).optimize(plan, state, |_, _| {})
}

fn depends_on_execution(plan: &LogicalPlan) -> DataFusionResult<bool> {
    let mut depends = false;
    plan.apply_with_subqueries(|node| {
        depends |= match node {
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) => true,
            LogicalPlan::Limit(limit) => {
                [&limit.skip, &limit.fetch].into_iter().flatten().any(|rows| has_placeholder(rows))
            }
            _ => false,
        };
        node.apply_expressions(|expression| {
            depends |= expression.exists(|part| Ok(is_stable_function(part)))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if depends { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(depends)
}

/// Whether it gives the same rows whenever it runs, but for functions such as `random()`, which are run each time.
fn is_constant(plan: &LogicalPlan) -> DataFusionResult<bool> {
    let mut constant = true;
    plan.apply_with_subqueries(|node| {
        constant &= !matches!(
            node,
            LogicalPlan::TableScan(_) | LogicalPlan::RecursiveQuery(_) | LogicalPlan::Extension(_)
        );
        node.apply_expressions(|expression| {
            constant &= !has_placeholder(expression);
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if constant { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(constant)
}

fn has_placeholder(expression: &Expr) -> bool {
    expression.exists(|part| Ok(matches!(part, Expr::Placeholder(_)))).unwrap_or(true)
}

/// Whether it is one value during an execution and may be another one in the next.
fn is_stable_function(expression: &Expr) -> bool {
    matches!(expression, Expr::ScalarFunction(call) if call.func.signature().volatility == Volatility::Stable)
}
