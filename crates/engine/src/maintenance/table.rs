//! Steps of maintenance as rows: those of a call, and `system.maintenance`.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use pintail_identity::Principal;
use pintail_lake::MaintenanceStep;
use pintail_types::{Error, Micros, Result};

use super::Maintainer;
use crate::system::SystemTable;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let number = |name: &str| Field::new(name, DataType::Int64, false);
    let time =
        |name: &str, nullable| Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, None), nullable);
    Arc::new(Schema::new(vec![
        text("task", false),
        text("catalog", false),
        text("table_name", true),
        text("state", false),
        time("started_at", false),
        time("finished_at", true),
        number("files_in"),
        number("files_out"),
        number("rows"),
        number("bytes"),
        text("message", false),
    ]))
});

/// The columns of steps.
pub(crate) fn maintenance_schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// Steps as rows, in the columns of `system.maintenance`.
///
/// # Errors
/// `Internal`; none is expected.
pub fn maintenance_rows(steps: &[MaintenanceStep]) -> Result<RecordBatch> {
    let text = |of: fn(&MaintenanceStep) -> Option<&str>| -> ArrayRef {
        Arc::new(steps.iter().map(of).collect::<StringArray>())
    };
    let number = |of: fn(&MaintenanceStep) -> u64| -> ArrayRef {
        let numbers = steps.iter().map(|step| i64::try_from(of(step)).unwrap_or(i64::MAX));
        Arc::new(Int64Array::from_iter_values(numbers))
    };
    let time = |of: fn(&MaintenanceStep) -> Option<Micros>| -> ArrayRef {
        Arc::new(steps.iter().map(of).collect::<TimestampMicrosecondArray>())
    };
    let columns = vec![
        text(|step| Some(step.task)),
        text(|step| Some(&step.catalog)),
        text(|step| step.table_name.as_deref()),
        text(|step| Some(step.state.name())),
        time(|step| Some(step.started_at)),
        time(|step| step.finished_at),
        number(|step| step.done.files_in),
        number(|step| step.done.files_out),
        number(|step| step.done.rows),
        number(|step| step.done.bytes),
        text(|step| Some(step.message())),
    ];
    RecordBatch::try_new(maintenance_schema(), columns)
        .map_err(|error| Error::internal("steps of maintenance are no rows").with_source(error))
}

/// `system.maintenance`: what is done to the lake, and the last that was.
#[derive(Debug)]
pub(crate) struct MaintenanceTable(pub(crate) Arc<dyn Maintainer>);

impl SystemTable for MaintenanceTable {
    fn name(&self) -> &'static str {
        "maintenance"
    }

    fn schema(&self) -> SchemaRef {
        maintenance_schema()
    }

    fn rows(&self, _principal: &Principal) -> Result<RecordBatch> {
        maintenance_rows(&self.0.steps())
    }
}
