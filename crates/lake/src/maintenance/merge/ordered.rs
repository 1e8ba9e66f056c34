//! Rows of several sources as one stream in the order of a column, without holding more of each source than a batch.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{SortOptions, interleave_record_batch};
use arrow::datatypes::Schema;
use arrow::row::{Row, RowConverter, Rows, SortField};
use pintail_types::{Error, Result};

/// Rows of a batch that is put together out of several.
const BATCH_ROWS: usize = 4096;

/// Batches that are kept for it at most.
const BATCHES_KEPT: usize = 256;

/// A run of rows of one source that is worth a batch of its own, without a copy.
const LONG_RUN: usize = 512;

/// What gives batches, in order if it is in order.
pub(crate) trait Batches {
    /// The next batch with rows; none at the end.
    fn next(&mut self) -> Result<Option<RecordBatch>>;
}

/// Gives the rows of `sources` to `take`: in the order of column `by`, nulls last, equal ones in the order of their
/// sources; or one source after the other. A source whose own rows are in another order keeps that.
pub(crate) fn merge<B: Batches>(
    mut sources: Vec<B>,
    by: Option<usize>,
    schema: &Schema,
    mut take: impl FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let Some(by) = by else {
        for source in &mut sources {
            while let Some(batch) = source.next()? {
                take(batch)?;
            }
        }
        return Ok(());
    };
    let keys = Keys::new(schema, by)?;
    let mut cursors = Vec::with_capacity(sources.len());
    for source in sources {
        cursors.extend(Cursor::start(source, &keys)?);
    }
    let mut output = Output::default();
    while let Some((first, run)) = next_run(&cursors) {
        let cursor = &mut cursors[first];
        output.add(cursor, run, &mut take)?;
        if !cursor.advance(run, &keys)? {
            cursors.remove(first);
        }
    }
    output.give(&mut take)
}

/// What makes values of the sort column comparable.
struct Keys {
    converter: RowConverter,
    column: usize,
}

impl Keys {
    fn new(schema: &Schema, column: usize) -> Result<Self> {
        let options = SortOptions { descending: false, nulls_first: false };
        let field = SortField::new_with_options(schema.field(column).data_type().clone(), options);
        let converter = RowConverter::new(vec![field]).map_err(unordered)?;
        Ok(Self { converter, column })
    }

    fn of(&self, batch: &RecordBatch) -> Result<Rows> {
        self.converter.convert_columns(&[Arc::clone(batch.column(self.column))]).map_err(unordered)
    }
}

fn unordered(error: arrow::error::ArrowError) -> Error {
    Error::internal("rows can't be put in order").with_source(error)
}

/// A source, and where it is.
struct Cursor<B> {
    source: B,
    batch: RecordBatch,
    keys: Rows,
    row: usize,
    /// Which output keeps the batch already, and at which place.
    kept: Option<(u64, usize)>,
}

impl<B: Batches> Cursor<B> {
    fn start(mut source: B, keys: &Keys) -> Result<Option<Self>> {
        let Some(batch) = source.next()? else { return Ok(None) };
        let keys = keys.of(&batch)?;
        Ok(Some(Self { source, batch, keys, row: 0, kept: None }))
    }

    fn key(&self) -> Row<'_> {
        self.keys.row(self.row)
    }

    /// Passes over rows; false at the end.
    fn advance(&mut self, rows: usize, keys: &Keys) -> Result<bool> {
        self.row += rows;
        if self.row < self.batch.num_rows() {
            return Ok(true);
        }
        let Some(batch) = self.source.next()? else { return Ok(false) };
        self.keys = keys.of(&batch)?;
        self.batch = batch;
        self.row = 0;
        self.kept = None;
        Ok(true)
    }
}

/// The source with the least row, and how many rows of it come before any of the others.
fn next_run<B: Batches>(cursors: &[Cursor<B>]) -> Option<(usize, usize)> {
    let (first, cursor) = cursors.iter().enumerate().min_by(|one, other| one.1.key().cmp(&other.1.key()))?;
    let others = cursors.iter().enumerate().filter(|(place, _)| *place != first);
    let second = others.min_by(|one, other| one.1.key().cmp(&other.1.key()));
    let rest = cursor.row + 1..cursor.batch.num_rows();
    let run = match second {
        None => rest.len(),
        Some((place, second)) => {
            let limit = second.key();
            let comes_first = |row: &usize| {
                let key = cursor.keys.row(*row);
                key < limit || key == limit && first < place
            };
            rest.take_while(comes_first).count()
        }
    };
    Some((first, run + 1))
}

