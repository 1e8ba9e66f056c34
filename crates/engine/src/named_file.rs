//! Which file a query failed on: the Parquet reader does not say.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result as DataFusionResult};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::DefaultParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, ParquetFileReaderFactory as _, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::object_store::ObjectStore;
use datafusion::parquet::arrow::ParquetRecordBatchStreamBuilder;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use pintail_types::{Error, ErrorKind};

use crate::error::from_datafusion;

/// Files that are looked into after a failure, at most.
const MAX_FILES: usize = 10_000;

/// Their bytes that are read to the end, at most.
const MAX_BYTES: u64 = 1 << 30;

/// Runs a plan. When what a file holds is damaged, the error names it.
pub(crate) fn execute(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
) -> DataFusionResult<SendableRecordBatchStream> {
    let batches = execute_stream(Arc::clone(&plan), Arc::clone(&context))?;
    let schema = batches.schema();
    let named = batches.then(move |item| {
        let failed = item.as_ref().is_err_and(|error| from_datafusion(error).kind() == ErrorKind::Corrupt);
        let at = failed.then(|| (Arc::clone(&plan), Arc::clone(&context)));
        async move {
            let (Err(error), Some((plan, context))) = (&item, at) else { return item };
            match damaged(&plan, &context).await {
                Some(location) => Err(DataFusionError::External(Box::new(Error::corrupt(format!(
                    "data file {location} is damaged: {}; other queries go on, and pintail lake fsck looks at all files",
                    from_datafusion(error).message()
                ))))),
                None => item,
            }
        }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, named)))
}

/// The first file of a plan that can't be read: first by its metadata, then by all that it holds.
async fn damaged(plan: &Arc<dyn ExecutionPlan>, context: &TaskContext) -> Option<String> {
    let mut files = Vec::new();
    files_of(plan, context, &mut files);
    files.truncate(MAX_FILES);
    for (store, file) in &files {
        if open(store, file).await.is_err() {
            return Some(file.object_meta.location.to_string());
        }
    }
    let mut bytes = 0;
    for (store, file) in &files {
        bytes += file.object_meta.size;
        if bytes > MAX_BYTES {
            return None;
        }
        if read(store, file).await.is_err() {
            return Some(file.object_meta.location.to_string());
        }
    }
    None
}

type File = (Arc<dyn ObjectStore>, PartitionedFile);

fn files_of(plan: &Arc<dyn ExecutionPlan>, context: &TaskContext, files: &mut Vec<File>) {
    for child in plan.children() {
        files_of(child, context, files);
    }
    let Some((scan, _)) = parquet_scan(plan.as_ref()) else { return };
    let Ok(store) = context.runtime_env().object_store(&scan.object_store_url) else { return };
    let of_scan = scan.file_groups.iter().flat_map(FileGroup::iter);
    files.extend(of_scan.map(|file| (Arc::clone(&store), file.clone())));
}

fn parquet_scan(plan: &dyn ExecutionPlan) -> Option<(&FileScanConfig, &ParquetSource)> {
    plan.downcast_ref::<DataSourceExec>()?.downcast_to_file_source::<ParquetSource>()
}

async fn open(
    store: &Arc<dyn ObjectStore>,
    file: &PartitionedFile,
) -> DataFusionResult<ParquetRecordBatchStreamBuilder<Box<dyn AsyncFileReader>>> {
    let readers = DefaultParquetFileReaderFactory::new(Arc::clone(store));
    let metrics = ExecutionPlanMetricsSet::new();
    let reader: Box<dyn AsyncFileReader> = readers.create_reader(0, file.clone(), None, &metrics)?;
    Ok(ParquetRecordBatchStreamBuilder::new(reader).await?)
}

async fn read(store: &Arc<dyn ObjectStore>, file: &PartitionedFile) -> DataFusionResult<()> {
    let mut batches = open(store, file).await?.build()?;
    while let Some(batch) = batches.next().await {
        batch?;
    }
    Ok(())
}
