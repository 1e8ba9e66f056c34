//! Batches made to fit: to another schema by column name, and into the order files are kept in.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{cast, interleave_record_batch};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, TimestampMicrosecondType};
use pintail_types::{Error, Result};

/// The stored columns with text as plain text, as hot rows have it, not the views that files are read into. What the
/// telemetry table says of a column, such as that it is JSON, stays.
pub(crate) fn plain_text(telemetry: &Schema, stored: &Schema) -> SchemaRef {
    with_text_as(&DataType::Utf8, telemetry, stored)
}

/// The same with views of text: rows that are read, compared and grouped keep their text where it was decoded.
pub(crate) fn text_views(telemetry: &Schema, stored: &Schema) -> SchemaRef {
    with_text_as(&DataType::Utf8View, telemetry, stored)
}

fn with_text_as(data_type: &DataType, telemetry: &Schema, stored: &Schema) -> SchemaRef {
    let column = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8View | DataType::Utf8 => {
            let text = Field::new(field.name(), data_type.clone(), field.is_nullable());
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

/// A run of rows of this length is worth a batch of its own.
const LONG_RUN: usize = 512;

/// Day, microseconds, batch and row.
type OrderedRow = (i32, i64, usize, usize);

/// Rows of several batches in the order of `date` and `timestamp`; equal ones stay as they came.
#[derive(Debug)]
pub(crate) struct TimeOrder<'a> {
    batches: Vec<&'a RecordBatch>,
    order: Vec<OrderedRow>,
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
    rows: &'a [OrderedRow],
}

impl OrderedRows<'_> {
    /// The number of rows.
    pub(crate) const fn len(&self) -> usize {
        self.rows.len()
    }

    /// The rows in batches of at most `batch_rows`, each made when it is asked for. Rows that follow each other
    /// in their batch already, as those of one sender do, are taken from there without a copy; the others are
    /// copied once, which is the only copy of a row between the hot buffer and the file.
    pub(crate) fn batches(&self, batch_rows: usize) -> impl Iterator<Item = Result<RecordBatch>> {
        let mut rest = self.rows;
        let limit = batch_rows.max(1);
        let long = LONG_RUN.min(limit);
        std::iter::from_fn(move || {
            let run = run_length(rest, limit);
            let count = if run >= long { run } else { mixed_length(rest, long, limit) };
            let (rows, behind) = rest.split_at(count);
            rest = behind;
            let &(_, _, batch, first) = rows.first()?;
            if run == count {
                return Some(Ok(self.batches[batch].slice(first, count)));
            }
            let picks: Vec<(usize, usize)> = rows.iter().map(|(_, _, batch, row)| (*batch, *row)).collect();
            let picked = interleave_record_batch(self.batches, &picks)
                .map_err(|error| Error::internal("rows can't be put in order").with_source(error));
            Some(picked)
        })
    }
}

/// How many of the first rows follow each other in one batch; at most `limit`.
fn run_length(rows: &[OrderedRow], limit: usize) -> usize {
    let follows = |(left, right): (&OrderedRow, &OrderedRow)| left.2 == right.2 && left.3 + 1 == right.3;
    let pairs = rows.iter().zip(rows.iter().skip(1));
    let followers = pairs.take(limit.saturating_sub(1)).take_while(|pair| follows(*pair)).count();
    rows.len().min(followers + 1)
}

/// How many of the first rows come before the next run of at least `long`; at most `limit`.
fn mixed_length(rows: &[OrderedRow], long: usize, limit: usize) -> usize {
    let mut length = 0;
    while length < rows.len().min(limit) {
        let run = run_length(&rows[length..], long);
        if run == long {
            break;
        }
        length += run;
    }
    length.min(limit)
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
    fn long_runs_are_taken_as_they_are_and_short_ones_between_them_together() {
        let run = i64::try_from(LONG_RUN).unwrap();
        let rows = |times: Vec<i64>| batch(&times.into_iter().map(|time| (1, time, "x")).collect::<Vec<_>>());
        // In time: a long run of the first batch, three rows in turns, the rest of the second.
        let first = rows((0..=run).chain([run + 2]).collect());
        let second = rows([run + 1].into_iter().chain(run + 3..2 * run + 3).collect());
        let batches = [first, second];
        let order = TimeOrder::of(&batches).unwrap();
        let (_, ordered) = order.days().next().unwrap();
        let check = |batch_rows: usize, expected: &[usize]| {
            let parts: Vec<_> = ordered.batches(batch_rows).map(Result::unwrap).collect();
            assert_eq!(parts.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), expected);
            let times = parts
                .iter()
                .flat_map(|part| part.column(1).as_primitive::<TimestampMicrosecondType>().values().to_vec());
            assert!(times.eq(0..2 * run + 3), "batches of {batch_rows}");
        };
        check(10_000, &[LONG_RUN + 1, 2, LONG_RUN]);
        check(LONG_RUN, &[LONG_RUN, 3, LONG_RUN]);
        let odd = LONG_RUN - 1;
        check(odd, &[odd, 4, odd, 1]);
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
