//! GetFlightInfo, GetSchema and DoGet: what is asked for, its schema, its ticket, its rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow_flight::sql::{Command, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use bytes::Bytes;
use futures::StreamExt;
use pintail_engine::{QueryStream, TableFilter, TableInfo};
use pintail_types::{Error, Micros, Result};
use prost::Message as _;
use prost_types::Timestamp;

use crate::access::Caller;
use crate::columns::described_table;
use crate::command::{Asked, of_descriptor, select_all};
use crate::door::Door;
use crate::fetch::Rows;
use crate::metadata;
use crate::planned::{Bound, Flight, Planned};
use crate::service::encoded_schema;
use crate::store::Held;
use crate::transactions;

/// What FlightInfo says of numbers that are not known.
const UNKNOWN: i64 = -1;

impl Door {
    /// Plans what is asked for and gives the ticket for its rows. A query runs when they are fetched; a statement
    /// that changes something runs now, once, and its ticket has no rows.
    ///
    /// # Errors
    /// Those of planning, and `NotFound` for a prepared statement that is gone.
    pub(crate) async fn flight(&self, caller: &Caller, descriptor: FlightDescriptor) -> Result<FlightInfo> {
        let (planned, parameters) = match of_descriptor(&descriptor)? {
            Asked::Command(Command::CommandPreparedStatementQuery(command)) => {
                let held = self.prepared.get(&command.prepared_statement_handle, &caller.principal)?;
                (Arc::clone(&held.content.planned), held.content.parameters()?)
            }
            Asked::Command(command) if metadata::schema(&command).is_ok() => {
                let schema = encoded_schema(metadata::schema(&command)?.as_ref())?;
                let endpoint = endpoint(command.into_any().encode_to_vec().into());
                return Ok(info(descriptor, schema, endpoint));
            }
            asked => (without_parameters(self.plan_asked(caller, asked).await?)?, None),
        };
        let schema = planned.encoded_schema.clone();
        // The rows of several executions follow each other.
        let is_ordered = planned.statement.is_ordered()
            && parameters.as_ref().is_none_or(|bound| bound.rows.num_rows() == 1);
        let (flight, total_records) = if planned.statement.is_update() {
            let changed = update(&planned, parameters.as_ref().map(|bound| &bound.rows)).await?;
            (Flight::Done(planned), changed.map_or(UNKNOWN, as_count))
        } else {
            (Flight::Rows { planned, parameters }, UNKNOWN)
        };
        // The statement itself is kept, not the prepared one it may come from, so that a ticket outlives
        // the closing of a prepared statement: partitions are fetched by others, later.
        let handle = self.tickets.insert(flight, &caller.principal);
        let ticket = TicketStatementQuery { statement_handle: handle.into() };
        let mut endpoint = endpoint(ticket.as_any().encode_to_vec().into());
        endpoint.expiration_time = Some(timestamp(self.tickets.forgotten_at()));
        Ok(FlightInfo { total_records, ordered: is_ordered, ..info(descriptor, schema, endpoint) })
    }

    /// The schema of what is asked for, as an encapsulated IPC message. Nothing is run.
    ///
    /// # Errors
    /// As [`Self::flight`].
    pub(crate) async fn schema(&self, caller: &Caller, asked: Asked) -> Result<Bytes> {
        match asked {
            Asked::Command(Command::CommandPreparedStatementQuery(command)) => {
                let held = self.prepared.get(&command.prepared_statement_handle, &caller.principal)?;
                Ok(held.content.planned.encoded_schema.clone())
            }
            Asked::Command(command) if metadata::schema(&command).is_ok() => {
                encoded_schema(metadata::schema(&command)?.as_ref())
            }
            asked => Ok(self.plan_asked(caller, asked).await?.encoded_schema.clone()),
        }
    }

    /// Starts what a ticket stands for. A ticket can be used again until it expires; each use of a query is a query of
    /// its own. SQL text as ticket is planned and run at once.
    ///
    /// # Errors
    /// `NotFound` for a ticket that is not the caller's or is gone, and those of planning and starting.
    pub(crate) async fn rows(&self, caller: &Caller, asked: Asked) -> Result<Rows> {
        match asked {
            Asked::Command(Command::TicketStatementQuery(ticket)) => {
                let held = self.tickets.get(&ticket.statement_handle, &caller.principal)?;
                match &held.content {
                    Flight::Rows { planned, parameters } => {
                        let started = query(planned, parameters.as_deref());
                        let stream = held.start(started, QueryStream::id).await?;
                        Ok(rows_of(planned, stream))
                    }
                    Flight::Done(planned) => Ok(Rows::none(Arc::clone(&planned.schema))),
                }
            }
            Asked::Command(Command::CommandPreparedStatementQuery(command)) => {
                let held = self.prepared.get(&command.prepared_statement_handle, &caller.principal)?;
                run(&held.content.planned, held.content.parameters()?.as_deref()).await
            }
            Asked::Command(command) if metadata::schema(&command).is_ok() => {
                let session = self.session(caller)?;
                let rows = Box::pin(metadata::rows(&session, command, self.read_only));
                rows.await.map(Rows::of_batch)
            }
            asked => {
                let planned = without_parameters(self.plan_asked(caller, asked).await?)?;
                run(&planned, None).await
            }
        }
    }

    /// Keeps a ticket for another lifetime, and gives its endpoint with the new one.
    ///
    /// # Errors
    /// `NotFound` if it is not the caller's or is gone.
    pub(crate) fn renew(
        &self,
        caller: &Caller,
        mut endpoint: FlightEndpoint,
        asked: Asked,
    ) -> Result<FlightEndpoint> {
        if let Asked::Command(Command::TicketStatementQuery(ticket)) = asked {
            self.tickets.get(&ticket.statement_handle, &caller.principal)?;
            endpoint.expiration_time = Some(timestamp(self.tickets.forgotten_at()));
        }
        // Other tickets hold all that they stand for, and do not expire.
        Ok(endpoint)
    }

