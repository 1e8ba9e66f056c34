//! What metadata requests get.

use datafusion::arrow::datatypes::DataType;
use pintail_engine::{Session, TableFilter};

use crate::common::{Limits, bench};

async fn names(session: &Session, filter: TableFilter) -> Vec<String> {
    let tables = session.tables(&filter).await.unwrap();
    tables.iter().map(|table| format!("{}.{}.{}", table.catalog, table.schema_name, table.name)).collect()
}

fn pattern(schema: &str, table: &str) -> TableFilter {
    TableFilter {
        schema_pattern: Some(schema.to_owned()),
        table_pattern: Some(table.to_owned()),
        ..TableFilter::default()
    }
}

#[tokio::test]
async fn catalogs_and_schemas() {
    let bench = bench(Limits::default());
    let (admin, reader) = (bench.admin(), bench.reader("grafana"));
    assert_eq!(admin.catalogs(), ["homer_lake", "homer_lake_default"]);
    assert_eq!(reader.catalogs(), ["homer_lake"]);
    let pair = |catalog: &str, schema: &str| (catalog.to_owned(), schema.to_owned());
    assert_eq!((reader.current_catalog(), reader.current_schema()), pair("homer_lake", "main"));
    assert_eq!(
        reader.schemas(None, None),
        [pair("homer_lake", "main"), pair("homer_lake", "system"), pair("homer_lake", "information_schema")]
    );
    assert_eq!(admin.schemas(None, Some("ma__")).len(), 2);
    assert_eq!(admin.schemas(Some("homer_lake"), Some("%m%")).len(), 3);
    assert_eq!(reader.schemas(Some("homer_lake_default"), None), []);
}

#[tokio::test]
async fn tables_by_pattern_and_type() {
    let bench = bench(Limits::default());
    let (admin, reader) = (bench.admin(), bench.reader("grafana"));
    assert_eq!(names(&reader, pattern("main", "%")).await, ["homer_lake.main.calls"]);
    assert_eq!(
        names(&admin, pattern("main", "%")).await,
        ["homer_lake.main.calls", "homer_lake_default.main.stored"]
    );
    assert_eq!(names(&reader, pattern("%", "quer_es")).await, ["homer_lake.system.queries"]);
    assert_eq!(names(&reader, pattern("%", "nothing")).await, Vec::<String>::new());
    assert_eq!(
        names(&reader, pattern("information\\_schema", "tables")).await,
        ["homer_lake.information_schema.tables"]
    );
    let views = TableFilter { table_types: vec!["VIEW".to_owned()], ..TableFilter::default() };
    assert_eq!(names(&reader, views).await, Vec::<String>::new());
    let base = TableFilter { table_types: vec!["BASE TABLE".to_owned()], ..TableFilter::default() };
    assert_eq!(names(&reader, base).await, ["homer_lake.main.calls"]);
}

#[tokio::test]
async fn columns_come_in_wire_types() {
    let bench = bench(Limits::default());
    let filter = TableFilter { with_schema: true, ..TableFilter::default() };
    let tables = bench.reader("grafana").tables(&filter).await.unwrap();
    let calls = tables.iter().find(|table| table.name == "calls").unwrap();
    let schema = calls.schema.as_ref().unwrap();
    assert_eq!(schema.field_with_name("method").unwrap().data_type(), &DataType::Utf8);
    assert!(tables.iter().all(|table| table.schema.is_some()), "{tables:?}");
    let statement = bench.admin().statement("SELECT * FROM calls").await.unwrap();
    assert_eq!(statement.schema().fields(), schema.fields());
}
