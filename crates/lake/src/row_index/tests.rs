use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::RowSelector;
use parquet::file::properties::WriterProperties;

use super::*;

/// A file with the texts as column 7, two rows in a row group.
async fn file(texts: ArrayRef) -> (Arc<dyn ObjectStore>, PartitionedFile) {
    let id = [("PARQUET:field_id".to_owned(), "7".to_owned())];
    let text = Field::new("call", texts.data_type().clone(), true).with_metadata(id.into());
    let other = Field::new("number", DataType::Int64, true);
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..texts.len() as i64));
    let schema = Arc::new(Schema::new(vec![other, text]));
    let rows = RecordBatch::try_new(Arc::clone(&schema), vec![numbers, texts]).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(2)).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let path = Path::from("a.parquet");
    store.put(&path, PutPayload::from(bytes)).await.unwrap();
    let meta = store.head(&path).await.unwrap();
    (store, meta.into())
}

#[tokio::test]
async fn rows_are_found_by_their_text_over_row_groups() {
    let texts = StringArray::from(vec![Some("a"), Some("b"), Some("a"), None, Some("a"), Some("c")]);
    let (store, meta) = file(Arc::new(texts)).await;
    let hasher = RandomState::new();
    let index = RowIndex::read(store, &meta, 7, &hasher).await.unwrap().unwrap();
    let check = |texts: &[&str], expected: Option<Vec<RowSelector>>| {
        let hashes: Vec<u32> = texts.iter().map(|text| hash(&hasher, text)).collect();
        let rows = index.rows(&hashes);
        let found = (!rows.is_empty()).then(|| Vec::from(index.selection(&rows)));
        assert_eq!(found, expected, "{texts:?}");
    };
    let (select, skip) = (RowSelector::select, RowSelector::skip);
    check(&["a"], Some(vec![select(1), skip(1), select(1), skip(1), select(1), skip(1)]));
    check(&["a", "b", "a"], Some(vec![select(3), skip(1), select(1), skip(1)]));
    check(&["c"], Some(vec![skip(5), select(1)]));
    check(&["d"], None);
    check(&[], None);
}

#[tokio::test]
async fn a_column_that_is_not_there_or_no_text_has_no_index() {
    let hasher = RandomState::new();
    let (store, meta) = file(Arc::new(StringArray::from(vec!["a"]))).await;
    assert!(RowIndex::read(Arc::clone(&store), &meta, 8, &hasher).await.unwrap().is_none());
    let missing = PartitionedFile::new("b.parquet", meta.object_meta.size);
    assert!(RowIndex::read(store, &missing, 7, &hasher).await.is_err());
    let (store, meta) = file(Arc::new(Int64Array::from(vec![1]))).await;
    assert!(RowIndex::read(store, &meta, 7, &hasher).await.unwrap().is_none());
}

#[tokio::test]
async fn a_filter_knows_every_text_of_its_file_and_few_others() {
    let texts: Vec<String> = (0..1000).map(|call| format!("call {}", call / 10)).collect();
    let (store, meta) = file(Arc::new(StringArray::from(texts))).await;
    let filter = file_texts::FileTexts::read(Arc::clone(&store), &meta, 7, 1000).await.unwrap().unwrap();
    let may_hold = |call: usize| filter.may_hold_one_of(&["none".to_owned(), format!("call {call}")]);
    assert!((0..100).all(may_hold));
    assert!((100..1100).filter(|call| may_hold(*call)).count() < 5);
    assert!(!filter.may_hold_one_of(&[]));
    assert!(file_texts::FileTexts::read(store, &meta, 8, 1000).await.unwrap().is_none());
}
