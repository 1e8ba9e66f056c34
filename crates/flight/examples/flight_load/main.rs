//! Load that a server must bear, with the client of arrow-rs: `flight_load TARGET`.
//!
//! TARGET is the file that `cargo xtask clients` writes. 1,000 connections at once, 64 of them with a query that runs;
//! and 10,000 prepared statements that are made and dropped, after which the server holds no more memory than before.

#![allow(clippy::print_stdout, reason = "the lines are what it is for")]

use std::collections::HashMap;
use std::error::Error;

use arrow::array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use tonic::transport::{Channel, Endpoint};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;
type Client = FlightSqlServiceClient<Channel>;

const CONNECTIONS: usize = 1_000;
const RUNNING: usize = 64;
const STATEMENTS: usize = 10_000;
/// Statements that are made at once, and before memory is looked at for the first time.
const AT_ONCE: usize = 32;
const WARM_UP: usize = 1_000;
/// What the server's memory may have grown by: far less than 10,000 plans take.
const SLACK_BYTES: u64 = 48 << 20;

#[tokio::main]
async fn main() -> Outcome {
    let path = std::env::args().nth(1).ok_or("usage: flight_load TARGET")?;
    let text = std::fs::read_to_string(path)?;
    let target: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let get = |key: &str| target.get(key).copied().ok_or_else(|| format!("no key {key}"));
    println!("load\tversion\tarrow-flight {}\t", arrow::ARROW_VERSION);
    report("prepared-memory", prepared(get("open")?, get("open_pid")?.parse()?).await);
    report("connections", connections(get("open")?, get("query_slow")?).await);
    Ok(())
}

fn report(feature: &str, outcome: Outcome<String>) {
    match outcome {
        Ok(detail) => println!("load\t{feature}\tpass\t{detail}"),
        Err(error) => println!("load\t{feature}\tfail\t{error}"),
    }
}

async fn connect(address: &str) -> Outcome<Client> {
    Ok(Client::new(Endpoint::from_shared(format!("http://{address}"))?.connect().await?))
}

/// Every connection gets an answer while 64 of them hold a query that runs, and all are there at the same time.
async fn connections(address: &str, slow: &str) -> Outcome<String> {
    let mut clients: Vec<Client> = try_join_all((0..CONNECTIONS).map(|_| connect(address))).await?;
    let mut running = Vec::new();
    for client in clients.iter_mut().take(RUNNING) {
        running.push(start(client, slow).await?);
    }
    let answers = stream::iter(clients.iter_mut().skip(RUNNING).map(answer)).buffer_unordered(AT_ONCE);
    let answered: Vec<usize> = answers.try_collect().await?;
    if let Some(rows) = answered.iter().find(|rows| **rows != 1) {
        return Err(format!("an answer has {rows} rows").into());
    }
    // They still run: each has another batch.
    for stream in &mut running {
        stream.try_next().await?.ok_or("a running query ended")?;
    }
    Ok(format!("{} answers beside {} running queries", answered.len(), running.len()))
}

async fn start(client: &mut Client, sql: &str) -> Outcome<FlightRecordBatchStream> {
    let info = client.execute(sql.to_owned(), None).await?;
    let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.clone()).ok_or("no ticket")?;
    let mut stream = client.do_get(ticket).await?;
    stream.try_next().await?.ok_or("no first batch")?;
    Ok(stream)
}

/// Asks something small; gives the number of rows.
async fn answer(client: &mut Client) -> Outcome<usize> {
    let info = client.execute("SELECT 1 AS one".into(), None).await?;
    let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.clone()).ok_or("no ticket")?;
    let batches: Vec<_> = client.do_get(ticket).await?.try_collect().await?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}

async fn prepared(address: &str, server: u32) -> Outcome<String> {
    let client = connect(address).await?;
    make_and_drop(&client, WARM_UP).await?;
    let before = resident_bytes(server)?;
    make_and_drop(&client, STATEMENTS).await?;
    let after = resident_bytes(server)?;
    let grown = after.saturating_sub(before);
    if grown > SLACK_BYTES {
        return Err(format!("resident memory grew by {grown} bytes, from {before} to {after}").into());
    }
    Ok(format!("{STATEMENTS} statements, memory grew by {} KiB", grown >> 10))
}

async fn make_and_drop(client: &Client, count: usize) -> Outcome {
    let statements = stream::iter(0..count).map(|number| {
        let mut client = client.clone();
        async move {
            let sql =
                format!("SELECT session_id, {number} AS n FROM hep_proto_1_call WHERE src_port = {number}");
            client.prepare(sql, None).await?.close().await
        }
    });
    statements.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(())
}

/// What the process holds in memory, as Linux tells it.
fn resident_bytes(process: u32) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}
