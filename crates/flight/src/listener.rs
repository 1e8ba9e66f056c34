//! The HTTP/2 side of a listener: credentials before anything else, and DoGet without copies.
//!
//! tonic encodes a message into one buffer, which would copy every column once more. So DoGet is answered
//! here with a body of its own; all else goes to tonic's server.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use arrow_flight::Ticket;
use arrow_flight::flight_service_server::FlightServiceServer;
use bytes::{Buf, BytesMut};
use prost::Message as _;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::header::{CONTENT_TYPE, HeaderValue};
use tonic::codegen::{BoxFuture, Service as HttpService, http};
use tonic::server::NamedService;

use crate::access::Caller;
use crate::connection::Peer;
use crate::fetch::FetchBody;
use crate::service::Service;
use crate::status::status;

/// Longest message that a client may send. Tickets are short; DoPut sends batches.
pub(crate) const MAX_RECEIVED: usize = 64 << 20;

/// Longest message of a Handshake, which anybody may send: a user and a password.
const MAX_HANDSHAKE: usize = 64 << 10;

/// Longest ticket. SQL text may stand in it.
const MAX_TICKET: usize = 4 << 20;

/// gRPC's frame: a flag byte that says whether the message is compressed, and its length.
const GRPC_PREFIX: usize = 5;

/// What tonic calls for every request to the Flight service.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    service: Service,
    door: std::sync::Arc<crate::door::Door>,
    methods: FlightServiceServer<Service>,
    handshakes: FlightServiceServer<Service>,
}

impl Listener {
    pub(crate) fn new(door: std::sync::Arc<crate::door::Door>) -> Self {
        let service = Service::new(std::sync::Arc::clone(&door));
        let methods = FlightServiceServer::new(service.clone())
            .max_decoding_message_size(MAX_RECEIVED)
            .max_encoding_message_size(usize::MAX);
        let handshakes = FlightServiceServer::new(service.clone()).max_decoding_message_size(MAX_HANDSHAKE);
        Self { service, door, methods, handshakes }
    }
}

impl NamedService for Listener {
    const NAME: &'static str = <FlightServiceServer<Service> as NamedService>::NAME;
}

impl HttpService<http::Request<Body>> for Listener {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default();
        let is_handshake = method == "Handshake";
        let is_do_get = method == "DoGet";
        let (service, door) = (self.service.clone(), std::sync::Arc::clone(&self.door));
        let mut methods = if is_handshake { self.handshakes.clone() } else { self.methods.clone() };
        Box::pin(async move {
            let peer = peer_of(request.extensions());
            let caller = match door.access.caller(request.headers(), peer).await {
                Ok(caller) => Some(caller),
                // A Handshake may carry its credentials in its first message, and answers for itself.
                Err(_) if is_handshake && !request.headers().contains_key(http::header::AUTHORIZATION) => {
                    None
                }
                Err(error) => return Ok(status(&error).into_http()),
            };
            match caller {
                Some(caller) if is_do_get => Ok(do_get(&service, &caller, request.into_body()).await),
                caller => {
                    if let Some(caller) = caller {
                        request.extensions_mut().insert(caller);
                    }
                    methods.call(request).await
                }
            }
        })
    }
}

/// The other end of the connection that a request came over.
pub(crate) fn peer_of(extensions: &http::Extensions) -> Option<IpAddr> {
    extensions.get::<Peer>().map(|peer| peer.0)
}

async fn do_get(service: &Service, caller: &Caller, body: Body) -> http::Response<Body> {
    let fetch = async {
        let ticket = read_ticket(body).await?;
        service.fetch(caller, &ticket).await
    };
    match fetch.await {
        Ok(fetch) => {
            let mut response = http::Response::new(Body::new(FetchBody::new(fetch)));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            response
        }
        Err(status) => status.into_http(),
    }
}

/// The one message of a DoGet request.
async fn read_ticket(body: Body) -> Result<Ticket, Status> {
    let mut received = collect(body).await?;
    if received.len() < GRPC_PREFIX {
        return Err(Status::invalid_argument("the request has no ticket"));
    }
    let compressed = received.get_u8() != 0;
    if compressed {
        return Err(Status::unimplemented("compressed requests are not served"));
    }
    let length = received.get_u32() as usize;
    if received.len() != length {
        return Err(Status::invalid_argument("the request is not exactly one ticket"));
    }
    Ticket::decode(received).map_err(|_| Status::invalid_argument("the request is not a well-formed ticket"))
}

async fn collect(body: Body) -> Result<BytesMut, Status> {
    let mut body = std::pin::pin!(body);
    let mut received = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|context| poll_frame(body.as_mut(), context)).await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if received.len() + data.len() > MAX_TICKET + GRPC_PREFIX {
            return Err(Status::resource_exhausted(format!("a ticket has at most {MAX_TICKET} bytes")));
        }
        received.extend_from_slice(&data);
    }
    Ok(received)
}

fn poll_frame(
    body: Pin<&mut Body>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Status>>> {
    http_body::Body::poll_frame(body, context)
}
