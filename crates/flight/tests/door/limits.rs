//! Many connections and many queries at once.

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::{StreamExt, TryStreamExt, stream};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use pintail_engine::QueryState;
use pintail_identity::Principal;
use tonic::transport::Channel;

use crate::server::{ADMIN, Server, fetch};

/// Connections of the test.
const CONNECTIONS: usize = 1000;

/// Queries that run on them at once.
const QUERIES: usize = 64;

/// Requests on the others at once.
const AT_ONCE: usize = 32;

/// Rows without end, for as long as the test lasts, from little memory.
const ENDLESS: &str = "SELECT a.value, repeat('x', 100) FROM generate_series(1, 100) a CROSS JOIN generate_series(1, 100000000) b";

/// A query whose first rows have come, so it runs; it goes on until the stream is dropped.
async fn started(client: &mut FlightSqlServiceClient<Channel>) -> FlightRecordBatchStream {
    let info = client.execute(ENDLESS.into(), None).await.unwrap();
    let mut rows = client.do_get(info.endpoint[0].ticket.clone().unwrap()).await.unwrap();
    assert!(rows.try_next().await.unwrap().unwrap().num_rows() > 0);
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_queries_run_at_once_while_a_thousand_connections_are_answered() {
    // Both ends of every connection are in this process.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(16_384), hard).unwrap();
    let server = Server::start_for_queries(QUERIES + AT_ONCE).await;
    let mut clients = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        clients.push(server.client(ADMIN).await);
    }
    let (busy, others) = clients.split_at_mut(QUERIES);
    let mut running: Vec<FlightRecordBatchStream> =
        stream::iter(busy).map(started).buffer_unordered(QUERIES).collect().await;
    let answers = stream::iter(others).map(|client| async move {
        let info = client.execute("SELECT count(*) FROM hep_proto_1_call".into(), None).await.unwrap();
        fetch(client, &info).await.unwrap()[0].num_rows()
    });
    let answered: usize =
        answers.buffer_unordered(AT_ONCE).fold(0, |sum, rows| async move { sum + rows }).await;
    assert_eq!(answered, CONNECTIONS - QUERIES);
    let all = server.engine.queries().list(&Principal::local());
    let now: Vec<_> = all.iter().filter(|query| query.state == QueryState::Running).collect();
    assert_eq!(now.len(), QUERIES);
    for rows in &mut running {
        assert!(rows.try_next().await.unwrap().is_some());
    }
    drop(running);
    for query in now {
        server.engine.queries().ended(query.id).await;
    }
}
