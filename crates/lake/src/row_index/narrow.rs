//! Scans of files, cut down to the rows that an index found.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{Result as DataFusionResult, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, Partitioning, ReplaceChildrenOptions, collect,
};
use object_store::path::Path;

use super::decoded::{DecodedFiles, Key, taken};
use super::kept::Indexes;
use crate::parquet_files::ROW_GROUP_ROWS;

/// The Parquet files that a scan reads.
pub(crate) fn files_of(scan: &Arc<dyn ExecutionPlan>) -> Vec<&PartitionedFile> {
    let mut files = Vec::new();
    collect_files(scan, &mut files);
    files
}

fn collect_files<'a>(plan: &'a Arc<dyn ExecutionPlan>, files: &mut Vec<&'a PartitionedFile>) {
    if let Some((config, _)) = parquet_scan(plan.as_ref()) {
        files.extend(config.file_groups.iter().flat_map(FileGroup::iter));
    }
    plan.children().into_iter().for_each(|child| collect_files(child, files));
}

/// The same, each with its number of rows; none if the number is not known of one of them.
pub(super) fn counted_files_of(scan: &Arc<dyn ExecutionPlan>) -> Option<Vec<(&PartitionedFile, usize)>> {
    let rows = |file: &PartitionedFile| file.statistics.as_ref()?.num_rows.get_value().copied();
    files_of(scan).into_iter().map(|file| Some((file, rows(file)?))).collect()
}

/// Whether the node is a scan of Parquet files.
pub fn is_file_scan(plan: &Arc<dyn ExecutionPlan>) -> bool {
    parquet_scan(plan.as_ref()).is_some()
}

/// A scan of Parquet files, and what reads them; none if the node is no such scan.
pub(crate) fn parquet_scan(plan: &dyn ExecutionPlan) -> Option<(&FileScanConfig, &ParquetSource)> {
    plan.downcast_ref::<DataSourceExec>()?.downcast_to_file_source::<ParquetSource>()
}

/// A search for texts in the files of a scan.
pub(super) struct Search<'a> {
    /// Files without any of the texts.
    pub(super) absent: HashSet<Path>,
    pub(super) indexes: Indexes,
    /// What the indexes know the texts by.
    pub(super) hashes: Vec<u32>,
    pub(super) decoded: &'a DecodedFiles,
    pub(super) column_ids: &'a HashMap<String, i64>,
    pub(super) context: &'a Arc<TaskContext>,
}

