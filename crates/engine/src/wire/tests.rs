use datafusion::arrow::array::{
    BinaryArray, Date32Array, DictionaryArray, Float16Array, Int32Array, Int64Array, ListArray, RunArray,
    StringArray, StringViewArray, TimestampMicrosecondArray,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Int32Type, TimeUnit};
use datafusion::arrow::util::display::ArrayFormatter;

use super::*;

fn list_of(data_type: DataType) -> FieldRef {
    Arc::new(Field::new("item", data_type, true))
}

#[test]
fn types_that_do_not_leave() {
    let utc = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    for (inside, outside) in [
        (DataType::Utf8View, DataType::Utf8),
        (DataType::LargeUtf8, DataType::Utf8),
        (DataType::BinaryView, DataType::Binary),
        (DataType::LargeBinary, DataType::Binary),
        (DataType::Float16, DataType::Float32),
        (DataType::Decimal32(7, 2), DataType::Decimal128(7, 2)),
        (DataType::Decimal64(17, 2), DataType::Decimal128(17, 2)),
        (DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), utc()),
        (DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into())), utc()),
        (DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View)), DataType::Utf8),
        (DataType::ListView(list_of(DataType::Utf8View)), DataType::List(list_of(DataType::Utf8))),
        (DataType::LargeList(list_of(DataType::Int64)), DataType::List(list_of(DataType::Int64))),
        (
            DataType::Struct(vec![Field::new("a", DataType::Utf8View, true)].into()),
            DataType::Struct(vec![Field::new("a", DataType::Utf8, true)].into()),
        ),
        (JSON_UNION_DATA_TYPE.clone(), DataType::Utf8),
        (DataType::UInt32, DataType::UInt32),
        (DataType::Timestamp(TimeUnit::Microsecond, None), DataType::Timestamp(TimeUnit::Microsecond, None)),
    ] {
        let schema = Schema::new(vec![Field::new("x", inside.clone(), false)]);
        let wire = wire_schema(&schema, WireProfile::Standard);
        assert_eq!(*wire.field(0), Field::new("x", outside, false), "{inside}");
        assert_eq!(wire_schema(&wire, WireProfile::Standard), wire, "{inside} twice");
    }
}

#[test]
fn values_survive_the_cast() {
    let views: ArrayRef =
        Arc::new(StringViewArray::from(vec![Some("a"), None, Some("a longer text than twelve")]));
    let columns: Vec<ArrayRef> = vec![
        Arc::clone(&views),
        Arc::new(vec!["x", "y", "x"].into_iter().collect::<DictionaryArray<Int32Type>>()),
        Arc::new(TimestampMicrosecondArray::from(vec![1, 2, 3]).with_timezone("+02:00")),
        Arc::new(Float16Array::from(vec![None, None, None])),
        cast(&views, &DataType::LargeUtf8).unwrap(),
        Arc::new(
            RunArray::try_new(&Int32Array::from(vec![2, 3]), &StringArray::from(vec!["r", "s"])).unwrap(),
        ),
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)]), None, None])),
        Arc::new(Int64Array::from(vec![1, 2, 3])),
    ];
    let names = ["view", "dictionary", "zone", "half", "large", "runs", "list", "plain"];
    let batch = RecordBatch::try_from_iter(names.into_iter().zip(columns)).unwrap();
    let schema = wire_schema(&batch.schema(), WireProfile::Standard);
    let wire = to_wire(&batch, &schema).unwrap();
    assert_eq!(wire.schema(), schema);
    let strings = |name: &str| -> Vec<Option<String>> {
        let column = wire.column_by_name(name).unwrap().as_any().downcast_ref::<StringArray>().unwrap();
        column.iter().map(|value| value.map(str::to_owned)).collect()
    };
    assert_eq!(strings("view")[2].as_deref(), Some("a longer text than twelve"));
    assert_eq!(strings("dictionary"), ["x", "y", "x"].map(|value| Some(value.to_owned())));
    assert_eq!(strings("runs"), ["r", "r", "s"].map(|value| Some(value.to_owned())));
    assert_eq!(strings("large")[1], None);
    let zone = wire.column_by_name("zone").unwrap();
    assert_eq!(zone.as_any().downcast_ref::<TimestampMicrosecondArray>().unwrap().value(2), 3);
    assert!(Arc::ptr_eq(wire.column(7), batch.column(7)), "a column that fits is not copied");
}

