//! The plan node that looks rows up by an index when it runs.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchema, DataFusionError, Result as DataFusionResult};
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, EmptyRecordBatchStream, ExecutionPlan, Partitioning, PlanProperties,
    execute_stream,
};
use futures::TryStreamExt;

use crate::row_index::{LookedForTexts, Lookup, files_of};
use crate::volume::Volume;

/// What is looked for, as the node has it.
#[derive(Debug, Clone)]
pub(crate) struct LookedFor {
    column: String,
    column_id: i64,
    texts: Vec<Arc<dyn PhysicalExpr>>,
    /// The ids of all columns of the table.
    column_ids: Arc<HashMap<String, i64>>,
}

impl LookedFor {
    /// None if the table does not have the column.
    pub(crate) fn new(
        state: &dyn Session,
        lookup: Lookup,
        column_ids: Arc<HashMap<String, i64>>,
    ) -> DataFusionResult<Option<Self>> {
        let Some(column_id) = column_ids.get(&lookup.column).copied() else { return Ok(None) };
        let no_column = DFSchema::empty();
        let texts = lookup.texts.into_iter().map(|text| state.create_physical_expr(text, &no_column));
        let texts = texts.collect::<DataFusionResult<_>>()?;
        Ok(Some(Self { column: lookup.column, column_id, texts, column_ids }))
    }
}

/// Reads the rows whose text in one column is among some, and perhaps a few others, out of a table's files.
///
/// The texts may be known only when it runs, so the same node serves every value of a parameter.
#[derive(Debug, Clone)]
pub struct LookupExec {
    volume: Arc<Volume>,
    /// The scan of all files. It is no child: planners would fit it for a scan of all rows.
    scan: Arc<dyn ExecutionPlan>,
    looked_for: LookedFor,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl LookupExec {
    /// It does its work in the first of `partitions`: planners put an exchange of rows above fewer than they want.
    pub(crate) fn new(
        volume: Arc<Volume>,
        scan: Arc<dyn ExecutionPlan>,
        looked_for: LookedFor,
        partitions: usize,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(scan.schema()),
            Partitioning::UnknownPartitioning(partitions.max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Self { volume, scan, looked_for, properties: Arc::new(properties), metrics }
    }

    /// The node that looks for what `replace` makes of the expressions of its texts.
    ///
    /// # Errors
    /// Those of `replace`.
    pub fn with_texts(
        &self,
        replace: impl Fn(&Arc<dyn PhysicalExpr>) -> DataFusionResult<Arc<dyn PhysicalExpr>>,
    ) -> DataFusionResult<Self> {
        let mut replaced = Self { metrics: ExecutionPlanMetricsSet::new(), ..self.clone() };
        for text in &mut replaced.looked_for.texts {
            *text = replace(text)?;
        }
        Ok(replaced)
    }

    /// Runs the scan of what the indexes find.
    async fn look_up(
        self,
        files: Count,
        context: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let texts = self.looked_for.texts.iter().filter_map(|text| value_of(text).transpose());
        let texts = texts.collect::<DataFusionResult<Vec<String>>>()?;
        let (indexes, store) = (&self.volume.row_indexes, &self.volume.store);
        let LookedFor { column_id, column_ids, .. } = &self.looked_for;
        let looked_for = LookedForTexts { column_id: *column_id, texts: &texts, column_ids };
        let narrowed = indexes.narrowed(store, &self.scan, looked_for, &context).await?;
        let scan = narrowed.unwrap_or(self.scan);
        let cache = context.runtime_env().cache_manager.get_file_metadata_cache();
        for file in files_of(&scan) {
            files.add(1);
            // With the places of its pages known, only those that hold the rows are read.
            DFParquetMetadata::new(store.as_ref(), &file.object_meta)
                .with_file_metadata_cache(Some(Arc::clone(&cache)))
                .fetch_metadata()
                .await?;
        }
        execute_stream(scan, context)
    }
}

/// The text that an expression gives; none if it is null.
fn value_of(expression: &Arc<dyn PhysicalExpr>) -> DataFusionResult<Option<String>> {
    let no_row = RecordBatch::new_empty(Arc::new(Schema::empty()));
    match expression.evaluate(&no_row)? {
        ColumnarValue::Scalar(value) => {
            let text = cast(&value.to_array()?, &DataType::Utf8)?;
            Ok(text.as_string::<i32>().iter().next().flatten().map(str::to_owned))
        }
        ColumnarValue::Array(_) => {
            Err(DataFusionError::Internal("what is looked for is not one value".to_owned()))
        }
    }
}

impl DisplayAs for LookupExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LookedFor { column, texts, .. } = &self.looked_for;
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        write!(f, "LookupExec: {column} IN ({})", texts.join(", "))
    }
}

impl ExecutionPlan for LookupExec {
    fn name(&self) -> &'static str {
        "LookupExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        let mut recursion = TreeNodeRecursion::Continue;
        for text in &self.looked_for.texts {
            recursion = recursion.visit_sibling(|| visit(text))?;
        }
        Ok(recursion)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self { metrics: ExecutionPlanMetricsSet::new(), ..Self::clone(&self) }))
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
        if partition > 0 {
            return Ok(Box::pin(EmptyRecordBatchStream::new(self.schema())));
        }
        let files = MetricBuilder::new(&self.metrics).counter("files_read", partition);
        let rows = futures::stream::once(self.clone().look_up(files, context)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), Box::pin(rows))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
