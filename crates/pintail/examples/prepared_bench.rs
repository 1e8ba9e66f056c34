//! Prepared statements executed again and again over Flight SQL.
//!
//! `prepared_bench floor` serves the same calls from memory, without SQL: what Flight itself costs. It prints its
//! URL and runs until it is killed. `prepared_bench load URL SQL` prepares SQL on every connection, executes it over
//! and over, and prints one JSON line.

#![allow(clippy::print_stdout)] // The lines are what the program is for.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::client::{FlightSqlServiceClient, PreparedStatement};
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest,
    ActionCreatePreparedStatementResult, CommandPreparedStatementQuery, ProstMessageExt, SqlInfo,
    TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, Ticket};
use clap::Parser;
use futures::{StreamExt, TryStreamExt};
use prost::Message as _;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Debug, Parser)]
enum Options {
    /// Serve one row from memory
    Floor,
    /// Execute a statement again and again
    Load {
        /// Where the server is, such as http://127.0.0.1:50055
        url: String,
        /// The statement; with --values its one parameter, or the text {} in it, takes them in turn
        sql: String,
        #[arg(long, default_value_t = 1)]
        connections: usize,
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        /// A file of values, one on each line
        #[arg(long)]
        values: Option<std::path::PathBuf>,
        /// Send the text each time instead of preparing it
        #[arg(long)]
        unprepared: bool,
        /// Executions a second over all connections; as many as possible if absent
        #[arg(long)]
        rate: Option<f64>,
    },
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    match Options::parse() {
        Options::Floor => floor().await,
        Options::Load { url, sql, connections, seconds, values, unprepared, rate } => {
            let values = match values {
                Some(file) => std::fs::read_to_string(file)?.lines().map(str::to_owned).collect(),
                None => Vec::new(),
            };
            let work = Arc::new(Work { url, sql, values, unprepared });
            load(work, connections, Duration::from_secs_f64(seconds), rate).await
        }
    }
}

/// What every connection does.
struct Work {
    url: String,
    sql: String,
    values: Vec<String>,
    unprepared: bool,
}

async fn load(
    work: Arc<Work>,
    connections: usize,
    length: Duration,
    rate: Option<f64>,
) -> Result<(), Failure> {
    let pause = rate.map(|rate| Duration::from_secs_f64(connections as f64 / rate));
    let mut clients = Vec::new();
    for number in 0..connections {
        clients.push(Client::connect(Arc::clone(&work), number).await?);
    }
    let started = Instant::now();
    let end = started + length;
    let tasks: Vec<_> =
        clients.into_iter().map(|client| tokio::spawn(client.run_until(end, pause))).collect();
    let mut times = Vec::new();
    let mut rows = 0;
    for task in tasks {
        let (own, own_rows) = task.await??;
        times.extend(own);
        rows += own_rows;
    }
    let seconds = started.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{{\"executions\":{},\"rows\":{rows},\"per_second\":{:.1},\"p50_ms\":{:.3},\"p99_ms\":{:.3}}}",
        times.len(),
        times.len() as f64 / seconds,
        at(0.5),
        at(0.99),
    );
    Ok(())
}

struct Client {
    work: Arc<Work>,
    service: FlightSqlServiceClient<Channel>,
    prepared: Option<PreparedStatement<Channel>>,
    next: usize,
}

impl Client {
    async fn connect(work: Arc<Work>, number: usize) -> Result<Self, Failure> {
        let channel = Endpoint::new(work.url.clone())?.tcp_nodelay(true).connect().await?;
        let mut service = FlightSqlServiceClient::new(channel);
        let prepared = match work.unprepared {
            true => None,
            false => Some(service.prepare(work.sql.clone(), None).await?),
        };
        Ok(Self { work, service, prepared, next: number * 7919 })
    }

    async fn run_until(
        mut self,
        end: Instant,
        pause: Option<Duration>,
    ) -> Result<(Vec<Duration>, usize), Failure> {
        let (mut times, mut rows) = (Vec::new(), 0);
        let mut next = Instant::now();
        while Instant::now() < end {
            let begin = Instant::now();
            rows += self.execute().await?;
            times.push(begin.elapsed());
            if let Some(pause) = pause {
                next += pause;
                tokio::time::sleep_until(next.into()).await;
            }
        }
        Ok((times, rows))
    }

    async fn execute(&mut self) -> Result<usize, Failure> {
        let value = match self.work.values.is_empty() {
            true => None,
            false => Some(self.work.values[self.next % self.work.values.len()].clone()),
        };
        self.next += 1;
        let info = match &mut self.prepared {
            None => {
                let sql = self.work.sql.replace("{}", &value.unwrap_or_default());
                self.service.execute(sql, None).await?
            }
            Some(prepared) => {
                if let Some(value) = value {
                    let column = Arc::new(StringArray::from(vec![value])) as _;
                    prepared.set_parameters(RecordBatch::try_from_iter([("1", column)])?)?;
                }
                prepared.execute().await?
            }
        };
        let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket);
        let stream = self.service.do_get(ticket.ok_or("no ticket")?).await?;
        let batches: Vec<RecordBatch> = stream.try_collect().await?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum())
    }
}

/// Answers every prepared statement with one row.
struct Floor {
    batch: RecordBatch,
}

#[tonic::async_trait]
impl FlightSqlService for Floor {
    type FlightService = Self;

    async fn do_action_create_prepared_statement(
        &self,
        _: ActionCreatePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let message: IpcMessage = SchemaAsIpc::new(&self.batch.schema(), &IpcWriteOptions::default())
            .try_into()
            .map_err(|error: arrow::error::ArrowError| Status::internal(error.to_string()))?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: "1".into(),
            dataset_schema: message.0,
            parameter_schema: Default::default(),
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _: ActionClosePreparedStatementRequest,
        _: Request<Action>,
    ) -> Result<(), Status> {
        Ok(())
    }

    async fn get_flight_info_prepared_statement(
        &self,
        _: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let ticket = TicketStatementQuery { statement_handle: "1".into() };
        let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket.as_any().encode_to_vec()));
        let info = FlightInfo::new()
            .try_with_schema(&self.batch.schema())
            .map_err(|error| Status::internal(error.to_string()))?
            .with_endpoint(endpoint)
            .with_descriptor(request.into_inner());
        Ok(Response::new(info))
    }

    async fn do_get_statement(
        &self,
        _: TicketStatementQuery,
        _: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let batches = futures::stream::once(std::future::ready(Ok(self.batch.clone())));
        let encoded = FlightDataEncoderBuilder::new().with_schema(self.batch.schema()).build(batches);
        let stream: Pin<Box<_>> = Box::pin(encoded.map_err(Status::from));
        Ok(Response::new(stream.boxed()))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

async fn floor() -> Result<(), Failure> {
    let schema = Arc::new(Schema::new(vec![Field::new("Int64(1)", DataType::Int64, false)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(vec![1]))])?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let service = FlightServiceServer::new(Floor { batch });
    Ok(Server::builder().add_service(service).serve_with_incoming(incoming).await?)
}
