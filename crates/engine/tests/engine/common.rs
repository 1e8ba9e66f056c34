//! An engine over tables in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringViewArray, UInt32Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::catalog::{
    CatalogProvider, MemTable, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::object_store::ObjectStore;
use datafusion::prelude::SessionConfig;
use futures::TryStreamExt;
use pintail_engine::{Engine, EngineOptions, Session, SessionOptions, Storage, StorageCatalog};
use pintail_identity::Principal;
use pintail_types::{ManualClock, Result};
use tempfile::TempDir;

/// Tables in memory: catalog `homer_lake` with schema `main`, and `homer_lake_default` for admins.
#[derive(Debug)]
pub(crate) struct MemoryStorage {
    pub(crate) main: Arc<MemorySchemaProvider>,
    pub(crate) volume: Arc<MemorySchemaProvider>,
    pub(crate) generation: AtomicI64,
}

impl MemoryStorage {
    pub(crate) fn new() -> Self {
        let main = MemorySchemaProvider::new();
        main.register_table("calls".to_owned(), calls()).unwrap();
        let volume = MemorySchemaProvider::new();
        volume.register_table("stored".to_owned(), calls()).unwrap();
        Self { main: Arc::new(main), volume: Arc::new(volume), generation: AtomicI64::new(1) }
    }

    /// Replaces a table, as a commit of another program does.
    pub(crate) fn replace(&self, name: &str, table: Option<Arc<dyn TableProvider>>) {
        self.main.deregister_table(name).unwrap();
        if let Some(table) = table {
            self.main.register_table(name.to_owned(), table).unwrap();
        }
        self.generation.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    fn catalogs(&self) -> Vec<StorageCatalog> {
        let catalog = |name: &str, schema: &Arc<MemorySchemaProvider>, admin_only| {
            let provider = MemoryCatalogProvider::new();
            let schema: Arc<MemorySchemaProvider> = Arc::clone(schema);
            provider.register_schema("main", schema).unwrap();
            StorageCatalog { name: name.to_owned(), provider: Arc::new(provider), admin_only, past: None }
        };
        vec![catalog("homer_lake", &self.main, false), catalog("homer_lake_default", &self.volume, true)]
    }

    fn object_stores(&self) -> Vec<(ObjectStoreUrl, Arc<dyn ObjectStore>)> {
        Vec::new()
    }

    async fn pin(&self, _config: &mut SessionConfig) -> Result<i64> {
        Ok(self.generation.load(Ordering::SeqCst))
    }
}

/// Four messages of two calls, in types of which some do not leave.
fn calls() -> Arc<dyn TableProvider> {
    let text = |values: [Option<&str>; 4]| -> ArrayRef { Arc::new(StringViewArray::from_iter(values)) };
    let time: ArrayRef = Arc::new(Int64Array::from(vec![1_000_000, 2_000_000, 3_000_000, 4_000_000]));
    let columns = vec![
        cast(&time, &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap(),
        text([Some("a@x"), Some("a@x"), Some("b@x"), None]),
        text([Some("INVITE"), Some("200"), Some("INVITE"), Some("OPTIONS")]),
        Arc::new(UInt32Array::from(vec![Some(5060), Some(5061), None, Some(5060)])),
        text([Some(r#"{"cseq":"1 INVITE","n":7,"list":[1,2]}"#), Some("{}"), None, Some(r#"{"cseq":null}"#)]),
    ];
    let schema = Arc::new(Schema::new(vec![
        Field::new("timestamp", DataType::Timestamp(TimeUnit::Microsecond, None), false),
        Field::new("session_id", DataType::Utf8View, true),
        Field::new("method", DataType::Utf8View, true),
        Field::new("src_port", DataType::UInt32, true),
        Field::new("data_extra", DataType::Utf8View, true)
            .with_metadata(HashMap::from([("ARROW:extension:name".to_owned(), "arrow.json".to_owned())])),
    ]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    Arc::new(MemTable::try_new(schema, vec![vec![batch]]).unwrap())
}

/// An engine and what it needs to live.
pub(crate) struct Bench {
    pub(crate) engine: Arc<Engine>,
    pub(crate) storage: Arc<MemoryStorage>,
    _spill: TempDir,
}

/// Limits that tests change.
pub(crate) struct Limits {
    pub(crate) memory_bytes: u64,
    pub(crate) max_queries: usize,
    pub(crate) query_timeout: Option<Duration>,
    pub(crate) stall_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 256 << 20, max_queries: 16, query_timeout: None, stall_timeout: None }
    }
}

pub(crate) fn bench(limits: Limits) -> Bench {
    let spill = TempDir::new().unwrap();
    let storage = Arc::new(MemoryStorage::new());
    let options = EngineOptions {
        memory_bytes: limits.memory_bytes,
        spill_path: spill.path().join("spill"),
        max_queries: limits.max_queries,
        query_timeout: limits.query_timeout,
        stall_timeout: limits.stall_timeout,
        target_partitions: Some(2),
    };
    let tables: Arc<MemoryStorage> = Arc::clone(&storage);
    let engine =
        Engine::with_storage(options, tables, Arc::new(ManualClock::at(1_700_000_000_000_000))).unwrap();
    Bench { engine, storage, _spill: spill }
}

impl Bench {
    pub(crate) fn admin(&self) -> Session {
        self.engine.session(Principal::local(), "test", SessionOptions::default())
    }

    pub(crate) fn reader(&self, name: &str) -> Session {
        self.engine.session(Principal::new(name, ["readers"]), "test", SessionOptions::default())
    }
}

/// All rows of `sql`.
pub(crate) async fn rows(session: &Session, sql: &str) -> Result<Vec<RecordBatch>> {
    session.statement(sql).await?.execute().await?.try_collect().await
}

/// The first column of all rows, as text.
pub(crate) async fn column(session: &Session, sql: &str) -> Vec<String> {
    text_of(&rows(session, sql).await.unwrap())
}

/// The first column of `batches`, as text.
pub(crate) fn text_of(batches: &[RecordBatch]) -> Vec<String> {
    batches
        .iter()
        .flat_map(|batch| {
            let text = cast(batch.column(0), &DataType::Utf8).unwrap();
            let text = text.as_any().downcast_ref::<datafusion::arrow::array::StringArray>().unwrap().clone();
            (0..text.len()).map(move |row| text.value(row).to_owned()).collect::<Vec<_>>()
        })
        .collect()
}
