//! The plan node that gives a telemetry table's rows in memory.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DataFusionResult, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{
    Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, StatisticsArgs,
};
use pintail_types::{STORAGE_VOLUME, TelemetryTable};

use crate::cut::Cut;
use crate::rows::{conform, plain_text};
use crate::table::external;

/// What [`STORAGE_VOLUME`] says of rows in memory.
pub(crate) const BUFFER: &str = "buffer";

/// The hot rows of the cut that an execution brings, so that the plan holds for the next one too.
#[derive(Debug, Clone)]
pub struct HotRowsExec {
    table: TelemetryTable,
    /// The cut of an execution that brings none.
    own: Option<Arc<Cut>>,
    /// Rows when it was planned; when it runs there may be others.
    rows: usize,
    properties: Arc<PlanProperties>,
}

impl HotRowsExec {
    /// The columns of `schema`, in `partitions` shares. With its `own` cut it reads that one.
    pub(crate) fn new(
        table: TelemetryTable,
        schema: SchemaRef,
        partitions: usize,
        planned: &Cut,
        own: Option<Arc<Cut>>,
    ) -> Self {
        let rows = planned.hot.batches(table, planned.flushed).iter().map(RecordBatch::num_rows).sum();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions.max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self { table, own, rows, properties: Arc::new(properties) }
    }

    /// The same rows with their text as it lies in memory, of which no view has to be made.
    pub(crate) fn with_plain_text(&self) -> Self {
        let schema = self.schema();
        self.with_schema(plain_text(&schema, &schema))
    }

    /// The same rows with these of its columns.
    ///
    /// # Errors
    /// For a column that it does not have.
    pub fn with_columns(&self, columns: &[usize]) -> DataFusionResult<Self> {
        Ok(self.with_schema(Arc::new(self.schema().project(columns)?)))
    }

    fn with_schema(&self, schema: SchemaRef) -> Self {
        let properties = PlanProperties::clone(&self.properties);
        let properties = properties.with_eq_properties(EquivalenceProperties::new(schema));
        Self { properties: Arc::new(properties), ..self.clone() }
    }

    fn cut(&self, context: &TaskContext) -> DataFusionResult<Arc<Cut>> {
        let cut = self.own.clone().or_else(|| context.session_config().get_extension::<Cut>());
        cut.ok_or_else(|| DataFusionError::Internal("no moment of the lake is pinned".to_owned()))
    }
}

/// The columns of `schema`, with the place of the rows if it is among them.
fn hot_batch(batch: &RecordBatch, schema: &SchemaRef) -> DataFusionResult<RecordBatch> {
    let conformed = conform(batch, schema).map_err(external)?;
    let Ok(index) = schema.index_of(STORAGE_VOLUME) else { return Ok(conformed) };
    let mut values = conformed.columns().to_vec();
    values[index] =
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(BUFFER, batch.num_rows()))) as ArrayRef;
    Ok(RecordBatch::try_new(Arc::clone(schema), values)?)
}

impl DisplayAs for HotRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let partitions = self.properties.partitioning.partition_count();
        write!(f, "HotRowsExec: table={}, partitions={partitions}", self.table.name())
    }
}

impl ExecutionPlan for HotRowsExec {
    fn name(&self) -> &'static str {
        "HotRowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let cut = self.cut(&context)?;
        let batches = cut.hot.batches(self.table, cut.flushed);
        let share = batches.len().div_ceil(self.properties.partitioning.partition_count()).max(1);
        let schema = self.schema();
        let own = batches.into_iter().skip(partition * share).take(share);
        let rows = own.map({
            let schema = Arc::clone(&schema);
            move |batch| hot_batch(&batch, &schema)
        });
        let stream = RecordBatchStreamAdapter::new(schema, futures::stream::iter(rows));
        Ok(Box::pin(cooperative(stream)))
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> DataFusionResult<Arc<Statistics>> {
        let partitions = self.properties.partitioning.partition_count();
        let share = if args.partition().is_some() { partitions } else { 1 };
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = Precision::Inexact(self.rows.div_ceil(share));
        Ok(Arc::new(statistics))
    }
}
