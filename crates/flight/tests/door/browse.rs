//! What tools ask before the first query.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Schema;
use arrow_flight::sql::{
    CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo, SqlInfo,
};
use arrow_flight::{FlightInfo, IpcMessage};

use crate::server::{ADMIN, Server, fetch};

/// Text of column `index` over all batches; the announced schema is checked to be that of the rows.
fn column(info: &FlightInfo, batches: &[RecordBatch], index: usize) -> Vec<String> {
    let announced = info.clone().try_decode_schema().unwrap();
    let mut values = Vec::new();
    for batch in batches {
        assert_eq!(*batch.schema(), announced);
        values.extend(batch.column(index).as_string::<i32>().iter().map(|value| value.unwrap().to_owned()));
    }
    values
}

async fn tables(server: &Server, command: CommandGetTables) -> (Vec<String>, Vec<RecordBatch>) {
    let mut client = server.client(ADMIN).await;
    let info = client.get_tables(command).await.unwrap();
    let batches = fetch(&mut client, &info).await.unwrap();
    (column(&info, &batches, 2), batches)
}

#[tokio::test]
async fn catalogs_schemas_and_table_types() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    let info = client.get_catalogs().await.unwrap();
    let rows = fetch(&mut client, &info).await.unwrap();
    let catalogs = column(&info, &rows, 0);
    assert!(catalogs.is_sorted());
    assert!(catalogs.iter().any(|name| name == "homer_lake"), "{catalogs:?}");

    for (catalog, pattern, found) in [
        (None, None, true),
        (Some("homer_lake"), Some("ma%"), true),
        (Some("homer_lake"), Some("nothing"), false),
        (Some("no_such"), None, false),
        (Some(""), None, false),
    ] {
        let command = CommandGetDbSchemas {
            catalog: catalog.map(str::to_owned),
            db_schema_filter_pattern: pattern.map(str::to_owned),
        };
        let info = client.get_db_schemas(command).await.unwrap();
        let rows = fetch(&mut client, &info).await.unwrap();
        let schemas = column(&info, &rows, 1);
        assert_eq!(schemas.iter().any(|name| name == "main"), found, "{catalog:?} {pattern:?}: {schemas:?}");
    }

    let info = client.get_table_types().await.unwrap();
    let rows = fetch(&mut client, &info).await.unwrap();
    assert_eq!(column(&info, &rows, 0), ["BASE TABLE", "SYSTEM TABLE", "VIEW"]);
}

#[tokio::test]
async fn tables_are_found_by_pattern_and_type() {
    let server = Server::start().await;
    let in_lake = || CommandGetTables { catalog: Some("homer_lake".into()), ..CommandGetTables::default() };
    for (pattern, types, found) in [
        (None, vec![], true),
        (Some("hep_proto_1_call"), vec![], true),
        (Some("hep\\_proto\\_1\\_call"), vec![], true),
        (Some("hep%call"), vec!["TABLE"], true),
        (Some("hep%call"), vec!["BASE TABLE", "table"], true),
        (Some("hep%call"), vec!["VIEW"], false),
        (Some("hep\\%call"), vec![], false),
    ] {
        let command = CommandGetTables {
            table_name_filter_pattern: pattern.map(str::to_owned),
            table_types: types.iter().map(|name| (*name).to_owned()).collect(),
            ..in_lake()
        };
        let (names, _) = tables(&server, command).await;
        let has = names.iter().any(|name| name == "hep_proto_1_call");
        assert_eq!(has, found, "{pattern:?} {types:?}: {names:?}");
    }
    let nowhere = CommandGetTables { catalog: Some(String::new()), ..CommandGetTables::default() };
    assert!(tables(&server, nowhere).await.0.is_empty());
}

#[tokio::test]
async fn the_schema_of_a_table_is_that_of_its_rows() {
    let server = Server::start().await;
    let command = CommandGetTables {
        catalog: Some("homer_lake".into()),
        table_name_filter_pattern: Some("hep_proto_1_call".into()),
        include_schema: true,
        ..CommandGetTables::default()
    };
    let (names, batches) = tables(&server, command).await;
    assert_eq!(names, ["hep_proto_1_call"]);
    let encoded = batches[0].column(4).as_binary::<i32>().value(0).to_vec();
    let described = Schema::try_from(IpcMessage(encoded.into())).unwrap();
    let mut client = server.client(ADMIN).await;
    let info = client.execute("SELECT * FROM hep_proto_1_call".into(), None).await.unwrap();
    let selected = info.try_decode_schema().unwrap();
    assert_eq!(described.fields().len(), selected.fields().len());
    for (table, query) in described.fields().iter().zip(selected.fields()) {
        assert_eq!((table.name(), table.data_type()), (query.name(), query.data_type()));
        assert_eq!(table.metadata()["ARROW:FLIGHT:SQL:TABLE_NAME"], "hep_proto_1_call");
        let type_name = "ARROW:FLIGHT:SQL:TYPE_NAME";
        assert_eq!(table.metadata()[type_name], query.metadata()[type_name]);
        assert!(!table.metadata()["ARROW:FLIGHT:SQL:REMARKS"].is_empty());
    }
    let session_id = described.field_with_name("session_id").unwrap();
    let remarks = "Call-ID of SIP, correlation id of other protocols";
    assert_eq!(session_id.metadata()["ARROW:FLIGHT:SQL:REMARKS"], remarks);
}

