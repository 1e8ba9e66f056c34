//! Health, draining, deadlines and signs of life.

use std::time::Duration;

use arrow_flight::{FlightDescriptor, Ticket};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use prost::Message;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::server::{ADMIN, Server, fetch, with_token};

/// Computes for long and gives nothing for as long.
const SILENT: &str = "SELECT count(*) FROM generate_series(1, 100000000) a CROSS JOIN generate_series(1, 100000000) b WHERE a.value + b.value < 0";

/// `HealthCheckRequest`
#[derive(Clone, PartialEq, Message)]
struct HealthRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `HealthCheckResponse`
#[derive(Clone, PartialEq, Message)]
struct HealthResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;
const SERVICE_UNKNOWN: i32 = 3;

/// The statuses that the health service tells about `service`.
async fn health(
    server: &Server,
    method: &'static str,
    service: &str,
) -> Result<tonic::Streaming<HealthResponse>, Status> {
    let mut grpc = tonic::client::Grpc::new(server.channel().await);
    grpc.ready().await.unwrap();
    let request = Request::new(HealthRequest { service: service.to_owned() });
    let codec = ProstCodec::<HealthRequest, HealthResponse>::default();
    let response = grpc.server_streaming(request, PathAndQuery::from_static(method), codec).await?;
    Ok(response.into_inner())
}

#[tokio::test]
async fn health_needs_no_credentials() {
    let server = Server::start().await;
    let (check, watch) = ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch");
    for (method, service, expected) in [
        (check, "", Ok(SERVING)),
        (check, "arrow.flight.protocol.FlightService", Ok(SERVING)),
        (check, "other", Err(Code::NotFound)),
        (watch, "", Ok(SERVING)),
        (watch, "other", Ok(SERVICE_UNKNOWN)),
        ("/grpc.health.v1.Health/List", "", Err(Code::Unimplemented)),
        ("/some.other.Service/Method", "", Err(Code::Unauthenticated)),
    ] {
        let told = async { health(&server, method, service).await?.message().await };
        let told = told.await.map(|response| response.unwrap().status).map_err(|status| status.code());
        assert_eq!(told, expected, "{method} of {service}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_says_so_and_lets_results_end() {
    let mut server = Server::start().await;
    let mut watch = health(&server, "/grpc.health.v1.Health/Watch", "").await.unwrap();
    assert_eq!(watch.message().await.unwrap().unwrap().status, SERVING);
    let mut client = server.client(ADMIN).await;
    let sql = "SELECT value, repeat('x', 1000) AS t FROM generate_series(1, 50000)";
    let info = client.execute(sql.into(), None).await.unwrap();
    let mut stream = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    let first = stream.try_next().await.unwrap().unwrap().num_rows();

    server.stop.cancel();
    assert_eq!(watch.message().await.unwrap().unwrap().status, NOT_SERVING);
    let mut late = server.plain_client().await;
    let error = late.get_schema(with_token(FlightDescriptor::new_cmd("SELECT 1"), ADMIN)).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    assert!(watch.message().await.unwrap().is_none());

    let rest: usize = stream
        .map_ok(|batch| batch.num_rows())
        .try_fold(0, |sum, rows| async move { Ok(sum + rows) })
        .await
        .unwrap();
    assert_eq!(first + rest, 50_000);
    server.served.take().unwrap().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_result_shows_signs_of_life() {
    let server = Server::start_changed(|options| options.sign_of_life = Duration::from_millis(1)).await;
    let mut plain = server.plain_client().await;
    let mut stream = plain.do_get(with_token(Ticket::new(SILENT), ADMIN)).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    for _ in 0..3 {
        let sign = stream.message().await.unwrap().unwrap();
        assert!(!sign.data_header.is_empty() && sign.data_body.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_that_a_client_allows_is_kept() {
    let server = Server::start().await;
    let mut plain = server.plain_client().await;
    let mut request = with_token(Ticket::new(SILENT), ADMIN);
    // The header only: `set_timeout` would make this client end the request itself.
    request.metadata_mut().insert("grpc-timeout", "300m".parse().unwrap());
    let error = match plain.do_get(request).await {
        Ok(response) => response.into_inner().try_collect::<Vec<_>>().await.unwrap_err(),
        Err(status) => status,
    };
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
}

#[tokio::test]
async fn programs_find_the_reason_of_an_error() {
    let server = Server::start().await;
    let mut plain = server.plain_client().await;
    let descriptor = FlightDescriptor::new_cmd("SELECT * FROM no_such_table");
    let error = plain.get_flight_info(with_token(descriptor, ADMIN)).await.unwrap_err();
    assert!(error.metadata().contains_key("pintail-reason"), "{error:?}");
    assert!(!error.details().is_empty());
    let query = error.metadata().get("pintail-query-id").unwrap().to_str().unwrap();
    assert!(error.message().contains(query), "{error}");
    // In mid-stream, too, and with the query.
    let sql = "SELECT 1 / (value - 5) FROM generate_series(1, 10)";
    let stream = plain.do_get(with_token(Ticket::new(sql), ADMIN)).await.unwrap().into_inner();
    let error = stream.map(|item| item.err()).filter_map(std::future::ready).next().await.unwrap();
    let query = error.metadata().get("pintail-query-id").unwrap().to_str().unwrap().to_owned();
    assert!(error.message().contains(&query), "{error}");
    assert!(error.details().windows(query.len()).any(|window| window == query.as_bytes()));
}

/// What follows a request that is not one is an error of that request only.
#[tokio::test]
async fn a_request_of_wrong_bytes_is_refused_and_the_next_one_served() {
    let server = Server::start().await;
    let mut client = server.client(ADMIN).await;
    for ticket in [&b""[..], b"\xff\xff", b"\x0a\xff\xff\xff\xff\xff"] {
        let wrong = client.do_get(Ticket::new(Bytes::from_static(ticket))).await;
        assert!(wrong.is_err(), "{ticket:?}");
    }
    let info = client.execute("SELECT 1".into(), None).await.unwrap();
    fetch(&mut client, &info).await.unwrap();
}