impl Search<'_> {
    /// The scan of the rows that are found. Files without an index are read whole.
    pub(super) async fn narrowed(
        &self,
        plan: &Arc<dyn ExecutionPlan>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        if let Some((config, source)) = parquet_scan(plan.as_ref()) {
            return self.narrowed_scan(config, source, &plan.schema()).await;
        }
        let mut children = Vec::with_capacity(plan.children().len());
        for child in plan.children() {
            children.push(Box::pin(self.narrowed(child)).await?);
        }
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Arc::clone(plan).replace_children(children, options)
    }

    async fn narrowed_scan(
        &self,
        config: &FileScanConfig,
        source: &ParquetSource,
        schema: &SchemaRef,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let columns = self.column_names(schema);
        let (mut files, mut rows) = (Vec::new(), Vec::new());
        for file in config.file_groups.iter().flat_map(FileGroup::iter) {
            if self.absent.contains(&file.object_meta.location) {
                continue;
            }
            let Some(index) = self.indexes.get(&file.object_meta.location) else {
                files.push(without_statistics(file));
                continue;
            };
            let found = index.rows(&self.hashes);
            if found.is_empty() {
                continue;
            }
            match self.decoded_rows(config, source, file, columns.as_ref()).await? {
                Some(all) => rows.extend(taken(&all, &found)?),
                None => {
                    let selection = ParquetRowSelection::new(index.selection(&found));
                    files.push(without_statistics(file).with_extension(selection));
                }
            }
        }
        if rows.is_empty() {
            return scan_of(config, source, files);
        }
        let kept: Arc<dyn ExecutionPlan> =
            MemorySourceConfig::try_new_exec(&[rows], Arc::clone(schema), None)?;
        if files.is_empty() {
            return Ok(kept);
        }
        UnionExec::try_new(vec![kept, scan_of(config, source, files)?])
    }

    /// All rows of a file, if they are kept or worth it.
    async fn decoded_rows(
        &self,
        config: &FileScanConfig,
        source: &ParquetSource,
        file: &PartitionedFile,
        columns: Option<&Arc<str>>,
    ) -> DataFusionResult<Option<Arc<Vec<RecordBatch>>>> {
        let Some(columns) = columns else { return Ok(None) };
        let key = Key { file: file.object_meta.location.clone(), columns: Arc::clone(columns) };
        let decode = async {
            // Batches as large as row groups: a dictionary is counted once.
            let session = self.context.session_config().clone().with_batch_size(ROW_GROUP_ROWS);
            let context =
                TaskContext::default().with_session_config(session).with_runtime(self.context.runtime_env());
            collect(scan_of(config, source, vec![without_statistics(file)])?, Arc::new(context)).await
        };
        self.decoded.rows(&key, decode).await
    }

    /// The columns with their ids: the same name may be another column after a change. None if one holds columns of
    /// its own, whose ids are not known here.
    fn column_names(&self, schema: &Schema) -> Option<Arc<str>> {
        let column = |field: &Arc<Field>| {
            let id = self.column_ids.get(field.name());
            (!field.data_type().is_nested())
                .then(|| format!("{}\0{id:?}\0{}\0", field.name(), field.data_type()))
        };
        schema.fields().iter().map(column).collect::<Option<String>>().map(Arc::from)
    }
}

/// The scan of some of the files.
fn scan_of(
    config: &FileScanConfig,
    source: &ParquetSource,
    files: Vec<PartitionedFile>,
) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    let is_indexed = |file: &PartitionedFile| file.extension::<ParquetRowSelection>().is_some();
    // Few rows are not worth a second thread; files that are read whole are, and the planner sees to it.
    let together = files.iter().all(is_indexed).then_some(Partitioning::UnknownPartitioning(1));
    let scan = FileScanConfigBuilder::from(config.clone())
        .with_source(fresh(source)?)
        .with_file_groups(vec![FileGroup::new(files)])
        .with_output_partitioning(together)
        .with_statistics(Statistics::new_unknown(config.file_source.table_schema().table_schema()));
    Ok(DataSourceExec::from_data_source(scan.build()))
}

/// The file without what is known of all its rows together.
fn without_statistics(file: &PartitionedFile) -> PartitionedFile {
    let mut file = file.clone();
    file.statistics = None;
    file
}

/// The scan of the same Parquet files with counters of its own, for a plan that runs again; none if the node is no such
/// scan.
///
/// # Errors
/// When the scan can't be made again.
pub fn fresh_file_scan(scan: &Arc<dyn ExecutionPlan>) -> DataFusionResult<Option<Arc<dyn ExecutionPlan>>> {
    let Some((config, source)) = parquet_scan(scan.as_ref()) else { return Ok(None) };
    let fresh = FileScanConfigBuilder::from(config.clone()).with_source(fresh(source)?);
    Ok(Some(DataSourceExec::from_data_source(fresh.build())))
}

/// The source with counters of its own: a plan that is kept must not collect those of every execution.
fn fresh(source: &ParquetSource) -> DataFusionResult<Arc<dyn FileSource>> {
    let mut fresh = ParquetSource::new(source.table_schema().clone())
        .with_table_parquet_options(source.table_parquet_options().clone());
    if let Some(readers) = source.parquet_file_reader_factory() {
        fresh = fresh.with_parquet_file_reader_factory(Arc::clone(readers));
    }
    if let Some(predicate) = source.filter() {
        fresh = fresh.with_predicate(predicate);
    }
    let fresh: Arc<dyn FileSource> = Arc::new(fresh);
    let projected = match source.projection() {
        Some(projection) => fresh.try_pushdown_projection(projection)?,
        None => None,
    };
    Ok(projected.unwrap_or(fresh))
}
