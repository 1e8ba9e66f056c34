//! Plans of Substrait: by every command, and what plans may not do.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::util::pretty::pretty_format_batches;
use arrow_flight::sql::{
    ActionCreatePreparedStatementResult, ActionCreatePreparedSubstraitPlanRequest, Any,
    CommandPreparedStatementQuery, CommandStatementSubstraitPlan, ProstMessageExt, SubstraitPlan,
};
use arrow_flight::{FlightData, FlightDescriptor, FlightInfo, IpcMessage};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use datafusion_substrait::logical_plan::producer::to_substrait_plan;
use datafusion_substrait::substrait::proto::expression::MaskExpression;
use datafusion_substrait::substrait::proto::expression::mask_expression::{StructItem, StructSelect};
use datafusion_substrait::substrait::proto::plan_rel::RelType as RootType;
use datafusion_substrait::substrait::proto::read_rel::local_files::FileOrFiles;
use datafusion_substrait::substrait::proto::read_rel::local_files::file_or_files::PathType;
use datafusion_substrait::substrait::proto::read_rel::{LocalFiles, NamedTable, ReadType};
use datafusion_substrait::substrait::proto::rel::RelType;
use datafusion_substrait::substrait::proto::{
    ExtensionLeafRel, FilterRel, NamedStruct, Plan, PlanRel, ReadRel, Rel, RelRoot, r#type,
};
use pintail_identity::Principal;
use pintail_types::TelemetryTable;
use prost::Message as _;
use tonic::{Code, Status};

use crate::server::{ADMIN, Server, act, fetch, with_token};

/// What a client that knows the tables by their columns only makes of a query.
async fn plan_of(sql: &str) -> Plan {
    let context = SessionContext::new();
    let user_table =
        Schema::new(vec![Field::new("n", DataType::Int64, true), Field::new("name", DataType::Utf8, true)]);
    for (name, schema) in
        [("hep_proto_1_call", TelemetryTable::Call.schema()), ("numbers", Arc::new(user_table))]
    {
        let empty = MemTable::try_new(schema, vec![Vec::new()]).unwrap();
        context.register_table(name, Arc::new(empty)).unwrap();
    }
    let plan = context.sql(sql).await.unwrap().into_unoptimized_plan();
    *to_substrait_plan(&plan, &context.state()).unwrap()
}

fn sent(plan: &Plan) -> SubstraitPlan {
    SubstraitPlan { plan: plan.encode_to_vec().into(), version: "0.85.0".into() }
}

