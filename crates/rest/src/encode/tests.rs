use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray,
    NullArray, RecordBatchOptions, StringArray, StructArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{Field, Fields, Int64Type, TimeUnit};

use super::timestamp::push_timestamp;
use super::*;

fn check(columns: Vec<(&str, ArrayRef)>, expected: &str) {
    let fields = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
    check_fields(fields.collect(), columns.into_iter().map(|(_, array)| array).collect(), expected);
}

fn check_fields(fields: Vec<Field>, columns: Vec<ArrayRef>, expected: &str) {
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    let mut encoder = RowEncoder::new(&batch.schema()).unwrap();
    let mut out = Vec::new();
    assert_eq!(encoder.write(&batch, 0, &mut out).unwrap(), batch.num_rows());
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text, expected);
    serde_json::from_str::<serde_json::Value>(&format!("[{text}]")).unwrap();
}

#[test]
fn numbers_keep_all_their_digits() {
    check(
        vec![
            ("i", Arc::new(Int64Array::from(vec![i64::MIN, i64::MAX]))),
            ("u", Arc::new(UInt64Array::from(vec![0, u64::MAX]))),
            (
                "d",
                Arc::new(
                    Decimal128Array::from(vec![99_999_999_999_999_999_999_i128, -1])
                        .with_precision_and_scale(38, 3)
                        .unwrap(),
                ),
            ),
            ("f", Arc::new(Float64Array::from(vec![0.1, 1e300]))),
        ],
        "{\"i\":-9223372036854775808,\"u\":0,\"d\":99999999999999999.999,\"f\":0.1},\n\
         {\"i\":9223372036854775807,\"u\":18446744073709551615,\"d\":-0.001,\"f\":1.0e300}",
    );
}

#[test]
fn what_json_has_no_number_for_is_null() {
    check(
        vec![
            ("f", Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(f64::INFINITY), None]))),
            ("n", Arc::new(NullArray::new(3))),
        ],
        "{\"f\":null,\"n\":null},\n{\"f\":null,\"n\":null},\n{\"f\":null,\"n\":null}",
    );
}

#[test]
fn text_binary_and_booleans() {
    check(
        vec![
            ("t\"", Arc::new(StringArray::from(vec!["a\"b\\\n\u{1}ü", ""]))),
            ("b", Arc::new(BinaryArray::from_vec(vec![&[0, 255, 16], &[]]))),
            ("o", Arc::new(BooleanArray::from(vec![true, false]))),
        ],
        "{\"t\\\"\":\"a\\\"b\\\\\\n\\u0001ü\",\"b\":\"00ff10\",\"o\":true},\n{\"t\\\"\":\"\",\"b\":\"\",\"o\":false}",
    );
}

#[test]
fn dates_and_timestamps_are_iso_8601() {
    let micros = [0, -1, 1_795_169_452_430_000];
    check(
        vec![
            ("d", Arc::new(Date32Array::from(vec![0, -1, 20_777]))),
            ("t", Arc::new(TimestampMicrosecondArray::from(micros.to_vec()))),
            ("z", Arc::new(TimestampMicrosecondArray::from(micros.to_vec()).with_timezone("UTC"))),
        ],
        "{\"d\":\"1970-01-01\",\"t\":\"1970-01-01T00:00:00.000000\",\"z\":\"1970-01-01T00:00:00.000000Z\"},\n\
         {\"d\":\"1969-12-31\",\"t\":\"1969-12-31T23:59:59.999999\",\"z\":\"1969-12-31T23:59:59.999999Z\"},\n\
         {\"d\":\"2026-11-20\",\"t\":\"2026-11-20T10:10:52.430000\",\"z\":\"2026-11-20T10:10:52.430000Z\"}",
    );
    for (value, unit, expected) in [
        (1_795_169_452, TimeUnit::Second, "2026-11-20T10:10:52"),
        (1_795_169_452_007, TimeUnit::Millisecond, "2026-11-20T10:10:52.007"),
        (1_795_169_452_000_000_001, TimeUnit::Nanosecond, "2026-11-20T10:10:52.000000001"),
        (-62_167_219_201, TimeUnit::Second, "-0001-12-31T23:59:59"),
        (253_402_300_800, TimeUnit::Second, "+10000-01-01T00:00:00"),
        (i64::MAX, TimeUnit::Second, "9223372036854775807"),
    ] {
        let mut out = Vec::new();
        push_timestamp(value, unit, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn json_columns_are_json() {
    let json = [("ARROW:extension:name".to_owned(), "arrow.json".to_owned())].into();
    let texts =
        || Arc::new(StringArray::from(vec![Some(r#" {"a":[1,18446744073709551616]} "#), Some("{"), None]));
    check_fields(
        vec![
            Field::new("json", DataType::Utf8, true).with_metadata(json),
            Field::new("text", DataType::Utf8, true),
        ],
        vec![texts(), texts()],
        "{\"json\":{\"a\":[1,18446744073709551616]},\"text\":\" {\\\"a\\\":[1,18446744073709551616]} \"},\n\
         {\"json\":\"{\",\"text\":\"{\"},\n{\"json\":null,\"text\":null}",
    );
}

#[test]
fn nested_values_are_arrays_and_objects() {
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), None]), None]);
    let inner: Fields = vec![Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, None), true)].into();
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None]));
    let object = StructArray::new(inner, vec![times], None);
    check(
        vec![("l", Arc::new(list)), ("s", Arc::new(object))],
        "{\"l\":[1,null],\"s\":{\"t\":\"1970-01-01T00:00:00.000000\"}},\n{\"l\":null,\"s\":{\"t\":null}}",
    );
}

#[test]
fn columns_of_one_name_are_told_apart() {
    for (given, expected) in [
        (vec!["a", "b"], vec!["a", "b"]),
        (vec!["a", "a", "a"], vec!["a", "a_1", "a_2"]),
        (vec!["a", "a", "a_1"], vec!["a", "a_2", "a_1"]),
        (vec!["a_1", "a", "a", "a_1"], vec!["a_1", "a", "a_2", "a_1_1"]),
    ] {
        let fields: Vec<_> = given.iter().map(|name| Field::new(*name, DataType::Null, true)).collect();
        assert_eq!(unique_names(&Schema::new(fields)), expected);
    }
}

#[test]
fn rows_without_columns_are_empty_objects() {
    let options = RecordBatchOptions::new().with_row_count(Some(2));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
    let mut out = Vec::new();
    RowEncoder::new(&batch.schema()).unwrap().write(&batch, 0, &mut out).unwrap();
    assert_eq!(out, b"{},\n{}");
}

#[test]
fn a_long_batch_is_written_in_chunks_that_join() {
    let text = "x".repeat(1000);
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values((0..1000).map(|_| text.as_str())));
    let batch = RecordBatch::try_from_iter([("t", texts)]).unwrap();
    let mut encoder = RowEncoder::new(&batch.schema()).unwrap();
    let (mut row, mut all, mut chunks) = (0, Vec::new(), 0);
    while row < batch.num_rows() {
        let mut out = Vec::new();
        row = encoder.write(&batch, row, &mut out).unwrap();
        assert!(out.len() < CHUNK_BYTES + 2000);
        all.extend(out);
        chunks += 1;
    }
    let text = format!("[{}]", String::from_utf8(all).unwrap());
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!((rows.len(), encoder.rows()), (1000, 1000));
    assert!(chunks > 5);
}
