//! Answers in gzip, for clients that send gzip.

use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use arrow_flight::{FlightData, FlightDescriptor, Ticket};
use futures::TryStreamExt;
use prost::Message as _;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::metadata::MetadataMap;

use crate::server::{ADMIN, Server, with_token};

/// 20,000 rows that compress well, in several messages.
const SQL: &str = "SELECT value, repeat('x', 200) AS t FROM generate_series(1, 20000)";

fn is_gzip(headers: &MetadataMap) -> bool {
    headers.get("grpc-encoding").is_some_and(|encoding| encoding == "gzip")
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_compress_and_for_no_one_else() {
    let server = Server::start().await;
    let plain = server.plain_client().await;
    let mut rows = Vec::new();
    for (mut client, expected) in [
        (plain.clone(), false),
        (plain.clone().accept_compressed(Gzip), false),
        (plain.clone().send_compressed(Gzip), false),
        (plain.send_compressed(Gzip).accept_compressed(Gzip), true),
    ] {
        let query = CommandStatementQuery { query: SQL.into(), transaction_id: None };
        let descriptor = FlightDescriptor::new_cmd(query.as_any().encode_to_vec());
        let info = client.get_flight_info(with_token(descriptor, ADMIN)).await.unwrap();
        assert_eq!(is_gzip(info.metadata()), expected);
        let ticket = info.into_inner().endpoint[0].ticket.clone().unwrap();
        let answer = client.do_get(with_token(ticket, ADMIN)).await.unwrap();
        assert_eq!(is_gzip(answer.metadata()), expected);
        let messages: Vec<FlightData> = answer.into_inner().try_collect().await.unwrap();
        assert!(messages.len() > 2);
        rows.push(messages);
        let command = FlightData::new().with_descriptor(FlightDescriptor::new_cmd("SET time_zone = 'UTC'"));
        let put = client.do_put(with_token(futures::stream::iter([command]), ADMIN)).await.unwrap();
        assert_eq!(is_gzip(put.metadata()), expected);
        put.into_inner().message().await.unwrap().unwrap();
        let ticket = Ticket::new("SELECT 1 / 0");
        let rows = client.do_get(with_token(ticket, ADMIN)).await.unwrap().into_inner();
        let error = rows.try_collect::<Vec<FlightData>>().await.unwrap_err();
        assert!(error.message().contains("division by zero"), "{error}");
    }
    assert!(rows.windows(2).all(|pair| pair[0] == pair[1]));
}

/// What is small on the wire and large in memory is refused by what it would take there.
#[tokio::test]
async fn a_compressed_ticket_has_the_limit_of_one_in_clear() {
    let server = Server::start().await;
    let mut client = server.plain_client().await.send_compressed(Gzip).accept_compressed(Gzip);
    let long = format!("SELECT 1 --{}", " ".repeat(4 << 20));
    let error = client.do_get(with_token(Ticket::new(long), ADMIN)).await.unwrap_err();
    assert!(error.message().contains("gzip of at most"), "{error}");
}
