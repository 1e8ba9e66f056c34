//! Statements with parameters: types that are told, and values that are bound.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use futures::TryStreamExt;
use pintail_engine::SettingValue;
use pintail_types::{ErrorKind, Result};

use crate::common::{Limits, bench, text_of};

fn row(values: Vec<ArrayRef>) -> RecordBatch {
    let columns = values.into_iter().enumerate().map(|(index, column)| (index.to_string(), column));
    RecordBatch::try_from_iter(columns).unwrap()
}

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn number(values: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

#[tokio::test]
async fn types_are_told_and_values_take_their_place() {
    let bench = bench(Limits::default());
    let session = bench.admin();
    for (sql, types, values, expected) in [
        ("SELECT ?", "Utf8", vec![text(&["x"])], vec!["x"]),
        ("SELECT ?", "Utf8", vec![number(&[7])], vec!["7"]),
        ("SELECT $2 || 'x' || $1 || $2", "Utf8 Utf8", vec![text(&["a"]), text(&["b"])], vec!["bxab"]),
        ("SELECT 1 + ?", "Int64", vec![number(&[2])], vec!["3"]),
        ("SELECT 1 + ?", "Int64", vec![text(&["2"])], vec!["3"]),
        (
            "SELECT CAST(? AS DOUBLE) / 2",
            "Float64",
            vec![Arc::new(Float64Array::from(vec![5.0])) as _],
            vec!["2.5"],
        ),
        ("SELECT abs(?)", "Int64", vec![number(&[-2])], vec!["2"]),
        ("SELECT NOT ?", "Boolean", vec![Arc::new(BooleanArray::from(vec![true])) as _], vec!["false"]),
        (
            "SELECT DISTINCT method FROM calls WHERE method = ?",
            "Utf8",
            vec![text(&["INVITE"])],
            vec!["INVITE"],
        ),
        (
            "SELECT count(*) FROM calls WHERE method IN (?, ?) AND src_port > ?",
            "Utf8 Utf8 UInt32",
            vec![text(&["none"]), text(&["neither"]), number(&[0])],
            vec!["0"],
        ),
        (
            "SELECT count(*) FROM calls WHERE timestamp BETWEEN ? AND ?",
            "Timestamp(µs) Timestamp(µs)",
            vec![Arc::new(TimestampMicrosecondArray::from(vec![0])) as _, text(&["1970-01-01T00:00:01Z"])],
            vec!["1"],
        ),
        (
            "SELECT x FROM (VALUES (1), (2), (3)) AS t(x) ORDER BY x DESC LIMIT ?",
            "Int64",
            vec![number(&[2])],
            vec!["3", "2"],
        ),
        (
            "SELECT x FROM (VALUES (1), (2), (3)) AS t(x) WHERE x > ? ORDER BY x",
            "Int64",
            vec![number(&[2, 1])],
            vec!["3", "2", "3"],
        ),
        (
            "SELECT x FROM (VALUES (1), (2), (3)) AS t(x) WHERE x > ? ORDER BY x",
            "Int64",
            vec![number(&[])],
            vec![],
        ),
        (
            "SELECT coalesce(?, 'none')",
            "Utf8",
            vec![Arc::new(StringArray::from(vec![None::<&str>])) as _],
            vec!["none"],
        ),
        (
            "WITH x AS (SELECT ? AS a) SELECT a || '-' || ? FROM x",
            "Utf8 Utf8",
            vec![text(&["a"]), text(&["b"])],
            vec!["a-b"],
        ),
        (
            "SELECT (SELECT count(*) FROM calls WHERE method = ?) + ?",
            "Utf8 Int64",
            vec![text(&["none"]), number(&[1])],
            vec!["1"],
        ),
    ] {
        let statement = session.statement(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let told: Vec<_> =
            statement.parameters().fields().iter().map(|field| field.data_type().to_string()).collect();
        assert_eq!(told.join(" "), types, "{sql}");
        // A second execution is as good as the first.
        for _ in 0..2 {
            let stream = statement.execute_with(&row(values.clone())).await;
            let stream = stream.unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(stream.schema(), statement.schema(), "{sql}");
            let batches: Vec<RecordBatch> =
                stream.try_collect().await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(text_of(&batches), expected, "{sql}");
        }
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let bench = bench(Limits::default());
    let session = bench.admin();
    for (sql, values, message) in [
        ("SELECT 1 + ?", vec![text(&["two"])], "parameter 1 is Utf8 and does not fit Int64"),
        ("SELECT 1 + ?", vec![], "the statement has 1 parameters, 0 were bound"),
        ("SELECT 1", vec![number(&[1])], "the statement has 0 parameters, 1 were bound"),
        ("SELECT 1 + ?", vec![Arc::new(Float64Array::from(vec![2.5])) as _], "the value would change"),
    ] {
        let statement = session.statement(sql).await.unwrap();
        let batch = match values.is_empty() {
            true => RecordBatch::new_empty(Arc::new(datafusion::arrow::datatypes::Schema::empty())),
            false => row(values),
        };
        let error = statement.execute_with(&batch).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{sql}");
        assert!(error.message().contains(message), "{sql}: {error}");
    }
    let error = session.statement("SELECT ? || ?").await.unwrap_err();
    assert!(error.message().contains("a parameter may need its type: CAST(? AS type)"), "{error}");
    let error = session.statement("SELECT ?").await.unwrap().execute().await.unwrap_err();
    assert_eq!(error.message(), "the statement has 1 parameters, none were bound");
}

#[tokio::test]
async fn settings_hold_for_later_statements_of_all_clones() -> Result<()> {
    let bench = bench(Limits::default());
    let session = bench.admin();
    let before = session.statement("SELECT count(*) FROM calls").await?;
    let text = |value: &str| SettingValue::Text(value.to_owned());
    session.clone().set("schema", Some(text("system")))?;
    assert_eq!(session.settings()["schema"], text("system"));
    assert_eq!(session.statement("SELECT * FROM calls").await.unwrap_err().kind(), ErrorKind::NotFound);
    // What was planned before means what it meant then.
    before.execute().await?.try_collect::<Vec<_>>().await?;
    session.set("schema", None)?;
    session.statement("SELECT * FROM calls").await?;
    assert_eq!(session.set("colour", None).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(session.set("catalog", Some(SettingValue::Int(1))).unwrap_err().kind(), ErrorKind::Invalid);
    Ok(())
}

#[tokio::test]
async fn a_change_of_settings_is_an_update() {
    let bench = bench(Limits::default());
    let session = bench.admin();
    let statement = session.statement("USE system").await.unwrap();
    assert!(statement.is_update() && statement.schema().fields().is_empty());
    assert_eq!(session.current_schema(), "main");
    assert_eq!(statement.execute().await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(statement.update(None).await.unwrap(), Some(0));
    assert_eq!(session.current_schema(), "system");
    let query = session.statement("SELECT 1").await.unwrap();
    assert_eq!(query.update(None).await.unwrap_err().kind(), ErrorKind::Invalid);
}
