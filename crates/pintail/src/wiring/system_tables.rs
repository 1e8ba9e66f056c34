//! Tables of schema `system` that speak of packets and of rows at rest.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use nix::sys::statvfs::statvfs;
use pintail_capture::Capture;
use pintail_engine::{Engine, SystemTable};
use pintail_identity::Principal;
use pintail_lake::Lake;
use pintail_types::{Error, Result};

/// Adds the tables to `engine`.
pub(super) fn register(engine: &Arc<Engine>, lake: &Arc<Lake>, capture: Option<&Arc<Capture>>) {
    engine.register_system_table(Arc::new(IngestTable { capture: capture.cloned() }));
    engine.register_system_table(Arc::new(VolumesTable { lake: Arc::clone(lake) }));
}

fn batch(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    RecordBatch::try_new(schema, columns).map_err(|error| Error::internal(format!("system table: {error}")))
}

fn schema(fields: &[(&str, DataType, bool)]) -> SchemaRef {
    let field = |(name, data_type, nullable): &(&str, DataType, bool)| Field::new(*name, data_type.clone(), *nullable);
    Arc::new(Schema::new(fields.iter().map(field).collect::<Vec<_>>()))
}

/// `system.ingest`: what became of every packet since start.
#[derive(Debug)]
struct IngestTable {
    capture: Option<Arc<Capture>>,
}

static INGEST: LazyLock<SchemaRef> = LazyLock::new(|| {
    schema(&[
        ("transport", DataType::Utf8, false),
        ("outcome", DataType::Utf8, false),
        ("reason", DataType::Utf8, false),
        ("packets", DataType::UInt64, false),
        ("bytes", DataType::UInt64, true),
    ])
});

impl SystemTable for IngestTable {
    fn name(&self) -> &'static str {
        "ingest"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&INGEST)
    }

    fn rows(&self, _principal: &Principal) -> Result<RecordBatch> {
        let rows = self.capture.as_ref().map_or_else(Vec::new, |capture| capture.accounting().rows());
        let text = |pick: fn(&pintail_capture::AccountRow) -> &'static str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(rows.iter().map(pick)))
        };
        batch(
            self.schema(),
            vec![
                text(|row| row.transport),
                text(|row| row.outcome),
                text(|row| row.reason),
                Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.packets))),
                Arc::new(rows.iter().map(|row| row.bytes).collect::<UInt64Array>()),
            ],
        )
    }
}

/// `system.volumes`: what lies where.
#[derive(Debug)]
struct VolumesTable {
    lake: Arc<Lake>,
}

static VOLUMES: LazyLock<SchemaRef> = LazyLock::new(|| {
    schema(&[
        ("name", DataType::Utf8, false),
        ("catalog", DataType::Utf8, false),
        ("type", DataType::Utf8, false),
        ("path", DataType::Utf8, false),
        ("priority", DataType::Int64, false),
        ("files", DataType::Int64, false),
        ("rows", DataType::Int64, false),
        ("bytes", DataType::Int64, false),
        ("free_bytes", DataType::Int64, true),
    ])
});

impl SystemTable for VolumesTable {
    fn name(&self) -> &'static str {
        "volumes"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&VOLUMES)
    }

    fn rows(&self, _principal: &Principal) -> Result<RecordBatch> {
        let tables = self.lake.catalog().statistics("main")?;
        let options = self.lake.options();
        let volumes = self.lake.volumes();
        let count = volumes.len();
        let text = |value: &dyn Fn(&str) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(volumes.iter().map(|volume| value(volume))))
        };
        let number = |value: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![value; count])) };
        let sum = |pick: fn(&pintail_ducklake::TableStatistics) -> i64| tables.iter().map(pick).sum::<i64>();
        batch(
            self.schema(),
            vec![
                text(&str::to_owned),
                text(&|volume| format!("{}_{volume}", options.name)),
                text(&|_| "local".to_owned()),
                text(&|_| options.data_path.display().to_string()),
                number(0),
                number(sum(|table| table.files)),
                number(sum(|table| table.rows)),
                number(sum(|table| table.bytes)),
                Arc::new(Int64Array::from(vec![free_bytes(&options.data_path); count])),
            ],
        )
    }
}

/// Bytes an unprivileged writer can still write below `path`.
fn free_bytes(path: &Path) -> Option<i64> {
    let found = statvfs(path).ok()?;
    i64::try_from(u128::from(found.blocks_available()) * u128::from(found.fragment_size())).ok()
}
