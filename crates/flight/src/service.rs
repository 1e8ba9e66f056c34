//! The gRPC methods of Flight over the [`Door`].
//!
//! arrow-flight turns its `FlightSqlService` into a `FlightService` that fixes GetSchema, PollFlightInfo and the
//! handling of unknown actions, and answers undecodable commands with debug text. So the methods are
//! implemented here, and its `Command` does the reading.

use std::pin::Pin;
use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{
    Command, CommandPreparedStatementQuery, CommandStatementUpdate, DoPutPreparedStatementResult,
};
use arrow_flight::{
    Action, ActionType, BasicAuth, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo,
    HandshakeRequest, HandshakeResponse, IpcMessage, PollInfo, PutResult, SchemaAsIpc, SchemaResult, Ticket,
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use pintail_identity::{Credentials, Login};
use pintail_types::{Error, Result as PintailResult};
use prost::Message as _;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::access::Caller;
use crate::actions;
use crate::command::{Asked, of_descriptor, of_ticket};
use crate::door::Door;
use crate::fetch::Fetch;
use crate::listener::peer_of;
use crate::status::status;

type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The gRPC side of a listener.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    door: Arc<Door>,
}

impl Service {
    pub(crate) const fn new(door: Arc<Door>) -> Self {
        Self { door }
    }

    /// Starts what a ticket stands for.
    pub(crate) async fn fetch(&self, caller: &Caller, ticket: &Ticket) -> Result<Fetch, Status> {
        let asked = of_ticket(ticket).map_err(|error| status(&error))?;
        self.door.rows(caller, asked).await.map(Fetch::start).map_err(|error| status(&error))
    }

    async fn info(&self, request: Request<FlightDescriptor>) -> Result<FlightInfo, Status> {
        let caller = caller_of(&request)?;
        let descriptor = request.into_inner();
        self.describe(&caller, descriptor).await.map_err(|error| status(&error))
    }