#[test]
fn rows_without_columns_keep_their_number() {
    let options = RecordBatchOptions::new().with_row_count(Some(5));
    let schema = Arc::new(Schema::empty());
    let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), vec![], &options).unwrap();
    assert_eq!(to_wire(&batch, &schema).unwrap().num_rows(), 5);
}

#[test]
fn another_number_of_columns_is_refused() {
    let batch = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Int64, true)]));
    assert!(to_wire(&batch, &schema).is_err());
}

#[test]
fn what_grafana_reads() {
    let time = || DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    for (inside, outside) in [
        (DataType::Timestamp(TimeUnit::Microsecond, None), time()),
        (DataType::Timestamp(TimeUnit::Second, Some("Europe/Berlin".into())), time()),
        (DataType::Date32, time()),
        (DataType::Decimal128(38, 2), DataType::Float64),
        (DataType::Decimal32(7, 2), DataType::Float64),
        (DataType::LargeUtf8, DataType::Utf8),
        (DataType::Binary, DataType::Utf8),
        (DataType::FixedSizeBinary(2), DataType::Utf8),
        (DataType::List(list_of(DataType::Int64)), DataType::Utf8),
        (DataType::Struct(vec![Field::new("a", DataType::Int64, true)].into()), DataType::Utf8),
        (DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Date32)), time()),
        (DataType::Time64(TimeUnit::Microsecond), DataType::Utf8),
        (DataType::UInt32, DataType::UInt32),
        (DataType::Boolean, DataType::Boolean),
    ] {
        let schema = Schema::new(vec![Field::new("x", inside.clone(), false)]);
        let wire = wire_schema(&schema, WireProfile::Grafana);
        assert_eq!(*wire.field(0), Field::new("x", outside, false), "{inside}");
        assert_eq!(wire_schema(&wire, WireProfile::Grafana), wire, "{inside} twice");
        let empty = to_wire(&RecordBatch::new_empty(Arc::new(schema)), &wire).unwrap();
        assert_eq!(empty.schema(), wire, "{inside} without rows");
    }
}

#[test]
fn values_as_grafana_gets_them() {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None]).with_timezone("+02:00")),
        Arc::new(Date32Array::from(vec![1, 2])),
        Arc::new(BinaryArray::from(vec![Some(&b"text"[..]), Some(&[0xff, 0x00])])),
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), None])),
    ];
    let names = ["time", "zone", "day", "bytes", "list"];
    let batch = RecordBatch::try_from_iter(names.into_iter().zip(columns)).unwrap();
    let wire = to_wire(&batch, &wire_schema(&batch.schema(), WireProfile::Grafana)).unwrap();
    let shown = |name: &str| -> Vec<String> {
        let options = FormatOptions::default().with_null("NULL");
        let column = wire.column_by_name(name).unwrap();
        let formatter = ArrayFormatter::try_new(column, &options).unwrap();
        (0..2).map(|row| formatter.value(row).to_string()).collect()
    };
    assert_eq!(shown("time"), ["1970-01-01T00:00:00.000001Z", "NULL"]);
    assert_eq!(shown("zone"), shown("time"));
    assert_eq!(shown("day"), ["1970-01-02T00:00:00Z", "1970-01-03T00:00:00Z"]);
    assert_eq!(shown("bytes"), ["text", "\\xff00"]);
    assert_eq!(shown("list"), ["[1,null]", "NULL"]);
}

#[test]
fn a_date_that_nanoseconds_do_not_reach_is_an_error() {
    let day: ArrayRef = Arc::new(Date32Array::from(vec![1_000_000]));
    let batch = RecordBatch::try_from_iter([("day", day)]).unwrap();
    let error = to_wire(&batch, &wire_schema(&batch.schema(), WireProfile::Grafana)).unwrap_err();
    assert!(error.message().starts_with("column day: "), "{error}");
}
