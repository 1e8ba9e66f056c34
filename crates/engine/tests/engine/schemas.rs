//! What is announced is what comes.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::MemTable;
use futures::TryStreamExt;
use pintail_types::ErrorKind;

use crate::common::{Limits, bench, rows};

#[tokio::test]
async fn the_announced_schema_is_that_of_every_batch() {
    let bench = bench(Limits::default());
    let session = bench.admin();
    for sql in [
        "SELECT * FROM calls",
        "SELECT * FROM calls WHERE false",
        "SELECT * FROM calls WHERE method = 'nothing'",
        "SELECT method, count(*), max(src_port), avg(src_port) FROM calls GROUP BY method",
        "SELECT method FROM calls UNION ALL SELECT 'x' UNION ALL SELECT NULL",
        "SELECT 1 UNION ALL SELECT 2.5",
        "SELECT NULL UNION SELECT session_id FROM calls",
        "SELECT a.method, b.src_port FROM calls a LEFT JOIN calls b ON a.session_id = b.method",
        "SELECT data_extra->'n', data_extra->>'cseq', json_get_array(data_extra, 'list') FROM calls",
        "SELECT array_agg(method), [1, 2], {'a': method} FROM calls GROUP BY method",
        "SELECT arrow_cast(method, 'Dictionary(Int32, Utf8)'), arrow_cast('x', 'LargeUtf8') FROM calls",
        "SELECT arrow_cast(timestamp, 'Timestamp(Nanosecond, Some(\"Europe/Berlin\"))') FROM calls",
        "SELECT now(), current_date, CAST('1' AS DECIMAL(5, 2)), arrow_cast(1, 'Float16')",
        "SELECT upper(method) || 'x', substr(session_id, 1, 2), CAST(src_port AS VARCHAR) FROM calls",
        "SELECT 1 AS a, 2 AS b WHERE 1 = 0",
        "EXPLAIN SELECT * FROM calls",
        "EXPLAIN ANALYZE SELECT * FROM calls",
        "DESCRIBE calls",
        "DESCRIBE SELECT method FROM calls",
        "SHOW TABLES",
        "SHOW COLUMNS FROM calls",
        "SHOW datafusion.execution.batch_size",
        "SHOW ALL",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.columns",
        "SELECT * FROM system.queries",
        "SELECT state FROM system.queries WHERE rows < 0",
    ] {
        let statement = session.statement(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let stream = statement.execute().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(stream.schema(), statement.schema(), "{sql}");
        let batches: Vec<RecordBatch> =
            stream.try_collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        for batch in batches {
            assert_eq!(batch.schema(), statement.schema(), "{sql}");
        }
        for field in statement.schema().fields() {
            let shown = field.data_type().to_string();
            let leaves =
                !["View", "Large", "Dictionary", "Float16", "Union"].iter().any(|part| shown.contains(part));
            assert!(leaves, "{sql}: {shown}");
        }
    }
}

#[tokio::test]
async fn a_statement_can_be_executed_again_and_sees_what_came() {
    let bench = bench(Limits::default());
    let statement = bench.admin().statement("SELECT count(*) FROM calls").await.unwrap();
    let first = statement.execute().await.unwrap();
    assert_eq!(first.id(), statement.id());
    first.try_collect::<Vec<_>>().await.unwrap();
    let columns = rows(&bench.admin(), "SELECT * FROM calls LIMIT 1").await.unwrap();
    bench.storage.replace("calls", Some(table(columns[0].clone())));
    let second = statement.execute().await.unwrap();
    assert_ne!(second.id(), statement.id());
    let counted = second.try_collect::<Vec<_>>().await.unwrap();
    assert!(format!("{:?}", counted[0].column(0)).contains('1'));
}

#[tokio::test]
async fn a_changed_table_is_a_conflict_and_a_dropped_one_is_not_found() {
    let bench = bench(Limits::default());
    let all = bench.admin().statement("SELECT * FROM calls").await.unwrap();
    let some = bench.admin().statement("SELECT method FROM calls").await.unwrap();
    let fields = vec![Field::new("method", DataType::Utf8, true), Field::new("added", DataType::Int64, true)];
    let empty = RecordBatch::new_empty(Arc::new(Schema::new(fields)));
    bench.storage.replace("calls", Some(table(empty)));
    assert_eq!(all.execute().await.unwrap_err().kind(), ErrorKind::Conflict);
    // The columns that this one announced are still there, in the same wire types.
    assert!(some.execute().await.is_ok());
    bench.storage.replace("calls", None);
    assert_eq!(some.execute().await.unwrap_err().kind(), ErrorKind::NotFound);
}

fn table(batch: RecordBatch) -> Arc<MemTable> {
    Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap())
}