    async fn describe(&self, caller: &Caller, descriptor: FlightDescriptor) -> PintailResult<FlightInfo> {
        let flight = self.door.flight(caller, of_descriptor(&descriptor)?).await?;
        let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(flight.ticket));
        let info = FlightInfo::new()
            .try_with_schema(&flight.schema)
            .map_err(|error| Error::internal("the result schema cannot be encoded").with_source(error))?;
        // No location: the rows are fetched over the same connection.
        Ok(info
            .with_descriptor(descriptor)
            .with_endpoint(endpoint)
            .with_total_records(-1)
            .with_total_bytes(-1))
    }

    /// The caller of a Handshake: by its headers as everywhere, else by the user and password that old
    /// clients put into the first message.
    async fn handshake_caller(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Caller, Status> {
        if let Ok(caller) = caller_of(&request) {
            return Ok(caller);
        }
        let peer = peer_of(request.extensions());
        let first = request.into_inner().message().await?;
        let basic = first.and_then(|message| BasicAuth::decode(message.payload).ok());
        let credentials = match basic {
            Some(BasicAuth { username, password }) => Credentials::Basic { user: username, password },
            None => Credentials::None,
        };
        self.door.access.caller_with(Login::new(credentials, peer)).await.map_err(|error| status(&error))
    }

    async fn put(
        &self,
        caller: &Caller,
        first: FlightData,
        rest: Streaming<FlightData>,
    ) -> PintailResult<Bytes> {
        let descriptor =
            first.flight_descriptor.ok_or_else(|| Error::invalid("the first message has no descriptor"))?;
        match of_descriptor(&descriptor)? {
            Asked::Command(Command::CommandPreparedStatementQuery(command)) => {
                self.bind(caller, &command, &first.data_header, rest).await
            }
            Asked::Command(Command::CommandStatementUpdate(CommandStatementUpdate { query, .. }))
            | Asked::Sql(query) => {
                // The engine says which statements it takes; what it plans has rows and is no update.
                self.door.plan(caller, &query).await?;
                Err(Error::invalid("the statement is a query: send it with GetFlightInfo"))
            }
            Asked::Command(Command::CommandPreparedStatementUpdate(command)) => {
                self.door.check_prepared(caller, &command.prepared_statement_handle)?;
                Err(Error::invalid("the prepared statement is a query: send it with GetFlightInfo"))
            }
            Asked::Command(command) => {
                let name = command.type_url().rsplit('.').next().unwrap_or_default().to_owned();
                Err(Error::unsupported(format!("{name} is not served")))
            }
        }
    }

    /// Binds parameters, of which no statement has any: only an empty row is taken.
    async fn bind(
        &self,
        caller: &Caller,
        command: &CommandPreparedStatementQuery,
        schema_header: &Bytes,
        mut rest: Streaming<FlightData>,
    ) -> PintailResult<Bytes> {
        self.door.check_prepared(caller, &command.prepared_statement_handle)?;
        let columns = arrow::ipc::root_as_message(schema_header)
            .ok()
            .and_then(|message| message.header_as_schema()?.fields().map(|fields| fields.len()))
            .unwrap_or(0);
        if columns > 0 {
            return Err(Error::unsupported(format!(
                "the statement takes no parameters and {columns} were bound: write the values into the SQL text"
            )));
        }
        while let Ok(Some(_)) = rest.message().await {}
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: None }.encode_to_vec().into())
    }
}

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = BoxStream<HandshakeResponse>;
    type ListFlightsStream = BoxStream<FlightInfo>;
    type DoGetStream = Fetch;
    type DoPutStream = BoxStream<PutResult>;
    type DoExchangeStream = BoxStream<FlightData>;
    type DoActionStream = BoxStream<arrow_flight::Result>;
    type ListActionsStream = BoxStream<ActionType>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let caller = self.handshake_caller(request).await?;
        let (token, _) = self.door.access.sessions.open(caller.principal).map_err(|error| status(&error))?;
        let bearer = AsciiMetadataValue::try_from(format!("Bearer {token}"))
            .map_err(|_| Status::internal("the session token is not ASCII"))?;
        let mut trailers = MetadataMap::new();
        trailers.insert("authorization", bearer.clone());
        // Some clients read the bearer from the headers, others from the trailers.
        let end = Status::with_metadata(Code::Ok, "", trailers);
        let answer = HandshakeResponse { protocol_version: 0, payload: token.into() };
        let mut response =
            Response::new(futures::stream::iter([Ok(answer), Err(end)]).boxed() as BoxStream<_>);
        response.metadata_mut().insert("authorization", bearer);
        Ok(response)
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(Status::unimplemented("ListFlights is not served: list tables with the command CommandGetTables"))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        self.info(request).await.map(Response::new)
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        // Rows are made as they are fetched, so a flight is complete as soon as it is planned.
        let info = self.info(request).await?;
        Ok(Response::new(PollInfo {
            info: Some(info),
            flight_descriptor: None,
            progress: Some(1.0),
            expiration_time: None,
        }))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let caller = caller_of(&request)?;
        let schema = async { self.door.schema(&caller, of_descriptor(request.get_ref())?).await };
        let schema =
            schema.await.and_then(|schema| encoded_schema(&schema)).map_err(|error| status(&error))?;
        Ok(Response::new(SchemaResult { schema }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let caller = caller_of(&request)?;
        self.fetch(&caller, request.get_ref()).await.map(Response::new)
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let caller = caller_of(&request)?;
        let mut messages = request.into_inner();
        let Some(first) = messages.message().await? else {
            return Err(Status::invalid_argument("nothing was sent: the first message names the command"));
        };
        let app_metadata = self.put(&caller, first, messages).await.map_err(|error| status(&error))?;
        let result = futures::stream::iter([Ok(PutResult { app_metadata })]);
        Ok(Response::new(result.boxed() as Self::DoPutStream))
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(Status::unimplemented("DoExchange is not served"))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let caller = caller_of(&request)?;
        let body =
            actions::act(&self.door, &caller, request.into_inner()).await.map_err(|error| status(&error))?;
        let results = body.into_iter().map(|body| Ok(arrow_flight::Result { body }));
        Ok(Response::new(futures::stream::iter(results.collect::<Vec<_>>()).boxed() as Self::DoActionStream))
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let types = actions::action_types().map(Ok).collect::<Vec<_>>();
        Ok(Response::new(futures::stream::iter(types).boxed() as Self::ListActionsStream))
    }
}

/// The caller that the listener found before it called any method.
fn caller_of<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Caller>().cloned();
    caller.ok_or_else(|| Status::unauthenticated("credentials are required: send a bearer token"))
}

/// A schema as an encapsulated IPC message, the form it has in FlightInfo and in prepared statements.
///
/// # Errors
/// `Internal` if it cannot be encoded.
pub(crate) fn encoded_schema(schema: &Schema) -> PintailResult<Bytes> {
    IpcMessage::try_from(SchemaAsIpc::new(schema, &IpcWriteOptions::default()))
        .map(|message| message.0)
        .map_err(|error| Error::internal("the schema cannot be encoded").with_source(error))
}
