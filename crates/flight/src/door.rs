//! What the requests do, free of gRPC: commands in, schemas, tickets and rows out.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, Command, CommandStatementQuery, ProstMessageExt,
    TicketStatementQuery,
};
use bytes::Bytes;
use futures::StreamExt;
use pintail_engine::{Engine, Session, SessionOptions, Statement};
use pintail_identity::{Authenticator, Principal};
use pintail_types::{Clock, Error, Micros, Result};
use prost::Message as _;

use crate::access::{Access, Caller};
use crate::columns::described;
use crate::command::Asked;
use crate::fetch::Rows;
use crate::handle::HandleKind;
use crate::metadata;
use crate::server::DoorOptions;
use crate::store::{Held, Store};

/// Statements behind tickets that were not fetched yet, or may be fetched again.
const MAX_TICKETS: usize = 1024;

/// A ticket is good for so long after its last use: clients may show the schema first and fetch later.
const TICKET_LIFETIME: Micros = 15 * 60 * 1_000_000;

/// Prepared statements of all clients together.
const MAX_PREPARED: usize = 4096;

/// A prepared statement is forgotten so long after its last use.
const PREPARED_LIFETIME: Micros = 2 * 3600 * 1_000_000;

/// The state of one listener.
pub(crate) struct Door {
    engine: Arc<Engine>,
    name: &'static str,
    pub(crate) access: Access,
    tickets: Store,
    prepared: Store,
}

/// The answer to GetFlightInfo: what the rows look like, and what fetches them.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) schema: SchemaRef,
    pub(crate) ticket: Bytes,
}

/// A statement that was prepared.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) handle: Bytes,
    pub(crate) schema: SchemaRef,
}

impl Door {
    pub(crate) fn new(engine: Arc<Engine>, authenticator: Authenticator, options: DoorOptions) -> Self {
        let store = |kind, capacity, lifetime| {
            Store::new(
                kind,
                capacity,
                lifetime,
                options.signer.clone(),
                Arc::clone(&options.clock) as Arc<dyn Clock>,
            )
        };
        Self {
            engine,
            name: options.name,
            access: Access::new(authenticator, options.sessions),
            tickets: store(HandleKind::Ticket, MAX_TICKETS, TICKET_LIFETIME),
            prepared: store(HandleKind::Prepared, MAX_PREPARED, PREPARED_LIFETIME),
        }
    }

    /// The engine's session for this caller.
    pub(crate) fn session(&self, principal: &Principal) -> Session {
        self.engine.session(principal.clone(), self.name, SessionOptions::default())
    }

    /// Plans what is asked for and gives the ticket for its rows. Nothing is run.
    ///
    /// # Errors
    /// Those of planning, and `NotFound` for a prepared statement that is gone.
    pub(crate) async fn flight(&self, caller: &Caller, asked: Asked) -> Result<Flight> {
        let statement = match asked {
            Asked::Sql(sql) => self.plan(caller, &sql).await?,
            Asked::Command(Command::CommandStatementQuery(query)) => self.plan_query(caller, &query).await?,
            Asked::Command(Command::CommandPreparedStatementQuery(prepared)) => {
                self.prepared.get(&prepared.prepared_statement_handle, &caller.principal)?.statement.clone()
            }
            Asked::Command(command) => {
                let schema = metadata::schema(&command)?;
                return Ok(Flight { schema, ticket: command.into_any().encode_to_vec().into() });
            }
        };
        let schema = described(&statement.schema());
        // The statement itself is kept, not the prepared one it may come from, so that a ticket outlives
        // the closing of a prepared statement: partitions are fetched by others, later.
        let handle = self.tickets.insert(statement, &caller.principal);
        let ticket = TicketStatementQuery { statement_handle: handle.into() };
        Ok(Flight { schema, ticket: ticket.as_any().encode_to_vec().into() })
    }

    /// The schema of what is asked for.
    ///
    /// # Errors
    /// As [`Self::flight`].
    pub(crate) async fn schema(&self, caller: &Caller, asked: Asked) -> Result<SchemaRef> {
        let statement = match asked {
            Asked::Sql(sql) => self.plan(caller, &sql).await?,
            Asked::Command(Command::CommandStatementQuery(query)) => self.plan_query(caller, &query).await?,
            Asked::Command(Command::CommandPreparedStatementQuery(prepared)) => {
                self.prepared.get(&prepared.prepared_statement_handle, &caller.principal)?.statement.clone()
            }
            Asked::Command(command) => return metadata::schema(&command),
        };
        Ok(described(&statement.schema()))
    }

