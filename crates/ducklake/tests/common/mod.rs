//! A lake in a temporary directory, and what the tests do with it.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::prelude::SessionContext;
use datafusion_ducklake::{DuckLakeCatalog, DuckLakeTableWriter, WriteMode, WriteResult};
use object_store::local::LocalFileSystem;
use pintail_ducklake::{Catalog, CatalogOptions, CommitExtras, TableSpec};
use tempfile::TempDir;

/// Microseconds of one day.
pub(crate) const DAY: i64 = 86_400_000_000;
/// Days from 1970 to 2026-01-01.
pub(crate) const NEW_YEAR: i32 = 20_454;

/// A lake that is removed at the end.
#[derive(Debug)]
pub(crate) struct Lake {
    pub(crate) directory: TempDir,
    pub(crate) catalog: Catalog,
}

impl Lake {
    /// A new lake with two telemetry-like tables, partitioned by `date` and sorted by `timestamp`.
    pub(crate) fn new() -> Self {
        let lake = Self::empty();
        lake.catalog.ensure_tables("main", &[spec("calls"), spec("logs")]).unwrap();
        lake
    }

    /// A new lake without tables.
    pub(crate) fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = CatalogOptions {
            data_path: directory.path().join("data").to_string_lossy().into_owned(),
            create: true,
            ..CatalogOptions::default()
        };
        let catalog = Catalog::open(&directory.path().join("catalog.sqlite"), &options).unwrap();
        Self { directory, catalog }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.catalog.path().to_owned()
    }

    /// A connection as another program would have it.
    pub(crate) fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }

    /// One value of the catalog.
    pub(crate) fn one<T: rusqlite::types::FromSql>(&self, query: &str) -> T {
        self.sqlite().query_row(query, [], |row| row.get(0)).unwrap()
    }

    pub(crate) fn table_writer(&self) -> DuckLakeTableWriter {
        self.table_writer_with(CommitExtras::default())
    }

    pub(crate) fn table_writer_with(&self, extras: CommitExtras) -> DuckLakeTableWriter {
        DuckLakeTableWriter::new(self.catalog.writer_with(extras), Arc::new(LocalFileSystem::new())).unwrap()
    }

    /// Appends batches to several tables in one snapshot.
    pub(crate) async fn append(
        &self,
        tables: &[(&str, RecordBatch)],
        extras: CommitExtras,
    ) -> datafusion_ducklake::Result<Vec<WriteResult>> {
        let writer = self.table_writer_with(extras);
        let mut transaction = writer.transaction();
        for (table, batch) in tables {
            transaction
                .stage_write("main", table, &batch.schema(), WriteMode::Append, std::slice::from_ref(batch))
                .await?;
        }
        transaction.commit().await
    }

    /// A session with the lake as writable catalog `lake`.
    pub(crate) async fn session(&self) -> SessionContext {
        let provider = self.catalog.provider().await.unwrap();
        let catalog = DuckLakeCatalog::with_writer(provider, self.catalog.writer()).unwrap();
        let context = SessionContext::new();
        DuckLakeCatalog::register(&context, "lake", catalog);
        context
    }

    /// The rows of a query, as text.
    pub(crate) async fn query(&self, query: &str) -> Vec<String> {
        let batches = self.session().await.sql(query).await.unwrap().collect().await.unwrap();
        let mut rows = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                let values: Vec<String> = batch
                    .columns()
                    .iter()
                    .map(|column| arrow::util::display::array_value_to_string(column, row).unwrap())
                    .collect();
                rows.push(values.join("|"));
            }
        }
        rows
    }

    /// Asserts that the check finds nothing.
    pub(crate) fn assert_sound(&self) {
        let problems = self.catalog.check().unwrap();
        assert!(problems.is_empty(), "{problems:#?}");
    }
}

/// The columns of the tests' tables.
pub(crate) fn schema() -> SchemaRef {
    let json = Field::new("data_extra", DataType::Utf8, true)
        .with_metadata([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())].into());
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("date", DataType::Date32, true),
        Field::new("timestamp", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("method", DataType::Utf8, true),
        Field::new("mos", DataType::Float64, true),
        json,
    ]))
}

/// A table with these columns.
pub(crate) fn spec(name: &str) -> TableSpec {
    TableSpec {
        name: name.to_owned(),
        schema: schema(),
        partition_by: Some("date".to_owned()),
        sort_by: Some("timestamp".to_owned()),
    }
}

/// Rows `first..first + count`, one an hour since 2026-01-01, newest first.
pub(crate) fn rows(first: i64, count: i64) -> RecordBatch {
    let ids: Vec<i64> = (first..first + count).rev().collect();
    let hour = |id: &i64| i64::from(NEW_YEAR) * DAY + id * 3_600_000_000;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids.clone())),
        Arc::new(ids.iter().map(|id| i32::try_from(hour(id) / DAY).ok()).collect::<Date32Array>()),
        Arc::new(ids.iter().map(|id| Some(hour(id))).collect::<TimestampMicrosecondArray>()),
        Arc::new(ids.iter().map(|id| Some(["INVITE", "BYE"][(id % 2) as usize])).collect::<StringArray>()),
        Arc::new(ids.iter().map(|id| (id % 3 != 0).then_some(*id as f64 / 2.0)).collect::<Float64Array>()),
        Arc::new(ids.iter().map(|id| Some(format!("{{\"id\":{id}}}"))).collect::<StringArray>()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}
