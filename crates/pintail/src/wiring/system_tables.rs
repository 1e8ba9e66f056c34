//! Tables of schema `system` that speak of packets and of rows at rest.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use nix::sys::statvfs::statvfs;
use pintail_capture::Capture;
use pintail_ducklake::SnapshotInfo;
use pintail_engine::{Engine, SystemTable};
use pintail_identity::Principal;
use pintail_lake::{Lake, VolumeState};
use pintail_types::{Error, Result};

use super::findings_table::FindingsTable;

/// Adds the tables to `engine`.
pub(super) fn register(engine: &Arc<Engine>, lake: &Arc<Lake>, capture: &Arc<Capture>) {
    engine.register_system_table(Arc::new(IngestTable { capture: Arc::clone(capture) }));
    engine.register_system_table(Arc::new(VolumesTable { lake: Arc::clone(lake) }));
    engine.register_system_table(Arc::new(SnapshotsTable { lake: Arc::clone(lake) }));
    engine.register_system_table(Arc::new(FindingsTable { lake: Arc::clone(lake) }));
}

pub(super) fn batch(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    RecordBatch::try_new(schema, columns).map_err(|error| Error::internal(format!("system table: {error}")))
}

pub(super) fn schema(fields: &[(&str, DataType, bool)]) -> SchemaRef {
    let field = |(name, data_type, nullable): &(&str, DataType, bool)| {
        Field::new(*name, data_type.clone(), *nullable)
    };
    Arc::new(Schema::new(fields.iter().map(field).collect::<Vec<_>>()))
}

/// `system.ingest`: what became of every packet since start.
#[derive(Debug)]
struct IngestTable {
    capture: Arc<Capture>,
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
        let rows = self.capture.accounting().rows();
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
        let volumes = self.lake.volume_states()?;
        let text = |value: fn(&VolumeState) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(volumes.iter().map(value)))
        };
        let number = |value: fn(&VolumeState) -> u64| -> ArrayRef {
            let values = volumes.iter().map(value);
            Arc::new(Int64Array::from_iter_values(
                values.map(|value| i64::try_from(value).unwrap_or(i64::MAX)),
            ))
        };
        let priorities = volumes.iter().map(|volume| volume.priority);
        let free_bytes = volumes.iter().map(|volume| free_bytes(volume.directory.as_deref()?));
        batch(
            self.schema(),
            vec![
                text(|volume| volume.name.clone()),
                text(|volume| volume.catalog.clone()),
                text(|volume| volume.kind.clone()),
                text(|volume| volume.data_path.clone()),
                Arc::new(Int64Array::from_iter_values(priorities)),
                number(|volume| volume.files),
                number(|volume| volume.rows),
                number(|volume| volume.bytes),
                Arc::new(free_bytes.collect::<Int64Array>()),
            ],
        )
    }
}

/// `system.snapshots`: every commit that was not expired.
#[derive(Debug)]
struct SnapshotsTable {
    lake: Arc<Lake>,
}

static SNAPSHOTS: LazyLock<SchemaRef> = LazyLock::new(|| {
    schema(&[
        ("catalog", DataType::Utf8, false),
        ("snapshot_id", DataType::Int64, false),
        ("committed_at", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        ("schema_version", DataType::Int64, false),
        ("author", DataType::Utf8, true),
        ("message", DataType::Utf8, true),
        ("changes", DataType::Utf8, true),
        ("journal_position", DataType::Int64, true),
    ])
});

impl SystemTable for SnapshotsTable {
    fn name(&self) -> &'static str {
        "snapshots"
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&SNAPSHOTS)
    }

    fn rows(&self, _principal: &Principal) -> Result<RecordBatch> {
        let mut snapshots: Vec<(String, SnapshotInfo)> = Vec::new();
        for (name, catalog) in self.lake.volume_catalogs() {
            snapshots.extend(catalog.snapshots()?.into_iter().map(|snapshot| (name.clone(), snapshot)));
        }
        let text = |pick: fn(&SnapshotInfo) -> Option<&str>| -> ArrayRef {
            Arc::new(snapshots.iter().map(|(_, snapshot)| pick(snapshot)).collect::<StringArray>())
        };
        let number = |pick: fn(&SnapshotInfo) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(snapshots.iter().map(|(_, snapshot)| pick(snapshot))))
        };
        let committed_at = snapshots.iter().map(|(_, snapshot)| snapshot.committed_at());
        let positions = snapshots.iter().map(|(_, snapshot)| journal_position(snapshot));
        batch(
            self.schema(),
            vec![
                Arc::new(StringArray::from_iter_values(snapshots.iter().map(|(catalog, _)| catalog))),
                number(|snapshot| snapshot.id.0),
                Arc::new(committed_at.collect::<TimestampMicrosecondArray>()),
                number(|snapshot| snapshot.schema_version),
                text(|snapshot| snapshot.author.as_deref()),
                text(|snapshot| snapshot.message.as_deref()),
                text(|snapshot| snapshot.changes.as_deref()),
                Arc::new(positions.collect::<Int64Array>()),
            ],
        )
    }
}

/// How far the journal was in the lake with this commit; only flushes say so: `journal <id> position <position>`.
fn journal_position(snapshot: &SnapshotInfo) -> Option<i64> {
    let noted = snapshot.extra_info.as_deref()?.strip_prefix("journal ")?;
    noted.rsplit_once(" position ")?.1.parse().ok()
}

/// Bytes an unprivileged writer can still write below `path`.
fn free_bytes(path: &Path) -> Option<i64> {
    let found = statvfs(path).ok()?;
    i64::try_from(u128::from(found.blocks_available()) * u128::from(found.fragment_size())).ok()
}
