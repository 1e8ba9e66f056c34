//! A sum over rows by which two places are known to hold the same ones, whatever their order.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use arrow::array::RecordBatch;
use datafusion::common::hash_utils::create_hashes_with_hasher;
use pintail_types::{Error, Result};

/// How many rows there are, and the sum of their hashes. Every value counts, at its column's place; the order of rows
/// does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RowSum {
    pub(super) rows: u64,
    sum: u64,
}

impl RowSum {
    /// Adds the rows of a batch. All batches must have the same columns.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let hasher = BuildHasherDefault::<DefaultHasher>::default();
        let mut hashes = vec![0; batch.num_rows()];
        create_hashes_with_hasher(batch.columns(), &hasher, &mut hashes)
            .map_err(|error| Error::internal(format!("rows can't be summed up: {error}")))?;
        self.rows += batch.num_rows() as u64;
        // The hashes of a row's values are put together by additions, which a sum would see through: each is hashed again.
        let rows = hashes.iter().map(|hash| hasher.hash_one(hash));
        self.sum = rows.fold(self.sum, u64::wrapping_add);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn sum(rows: &[(Option<i64>, Option<&str>)]) -> RowSum {
        let numbers: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<Int64Array>());
        let texts: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<StringArray>());
        let batch = RecordBatch::try_from_iter([("n", numbers), ("t", texts)]).unwrap();
        let mut sum = RowSum::default();
        sum.add(&batch).unwrap();
        sum
    }

    #[test]
    fn any_other_row_gives_another_sum_and_any_order_the_same() {
        let rows = [(Some(1), Some("a")), (Some(2), None), (None, Some("b"))];
        assert_eq!(sum(&rows), sum(&[rows[2], rows[0], rows[1]]));
        for other in [
            vec![rows[0], rows[1]],
            vec![rows[0], rows[1], rows[1]],
            vec![rows[0], rows[1], (None, Some("c"))],
            vec![rows[0], (Some(2), Some("")), rows[2]],
            vec![(Some(2), Some("a")), (Some(1), None), rows[2]],
        ] {
            assert_ne!(sum(&rows), sum(&other), "{other:?}");
        }
    }
}
