//! Reading a catalog with `datafusion-ducklake`, where its SQLite provider falls short of what official
//! DuckDB writes. Everything else is the provider's.
//!
//! - DuckDB keeps inlined numbers with a fraction as text; the provider expects them as REAL and fails.
//! - Inlined rows of a table lie in one table for each schema version, with the column names of that
//!   version; the provider goes by today's names, and would read a renamed column as NULL.
//! - The totals and bounds of a whole table only ever widen; the provider takes them for exact.
//! - Every scan reads the files of its table anew; here what was read of a snapshot is kept.
//!
//! The provider is <https://github.com/hotdata-dev/datafusion-ducklake>, version 0.9.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::compute::cast;
use arrow::record_batch::RecordBatch;
use datafusion_ducklake::inlined_filter::{InlinedDataScan, InlinedFilter};
use datafusion_ducklake::metadata_provider::{
    ColumnWithTable, DataFileChange, DeleteFileChange, DuckLakeFileMetadata, DuckLakeInlinedData,
    DuckLakeInlinedDelete, DuckLakeNameMapping, DuckLakeStatistics, DuckLakeTableColumn, DuckLakeTableField,
    FileWithTable, SchemaMetadata, SnapshotMetadata, TableMetadata, TableWithSchema, ViewMetadata,
    ViewWithSchema,
};
use datafusion_ducklake::stats_filter::StatsFilter;
use datafusion_ducklake::types::build_arrow_schema;
use datafusion_ducklake::{
    ColumnTag, DuckLakeTableFile, DuckLakeTag, MetadataProvider, ObjectTag, PartitionSpec,
    SnapshotChangeMetadata, SortSpec, SqliteMetadataProvider, TagTarget,
};
use parking_lot::Mutex;
use pintail_types::{Error, Result};

use crate::by_snapshot::BySnapshot;
use crate::catalog::Catalog;
use crate::inlined::{self, InlinedTable};
use crate::snapshot_reads::{FewFiles, MAX_KEPT_DELETES, MAX_KEPT_FILES, SnapshotReads};

type LakeResult<T> = datafusion_ducklake::Result<T>;

impl Catalog {
    /// What `datafusion_ducklake::DuckLakeCatalog` reads this catalog through.
    ///
    /// Unavailable when the file cannot be opened.
    pub async fn provider(&self) -> Result<Arc<dyn MetadataProvider>> {
        self.provider_without(Arc::default()).await
    }

    /// The same, for who is not to see the data files of these ids.
    ///
    /// Unavailable when the file cannot be opened.
    pub async fn provider_without(&self, hidden: Arc<BTreeSet<i64>>) -> Result<Arc<dyn MetadataProvider>> {
        let inner = SqliteMetadataProvider::new(&self.provider_url())
            .await
            .map_err(|error| Error::unavailable(format!("catalog {}: {error}", self.path().display())))?;
        Ok(Arc::new(Provider { inner, catalog: self.clone(), hidden, reads: Mutex::default() }))
    }
}

/// The provider with its corrections.
#[derive(Debug)]
struct Provider {
    inner: SqliteMetadataProvider,
    catalog: Catalog,
    /// The ids of files that are left out.
    hidden: Arc<BTreeSet<i64>>,
    reads: Mutex<BySnapshot<SnapshotReads>>,
}

impl Provider {
    /// All files of a table if they are few, read once for each snapshot.
    fn few_files(&self, table_id: i64, snapshot_id: i64) -> LakeResult<FewFiles> {
        let rewrites = self.catalog.rewrites();
        if let Some(files) = &self.reads.lock().at(snapshot_id, rewrites).of(table_id).files {
            return Ok(files.clone());
        }
        let limit = MAX_KEPT_FILES + 1;
        let mut files = self.inner.get_table_file_metadata_page(table_id, snapshot_id, None, limit)?;
        let are_few = files.len() < limit;
        files.retain(|metadata| self.shows(metadata));
        let files = are_few.then(|| Arc::new(files));
        self.reads.lock().at(snapshot_id, rewrites).of(table_id).files = Some(files.clone());
        Ok(files)
    }

    fn shows(&self, metadata: &DuckLakeFileMetadata) -> bool {
        !self.hidden.contains(&metadata.file.data_file_id)
    }

    /// The next files of a table that are not left out. A page is short only if it is the last one.
    fn page(
        &self,
        table_id: i64,
        snapshot_id: i64,
        mut after: Option<i64>,
        limit: usize,
        filter: Option<&StatsFilter>,
    ) -> LakeResult<Vec<DuckLakeFileMetadata>> {
        let mut shown = Vec::new();
        loop {
            let page = self.inner.get_table_file_metadata_page_filtered(
                table_id,
                snapshot_id,
                after,
                limit,
                filter,
            )?;
            let is_last = page.len() < limit;
            after = page.last().map(|metadata| metadata.file.data_file_id);
            shown.extend(page.into_iter().filter(|metadata| self.shows(metadata)));
            if is_last || shown.len() >= limit {
                shown.truncate(limit);
                return Ok(shown);
            }
        }
    }

