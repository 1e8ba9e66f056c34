use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, ListArray, StringArray, StructArray, UInt64Array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Int32Type};
use arrow_flight::decode::FlightRecordBatchStream;
use bytes::Buf as _;
use futures::TryStreamExt;
use pintail_types::ErrorKind;
use prost::Message as _;

use super::*;

/// Everything that an encoder gives for these batches, through both ways out; both are checked to be the same.
async fn round_trip(batches: &[RecordBatch]) -> (Vec<usize>, RecordBatch) {
    let schema = batches[0].schema();
    let mut encoder = Encoder::new(Arc::clone(&schema)).unwrap();
    let mut messages = vec![encoder.schema_message()];
    for batch in batches {
        encoder.load(batch.clone()).unwrap();
        while let Some(message) = encoder.next_message() {
            messages.push(message.unwrap());
        }
    }
    let lengths = messages.iter().skip(1).map(Message::length).collect();
    let mut decoded = Vec::new();
    for message in messages {
        let mut pieces = message.clone().into_grpc_pieces();
        let mut frame = pieces.copy_to_bytes(pieces.remaining());
        let prefix = frame.split_to(5);
        assert_eq!(prefix[0], 0);
        assert_eq!(u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize, frame.len());
        let by_hand = FlightData::decode(frame).unwrap();
        assert_eq!(by_hand, message.into_flight_data());
        decoded.push(Ok(by_hand));
    }
    let stream = FlightRecordBatchStream::new_from_flight_data(futures::stream::iter(decoded));
    let batches: Vec<RecordBatch> = stream.try_collect().await.unwrap();
    (lengths, concat_batches(&schema, &batches).unwrap())
}

fn sample(rows: i32) -> RecordBatch {
    let numbers = Int32Array::from_iter((0..rows).map(|row| (row % 3 != 0).then_some(row)));
    let texts =
        StringArray::from_iter((0..rows).map(|row| (row % 5 != 0).then(|| "t".repeat(row as usize % 90))));
    let flags = BooleanArray::from_iter((0..rows).map(|row| Some(row % 2 == 0)));
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
        (0..rows).map(|row| (row % 7 != 0).then(|| (0..row % 4).map(Some).collect::<Vec<_>>())),
    );
    let pair = StructArray::from(vec![(
        Arc::new(Field::new("inner", DataType::Int64, true)),
        Arc::new(Int64Array::from_iter_values(0..i64::from(rows))) as ArrayRef,
    )]);
    RecordBatch::try_from_iter_with_nullable([
        ("n", Arc::new(numbers) as ArrayRef, true),
        ("t", Arc::new(texts), true),
        ("b", Arc::new(flags), true),
        ("l", Arc::new(lists), true),
        ("s", Arc::new(pair), true),
    ])
    .unwrap()
}

#[tokio::test]
async fn batches_come_back_whole() {
    for rows in [1, 63, 8192, 100_000] {
        let batch = sample(rows);
        let (lengths, back) = round_trip(std::slice::from_ref(&batch)).await;
        assert_eq!(back, batch, "{rows} rows");
        assert!(lengths.iter().all(|length| *length <= TARGET_BYTES), "{lengths:?}");
    }
}

#[tokio::test]
async fn slices_send_only_their_rows() {
    let batch = sample(100_000);
    for (offset, rows) in [(0, 10), (99_990, 10), (13, 1000), (8, 50_001)] {
        let slice = batch.slice(offset, rows);
        let (lengths, back) = round_trip(std::slice::from_ref(&slice)).await;
        assert_eq!(back, slice);
        let per_row: usize = lengths.iter().sum::<usize>() / rows;
        assert!(per_row < 400, "{per_row} bytes a row from {offset}");
        assert!(lengths.len() <= lengths.iter().sum::<usize>() / TARGET_BYTES + 2, "{lengths:?}");
    }
}

#[tokio::test]
async fn skewed_rows_are_split_by_their_real_length() {
    let texts = (0..4000).map(|row| if row % 1000 == 0 { "x".repeat(1_500_000) } else { "y".repeat(1000) });
    let column = Arc::new(StringArray::from_iter_values(texts)) as ArrayRef;
    let batch = RecordBatch::try_from_iter([("t", column)]).unwrap();
    let (lengths, back) = round_trip(std::slice::from_ref(&batch)).await;
    assert_eq!(back, batch);
    assert!(lengths.iter().all(|length| *length <= TARGET_BYTES), "{lengths:?}");
}

#[test]
fn one_row_may_be_longer_than_usual_but_never_than_the_limit() {
    let row = |length: usize| {
        let column = Arc::new(StringArray::from(vec!["a", &"x".repeat(length), "b"])) as ArrayRef;
        RecordBatch::try_from_iter([("t", column)]).unwrap()
    };
    let mut encoder = Encoder::new(row(1).schema()).unwrap();
    encoder.load(row(3 << 20)).unwrap();
    let lengths: Vec<usize> =
        std::iter::from_fn(|| encoder.next_message()).map(|message| message.unwrap().length()).collect();
    assert_eq!(lengths.len(), 3);
    assert!(lengths.iter().all(|length| *length <= MAX_BYTES));

    encoder.load(row(4 << 20)).unwrap();
    let error = std::iter::from_fn(|| encoder.next_message()).find_map(Result::err).unwrap();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
}

#[tokio::test]
async fn columns_without_rows_and_rows_without_columns() {
    let empty = sample(0);
    let (lengths, back) = round_trip(std::slice::from_ref(&empty)).await;
    assert!(lengths.is_empty());
    assert_eq!(back.schema(), empty.schema());

    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(3));
    let bare = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
    let (lengths, _) = round_trip(&[bare]).await;
    assert_eq!(lengths.len(), 1);
}

#[test]
fn columns_are_not_copied() {
    let column = Arc::new(UInt64Array::from_iter_values(0..8192)) as ArrayRef;
    let address = column.to_data().buffers()[0].as_ptr();
    let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let mut encoder = Encoder::new(batch.schema()).unwrap();
    encoder.load(batch).unwrap();
    let pieces = encoder.next_message().unwrap().unwrap().into_grpc_pieces();
    let mut slices = [std::io::IoSlice::new(&[]); 8];
    let count = pieces.chunks_vectored(&mut slices);
    assert!(slices[..count].iter().any(|slice| slice.as_ptr() == address));
}

#[test]
fn a_batch_of_other_types_is_refused() {
    let announced = sample(1).schema();
    let column = Arc::new(UInt64Array::from(vec![1])) as ArrayRef;
    let other = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let error = Encoder::new(announced).unwrap().load(other).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
}
