//! Many connections and many queries at once.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::server::{ADMIN, Server, fetch};

/// Connections of the test.
const CONNECTIONS: usize = 1000;

/// Queries that run on them at once.
const QUERIES: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_with_queries_on_many() {
    // Both ends of every connection are in this process.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(16_384), hard).unwrap();
    let server = Server::start().await;
    let mut clients = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        clients.push(server.client(ADMIN).await);
    }
    let running: FuturesUnordered<_> = clients
        .iter_mut()
        .step_by(CONNECTIONS / QUERIES)
        .map(|client| async move {
            let info = client.execute("SELECT count(*) FROM hep_proto_1_call".into(), None).await.unwrap();
            fetch(client, &info).await.unwrap().len()
        })
        .collect();
    let answered = running.filter(|batches| std::future::ready(*batches == 1)).count().await;
    assert!(answered >= QUERIES);
}
