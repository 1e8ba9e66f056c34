//! What changed in a table between two snapshots, as a table: the rows that came and went, in the columns that it has at
//! the later one.
//!
//! Files, delete files and the pairing of updates are read by `datafusion_ducklake`. It knows nothing of rows that other
//! programs keep in the catalog itself, so a window in which such rows changed is refused
//! (<https://github.com/hotdata-dev/datafusion-ducklake>, version 0.9).

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result as DataFusionResult;
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion_ducklake::path_resolver::{parse_object_store_url, resolve_path};
use datafusion_ducklake::table_changes::TableChangesTable;
use datafusion_ducklake::table_deletions::TableDeletionsTable;
use datafusion_ducklake::types::{build_arrow_schema_from_fields, top_level_columns};
use pintail_types::{Error, Result, SnapshotId, reason};

use crate::lake::blocking;
use crate::table::{column_as, external};
use crate::user_tables::{TableName, shown};
use crate::volume::{Volume, from_ducklake};

/// Which changes of a table, and in which columns, which are those of official DuckDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changes {
    /// All, with `snapshot_id`, `rowid` and `change_type` before the columns of the table: each row was inserted, deleted,
    /// or is one side of an update.
    All,
    /// Rows that came; of updates the new ones.
    Insertions,
    /// Rows that went; of updates the old ones.
    Deletions,
}

impl Changes {
    /// The columns of the crate's feed that are not told: `snapshot_id`, `rowid`, `change_type`.
    const fn left_out(self) -> usize {
        match self {
            Self::All => 0,
            Self::Insertions | Self::Deletions => 3,
        }
    }
}

/// The changes of one table.
#[derive(Debug)]
pub(crate) struct ChangeFeed {
    catalog: String,
    volume: Arc<Volume>,
    first: SnapshotId,
    last: SnapshotId,
    changes: Changes,
    /// The crate's feed.
    inner: Arc<dyn TableProvider>,
    /// The columns, in the types in which statements see them.
    schema: SchemaRef,
}

impl ChangeFeed {
    pub(crate) fn new(
        catalog: String,
        volume: Arc<Volume>,
        table: &TableName,
        changes: Changes,
        snapshots: RangeInclusive<SnapshotId>,
    ) -> Result<Self> {
        let (first, last) = snapshots.into_inner();
        for snapshot in [first, last] {
            volume.expect_snapshot(&catalog, snapshot)?;
        }
        let inner = volume.crates_feed(table, changes, first, last)?;
        let told: Vec<_> = inner.schema().fields().iter().skip(changes.left_out()).cloned().collect();
        let schema = shown(&Schema::new(told));
        Ok(Self { catalog, volume, first, last, changes, inner, schema })
    }

    /// The places of the columns in the crate's feed.
    fn places(&self, projection: Option<&Vec<usize>>) -> Vec<usize> {
        let place = |column: usize| column + self.changes.left_out();
        match projection {
            Some(columns) => columns.iter().copied().map(place).collect(),
            None => (0..self.schema.fields().len()).map(place).collect(),
        }
    }
}

impl Volume {
    fn crates_feed(
        &self,
        table: &TableName,
        changes: Changes,
        first: SnapshotId,
        last: SnapshotId,
    ) -> Result<Arc<dyn TableProvider>> {
        let failed = |error| from_ducklake("the catalog can't be read", error);
        let missing = || {
            Error::not_found(format!("table {table} does not exist at snapshot {last}"))
                .with_reason(reason::UNDEFINED_TABLE)
        };
        let schema = self.provider.get_schema_by_name(&table.schema, last.0).map_err(failed)?;
        let schema = schema.ok_or_else(missing)?;
        let found = self.provider.get_table_by_name(schema.schema_id, &table.name, last.0).map_err(failed)?;
        let found = found.ok_or_else(missing)?;
        if self.catalog.has_inlined_changes(found.table_id, first.0..=last.0)? {
            return Err(Error::unsupported(format!(
                "rows of table {table} changed between snapshots {first} and {last} that another program kept in the \
                 catalog itself, and whose changes can't be told: choose other snapshots, and have that program write \
                 files (DATA_INLINING_ROW_LIMIT 0)"
            )));
        }
        let data_path = self.provider.get_data_path().map_err(failed)?;
        let (url, root) = parse_object_store_url(&data_path).map_err(failed)?;
        let path = resolve_path(&root, &schema.path, schema.path_is_relative)
            .and_then(|schema_path| resolve_path(&schema_path, &found.path, found.path_is_relative))
            .map_err(failed)?;
        let fields = self.provider.get_table_fields(found.table_id, last.0).map_err(failed)?;
        let columns = top_level_columns(&fields).map_err(failed)?;
        let schema = Arc::new(build_arrow_schema_from_fields(&fields).map_err(failed)?);
        let (provider, url, id) = (Arc::clone(&self.provider), Arc::new(url), found.table_id);
        Ok(match changes {
            Changes::Deletions => {
                let feed = TableDeletionsTable::new(provider, id, first.0, last.0, url, path, schema);
                Arc::new(feed.with_columns(columns))
            }
            Changes::All | Changes::Insertions => {
                let feed = TableChangesTable::new(provider, id, first.0, last.0, url, path, schema);
                let feed = feed.with_columns(columns);
                Arc::new(if changes == Changes::All { feed } else { feed.insertions_only() })
            }
        })
    }
}

#[async_trait]
impl TableProvider for ChangeFeed {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let shown = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let mut places = self.places(projection);
        if places.is_empty() {
            // Rows that are only counted have a column for the crate to read.
            places.push(0);
        }
        let scan = self.inner.scan(state, Some(&places), &[], limit).await?;
        // Not before: a snapshot that expires while its files are looked up shows fewer than it had.
        for snapshot in [self.first, self.last] {
            let (volume, catalog) = (Arc::clone(&self.volume), self.catalog.clone());
            let check = move || volume.expect_snapshot(&catalog, snapshot);
            blocking("looking for a snapshot", check).await.map_err(external)?;
        }
        let mut expressions = Vec::with_capacity(shown.fields().len());
        for (index, field) in shown.fields().iter().enumerate() {
            expressions.push((column_as(state, &scan.schema(), index, field)?, field.name().clone()));
        }
        Ok(Arc::new(ProjectionExec::try_new(expressions, scan)?))
    }
}
