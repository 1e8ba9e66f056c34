//! Tables as flights, by their paths.

use arrow::datatypes::Schema;
use arrow_flight::{Criteria, FlightDescriptor, FlightInfo, IpcMessage};
use futures::TryStreamExt;
use tonic::Code;

use crate::server::{ADMIN, CALLS, Server, fetch, with_token};

async fn listed(server: &Server, pattern: &str) -> Vec<FlightInfo> {
    let mut plain = server.plain_client().await;
    let criteria = Criteria { expression: pattern.to_owned().into() };
    plain.list_flights(with_token(criteria, ADMIN)).await.unwrap().into_inner().try_collect().await.unwrap()
}

#[tokio::test]
async fn tables_are_listed_by_path_and_fetched_by_it() {
    let server = Server::start().await;
    let all = listed(&server, "").await;
    let calls = listed(&server, "hep\\_proto\\_1\\_c%").await;
    assert!(all.len() > calls.len());
    let calls = calls.into_iter().find(|info| {
        info.flight_descriptor.as_ref().is_some_and(|descriptor| descriptor.path[0] == "homer_lake")
    });
    let calls = calls.unwrap();
    let path = calls.flight_descriptor.clone().unwrap().path;
    assert_eq!(path, ["homer_lake", "main", "hep_proto_1_call"]);

    let (mut client, mut plain) = (server.client(ADMIN).await, server.plain_client().await);
    for from in 0..3 {
        let descriptor = FlightDescriptor::new_path(path[from..].to_vec());
        let info = plain.get_flight_info(with_token(descriptor.clone(), ADMIN)).await.unwrap().into_inner();
        assert_eq!(info.flight_descriptor.as_ref(), Some(&descriptor));
        let rows = fetch(&mut client, &info).await.unwrap();
        assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), CALLS, "{descriptor}");
        let schema = plain.get_schema(with_token(descriptor, ADMIN)).await.unwrap().into_inner();
        let schema = Schema::try_from(IpcMessage(schema.schema)).unwrap();
        assert_eq!(schema, info.try_decode_schema().unwrap());
        let listed = calls.clone().try_decode_schema().unwrap();
        let types = |schema: &Schema| -> Vec<_> {
            schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
        };
        assert_eq!(types(&listed), types(&schema));
    }
}

#[tokio::test]
async fn paths_that_name_no_table_are_refused() {
    let server = Server::start().await;
    let mut plain = server.plain_client().await;
    for (path, code) in [
        (&["no_such_table"][..], Code::NotFound),
        (&["x\"; DROP TABLE t; --"][..], Code::NotFound),
        (&[][..], Code::InvalidArgument),
        (&["a", "b", "c", "d"][..], Code::InvalidArgument),
    ] {
        let descriptor = FlightDescriptor::new_path(path.iter().map(|name| (*name).to_owned()).collect());
        let error = plain.get_flight_info(with_token(descriptor, ADMIN)).await.unwrap_err();
        assert_eq!(error.code(), code, "{path:?}: {error}");
    }
}