    /// The visible inlined rows with `columns`, in the types of the table.
    fn inlined_rows(
        &self,
        table_id: i64,
        snapshot_id: i64,
        columns: &[DuckLakeTableColumn],
    ) -> LakeResult<Vec<DuckLakeInlinedData>> {
        let rewrites = self.catalog.rewrites();
        if self.reads.lock().at(snapshot_id, rewrites).of(table_id).no_inlined_rows {
            return Ok(Vec::new());
        }
        let rows = self.read_inlined_rows(table_id, snapshot_id, columns)?;
        if rows.is_empty() {
            self.reads.lock().at(snapshot_id, rewrites).of(table_id).no_inlined_rows = true;
        }
        Ok(rows)
    }

    fn read_inlined_rows(
        &self,
        table_id: i64,
        snapshot_id: i64,
        columns: &[DuckLakeTableColumn],
    ) -> LakeResult<Vec<DuckLakeInlinedData>> {
        let tables =
            self.catalog.database().read(|connection| inlined::tables_with_names(connection, table_id))?;
        let schema = Arc::new(build_arrow_schema(columns)?);
        let mut rows = Vec::new();
        for table in &tables {
            let stored: Vec<_> = columns.iter().map(|column| stored_column(column, table)).collect();
            let found = self.inner.get_inlined_data_with_row_ids(table_id, snapshot_id, &stored)?;
            for mut part in found.into_iter().filter(|part| part.table_name == table.name) {
                let arrays = part.batch.columns().iter().zip(schema.fields());
                let arrays =
                    arrays.map(|(array, field)| cast(array, field.data_type())).collect::<Result<_, _>>()?;
                part.batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
                rows.push(part);
            }
        }
        Ok(rows)
    }
}

/// A column as the inlined table has it: under the name of that schema version, numbers with a fraction
/// as text. A column that the version does not have gets a name that no column has.
fn stored_column(column: &DuckLakeTableColumn, table: &InlinedTable) -> DuckLakeTableColumn {
    let mut stored = column.clone();
    if matches!(column.column_type.to_ascii_lowercase().as_str(), "float32" | "float64") {
        stored = DuckLakeTableColumn::new(
            column.column_id,
            String::new(),
            "varchar".to_owned(),
            column.is_nullable,
        );
        stored.initial_default.clone_from(&column.initial_default);
        stored.default_value.clone_from(&column.default_value);
        stored.default_value_type.clone_from(&column.default_value_type);
        stored.default_value_dialect.clone_from(&column.default_value_dialect);
    }
    stored.column_name = match &table.names {
        None => column.column_name.clone(),
        Some(names) => {
            names.get(&column.column_id).cloned().unwrap_or_else(|| format!("\u{1}{}", column.column_id))
        }
    };
    stored
}

/// Statistics without what is not exact.
fn plausible(mut statistics: DuckLakeStatistics) -> DuckLakeStatistics {
    if let Some(table) = &mut statistics.table {
        table.record_count = None;
    }
    for column in &mut statistics.columns {
        column.bounds_are_exact = false;
    }
    statistics
}

macro_rules! delegate {
    ($(fn $name:ident($($argument:ident: $kind:ty),*) -> $result:ty;)*) => {
        $(fn $name(&self, $($argument: $kind),*) -> LakeResult<$result> {
            self.inner.$name($($argument),*)
        })*
    };
}

impl MetadataProvider for Provider {
    /// The path that was agreed on when the catalog was opened: one that is only read may have recorded another.
    fn get_data_path(&self) -> LakeResult<String> {
        Ok(self.catalog.data_path().to_string())
    }

