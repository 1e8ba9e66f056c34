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
use arrow_flight::{
    Action, ActionType, BasicAuth, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo,
    HandshakeRequest, HandshakeResponse, IpcMessage, PollInfo, PutResult, SchemaAsIpc, SchemaResult, Ticket,
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use pintail_identity::Credentials;
use pintail_types::{Error, Result as PintailResult};
use prost::Message as _;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::access::{Caller, set_cookie};
use crate::actions;
use crate::command::{of_descriptor, of_ticket};
use crate::connection::ConnectionInfo;
use crate::door::Door;
use crate::fetch::{Fetch, Patience};
use crate::incoming::{Arrival, Incoming, Messages};
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
    pub(crate) async fn fetch(
        &self,
        caller: &Caller,
        ticket: &Ticket,
        patience: Patience,
    ) -> Result<Fetch, Status> {
        let rows = async { self.door.rows(caller, of_ticket(ticket)?).await };
        rows.await.map(|rows| Fetch::new(rows, patience)).map_err(|error| status(&error))
    }

    async fn info(&self, request: Request<FlightDescriptor>) -> Result<FlightInfo, Status> {
        let caller = caller_of(&request)?;
        self.door.flight(&caller, request.into_inner()).await.map_err(|error| status(&error))
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
        let connection = request.extensions().get::<ConnectionInfo>().cloned();
        let connection = connection.ok_or_else(|| Status::internal("a request came over no connection"))?;
        let first = request.into_inner().message().await?;
        let basic = first.and_then(|message| BasicAuth::decode(message.payload).ok());
        let credentials = match basic {
            Some(BasicAuth { username, password }) => Credentials::Basic { user: username, password },
            None => Credentials::None,
        };
        self.door.access.caller_with(credentials, &connection).await.map_err(|error| status(&error))
    }

    async fn put(&self, caller: &Caller, messages: Messages) -> PintailResult<Bytes> {
        self.door.put(caller, Incoming::open(messages).await?).await
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
        let (token, _) = self.door.login(&caller).map_err(|error| status(&error))?;
        let not_ascii = |_| Status::internal("the session token is not ASCII");
        let bearer = AsciiMetadataValue::try_from(format!("Bearer {token}")).map_err(not_ascii)?;
        let cookie = AsciiMetadataValue::try_from(set_cookie(&token)).map_err(not_ascii)?;
        let mut trailers = MetadataMap::new();
        trailers.insert("authorization", bearer.clone());
        // Some clients read the bearer from the headers, others from the trailers.
        let end = Status::with_metadata(Code::Ok, "", trailers);
        let answer = HandshakeResponse { protocol_version: 0, payload: token.into() };
        let mut response =
            Response::new(futures::stream::iter([Ok(answer), Err(end)]).boxed() as BoxStream<_>);
        response.metadata_mut().insert("authorization", bearer);
        response.metadata_mut().insert("set-cookie", cookie);
        Ok(response)
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        let caller = caller_of(&request)?;
        let expression = request.into_inner().expression;
        let pattern = String::from_utf8(expression.into())
            .map_err(|_| Status::invalid_argument("the criteria are not text: send a pattern, as of LIKE"))?;
        let pattern = Some(pattern).filter(|pattern| !pattern.is_empty());
        let flights = self.door.list(&caller, pattern).await.map_err(|error| status(&error))?;
        Ok(Response::new(futures::stream::iter(flights.into_iter().map(Ok)).boxed() as BoxStream<_>))
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
        let expiration_time = info.endpoint.first().and_then(|endpoint| endpoint.expiration_time);
        Ok(Response::new(PollInfo {
            info: Some(info),
            flight_descriptor: None,
            progress: Some(1.0),
            expiration_time,
        }))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let caller = caller_of(&request)?;
        let schema = async { self.door.schema(&caller, of_descriptor(request.get_ref())?).await };
        let schema = schema.await.map_err(|error| status(&error))?;
        Ok(Response::new(SchemaResult { schema }))
    }

    async fn do_get(&self, _: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        Err(Status::internal("DoGet is answered by the listener"))
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let caller = caller_of(&request)?;
        let arrival = request.extensions().get::<Arrival>().cloned().unwrap_or_default();
        let messages = Messages::new(request.into_inner(), arrival);
        let app_metadata = self.put(&caller, messages).await.map_err(|error| status(&error))?;
        let result = futures::stream::iter([Ok(PutResult { app_metadata })]);
        Ok(Response::new(result.boxed() as Self::DoPutStream))
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let error = Error::unsupported("DoExchange is not served: use DoGet for rows and DoPut for data");
        Err(status(&error))
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