    /// Starts what a ticket stands for. A ticket can be used again until it expires; each use is a query of
    /// its own. SQL text as ticket is planned and run at once.
    ///
    /// # Errors
    /// `NotFound` for a ticket that is not the caller's or is gone, and those of planning and starting.
    pub(crate) async fn rows(&self, caller: &Caller, asked: Asked) -> Result<Rows> {
        match asked {
            Asked::Sql(sql) => execute(&self.plan(caller, &sql).await?, None).await,
            Asked::Command(Command::TicketStatementQuery(ticket)) => {
                let held = self.tickets.get(&ticket.statement_handle, &caller.principal)?;
                execute(&held.statement, Some(&held)).await
            }
            Asked::Command(Command::CommandStatementQuery(query)) => {
                execute(&self.plan_query(caller, &query).await?, None).await
            }
            Asked::Command(Command::CommandPreparedStatementQuery(prepared)) => {
                let held = self.prepared.get(&prepared.prepared_statement_handle, &caller.principal)?;
                execute(&held.statement, Some(&held)).await
            }
            Asked::Command(command) => {
                metadata::rows(&self.session(&caller.principal), command).await.map(Rows::of_batch)
            }
        }
    }

    /// Plans a statement and keeps it for later executions.
    ///
    /// # Errors
    /// Those of planning.
    pub(crate) async fn prepare(
        &self,
        caller: &Caller,
        request: ActionCreatePreparedStatementRequest,
    ) -> Result<Prepared> {
        refuse_transaction(request.transaction_id.as_ref())?;
        let statement = self.plan(caller, &request.query).await?;
        let schema = described(&statement.schema());
        let handle = self.prepared.insert(statement, &caller.principal);
        Ok(Prepared { handle: handle.into(), schema })
    }

    /// Forgets a prepared statement; one that is not known changes nothing.
    pub(crate) fn close_prepared(&self, caller: &Caller, handle: &Bytes) {
        self.prepared.remove(handle, &caller.principal);
    }

    /// The prepared statement of a handle, to bind to.
    ///
    /// # Errors
    /// `NotFound` if it is not the caller's or is gone.
    pub(crate) fn check_prepared(&self, caller: &Caller, handle: &Bytes) -> Result<()> {
        self.prepared.get(handle, &caller.principal).map(drop)
    }

    /// Keeps a ticket for another lifetime.
    ///
    /// # Errors
    /// `NotFound` if it is not the caller's or is gone.
    pub(crate) fn renew_ticket(&self, caller: &Caller, asked: Asked) -> Result<()> {
        match asked {
            Asked::Command(Command::TicketStatementQuery(ticket)) => {
                self.tickets.get(&ticket.statement_handle, &caller.principal).map(drop)
            }
            Asked::Command(command) => metadata::schema(&command).map(drop),
            Asked::Sql(_) => Ok(()),
        }
    }

    /// Stops every execution of a ticket, and those to come. A second time changes nothing.
    ///
    /// # Errors
    /// `NotFound` if the ticket is not one of a statement, is not the caller's (and the caller is not an
    /// admin), or is gone.
    pub(crate) fn cancel_ticket(&self, caller: &Caller, asked: Asked) -> Result<()> {
        let Asked::Command(Command::TicketStatementQuery(ticket)) = asked else {
            return Err(Error::not_found("the ticket is not one of a query"));
        };
        let held = self.tickets.get_to_cancel(&ticket.statement_handle, &caller.principal)?;
        for query in held.cancel() {
            // What has finished meanwhile needs no cancelling.
            let _ = self.engine.queries().cancel(query, &caller.principal);
        }
        Ok(())
    }

    pub(crate) async fn plan(&self, caller: &Caller, sql: &str) -> Result<Statement> {
        if sql.trim().is_empty() {
            return Err(Error::invalid("empty query"));
        }
        self.session(&caller.principal).statement(sql).await
    }

    async fn plan_query(&self, caller: &Caller, query: &CommandStatementQuery) -> Result<Statement> {
        refuse_transaction(query.transaction_id.as_ref())?;
        self.plan(caller, &query.query).await
    }
}

async fn execute(statement: &Statement, held: Option<&Held>) -> Result<Rows> {
    let schema = described(&statement.schema());
    let stream = statement.execute().await?;
    let query = stream.id();
    if let Some(held) = held {
        held.started(query)?;
    }
    Ok(Rows { schema, batches: stream.boxed(), query: Some(query.to_string()) })
}

/// No transaction was ever begun here, so whatever id stands in a command is unknown.
fn refuse_transaction(id: Option<&Bytes>) -> Result<()> {
    match id {
        Some(id) if !id.is_empty() => {
            Err(Error::not_found("the transaction is not known: none can be begun here"))
        }
        _ => Ok(()),
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("name", &self.name).finish_non_exhaustive()
    }
}
