//! Batches made to fit: to another schema by column name, and into the order files are kept in.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{cast, interleave_record_batch};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, TimestampMicrosecondType};
use pintail_types::{Error, Result};

/// The stored columns with text as plain text: as hot rows have it and as it leaves the server, not the
/// views that files are read into. What the telemetry table says of a column, such as that it is JSON, stays.
pub(crate) fn plain_text(telemetry: &Schema, stored: &Schema) -> SchemaRef {
    let column = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8View | DataType::Utf8 => {
            let text = Field::new(field.name(), DataType::Utf8, field.is_nullable());
            let own = telemetry.field_with_name(field.name());
            Arc::new(own.map_or(text.clone(), |own| text.with_metadata(own.metadata().clone())))
        }
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(stored.fields().iter().map(column).collect::<Vec<_>>()))
}

/// The batch with the columns of `schema`: by name, absent ones null, types cast.
pub(crate) fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let column = |field: &Arc<Field>| -> Result<ArrayRef> {
        let Some(values) = batch.column_by_name(field.name()) else {
            return Ok(new_null_array(field.data_type(), batch.num_rows()));
        };
        if values.data_type() == field.data_type() {
            return Ok(Arc::clone(values));
        }
        cast(values, field.data_type()).map_err(|error| {
            Error::internal(format!("column {} can't become {}", field.name(), field.data_type()))
                .with_source(error)
        })
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| Error::internal("a batch does not fit its table").with_source(error))
}

/// Rows of several batches in the order of `date` and `timestamp`; equal ones stay as they came.
#[derive(Debug)]
pub(crate) struct TimeOrder<'a> {
    batches: Vec<&'a RecordBatch>,
    /// Day, microseconds, batch and row.
    order: Vec<(i32, i64, usize, usize)>,
}

impl<'a> TimeOrder<'a> {
    /// Looks at the keys only; no row is copied.
    pub(crate) fn of(batches: &'a [RecordBatch]) -> Result<Self> {
        let mut order = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        for (number, batch) in batches.iter().enumerate() {
            let (dates, times) = keys(batch)?;
            order.extend((0..batch.num_rows()).map(|row| (dates[row], times[row], number, row)));
        }
        // Mostly sorted already: the stable sort takes the runs as they come.
        order.sort_by_key(|(date, time, _, _)| (*date, *time));
        Ok(Self { batches: batches.iter().collect(), order })
    }

    /// The days, in days since 1970, each with its rows.
    pub(crate) fn days(&self) -> impl Iterator<Item = (i32, OrderedRows<'_>)> {
        self.order
            .chunk_by(|left, right| left.0 == right.0)
            .filter_map(|rows| Some((rows.first()?.0, OrderedRows { batches: &self.batches, rows })))
    }
}

/// Rows in their order, not copied yet.
#[derive(Debug)]
pub(crate) struct OrderedRows<'a> {
    batches: &'a [&'a RecordBatch],
    rows: &'a [(i32, i64, usize, usize)],
}

impl OrderedRows<'_> {
    /// The number of rows.
    pub(crate) const fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows in batches of at most `batch_rows`, each made when it is asked for: the only copy of a row
    /// between the hot buffer and the file.
    pub(crate) fn batches(&self, batch_rows: usize) -> impl Iterator<Item = Result<RecordBatch>> {
        self.rows.chunks(batch_rows.max(1)).map(|rows| {
            let picks: Vec<(usize, usize)> = rows.iter().map(|(_, _, batch, row)| (*batch, *row)).collect();
            interleave_record_batch(self.batches, &picks)
                .map_err(|error| Error::internal("rows can't be put in order").with_source(error))
        })
    }
}

/// The day and the microseconds of each row.
fn keys(batch: &RecordBatch) -> Result<(&[i32], &[i64])> {
    let dates = batch.column_by_name("date").and_then(|column| column.as_primitive_opt::<Date32Type>());
    let times = batch
        .column_by_name("timestamp")
        .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let (Some(dates), Some(times)) = (dates, times) else {
        return Err(Error::internal("telemetry rows without date and timestamp"));
    };
    if dates.null_count() + times.null_count() > 0 {
        return Err(Error::internal("telemetry rows with a null date or timestamp"));
    }
    Ok((dates.values(), times.values()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::TimeUnit;

    use super::*;

    fn batch(rows: &[(i32, i64, &str)]) -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("date", DataType::Date32, true),
            Field::new("timestamp", DataType::Timestamp(TimeUnit::Microsecond, None), true),
            Field::new("payload", DataType::Utf8, true),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.0))),
            Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2))),
        ];
        RecordBatch::try_new(Arc::new(schema), columns).unwrap()
    }

    fn payloads(batch: &RecordBatch) -> Vec<&str> {
        batch.column(2).as_string::<i32>().iter().flatten().collect()
    }

    #[test]
    fn rows_come_by_day_and_time_in_bounded_batches() {
        let batches = [batch(&[(2, 20, "d"), (1, 10, "a")]), batch(&[(1, 12, "c"), (1, 10, "b")])];
        let order = TimeOrder::of(&batches).unwrap();
        let days: Vec<_> = order
            .days()
            .map(|(day, rows)| {
                let parts: Vec<_> = rows.batches(2).map(|part| payloads(&part.unwrap()).join(" ")).collect();
                (day, rows.len(), parts)
            })
            .collect();
        let expected = [(1, 3, vec!["a b".to_owned(), "c".to_owned()]), (2, 1, vec!["d".to_owned()])];
        assert_eq!(days, expected);
    }

    #[test]
    fn absent_columns_are_null_and_others_are_found_by_name() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("payload", DataType::LargeUtf8, true),
            Field::new("added", DataType::Int64, true),
        ]));
        let conformed = conform(&batch(&[(1, 1, "x")]), &schema).unwrap();
        assert_eq!(conformed.schema(), schema);
        assert_eq!(conformed.column(0).as_string::<i64>().value(0), "x");
        assert!(conformed.column(1).is_null(0));
    }
}
