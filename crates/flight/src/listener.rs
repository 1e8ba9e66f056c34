//! The HTTP/2 side of a listener: credentials before anything else, and DoGet without copies.
//!
//! tonic encodes a message into one buffer, which would copy every column once more. So DoGet is answered
//! here with a body of its own; all else goes to tonic's server.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::FutureExt;
use pintail_types::Error;
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, SET_COOKIE};
use tonic::codegen::{BoxFuture, Service as HttpService, http};

use crate::access::Caller;
use crate::answer::AnswerBody;
use crate::connection::ConnectionInfo;
use crate::deadline::Deadline;
use crate::door::Door;
use crate::fetch::{FetchBody, Patience};
use crate::gate::{Gate, Pass};
use crate::gzip;
use crate::health::{self, Health};
use crate::incoming::Watched;
use crate::service::Service;
use crate::status::status;
use crate::unary::read_ticket;

/// Longest message that a client may send. Tickets are short; DoPut sends batches.
const MAX_RECEIVED: usize = 64 << 20;

/// Longest message of a Handshake, which anybody may send: a user and a password.
const MAX_HANDSHAKE: usize = 64 << 10;

/// What the paths of Flight begin with.
const PATH: &str = "/arrow.flight.protocol.FlightService/";

/// What is called for every request.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    service: Service,
    door: Arc<Door>,
    gate: Gate,
    health: Health,
    sign_of_life: Duration,
    methods: FlightServiceServer<Service>,
    /// The same with answers in gzip.
    compressing: FlightServiceServer<Service>,
    handshakes: FlightServiceServer<Service>,
}

impl Listener {
    pub(crate) fn new(door: Arc<Door>, gate: Gate, health: Health, sign_of_life: Duration) -> Self {
        let service = Service::new(Arc::clone(&door));
        let methods = FlightServiceServer::new(service.clone())
            .max_decoding_message_size(MAX_RECEIVED)
            .max_encoding_message_size(usize::MAX)
            .accept_compressed(CompressionEncoding::Gzip);
        let compressing = methods.clone().send_compressed(CompressionEncoding::Gzip);
        let handshakes = FlightServiceServer::new(service.clone())
            .max_decoding_message_size(MAX_HANDSHAKE)
            .accept_compressed(CompressionEncoding::Gzip);
        Self { service, door, gate, health, sign_of_life, methods, compressing, handshakes }
    }

    async fn answer(mut self, mut request: http::Request<Body>) -> Result<http::Response<AnswerBody>, Error> {
        let deadline = Deadline::of(request.headers());
        let Some(connection) = request.extensions().get::<ConnectionInfo>().cloned() else {
            return Err(Error::internal("a request came over no connection"));
        };
        let path = request.uri().path();
        let method = path.strip_prefix(PATH).unwrap_or_default().to_owned();
        let mut cookie = None;
        let mut caller = match self.door.access.caller(request.headers(), &connection).await {
            Ok(caller) => Some(caller),
            // A Handshake may carry its credentials in its first message, and answers for itself.
            Err(_) if method == "Handshake" && !request.headers().contains_key(AUTHORIZATION) => None,
            Err(error) => return Err(error),
        };
        if method.is_empty() {
            return Err(Error::unsupported(format!("{path} is not served here")));
        }
        let pass = self.gate.enter()?;
        // The cookie of a session that has ended must not keep its client from opening another.
        if let Some(caller) = caller.as_mut().filter(|_| method != "Handshake") {
            cookie = self.door.access.take_cookie(caller, request.headers())?;
        }
        let answer = async {
            match (method.as_str(), caller) {
                ("DoGet", Some(caller)) => self.do_get(&caller, request, deadline, pass).await,
                ("Handshake", caller) => {
                    caller.map(|caller| request.extensions_mut().insert(caller));
                    self.handshakes.call(request).await.map(|response| response.map(AnswerBody::from))
                }
                (_, caller) => {
                    caller.map(|caller| request.extensions_mut().insert(caller));
                    let is_compressed = gzip::is_asked_for(request.headers());
                    let methods = if is_compressed { &mut self.compressing } else { &mut self.methods };
                    methods.call(watched(request)).await.map(|response| response.map(AnswerBody::from))
                }
            }
        };
        // tonic has a timer of its own for this, which is later and answers with the code for a cancelled request.
        let Ok(mut response) = deadline.limit(answer).await?;
        if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::try_from(cookie).ok()) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        Ok(response)
    }

    async fn do_get(
        &self,
        caller: &Caller,
        request: http::Request<Body>,
        deadline: Deadline,
        pass: Pass,
    ) -> Result<http::Response<AnswerBody>, Infallible> {
        let patience = Patience { deadline, sign_of_life: self.sign_of_life };
        let is_compressed = gzip::is_asked_for(request.headers());
        let fetch = async {
            let ticket = read_ticket(request.into_body()).await?;
            self.service.fetch(caller, &ticket, patience).await
        };
        Ok(match fetch.await {
            Ok(fetch) => {
                let body = FetchBody::new(fetch, is_compressed, pass);
                let mut response = http::Response::new(AnswerBody::Rows(Box::new(body)));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                if is_compressed {
                    response.headers_mut().insert(gzip::ENCODING, gzip::GZIP);
                }
                response
            }
            Err(status) => status.into_http(),
        })
    }
}

/// The request with what tells whether all of its body came.
fn watched(request: http::Request<Body>) -> http::Request<Body> {
    let (mut parts, body) = request.into_parts();
    let (body, arrival) = Watched::new(body);
    parts.extensions.insert(arrival);
    http::Request::from_parts(parts, Body::new(body))
}

impl HttpService<http::Request<Body>> for Listener {
    type Response = http::Response<AnswerBody>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path().starts_with(health::PATH) {
            let health = self.health.clone();
            return Box::pin(async move { Ok(health.answer(request).await.map(AnswerBody::from)) });
        }
        let answer = AssertUnwindSafe(Box::pin(self.clone().answer(request))).catch_unwind();
        Box::pin(async move {
            Ok(match answer.await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => status(&error).into_http(),
                // What a client sends must not be able to do this; if it does, it learns that it failed.
                Err(_) => {
                    Status::internal("the request failed because of a defect in the server").into_http()
                }
            })
        })
    }
}
