use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int32Array, UInt32Array, UnionArray};
use arrow::datatypes::{DataType, Field, Int32Type, TimeUnit};
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetImportedKeys, CommandGetPrimaryKeys,
    CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandStatementIngest,
};
use pintail_types::ErrorKind;

use super::*;
use crate::columns::type_name;

/// `name: type`, with `!` after a type that is not null, as the protocol's reference lists them.
fn shape(command: Command) -> String {
    let schema = schema(&command).unwrap();
    let columns = schema.fields().iter().map(|field| {
        format!("{} {}{}", field.name(), field.data_type(), if field.is_nullable() { "" } else { "!" })
    });
    columns.collect::<Vec<_>>().join(", ")
}

#[test]
fn columns_are_those_of_the_protocol() {
    let tables = |include_schema| {
        Command::CommandGetTables(CommandGetTables { include_schema, ..CommandGetTables::default() })
    };
    for (command, expected) in [
        (Command::CommandGetCatalogs(CommandGetCatalogs {}), "catalog_name Utf8!"),
        (
            Command::CommandGetDbSchemas(CommandGetDbSchemas::default()),
            "catalog_name Utf8, db_schema_name Utf8!",
        ),
        (tables(false), "catalog_name Utf8, db_schema_name Utf8, table_name Utf8!, table_type Utf8!"),
        (
            tables(true),
            "catalog_name Utf8, db_schema_name Utf8, table_name Utf8!, table_type Utf8!, table_schema Binary!",
        ),
        (Command::CommandGetTableTypes(CommandGetTableTypes {}), "table_type Utf8!"),
        (
            Command::CommandGetPrimaryKeys(CommandGetPrimaryKeys::default()),
            "catalog_name Utf8, db_schema_name Utf8, table_name Utf8!, column_name Utf8!, key_name Utf8, \
             key_sequence Int32!",
        ),
        (
            Command::CommandGetImportedKeys(CommandGetImportedKeys::default()),
            "pk_catalog_name Utf8, pk_db_schema_name Utf8, pk_table_name Utf8!, pk_column_name Utf8!, \
             fk_catalog_name Utf8, fk_db_schema_name Utf8, fk_table_name Utf8!, fk_column_name Utf8!, \
             key_sequence Int32!, fk_key_name Utf8, pk_key_name Utf8, update_rule UInt8!, delete_rule UInt8!",
        ),
    ] {
        assert_eq!(shape(command), expected);
    }
    let xdbc = schema(&Command::CommandGetXdbcTypeInfo(CommandGetXdbcTypeInfo::default())).unwrap();
    assert_eq!(xdbc.fields().len(), 19);
    let ingest = Command::CommandStatementIngest(CommandStatementIngest::default());
    assert_eq!(schema(&ingest).unwrap_err().kind(), ErrorKind::Unsupported);
}

/// The branch of the union that FlightSql.proto gives an id.
fn branch(id: u32) -> i8 {
    match id {
        0..=2 | 6 | 7 | 504 | 513 | 514 | 529..=531 => 0,
        3..=5
        | 9..=11
        | 500..=502
        | 506
        | 515
        | 516
        | 518..=521
        | 523
        | 524
        | 527
        | 532
        | 536
        | 537
        | 539 => 1,
        556 | 563 | 565 | 566 | 572..=576 => 1,
        541..=555 | 557..=561 => 2,
        8
        | 100
        | 101
        | 503
        | 505
        | 507
        | 522
        | 525
        | 526
        | 528
        | 533..=535
        | 538
        | 540
        | 562
        | 564
        | 567..=571 => 3,
        508..=512 => 4,
        517 => 5,
        other => panic!("{other} is not published"),
    }
}

fn facts(ids: Vec<u32>) -> BTreeMap<u32, i8> {
    let batch = sql_info::rows(&CommandGetSqlInfo { info: ids }.info, false).unwrap();
    assert_eq!(batch.schema(), sql_info::schema());
    let names = batch.column(0).as_any().downcast_ref::<UInt32Array>().unwrap();
    let values = batch.column(1).as_any().downcast_ref::<UnionArray>().unwrap();
    names.values().iter().enumerate().map(|(row, name)| (*name, values.type_id(row))).collect()
}

#[test]
fn facts_are_complete_and_in_the_right_branch() {
    let all = facts(Vec::new());
    let published = (0..=9).chain([100, 101]).chain(500..=576);
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), published.collect::<Vec<_>>());
    for (id, in_branch) in all {
        assert_eq!(in_branch, branch(id), "{id}");
    }
    assert_eq!(facts(vec![10, 11, 8, 0, 77_777]).into_keys().collect::<Vec<_>>(), [0, 8, 10, 11]);
}

#[test]
fn every_type_of_a_column_is_listed() {
    let types = xdbc::rows(None).unwrap();
    let names: HashSet<&str> = types.column(0).as_string::<i32>().iter().flatten().collect();
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    for data_type in [
        DataType::Boolean,
        DataType::Int8,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Float32,
        DataType::Decimal128(18, 3),
        DataType::Utf8,
        DataType::Binary,
        DataType::FixedSizeBinary(16),
        DataType::Date32,
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        DataType::Duration(TimeUnit::Second),
        DataType::List(item),
        DataType::Struct(Vec::<Field>::new().into()),
        DataType::Null,
    ] {
        let name = type_name(&Field::new("c", data_type.clone(), true));
        assert!(names.contains(name), "{data_type} is {name}");
    }
    for extension in ["arrow.json", "arrow.uuid"] {
        let metadata = [("ARROW:extension:name".to_owned(), extension.to_owned())].into();
        let name = type_name(&Field::new("c", DataType::Utf8, true).with_metadata(metadata));
        assert!(name != "VARCHAR" && names.contains(name), "{extension} is {name}");
    }
    let sorted = types.column(1).as_any().downcast_ref::<Int32Array>().unwrap().values().to_vec();
    assert!(sorted.is_sorted(), "{sorted:?}");
}

#[test]
fn types_are_filtered_by_number() {
    let dates = xdbc::rows(Some(91)).unwrap();
    assert_eq!(dates.column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["DATE"]);
    assert_eq!(dates.column_by_name("sql_data_type").unwrap().as_primitive::<Int32Type>().value(0), 9);
    assert_eq!(dates.column_by_name("datetime_subcode").unwrap().as_primitive::<Int32Type>().value(0), 1);
    assert_eq!(xdbc::rows(Some(12_345)).unwrap().num_rows(), 0);
}