/// Rows on their way out.
#[derive(Default)]
struct Output {
    batches: Vec<RecordBatch>,
    /// The batch of each row, and the row in it.
    picks: Vec<(usize, usize)>,
    /// How often rows were given before.
    given: u64,
}

impl Output {
    fn add<B>(
        &mut self,
        cursor: &mut Cursor<B>,
        run: usize,
        take: &mut impl FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        if run >= LONG_RUN {
            self.give(take)?;
            return take(cursor.batch.slice(cursor.row, run));
        }
        let place = match cursor.kept {
            Some((given, place)) if given == self.given => place,
            _ => {
                self.batches.push(cursor.batch.clone());
                self.batches.len() - 1
            }
        };
        cursor.kept = Some((self.given, place));
        self.picks.extend((cursor.row..cursor.row + run).map(|row| (place, row)));
        match self.picks.len() >= BATCH_ROWS || self.batches.len() >= BATCHES_KEPT {
            true => self.give(take),
            false => Ok(()),
        }
    }

    /// Lets go of what is there.
    fn give(&mut self, take: &mut impl FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        if self.picks.is_empty() {
            return Ok(());
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let rows = interleave_record_batch(&batches, &self.picks).map_err(unordered)?;
        self.picks.clear();
        self.batches.clear();
        self.given += 1;
        take(rows)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, SchemaRef};

    use super::*;

    /// Batches of numbers, each with the number of its source.
    struct Numbers(std::vec::IntoIter<RecordBatch>);

    impl Batches for Numbers {
        fn next(&mut self) -> Result<Option<RecordBatch>> {
            Ok(self.0.next())
        }
    }

    fn schema() -> SchemaRef {
        let field = |name| Field::new(name, DataType::Int64, true);
        Arc::new(Schema::new(vec![field("n"), field("source")]))
    }

    fn source(number: i64, batches: &[&[Option<i64>]]) -> Numbers {
        let batch = |rows: &&[Option<i64>]| {
            let source = Int64Array::from(vec![number; rows.len()]);
            let columns: Vec<arrow::array::ArrayRef> =
                vec![Arc::new(Int64Array::from(rows.to_vec())), Arc::new(source)];
            RecordBatch::try_new(schema(), columns).unwrap()
        };
        Numbers(batches.iter().map(batch).collect::<Vec<_>>().into_iter())
    }

    fn merged(sources: Vec<Numbers>, by: Option<usize>) -> Vec<(Option<i64>, i64)> {
        let mut rows = Vec::new();
        merge(sources, by, &schema(), |batch| {
            let numbers = batch.column(0).as_primitive::<Int64Type>().iter();
            let sources = batch.column(1).as_primitive::<Int64Type>().values();
            rows.extend(numbers.zip(sources.iter().copied()));
            Ok(())
        })
        .unwrap();
        rows
    }

    #[test]
    fn rows_come_in_order_and_equal_ones_in_that_of_their_sources() {
        let sources = || {
            vec![
                source(0, &[&[Some(1), Some(4)], &[Some(4), None]]),
                source(1, &[&[Some(4), Some(5)]]),
                source(2, &[]),
                source(3, &[&[Some(0), Some(4)]]),
            ]
        };
        let four = |source| (Some(4), source);
        let expected =
            [(Some(0), 3), (Some(1), 0), four(0), four(0), four(1), four(3), (Some(5), 1), (None, 0)];
        assert_eq!(merged(sources(), Some(0)), expected);
        let numbers: Vec<_> = merged(sources(), None).into_iter().map(|(number, _)| number).collect();
        let expected = [Some(1), Some(4), Some(4), None, Some(4), Some(5), Some(0), Some(4)];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn long_runs_and_rows_in_turns_are_all_given_once() {
        let long = i64::try_from(LONG_RUN).unwrap() * 3;
        let evens: Vec<_> = (0..long).map(|number| Some(number * 2)).collect();
        let odds: Vec<_> = (0..long).map(|number| Some(number * 2 + 1)).collect();
        let late: Vec<_> = (2 * long..3 * long).map(Some).collect();
        let halves = |rows: &[Option<i64>]| rows.len() / 2;
        let (low, high) = evens.split_at(halves(&evens));
        let sources = vec![source(0, &[low, high]), source(1, &[&odds]), source(2, &[&late])];
        let numbers: Vec<_> = merged(sources, Some(0)).into_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, (0..3 * long).map(Some).collect::<Vec<_>>());
    }
}
