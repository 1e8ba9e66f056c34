//! Parameters, updates and ingest.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_flight::sql::{
    CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use futures::stream;

use crate::check::{Client, Outcome, Target, equal, fails, feature, fetch, one_number, query, rows};

const TABLE: &str = "clients_arrow_rs";

pub(crate) async fn run(target: &Target, client: &mut Client) {
    feature("prepared", prepared(client)).await;
    feature("parameters", parameters(target, client)).await;
    feature("parameter-rows", parameter_rows(client)).await;
    feature("ddl", ddl(client)).await;
    feature("update-counts", update_counts(client)).await;
    feature("batch", batch(client)).await;
    feature("ingest", ingest(client)).await;
    feature("telemetry", telemetry(target, client)).await;
    feature("read-only", read_only(target)).await;
}

fn numbers(values: &[i64]) -> Outcome<RecordBatch> {
    let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    Ok(RecordBatch::try_from_iter([("1", column)])?)
}

async fn prepared(client: &mut Client) -> Outcome<String> {
    let mut statement = client.prepare("SELECT CAST(? AS BIGINT) AS i".into(), None).await?;
    equal(statement.parameter_schema()?.fields().len(), 1, "parameters")?;
    equal(statement.dataset_schema()?.fields().len(), 1, "columns")?;
    for number in 0..20 {
        statement.set_parameters(numbers(&[number])?)?;
        let info = statement.execute().await?;
        equal(one_number(&fetch(client, &info).await?)?, number, "number")?;
    }
    statement.close().await?;
    Ok(String::new())
}

async fn parameters(target: &Target, client: &mut Client) -> Outcome<String> {
    let sql =
        format!("SELECT count(*) AS n FROM {} WHERE src_port > ? AND session_id <> ?", target.get("table")?);
    let mut statement = client.prepare(sql, None).await?;
    let columns: [(&str, ArrayRef); 2] =
        [("1", Arc::new(Int64Array::from(vec![0]))), ("2", Arc::new(StringArray::from(vec!["it's nobody"])))];
    statement.set_parameters(RecordBatch::try_from_iter(columns)?)?;
    let info = statement.execute().await?;
    equal(one_number(&fetch(client, &info).await?)?, target.get("rows")?.parse()?, "rows")?;
    Ok(String::new())
}

async fn parameter_rows(client: &mut Client) -> Outcome<String> {
    let mut statement = client.prepare("SELECT CAST($1 AS BIGINT) AS i".into(), None).await?;
    statement.set_parameters(numbers(&[1, 2, 3])?)?;
    let info = statement.execute().await?;
    equal(rows(&fetch(client, &info).await?), 3, "rows")?;
    Ok(String::new())
}

async fn ddl(client: &mut Client) -> Outcome<String> {
    for sql in [
        format!("CREATE TABLE {TABLE} (id BIGINT, name VARCHAR)"),
        format!("CREATE VIEW {TABLE}_view AS SELECT name FROM {TABLE}"),
        format!("DROP VIEW {TABLE}_view"),
        format!("CREATE TABLE {TABLE}_copy AS SELECT 1 AS one"),
        format!("DROP TABLE {TABLE}_copy"),
    ] {
        client.execute_update(sql.clone(), None).await.map_err(|error| format!("{sql}: {error}"))?;
    }
    Ok(String::new())
}

async fn update_counts(client: &mut Client) -> Outcome<String> {
    for (sql, changed) in [
        (format!("INSERT INTO {TABLE} VALUES (1, 'a'), (2, 'b'), (3, NULL)"), 3),
        (format!("UPDATE {TABLE} SET name = 'c' WHERE id > 1"), 2),
        (format!("DELETE FROM {TABLE} WHERE id = 1"), 1),
        (format!("DELETE FROM {TABLE} WHERE id = 1"), 0),
    ] {
        equal(client.execute_update(sql.clone(), None).await?, changed, &sql)?;
    }
    Ok(String::new())
}

async fn batch(client: &mut Client) -> Outcome<String> {
    let mut statement = client.prepare(format!("INSERT INTO {TABLE} VALUES (?, 'bound')"), None).await?;
    statement.set_parameters(numbers(&[10, 11, 12])?)?;
    equal(statement.execute_update().await?, 3, "changed rows")?;
    let sql = format!("SELECT count(*) AS n FROM {TABLE} WHERE name = 'bound'");
    equal(one_number(&query(client, &sql).await?)?, 3, "rows")?;
    client.execute_update(format!("DROP TABLE {TABLE}"), None).await?;
    Ok(String::new())
}

fn into(table: &str, missing: TableNotExistOption, exists: TableExistsOption) -> CommandStatementIngest {
    CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: missing.into(),
            if_exists: exists.into(),
        }),
        table: table.to_owned(),
        schema: None,
        catalog: None,
        temporary: false,
        transaction_id: None,
        options: Default::default(),
    }
}

async fn write(client: &mut Client, command: CommandStatementIngest) -> Outcome<i64> {
    Ok(client.execute_ingest(command, stream::iter([Ok(numbers(&[1, 2, 3])?)])).await?)
}

async fn ingest(client: &mut Client) -> Outcome<String> {
    use TableExistsOption::{Append, Fail, Replace};
    use TableNotExistOption::{Create, Fail as Missing};
    let table = format!("{TABLE}_ingest");
    fails(write(client, into(&table, Missing, Append)).await, &[])?;
    let steps = [(Create, Fail, 3), (Missing, Append, 6), (Create, Append, 9), (Create, Replace, 3)];
    for (missing, exists, expected) in steps {
        equal(write(client, into(&table, missing, exists)).await?, 3, "rows written")?;
        let found = one_number(&query(client, &format!("SELECT count(*) AS n FROM {table}")).await?)?;
        equal(found, expected, exists.as_str_name())?;
    }
    fails(write(client, into(&table, Create, Fail)).await, &[])?;
    client.execute_update(format!("DROP TABLE {table}"), None).await?;
    Ok(String::new())
}

async fn telemetry(target: &Target, client: &mut Client) -> Outcome<String> {
    let table = target.get("table")?;
    let deleted = client.execute_update(format!("DELETE FROM {table}"), None).await;
    fails(deleted.map_err(Into::into), &[table])
}

async fn read_only(target: &Target) -> Outcome<String> {
    let mut client = target.with_token("read_only", "token").await?;
    let created = client.execute_update("CREATE TABLE clients_refused (a BIGINT)".into(), None).await;
    fails(created.map_err(Into::into), &["read-only"])
}
