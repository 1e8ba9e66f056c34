//! The forms of a result.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};

use super::*;

fn batch(rows: std::ops::Range<i64>) -> RecordBatch {
    let names: StringArray =
        rows.clone().map(|row| (row % 3 != 2).then(|| format!("name {row}\n"))).collect();
    let numbers: Int64Array = rows.map(Some).collect();
    RecordBatch::try_from_iter([("number", Arc::new(numbers) as _), ("name", Arc::new(names) as _)]).unwrap()
}

fn written(form: OutputForm, batches: &[RecordBatch]) -> String {
    let mut writer = ResultWriter::new(form, batch(0..0).schema().as_ref().clone(), Vec::new()).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

#[test]
fn each_form_writes_every_row() {
    let batches = [batch(0..2), batch(2..3)];
    assert_eq!(
        written(OutputForm::Table, &batches),
        "number | name\n-------+---------\n     0 | name 0\\n\n     1 | name 1\\n\n     2 | NULL\n(3 rows)\n"
    );
    assert_eq!(written(OutputForm::Csv, &batches), "number,name\n0,\"name 0\n\"\n1,\"name 1\n\"\n2,\n");
    let json: serde_json::Value = serde_json::from_str(&written(OutputForm::Json, &batches)).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3);
    assert_eq!(json[2], serde_json::json!({"number": 2, "name": null}));
}

#[test]
fn no_rows_are_a_result_too() {
    assert_eq!(written(OutputForm::Table, &[]), "number | name\n-------+-----\n(0 rows)\n");
    assert_eq!(written(OutputForm::Csv, &[]), "number,name\n");
    assert_eq!(written(OutputForm::Json, &[]).trim(), "[]");
}

#[test]
fn rows_past_the_look_ahead_are_written_at_once() {
    let text = written(OutputForm::Table, &[batch(0..1500), batch(1500..2500)]);
    assert_eq!(text.lines().count(), 2 + 2500 + 1);
}
