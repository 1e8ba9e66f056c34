use std::collections::HashMap;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::ExecutionPlan;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::RowSelector;
use parquet::file::properties::WriterProperties;

use super::*;

/// A file with the texts as column 7, two rows in a row group.
async fn file(texts: ArrayRef) -> (Arc<dyn ObjectStore>, PartitionedFile) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let file = put(store.as_ref(), "a.parquet", texts).await;
    (store, file)
}

/// The same in a store that is there.
async fn put(store: &dyn ObjectStore, name: &str, texts: ArrayRef) -> PartitionedFile {
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
    let path = Path::from(name);
    store.put(&path, PutPayload::from(bytes)).await.unwrap();
    store.head(&path).await.unwrap().into()
}

/// The scan of files of so many rows.
fn scan(files: &[(PartitionedFile, usize)]) -> Arc<dyn ExecutionPlan> {
    let schema = Arc::new(Schema::new(vec![Field::new("call", DataType::Utf8View, true)]));
    let files = files.iter().map(|(file, rows)| {
        let mut statistics = Statistics::new_unknown(&schema);
        statistics.num_rows = Precision::Exact(*rows);
        file.clone().with_statistics(Arc::new(statistics))
    });
    let group = FileGroup::new(files.collect());
    let url = ObjectStoreUrl::parse("memory://").unwrap();
    let source = Arc::new(ParquetSource::new(Arc::clone(&schema)));
    DataSourceExec::from_data_source(FileScanConfigBuilder::new(url, source).with_file_group(group).build())
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

#[tokio::test]
async fn files_of_a_table_too_large_to_be_indexed_are_left_out_by_their_filters() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let one = put(store.as_ref(), "one", Arc::new(StringArray::from(vec!["a", "a", "both"]))).await;
    let two = put(store.as_ref(), "two", Arc::new(StringArray::from(vec!["b", "both", "b"]))).await;
    let files = scan(&[(one, 3), (two, 3)]);
    let (context, column_ids) = (Arc::new(TaskContext::default()), HashMap::new());
    let narrowed = async |indexes: &RowIndexes, text: &str| {
        let texts = [text.to_owned()];
        let looked_for = LookedForTexts { column_id: 7, texts: &texts, column_ids: &column_ids };
        let narrowed = indexes.narrowed(&store, &files, looked_for, &context).await.unwrap()?;
        let found = files_of(&narrowed).into_iter();
        Some(found.map(|file| file.object_meta.location.to_string()).collect::<Vec<_>>())
    };
    // Room for the rows of one of the files.
    let indexes = RowIndexes::new(40, 1 << 20);
    assert!(indexes.have_room_for_all_of(&files));
    for (text, expected) in
        [("a", vec!["one"]), ("b", vec!["two"]), ("both", vec!["one", "two"]), ("none", vec![])]
    {
        assert_eq!(narrowed(&indexes, text).await.unwrap(), expected, "{text}");
    }
    let indexes = RowIndexes::new(40, 300);
    assert!(!indexes.have_room_for_all_of(&files));
    assert!(narrowed(&indexes, "a").await.is_none());
}