    delegate! {
        fn get_current_snapshot() -> i64;
        fn get_metadata_settings(schema_id: Option<i64>, table_id: Option<i64>) -> HashMap<String, String>;
        fn list_snapshots() -> Vec<SnapshotMetadata>;
        fn list_snapshot_changes() -> Vec<SnapshotChangeMetadata>;
        fn find_snapshot_by_commit_extra_info(needle: &str) -> Option<i64>;
        fn list_schemas(snapshot_id: i64) -> Vec<SchemaMetadata>;
        fn list_tables(schema_id: i64, snapshot_id: i64) -> Vec<TableMetadata>;
        fn list_views(schema_id: i64, snapshot_id: i64) -> Vec<ViewMetadata>;
        fn get_table_structure(table_id: i64, snapshot_id: i64) -> Vec<DuckLakeTableColumn>;
        fn get_table_fields(table_id: i64, snapshot_id: i64) -> Vec<DuckLakeTableField>;
        fn get_name_mapping(mapping_id: i64) -> DuckLakeNameMapping;
        fn get_table_files_for_select(table_id: i64, snapshot_id: i64) -> Vec<DuckLakeTableFile>;
        fn get_partition_spec(table_id: i64, snapshot_id: i64) -> Option<PartitionSpec>;
        fn get_sort_spec(table_id: i64, snapshot_id: i64) -> Option<SortSpec>;
        fn get_table_file_metadata_page(
            table_id: i64, snapshot_id: i64, after_data_file_id: Option<i64>, limit: usize
        ) -> Vec<DuckLakeFileMetadata>;
        fn get_schema_by_name(name: &str, snapshot_id: i64) -> Option<SchemaMetadata>;
        fn get_table_by_name(schema_id: i64, name: &str, snapshot_id: i64) -> Option<TableMetadata>;
        fn get_view_by_name(schema_id: i64, name: &str, snapshot_id: i64) -> Option<ViewMetadata>;
        fn table_exists(schema_id: i64, name: &str, snapshot_id: i64) -> bool;
        fn get_tags(target: TagTarget, snapshot_id: i64) -> Vec<DuckLakeTag>;
        fn get_view_id_by_name(schema_id: i64, name: &str, snapshot_id: i64) -> Option<i64>;
        fn list_all_tables(snapshot_id: i64) -> Vec<TableWithSchema>;
        fn list_all_views(snapshot_id: i64) -> Vec<ViewWithSchema>;
        fn list_all_columns(snapshot_id: i64) -> Vec<ColumnWithTable>;
        fn list_all_object_tags(snapshot_id: i64) -> Vec<ObjectTag>;
        fn list_all_column_tags(snapshot_id: i64) -> Vec<ColumnTag>;
        fn list_all_files(snapshot_id: i64) -> Vec<FileWithTable>;
        fn get_data_files_added_between_snapshots(
            table_id: i64, start_snapshot: i64, end_snapshot: i64
        ) -> Vec<DataFileChange>;
        fn get_delete_files_added_between_snapshots(
            table_id: i64, start_snapshot: i64, end_snapshot: i64
        ) -> Vec<DeleteFileChange>;
    }

    /// Files that `filter` would leave out are among them when there are few: the scan leaves them out again, and the
    /// catalog is not asked each time.
    fn get_table_file_metadata_page_filtered(
        &self,
        table_id: i64,
        snapshot_id: i64,
        after_data_file_id: Option<i64>,
        limit: usize,
        filter: Option<&StatsFilter>,
    ) -> LakeResult<Vec<DuckLakeFileMetadata>> {
        let few = self.few_files(table_id, snapshot_id)?.filter(|files| files.len() <= limit);
        match (few, after_data_file_id) {
            (Some(files), None) => Ok(files.to_vec()),
            (Some(files), Some(after)) => {
                Ok(files.iter().filter(|metadata| metadata.file.data_file_id > after).cloned().collect())
            }
            (None, after) => self.page(table_id, snapshot_id, after, limit, filter),
        }
    }

    fn get_inlined_deletes(&self, table_id: i64, snapshot_id: i64) -> LakeResult<Vec<DuckLakeInlinedDelete>> {
        let rewrites = self.catalog.rewrites();
        if let Some(deletes) = &self.reads.lock().at(snapshot_id, rewrites).of(table_id).inlined_deletes {
            return Ok(deletes.to_vec());
        }
        let deletes = self.inner.get_inlined_deletes(table_id, snapshot_id)?;
        if deletes.len() <= MAX_KEPT_DELETES {
            self.reads.lock().at(snapshot_id, rewrites).of(table_id).inlined_deletes =
                Some(Arc::new(deletes.clone()));
        }
        Ok(deletes)
    }

    fn get_table_statistics(&self, table_id: i64, snapshot_id: i64) -> LakeResult<DuckLakeStatistics> {
        self.inner.get_table_statistics(table_id, snapshot_id).map(plausible)
    }

    fn get_table_summary_statistics(
        &self,
        table_id: i64,
        snapshot_id: i64,
    ) -> LakeResult<DuckLakeStatistics> {
        self.inner.get_table_summary_statistics(table_id, snapshot_id).map(plausible)
    }

    fn get_inlined_data(
        &self,
        table_id: i64,
        snapshot_id: i64,
        columns: &[DuckLakeTableColumn],
    ) -> LakeResult<Vec<RecordBatch>> {
        let rows = self.inlined_rows(table_id, snapshot_id, columns)?;
        Ok(rows.into_iter().map(|part| part.batch).collect())
    }

    /// Gives all visible rows: a filter may be left to whoever asked, and the few inlined rows are not
    /// worth comparing as the text that they are.
    fn scan_inlined_data(
        &self,
        table_id: i64,
        snapshot_id: i64,
        columns: &[DuckLakeTableColumn],
        _filter: Option<&InlinedFilter>,
    ) -> LakeResult<InlinedDataScan> {
        let batches = self.get_inlined_data(table_id, snapshot_id, columns)?;
        let materialized_row_count = batches.iter().map(RecordBatch::num_rows).sum();
        Ok(InlinedDataScan { batches, materialized_row_count })
    }

    fn get_inlined_data_with_row_ids(
        &self,
        table_id: i64,
        snapshot_id: i64,
        columns: &[DuckLakeTableColumn],
    ) -> LakeResult<Vec<DuckLakeInlinedData>> {
        self.inlined_rows(table_id, snapshot_id, columns)
    }
}
