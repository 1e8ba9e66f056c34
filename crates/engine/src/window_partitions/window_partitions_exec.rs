//! The plan node that evaluates window functions over whole partitions.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch};
use datafusion::arrow::compute::{concat, concat_batches, partition};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::BoundedWindowAggExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements,
    InputOrderMode, PlanProperties, ReplaceChildrenOptions, WindowExpr,
};
use futures::{StreamExt, TryStreamExt};

use super::rest_exec::RestExec;

/// Rows of partitions that have not ended. When there are more, all that follows is left to the node that keeps states
/// instead of rows.
const MAX_HELD_ROWS: usize = 1 << 16;

/// Evaluates the window functions of a [`BoundedWindowAggExec`] whose partitions come one behind the other.
#[derive(Debug)]
pub(super) struct WindowPartitionsExec {
    /// The node that does the same batch by batch.
    bounded: Arc<dyn ExecutionPlan>,
    functions: Arc<[Arc<dyn WindowExpr>]>,
    input: Arc<dyn ExecutionPlan>,
    metrics: ExecutionPlanMetricsSet,
}

impl WindowPartitionsExec {
    pub(super) fn new(window: &BoundedWindowAggExec) -> DataFusionResult<Self> {
        let input = Arc::clone(window.input());
        let bounded = bounded(window.window_expr(), &input)?;
        Ok(Self {
            bounded,
            functions: window.window_expr().into(),
            input,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

fn bounded(
    functions: &[Arc<dyn WindowExpr>],
    input: &Arc<dyn ExecutionPlan>,
) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    let input = Arc::clone(input);
    Ok(Arc::new(BoundedWindowAggExec::try_new(functions.to_vec(), input, InputOrderMode::Sorted, true)?))
}

/// One partition of the plan, as it runs.
struct Running {
    rows: SendableRecordBatchStream,
    /// What has not been evaluated yet: the last partition may go on.
    held: Vec<RecordBatch>,
    held_rows: usize,
    /// What is left to the other node.
    rest: Option<SendableRecordBatchStream>,
    functions: Arc<[Arc<dyn WindowExpr>]>,
    input: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    context: Arc<TaskContext>,
    metrics: BaselineMetrics,
}

impl Running {
    async fn next(&mut self) -> DataFusionResult<Option<RecordBatch>> {
        loop {
            if let Some(rest) = &mut self.rest {
                return rest.try_next().await;
            }
            let Some(batch) = self.rows.try_next().await? else { return self.evaluated() };
            let Some(last) = self.partitions(&batch)?.pop() else { continue };
            if last.start == 0 {
                self.hold(batch);
                if self.held_rows > MAX_HELD_ROWS {
                    self.leave_the_rest()?;
                }
                continue;
            }
            self.hold(batch.slice(0, last.start));
            let evaluated = self.evaluated()?;
            self.hold(batch.slice(last.start, last.len()));
            return Ok(evaluated);
        }
    }

    fn hold(&mut self, batch: RecordBatch) {
        self.held_rows += batch.num_rows();
        self.held.push(batch);
    }

    /// What is held, with the values of the functions; none if nothing is held.
    fn evaluated(&mut self) -> DataFusionResult<Option<RecordBatch>> {
        let held = std::mem::take(&mut self.held);
        self.held_rows = 0;
        if held.is_empty() {
            return Ok(None);
        }
        let _timer = self.metrics.elapsed_compute().timer();
        let rows = concat_batches(&self.input.schema(), &held)?;
        let partitions = self.partitions(&rows)?;
        let mut columns = rows.columns().to_vec();
        for function in self.functions.iter() {
            let values =
                partitions.iter().map(|range| function.evaluate(&rows.slice(range.start, range.len())));
            let values = values.collect::<DataFusionResult<Vec<ArrayRef>>>()?;
            let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
            columns.push(concat(&values)?);
        }
        let evaluated = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        self.metrics.record_output(evaluated.num_rows());
        Ok(Some(evaluated))
    }

    /// Where the partitions of the rows lie.
    fn partitions(&self, rows: &RecordBatch) -> DataFusionResult<Vec<Range<usize>>> {
        let keys = self.functions.first().map(|function| function.partition_by()).unwrap_or_default();
        let keys = keys.iter().map(|key| key.evaluate(rows)?.into_array(rows.num_rows()));
        let keys = keys.collect::<DataFusionResult<Vec<_>>>()?;
        Ok(partition(&keys)?.ranges())
    }

    fn leave_the_rest(&mut self) -> DataFusionResult<()> {
        let schema = self.input.schema();
        let read = futures::stream::iter(std::mem::take(&mut self.held).into_iter().map(Ok));
        let none = RecordBatchStreamAdapter::new(Arc::clone(&schema), futures::stream::empty());
        let unread = std::mem::replace(&mut self.rows, Box::pin(none));
        let rest = RecordBatchStreamAdapter::new(schema, read.chain(unread));
        let rest: Arc<dyn ExecutionPlan> = Arc::new(RestExec::new(Box::pin(rest), &self.input));
        self.rest = Some(bounded(&self.functions, &rest)?.execute(0, Arc::clone(&self.context))?);
        Ok(())
    }
}

impl DisplayAs for WindowPartitionsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.functions.iter().map(|function| function.name()).collect();
        write!(f, "WindowPartitionsExec: [{}]", names.join(", "))
    }
}

impl ExecutionPlan for WindowPartitionsExec {
    fn name(&self) -> &'static str {
        "WindowPartitionsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.bounded.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.bounded.input_distribution_requirements()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.bounded.required_input_ordering()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        self.bounded.apply_expressions(visit)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return Err(DataFusionError::Internal("WindowPartitionsExec has one input".to_owned()));
        };
        let bounded = bounded(&self.functions, &input)?;
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Arc::new(Self { bounded, functions: Arc::clone(&self.functions), input, metrics }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let running = Running {
            rows: self.input.execute(partition, Arc::clone(&context))?,
            held: Vec::new(),
            held_rows: 0,
            rest: None,
            functions: Arc::clone(&self.functions),
            input: Arc::clone(&self.input),
            schema: self.schema(),
            context,
            metrics: BaselineMetrics::new(&self.metrics, partition),
        };
        let rows = futures::stream::try_unfold(running, async |mut running| {
            Ok(running.next().await?.map(|batch| (batch, running)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
