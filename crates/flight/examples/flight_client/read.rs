//! Queries.

use arrow::array::{Array, AsArray};
use arrow::compute::sum;
use arrow::datatypes::Int64Type;
use arrow::util::display::array_value_to_string;
use arrow_flight::{Action, CancelFlightInfoRequest};
use futures::TryStreamExt;
use prost::Message as _;

use crate::check::{
    Client, Outcome, Target, equal, fails, feature, one_number, query, rows, texts, wait_until_idle,
};

pub(crate) async fn run(target: &Target, client: &mut Client) {
    feature("query", all_rows(target, client)).await;
    feature("empty", empty(target, client)).await;
    feature("types", types(target, client)).await;
    feature("nulls", nulls(target, client)).await;
    feature("big", big(target, client)).await;
    feature("wide", wide(target, client)).await;
    feature("errors", errors(client)).await;
    feature("cancel", cancel(target, client)).await;
}

async fn all_rows(target: &Target, client: &mut Client) -> Outcome<String> {
    let batches = query(client, &format!("SELECT * FROM {}", target.get("table")?)).await?;
    equal(rows(&batches), target.get("rows")?.parse()?, "rows")?;
    Ok(String::new())
}

async fn empty(target: &Target, client: &mut Client) -> Outcome<String> {
    equal(rows(&query(client, target.get("query_empty")?).await?), 0, "rows")?;
    Ok(String::new())
}

async fn types(target: &Target, client: &mut Client) -> Outcome<String> {
    let batches = query(client, target.get("query_types")?).await?;
    let row = batches.first().ok_or("no row")?;
    let expected = [
        ("int8", "-8"),
        ("int64", "-9000000000000000000"),
        ("uint8", "200"),
        ("uint64", "18000000000000000000"),
        ("float64", "2.25"),
        ("decimal", "12345.678"),
        ("boolean", "true"),
        ("text", "Grüße"),
        ("view", "view"),
        ("dictionary", "word"),
        ("binary", "00ff"),
        ("date", "2026-01-02"),
        ("time", "03:04:05"),
        ("timestamp", "2026-01-02T03:04:05.678901"),
        ("timestamp_utc", "2026-01-02T03:04:05.678901Z"),
    ];
    for (name, value) in expected {
        let column = row.column_by_name(name).ok_or_else(|| format!("no column {name}"))?;
        equal(array_value_to_string(column, 0)?.as_str(), value, name)?;
    }
    Ok(format!("{} types", row.num_columns()))
}

async fn nulls(target: &Target, client: &mut Client) -> Outcome<String> {
    let batches = query(client, target.get("query_nulls")?).await?;
    let row = batches.first().ok_or("no row")?;
    equal(row.columns().iter().all(|column| column.is_null(0)), true, "all null")?;
    Ok(String::new())
}

async fn big(target: &Target, client: &mut Client) -> Outcome<String> {
    let batches = query(client, target.get("query_big")?).await?;
    equal(rows(&batches), 1_000_000, "rows")?;
    let total: i64 =
        batches.iter().filter_map(|batch| sum(batch.column(0).as_primitive::<Int64Type>())).sum();
    equal(total, 499_999_500_000, "sum")?;
    Ok(String::new())
}

async fn wide(target: &Target, client: &mut Client) -> Outcome<String> {
    let found = texts(&query(client, target.get("query_wide")?).await?, "wide")?;
    equal(found.first().map(String::len), Some(target.get("wide_length")?.parse()?), "length")?;
    Ok(String::new())
}

async fn errors(client: &mut Client) -> Outcome<String> {
    fails(query(client, "SELECT * FROM no_such_table").await, &["no_such_table"])?;
    fails(query(client, "SELECT 1 / (value - 5) FROM generate_series(1, 10)").await, &["zero"])?;
    fails(query(client, "SELECT 1,\n  no_such_column").await, &["no_such_column", "line 2", "column 3"])
}

/// CancelFlightInfo, and a stream that is dropped.
async fn cancel(target: &Target, client: &mut Client) -> Outcome<String> {
    let marker = uuid::Uuid::new_v4().to_string();
    let live = target.query("query_live", &marker)?;
    for by_action in [true, false] {
        let info = client.execute(target.query("query_slow", &marker)?, None).await?;
        let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.clone()).ok_or("no ticket")?;
        let mut stream = client.do_get(ticket).await?;
        stream.try_next().await?.ok_or("no first batch")?;
        equal(one_number(&query(client, &live).await?)?, 1, "live queries before")?;
        if by_action {
            let body = CancelFlightInfoRequest { info: Some(info) }.encode_to_vec();
            let action = Action { r#type: "CancelFlightInfo".into(), body: body.into() };
            let mut results = client.do_action(action).await?;
            results.message().await?.ok_or("no answer to CancelFlightInfo")?;
            let rest = async {
                while stream.try_next().await?.is_some() {}
                Ok(())
            };
            fails(rest.await, &["cancel"])?;
        }
        drop(stream);
        wait_until_idle(client, &live).await?;
    }
    Ok(String::new())
}
