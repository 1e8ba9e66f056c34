use datafusion::arrow::array::{Float64Array, Int32Array, Int64Array, StringArray, TimestampNanosecondArray};

use super::*;

fn bound(column: ArrayRef, to: DataType) -> Result<Vec<Vec<ScalarValue>>> {
    let expected = Schema::new(vec![Field::new("1", to, true)]);
    let batch = RecordBatch::try_from_iter([("x", column)]).unwrap();
    rows(&expected, &batch)
}

#[test]
fn values_take_the_expected_type() {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let cases: Vec<(ArrayRef, DataType, ScalarValue)> = vec![
        (Arc::new(Int32Array::from(vec![7])), DataType::Int64, ScalarValue::Int64(Some(7))),
        (Arc::new(Int64Array::from(vec![7])), DataType::Utf8, ScalarValue::Utf8(Some("7".into()))),
        (Arc::new(StringArray::from(vec!["7"])), DataType::Int64, ScalarValue::Int64(Some(7))),
        (Arc::new(Float64Array::from(vec![2.0])), DataType::Int32, ScalarValue::Int32(Some(2))),
        (Arc::new(Int64Array::from(vec![None])), DataType::Int32, ScalarValue::Int32(None)),
        (
            Arc::new(TimestampNanosecondArray::from(vec![5_000])),
            micros.clone(),
            ScalarValue::TimestampMicrosecond(Some(5), None),
        ),
        (Arc::new(Int64Array::from(vec![1])), DataType::Float32, ScalarValue::Float32(Some(1.0))),
    ];
    for (column, to, expected) in cases {
        assert_eq!(bound(Arc::clone(&column), to).unwrap(), [[expected]], "{column:?}");
    }
}

#[test]
fn values_that_would_change_are_refused() {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let cases: Vec<(ArrayRef, DataType, &str)> = vec![
        (
            Arc::new(Float64Array::from(vec![2.5])),
            DataType::Int32,
            "parameter 1 is Float64 and does not fit Int32: the value would change",
        ),
        (
            Arc::new(TimestampNanosecondArray::from(vec![5_001])),
            micros,
            "parameter 1 is Timestamp(ns) and does not fit Timestamp(µs): the value would change",
        ),
        (
            Arc::new(StringArray::from(vec!["seven"])),
            DataType::Int64,
            "parameter 1 is Utf8 and does not fit Int64: Cannot cast string 'seven' to value of Int64 type",
        ),
    ];
    for (column, to, message) in cases {
        assert_eq!(bound(column, to).unwrap_err().message(), message);
    }
}

#[test]
fn every_row_gives_its_values_and_columns_are_counted() {
    let expected = Schema::new(vec![Field::new("1", DataType::Int64, true)]);
    let batch =
        RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]).unwrap();
    let values = rows(&expected, &batch).unwrap();
    assert_eq!(values, [[ScalarValue::Int64(Some(1))], [ScalarValue::Int64(Some(2))]]);
    let error = rows(&Schema::empty(), &batch).unwrap_err();
    assert_eq!(error.message(), "the statement has 0 parameters, 1 were bound");
}