    /// Stops every execution of a ticket, and those to come. A second time changes nothing.
    ///
    /// # Errors
    /// `NotFound` if the ticket is not one of a statement, is not the caller's (and the caller is not an
    /// admin), or is gone.
    pub(crate) fn cancel(&self, caller: &Caller, asked: Asked) -> Result<Cancelled> {
        let Asked::Command(Command::TicketStatementQuery(ticket)) = asked else {
            return Err(Error::not_found("the ticket is not one of a query"));
        };
        let held: Arc<Held<Flight>> =
            self.tickets.get_to_cancel(&ticket.statement_handle, &caller.principal)?;
        if let Flight::Done(_) = held.content {
            return Ok(Cancelled::TooLate);
        }
        for query in held.cancel() {
            // What has finished meanwhile needs no cancelling.
            let _ = self.engine.queries().cancel(query, &caller.principal);
        }
        Ok(Cancelled::Yes)
    }

    /// The tables that the caller may see, by path; `pattern` is one for their names, as of LIKE. GetFlightInfo with such
    /// a path gives a ticket.
    ///
    /// # Errors
    /// Those of looking into the catalogs.
    pub(crate) async fn list(&self, caller: &Caller, pattern: Option<String>) -> Result<Vec<FlightInfo>> {
        let filter = TableFilter { table_pattern: pattern, with_schema: true, ..TableFilter::default() };
        let tables = self.session(caller)?.tables(&filter).await?;
        let flight = |table: TableInfo| {
            let described = described_table(&table, self.read_only)?;
            let path = vec![table.catalog, table.schema_name, table.name];
            Ok(FlightInfo {
                schema: encoded_schema(&described)?,
                flight_descriptor: Some(FlightDescriptor::new_path(path)),
                total_records: UNKNOWN,
                total_bytes: UNKNOWN,
                ..FlightInfo::default()
            })
        };
        tables.into_iter().map(flight).collect()
    }

    async fn plan_asked(&self, caller: &Caller, asked: Asked) -> Result<Arc<Planned>> {
        match asked {
            Asked::Sql(sql) => self.plan(caller, &sql).await,
            Asked::Path(path) => self.plan(caller, &select_all(&path)?).await,
            Asked::Command(Command::CommandStatementQuery(query)) => self.plan_query(caller, &query).await,
            Asked::Command(Command::CommandStatementSubstraitPlan(command)) => {
                transactions::refuse(command.transaction_id.as_ref())?;
                self.plan_substrait(caller, command.plan.as_ref()).await
            }
            Asked::Command(
                command @ (Command::CommandStatementUpdate(_)
                | Command::CommandPreparedStatementUpdate(_)
                | Command::CommandStatementIngest(_)),
            ) => Err(Error::invalid(format!("{} is sent with DoPut", crate::command::name_of(&command)))),
            Asked::Command(command) => Err(metadata::not_served(&command)),
        }
    }
}

/// What became of an order to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelled {
    Yes,
    /// It was an update, which ran before its ticket was given out.
    TooLate,
}

/// Runs a query, or an update, for a ticket that is not one of a handle.
async fn run(planned: &Planned, parameters: Option<&Bound>) -> Result<Rows> {
    if planned.statement.is_update() {
        update(planned, parameters.map(|bound| &bound.rows)).await?;
        return Ok(Rows::none(Arc::clone(&planned.schema)));
    }
    Ok(rows_of(planned, query(planned, parameters).await?))
}

async fn query(planned: &Planned, parameters: Option<&Bound>) -> Result<QueryStream> {
    // Starting a plan needs kilobytes of state, which requests of other kinds should not carry about.
    match parameters {
        Some(bound) => Box::pin(planned.statement.execute_with(&bound.rows)).await,
        None => Box::pin(planned.statement.execute()).await,
    }
}

/// Runs a statement that changes something, once, and gives the number of rows that it changed.
pub(crate) async fn update(planned: &Planned, parameters: Option<&RecordBatch>) -> Result<Option<u64>> {
    Box::pin(planned.statement.update(parameters)).await
}

fn rows_of(planned: &Planned, stream: QueryStream) -> Rows {
    let query = Some(stream.id());
    Rows { schema: Arc::clone(&planned.schema), batches: stream.boxed(), query }
}

/// A statement that comes without a handle can't have values bound to it.
fn without_parameters(planned: Arc<Planned>) -> Result<Arc<Planned>> {
    match planned.statement.parameters().fields().len() {
        0 => Ok(planned),
        wanted => Err(Error::invalid(format!(
            "the statement has {wanted} parameters: prepare it and bind their values"
        ))),
    }
}

/// One endpoint without a location: the rows are fetched over the same connection.
fn endpoint(ticket: Bytes) -> FlightEndpoint {
    FlightEndpoint::new().with_ticket(Ticket::new(ticket))
}

fn info(descriptor: FlightDescriptor, schema: Bytes, endpoint: FlightEndpoint) -> FlightInfo {
    FlightInfo {
        schema,
        flight_descriptor: Some(descriptor),
        endpoint: vec![endpoint],
        total_records: UNKNOWN,
        total_bytes: UNKNOWN,
        ..FlightInfo::default()
    }
}

pub(crate) fn as_count(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn timestamp(at: Micros) -> Timestamp {
    let nanos = i32::try_from(at.rem_euclid(1_000_000) * 1000).unwrap_or_default();
    Timestamp { seconds: at.div_euclid(1_000_000), nanos }
}