fn command(plan: &Plan) -> FlightDescriptor {
    let command = CommandStatementSubstraitPlan { plan: Some(sent(plan)), transaction_id: None };
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

async fn flight(server: &Server, token: &str, plan: &Plan) -> Result<FlightInfo, Status> {
    let mut plain = server.plain_client().await;
    Ok(plain.get_flight_info(with_token(command(plan), token)).await?.into_inner())
}

async fn server_with_numbers() -> Server {
    let server = Server::start_for_readers(|_| {}).await;
    let mut client = server.client(ADMIN).await;
    for sql in [
        "CREATE TABLE numbers (n BIGINT, name VARCHAR)",
        "INSERT INTO numbers VALUES (1, 'one'), (2, 'two'), (3, NULL), (4, 'four')",
    ] {
        client.execute_update(sql.into(), None).await.unwrap();
    }
    server
}

#[tokio::test]
async fn a_plan_gives_what_its_query_gives() {
    let server = server_with_numbers().await;
    // One who may only read.
    let mut client = server.client("a").await;
    for sql in [
        "SELECT n, name FROM numbers ORDER BY n DESC",
        "SELECT n * 2 AS doubled, upper(name) AS name FROM numbers WHERE n > 1 AND name IS NOT NULL ORDER BY n",
        "SELECT count(*) AS all, sum(n) AS total, min(name) AS first FROM numbers",
        "SELECT n % 2 AS odd, count(*) AS c FROM numbers GROUP BY n % 2 HAVING count(*) > 1 ORDER BY odd",
        "SELECT a.n FROM numbers a JOIN numbers b ON a.n = b.n + 1 WHERE b.name LIKE 't%' ORDER BY a.n LIMIT 3",
        "SELECT n FROM numbers WHERE n IN (SELECT max(n) FROM numbers)",
        "SELECT session_id FROM hep_proto_1_call ORDER BY session_id LIMIT 2",
        "SELECT timestamp, count(*) AS calls FROM hep_proto_1_call GROUP BY timestamp",
        "SELECT 7 AS seven",
    ] {
        let info = flight(&server, "a", &plan_of(sql).await).await.expect(sql);
        let announced = info.clone().try_decode_schema().unwrap();
        let by_plan = fetch(&mut client, &info).await.expect(sql);
        let info = client.execute(sql.into(), None).await.unwrap();
        let by_sql = fetch(&mut client, &info).await.unwrap();
        let shown = |rows: &[RecordBatch]| pretty_format_batches(rows).unwrap().to_string();
        assert_eq!(shown(&by_plan), shown(&by_sql), "{sql}");
        assert_eq!(*by_plan[0].schema(), announced, "{sql}");
        assert!(by_plan.iter().any(|batch| batch.num_rows() > 0), "{sql}");
    }
    let listed = server.engine.queries().list(&Principal::local());
    assert!(listed.iter().any(|query| &*query.sql == "SUBSTRAIT PLAN"));
}

#[tokio::test]
async fn a_prepared_plan_takes_values_and_runs_again_and_again() {
    let server = server_with_numbers().await;
    let mut plain = server.plain_client().await;
    let mut client = server.client("a").await;
    let plan = plan_of("SELECT count(*) AS c FROM numbers WHERE n > CAST($1 AS BIGINT)").await;
    let schema = plain.get_schema(with_token(command(&plan_of("SELECT n FROM numbers").await), "a")).await;
    let schema = Schema::try_from(IpcMessage(schema.unwrap().into_inner().schema)).unwrap();
    assert_eq!(schema.field(0).data_type(), &DataType::Int64);
    let error = flight(&server, "a", &plan).await.unwrap_err();
    assert!(error.message().contains("prepare it"), "{error}");
    let request = ActionCreatePreparedSubstraitPlanRequest { plan: Some(sent(&plan)), transaction_id: None };
    let results = act(&mut plain, "a", "CreatePreparedSubstraitPlan", request.as_any().encode_to_vec()).await;
    let value = Any::decode(results.unwrap()[0].clone()).unwrap().value;
    let prepared = ActionCreatePreparedStatementResult::decode(value).unwrap();
    assert_eq!(Schema::try_from(IpcMessage(prepared.parameter_schema)).unwrap().fields().len(), 1);
    let handle = prepared.prepared_statement_handle;
    let command = CommandPreparedStatementQuery { prepared_statement_handle: handle };
    let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
    for (bound, expected) in [(0, 4), (2, 2), (9, 0)] {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![bound]));
        let row = RecordBatch::try_from_iter([("1", column)]).unwrap();
        let messages = arrow_flight::utils::batches_to_flight_data(&row.schema(), vec![row]).unwrap();
        let mut messages = messages.into_iter();
        let first = messages.next().unwrap().with_descriptor(descriptor.clone());
        let put: Vec<FlightData> = std::iter::once(first).chain(messages).collect();
        let put = plain.do_put(with_token(futures::stream::iter(put), "a")).await.unwrap();
        put.into_inner().message().await.unwrap().unwrap();
        for _ in 0..2 {
            let info = plain.get_flight_info(with_token(descriptor.clone(), "a")).await.unwrap().into_inner();
            let rows = fetch(&mut client, &info).await.unwrap();
            assert_eq!(rows[0].column(0).as_primitive::<Int64Type>().value(0), expected);
        }
    }
}

/// A plan around one relation.
fn plan(relation: RelType) -> Plan {
    let input = Some(Rel { rel_type: Some(relation) });
    let root = RelRoot { input, names: Vec::new() };
    Plan { relations: vec![PlanRel { rel_type: Some(RootType::Root(root)) }], ..Plan::default() }
}

