//! Scans of files, cut down to the rows that an index found.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result as DataFusionResult, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetRowSelection;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::{ExecutionPlan, Partitioning};

use super::kept::Indexes;

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

fn parquet_scan(plan: &dyn ExecutionPlan) -> Option<(&FileScanConfig, &ParquetSource)> {
    plan.downcast_ref::<DataSourceExec>()?.downcast_to_file_source::<ParquetSource>()
}

/// The scan of the rows whose texts have one of `hashes`. Files without an index are read whole.
pub(super) fn narrowed(
    scan: &Arc<dyn ExecutionPlan>,
    indexes: &Indexes,
    hashes: &[u32],
) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
    let narrow = |plan: Arc<dyn ExecutionPlan>| {
        let Some((config, source)) = parquet_scan(plan.as_ref()) else { return Ok(Transformed::no(plan)) };
        let narrowed = narrowed_config(config, source, indexes, hashes)?;
        Ok(Transformed::yes(DataSourceExec::from_data_source(narrowed) as Arc<dyn ExecutionPlan>))
    };
    Arc::clone(scan).transform_up(narrow).data()
}

fn narrowed_config(
    config: &FileScanConfig,
    source: &ParquetSource,
    indexes: &Indexes,
    hashes: &[u32],
) -> DataFusionResult<FileScanConfig> {
    let files = config.file_groups.iter().flat_map(FileGroup::iter);
    let files: Vec<PartitionedFile> = files.filter_map(|file| narrowed_file(file, indexes, hashes)).collect();
    let is_indexed = |file: &PartitionedFile| file.extension::<ParquetRowSelection>().is_some();
    // Few rows are not worth a second thread; files that are read whole are, and the planner sees to it.
    let together = files.iter().all(is_indexed).then_some(Partitioning::UnknownPartitioning(1));
    let narrowed = FileScanConfigBuilder::from(config.clone())
        .with_source(fresh(source)?)
        .with_file_groups(vec![FileGroup::new(files)])
        .with_output_partitioning(together)
        .with_statistics(Statistics::new_unknown(config.file_source.table_schema().table_schema()));
    Ok(narrowed.build())
}

/// None if no row of the file can match.
fn narrowed_file(file: &PartitionedFile, indexes: &Indexes, hashes: &[u32]) -> Option<PartitionedFile> {
    let mut narrowed = file.clone();
    // They are those of all its rows.
    narrowed.statistics = None;
    let Some(index) = indexes.get(&file.object_meta.location) else { return Some(narrowed) };
    Some(narrowed.with_extension(ParquetRowSelection::new(index.selection(hashes)?)))
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