/// What BI tools read of a column: numbers of digits, where it is, and whether it can be written.
#[tokio::test]
async fn columns_tell_their_digits_their_place_and_whether_they_are_read_only() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    for sql in [
        "CREATE SCHEMA s",
        "CREATE TABLE s.prices (price DECIMAL(18, 3), name VARCHAR)",
        "CREATE VIEW s.cheap AS SELECT price FROM s.prices WHERE price < 1",
    ] {
        client.execute_update(sql.into(), None).await.unwrap();
    }
    let read_only = Server::start_changed(|options| options.read_only = true).await;
    for (server, schema, table, column, precision, scale, is_read_only) in [
        (&server, "s", "prices", 0, Some("18"), Some("3"), "0"),
        (&server, "s", "prices", 1, None, None, "0"),
        (&server, "s", "cheap", 0, Some("18"), Some("3"), "1"),
        (&server, "main", "hep_proto_1_call", 0, None, None, "1"),
        (&read_only, "main", "hep_proto_1_call", 0, None, None, "1"),
    ] {
        let command = CommandGetTables {
            catalog: Some("homer_lake".into()),
            db_schema_filter_pattern: Some(schema.into()),
            table_name_filter_pattern: Some(table.into()),
            include_schema: true,
            ..CommandGetTables::default()
        };
        let (names, batches) = tables(server, command).await;
        assert_eq!(names, [table]);
        let encoded = batches[0].column(4).as_binary::<i32>().value(0).to_vec();
        let described = Schema::try_from(IpcMessage(encoded.into())).unwrap();
        let metadata = described.field(column).metadata();
        for (key, expected) in [
            ("PRECISION", precision),
            ("SCALE", scale),
            ("IS_READ_ONLY", Some(is_read_only)),
            ("CATALOG_NAME", Some("homer_lake")),
            ("SCHEMA_NAME", Some(schema)),
            ("DB_SCHEMA_NAME", Some(schema)),
            ("TABLE_NAME", Some(table)),
        ] {
            let found = metadata.get(&format!("ARROW:FLIGHT:SQL:{key}")).map(String::as_str);
            assert_eq!(found, expected, "{key} of {table}");
        }
    }
}

/// Each function that SqlInfo lists is one that statements can call.
#[tokio::test]
async fn functions_that_are_told_are_there() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    let ids = vec![
        SqlInfo::SqlNumericFunctions,
        SqlInfo::SqlStringFunctions,
        SqlInfo::SqlSystemFunctions,
        SqlInfo::SqlDatetimeFunctions,
    ];
    let info = client.get_sql_info(ids).await.unwrap();
    let batches = fetch(&mut client, &info).await.unwrap();
    let mut names = vec!["no_such_function".to_owned()];
    for batch in &batches {
        let values = batch.column(1).as_union();
        for row in 0..batch.num_rows() {
            let list = values.value(row);
            let texts = list.as_list::<i32>().value(0);
            names.extend(texts.as_string::<i32>().iter().map(|name| name.unwrap().to_owned()));
        }
    }
    assert!(names.len() > 60, "{names:?}");
    let mut missing = Vec::new();
    for name in names {
        // Its argument may be wrong, but then the function is told to be there.
        let outcome = client.execute(format!("SELECT {name}('1')"), None).await;
        let message = outcome.err().map(|error| error.to_string()).unwrap_or_default();
        if ["does not exist", "is not supported", "syntax error"].iter().any(|text| message.contains(text)) {
            missing.push(name);
        }
    }
    assert_eq!(missing, ["no_such_function"]);
}

#[tokio::test]
async fn facts_types_and_keys() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    for (ids, rows) in
        [(vec![], 89), (vec![SqlInfo::FlightSqlServerName, SqlInfo::SqlIdentifierQuoteChar], 2)]
    {
        let info = client.get_sql_info(ids).await.unwrap();
        let batches = fetch(&mut client, &info).await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), rows);
        assert_eq!(*batches[0].schema(), info.try_decode_schema().unwrap());
    }
    let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo { data_type: None }).await.unwrap();
    assert!(fetch(&mut client, &info).await.unwrap()[0].num_rows() > 20);
    let keys = CommandGetPrimaryKeys { table: "hep_proto_1_call".into(), ..CommandGetPrimaryKeys::default() };
    let info = client.get_primary_keys(keys).await.unwrap();
    assert!(fetch(&mut client, &info).await.unwrap().iter().all(|batch| batch.num_rows() == 0));
    assert_eq!(info.try_decode_schema().unwrap().fields().len(), 6);
}