/// A read of the column `n`.
fn read(read_type: ReadType) -> ReadRel {
    let number =
        r#type::I64 { type_variation_reference: 0, nullability: r#type::Nullability::Nullable.into() };
    let columns = r#type::Struct {
        types: vec![datafusion_substrait::substrait::proto::Type { kind: Some(r#type::Kind::I64(number)) }],
        nullability: r#type::Nullability::Required.into(),
        ..r#type::Struct::default()
    };
    let base_schema = Some(NamedStruct { names: vec!["n".into()], r#struct: Some(columns) });
    ReadRel { base_schema, read_type: Some(read_type), ..ReadRel::default() }
}

fn table(names: &[&str]) -> ReadType {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    ReadType::NamedTable(NamedTable { names, advanced_extension: None })
}

/// `n` filters around a read.
fn nested(depth: usize) -> RelType {
    (0..depth).fold(RelType::Read(Box::new(read(table(&["numbers"])))), |inner, _| {
        let input = Some(Box::new(Rel { rel_type: Some(inner) }));
        RelType::Filter(Box::new(FilterRel { input, ..FilterRel::default() }))
    })
}

#[tokio::test]
async fn a_plan_reads_tables_and_nothing_else() {
    let server = server_with_numbers().await;
    let file = FileOrFiles {
        path_type: Some(PathType::UriFile("file:///etc/passwd".into())),
        ..FileOrFiles::default()
    };
    let files = LocalFiles { items: vec![file], advanced_extension: None };
    let item = StructItem { field: 7, child: None };
    let mask = MaskExpression {
        select: Some(StructSelect { struct_items: vec![item] }),
        maintain_singular_struct: false,
    };
    let out_of_range = ReadRel { projection: Some(mask), ..read(table(&["numbers"])) };
    let two = Plan {
        relations: [plan(nested(0)), plan(nested(0))].into_iter().flat_map(|plan| plan.relations).collect(),
        ..Plan::default()
    };
    let whole = |read_rel: ReadRel| plan(RelType::Read(Box::new(read_rel)));
    let long = read(table(&["x".repeat(300 << 10).as_str()]));
    for (what, plan, expected) in [
        ("a table", whole(read(table(&["numbers"]))), Ok(())),
        ("a full name", whole(read(table(&["homer_lake", "main", "numbers"]))), Ok(())),
        ("a file", whole(read(ReadType::LocalFiles(files))), Err(Code::Unimplemented)),
        ("no such table", whole(read(table(&["nothing"]))), Err(Code::NotFound)),
        ("no such schema", whole(read(table(&["nowhere", "numbers"]))), Err(Code::NotFound)),
        ("no such catalog", whole(read(table(&["nowhere", "main", "numbers"]))), Err(Code::NotFound)),
        ("no such column", whole(read(table(&["hep_proto_1_call"]))), Err(Code::InvalidArgument)),
        ("no name", whole(read(table(&[]))), Err(Code::InvalidArgument)),
        ("a column beyond the last", whole(out_of_range), Err(Code::InvalidArgument)),
        ("a filter without a condition", plan(nested(1)), Err(Code::Unimplemented)),
        ("too deep", plan(nested(1000)), Err(Code::InvalidArgument)),
        ("too long", whole(long), Err(Code::InvalidArgument)),
        ("nothing", Plan::default(), Err(Code::InvalidArgument)),
        ("two results", two, Err(Code::InvalidArgument)),
        ("a write", plan(RelType::Write(Box::default())), Err(Code::Unimplemented)),
        (
            "an extension",
            plan(RelType::ExtensionLeaf(ExtensionLeafRel::default())),
            Err(Code::InvalidArgument),
        ),
    ] {
        let outcome = flight(&server, "a", &plan).await;
        let code = outcome.as_ref().map(|_| ()).map_err(Status::code);
        assert_eq!(code, expected, "{what}: {outcome:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_plan_and_plans_that_write_are_refused() {
    let server = server_with_numbers().await;
    let mut plain = server.plain_client().await;
    let numbers = plan_of("SELECT n FROM numbers").await;
    let with = |plan, transaction_id| CommandStatementSubstraitPlan { plan, transaction_id };
    let garbage = SubstraitPlan { plan: b"\xff\xff garbage".as_slice().into(), version: String::new() };
    for (command, expected) in [
        (with(Some(garbage), None), Code::InvalidArgument),
        (with(None, None), Code::InvalidArgument),
        (with(Some(sent(&numbers)), Some("t".into())), Code::NotFound),
    ] {
        let descriptor = FlightDescriptor::new_cmd(command.as_any().encode_to_vec());
        let error = plain.get_flight_info(with_token(descriptor, "a")).await.unwrap_err();
        assert_eq!(error.code(), expected, "{error}");
        assert!(!error.message().is_empty());
    }
    let message = FlightData::new().with_descriptor(command(&numbers));
    let put = async {
        plain.do_put(with_token(futures::stream::iter([message]), ADMIN)).await?.into_inner().message().await
    };
    let error = put.await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    assert!(error.message().contains("as SQL"), "{error}");
}
