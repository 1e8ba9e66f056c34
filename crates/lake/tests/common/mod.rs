//! A lake of log lines.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, AsArray, Date32Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::Int64Type;
use datafusion::prelude::{SessionConfig, SessionContext};
use pintail_lake::{Block, Lake, LakeOptions};
use pintail_types::{ManualClock, TelemetryTable};

/// 2026-11-20 10:00:00 UTC.
pub(crate) const TEN_O_CLOCK: i64 = 1_795_168_800_000_000;
pub(crate) const DAY: i64 = 86_400_000_000;

/// Log lines numbered from `first` on, one second apart.
pub(crate) fn lines(first: u64, count: u64) -> RecordBatch {
    let numbers = first..first + count;
    let times: Vec<i64> =
        numbers.clone().map(|number| TEN_O_CLOCK + number.cast_signed() * 1_000_000).collect();
    let schema = TelemetryTable::Log.schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "date" => Arc::new(Date32Array::from_iter_values(
                times.iter().map(|time| i32::try_from(time / DAY).unwrap()),
            )),
            "timestamp" => Arc::new(TimestampMicrosecondArray::from_iter_values(times.iter().copied())),
            "payload" => {
                Arc::new(StringArray::from_iter_values(numbers.clone().map(|number| number.to_string())))
            }
            _ => new_null_array(field.data_type(), times.len()),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

/// Puts the lines through journal and buffer, as a receiver does.
pub(crate) fn receive(lake: &Lake, first: u64, count: u64) {
    let mut block = Block::new();
    for number in first..first + count {
        block.push(&[&number.to_le_bytes()]);
    }
    let _intake = lake.intake();
    let start = lake.journal().append(&block).unwrap();
    lake.append(TelemetryTable::Log, lines(first, count), block.position(start, block.len() - 1)).unwrap();
}

pub(crate) async fn open(directory: &tempfile::TempDir) -> Arc<Lake> {
    let options =
        LakeOptions { flush_interval: Duration::from_secs(3600), ..LakeOptions::at(directory.path()) };
    Lake::open(options, Arc::new(ManualClock::at(TEN_O_CLOCK))).await.unwrap()
}

pub(crate) fn context(lake: &Arc<Lake>) -> SessionContext {
    let config = SessionConfig::new()
        .with_default_catalog_and_schema(lake.name(), "main")
        .with_information_schema(true);
    let mut context = SessionContext::new_with_config(config);
    datafusion_functions_json::register_all(&mut context).unwrap();
    for catalog in lake.catalogs() {
        context.register_catalog(catalog.name, catalog.provider);
    }
    context
}

pub(crate) async fn rows(context: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    context.sql(sql).await.unwrap().collect().await.unwrap()
}

pub(crate) async fn number(context: &SessionContext, sql: &str) -> i64 {
    let batches = rows(context, sql).await;
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

pub(crate) async fn words(context: &SessionContext, sql: &str) -> String {
    let batches = rows(context, sql).await;
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
}
