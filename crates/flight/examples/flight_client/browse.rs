//! Metadata.

use arrow::array::{AsArray, RecordBatch};
use arrow::ipc::convert::try_schema_from_ipc_buffer;
use arrow_flight::sql::{
    CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo,
};

use crate::check::{Client, Outcome, Target, equal, feature, fetch, holds, query, rows, texts};

pub(crate) async fn run(target: &Target, client: &mut Client) {
    feature("server-info", server_info(client)).await;
    feature("catalogs", catalogs(target, client)).await;
    feature("schemas", schemas(target, client)).await;
    feature("tables", tables(target, client)).await;
    feature("columns", columns(target, client)).await;
    feature("table-types", table_types(client)).await;
    feature("type-info", type_info(client)).await;
    feature("keys", keys(target, client)).await;
}

async fn server_info(client: &mut Client) -> Outcome<String> {
    let info = client.get_sql_info(Vec::new()).await?;
    let found = rows(&fetch(client, &info).await?);
    if found < 80 {
        return Err(format!("only {found} facts").into());
    }
    Ok(format!("{found} facts"))
}

async fn catalogs(target: &Target, client: &mut Client) -> Outcome<String> {
    let info = client.get_catalogs().await?;
    holds(&texts(&fetch(client, &info).await?, "catalog_name")?, &[target.get("catalog")?])
}

async fn schemas(target: &Target, client: &mut Client) -> Outcome<String> {
    let catalog = Some(target.get("catalog")?.to_owned());
    let request = CommandGetDbSchemas { catalog, db_schema_filter_pattern: None };
    let info = client.get_db_schemas(request).await?;
    holds(&texts(&fetch(client, &info).await?, "db_schema_name")?, &["main"])
}

fn like(pattern: &str) -> CommandGetTables {
    CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: Some("main".into()),
        table_name_filter_pattern: Some(pattern.to_owned()),
        table_types: Vec::new(),
        include_schema: false,
    }
}

async fn tables(target: &Target, client: &mut Client) -> Outcome<String> {
    let table = target.get("table")?;
    for pattern in [table, &table.replace('_', "\\_"), "hep%call"] {
        let info = client.get_tables(like(pattern)).await?;
        holds(&texts(&fetch(client, &info).await?, "table_name")?, &[table])?;
    }
    Ok(String::new())
}

async fn columns(target: &Target, client: &mut Client) -> Outcome<String> {
    let table = target.get("table")?;
    let info = client.get_tables(CommandGetTables { include_schema: true, ..like(table) }).await?;
    let batches = fetch(client, &info).await?;
    let batch = batches.first().ok_or("no such table")?;
    let schemas = batch.column_by_name("table_schema").ok_or("no table_schema")?;
    let schema = try_schema_from_ipc_buffer(schemas.as_binary::<i32>().value(0))?;
    let streamed = query(client, &format!("SELECT * FROM {table} LIMIT 1")).await?;
    let streamed = streamed.first().ok_or("no row")?.schema();
    let names = |schema: &arrow::datatypes::Schema| -> Vec<_> {
        schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    equal(names(&schema), names(&streamed), "columns")?;
    Ok(format!("{} columns", schema.fields().len()))
}

async fn table_types(client: &mut Client) -> Outcome<String> {
    let info = client.get_table_types().await?;
    holds(&texts(&fetch(client, &info).await?, "table_type")?, &["BASE TABLE", "VIEW"])
}

async fn type_info(client: &mut Client) -> Outcome<String> {
    let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: None }).await?;
    let batches = fetch(client, &info).await?;
    equal(batches.first().map(RecordBatch::num_columns), Some(19), "columns")?;
    holds(&texts(&batches, "type_name")?, &["BIGINT", "VARCHAR"])
}

async fn keys(target: &Target, client: &mut Client) -> Outcome<String> {
    let (catalog, table) = (target.get("catalog")?.to_owned(), target.get("table")?.to_owned());
    let request = CommandGetPrimaryKeys { catalog: Some(catalog), db_schema: Some("main".into()), table };
    let info = client.get_primary_keys(request).await?;
    equal(rows(&fetch(client, &info).await?), 0, "keys")?;
    Ok(String::new())
}
