//! `grpc.health.v1.Health`: whether this listener answers queries. Like HTTP's `/health` it asks for no credentials:
//! load balancers and orchestrators have none.

use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use pintail_engine::Session;
use pintail_types::Result;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

/// What the paths of the service begin with.
pub(crate) const PATH: &str = "/grpc.health.v1.Health/";

/// The services that can be asked for: the server as a whole, and Flight.
const SERVICES: [&str; 2] = ["", "arrow.flight.protocol.FlightService"];

/// Between two probes.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// A probe that takes longer counts as hung.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// `HealthCheckRequest`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

/// `HealthCheckResponse`
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HealthCheckResponse {
    #[prost(enumeration = "ServingStatus", tag = "1")]
    status: i32,
}

/// `HealthCheckResponse.ServingStatus`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum ServingStatus {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

/// What is known about the listener.
#[derive(Debug, Clone, Copy)]
struct State {
    status: ServingStatus,
    /// It is about to stop: nothing will change any more.
    is_last: bool,
}

/// The service, and who sets its status.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    state: watch::Sender<State>,
}

impl Health {
    /// A listener that serves, until a probe says otherwise.
    pub(crate) fn new() -> Self {
        Self { state: watch::Sender::new(State { status: ServingStatus::Serving, is_last: false }) }
    }

    /// Plans a statement again and again, and says what came of it. Never ends.
    pub(crate) async fn probe(&self, session: Session) {
        let probe = || async { session.statement("SELECT 1").await.map(drop) };
        self.probe_with(probe, PROBE_INTERVAL, PROBE_TIMEOUT).await;
    }

    async fn probe_with<P: Future<Output = Result<()>>>(
        &self,
        probe: impl Fn() -> P,
        interval: Duration,
        timeout: Duration,
    ) {
        loop {
            let status = match tokio::time::timeout(timeout, probe()).await {
                Ok(Ok(())) => ServingStatus::Serving,
                Ok(Err(error)) => {
                    tracing::warn!("the health probe failed: {error}");
                    ServingStatus::NotServing
                }
                Err(_) => {
                    tracing::warn!("the health probe hung for {} s", timeout.as_secs_f64());
                    ServingStatus::NotServing
                }
            };
            self.state.send_replace(State { status, is_last: false });
            tokio::time::sleep(interval).await;
        }
    }

    /// The listener is about to stop.
    pub(crate) fn stop(&self) {
        self.state.send_replace(State { status: ServingStatus::NotServing, is_last: true });
    }

    /// Answers a request to the service.
    pub(crate) async fn answer(&self, request: http::Request<Body>) -> http::Response<Body> {
        let mut grpc = Grpc::new(ProstCodec::default());
        match request.uri().path().strip_prefix(PATH) {
            Some("Check") => grpc.unary(Check(self.clone()), request).await,
            Some("Watch") => grpc.server_streaming(Watch(self.clone()), request).await,
            _ => Status::unimplemented("the health service has the methods Check and Watch").into_http(),
        }
    }

    fn is_known(service: &str) -> bool {
        SERVICES.contains(&service)
    }
}

const fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

struct Check(Health);

impl UnaryService<HealthCheckRequest> for Check {
    type Response = HealthCheckResponse;
    type Future = std::future::Ready<Result<Response<Self::Response>, Status>>;

    fn call(&mut self, request: Request<HealthCheckRequest>) -> Self::Future {
        let service = &request.get_ref().service;
        std::future::ready(if Health::is_known(service) {
            Ok(Response::new(response(self.0.state.borrow().status)))
        } else {
            Err(Status::not_found("the service is not known here"))
        })
    }
}

struct Watch(Health);

impl ServerStreamingService<HealthCheckRequest> for Watch {
    type Response = HealthCheckResponse;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Self::Response, Status>> + Send>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<HealthCheckRequest>) -> Self::Future {
        let changes = if Health::is_known(&request.get_ref().service) {
            changes(self.0.state.subscribe()).boxed()
        } else {
            // A service may come later, says the protocol; ours do not, so nothing follows.
            futures::stream::iter([ServingStatus::ServiceUnknown]).chain(futures::stream::pending()).boxed()
        };
        std::future::ready(Ok(Response::new(changes.map(|status| Ok(response(status))).boxed())))
    }
}

/// The status now, and every other one that follows. It ends when the listener is about to stop, after saying so.
fn changes(receiver: watch::Receiver<State>) -> impl Stream<Item = ServingStatus> + Send {
    futures::stream::unfold((Some(receiver), None), |(receiver, last)| async move {
        let mut receiver = receiver?;
        loop {
            let State { status, is_last } = *receiver.borrow_and_update();
            if is_last {
                return Some((status, (None, last)));
            }
            if Some(status) != last {
                return Some((status, (Some(receiver), Some(status))));
            }
            receiver.changed().await.ok()?;
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use pintail_types::Error;

    use super::*;

    #[tokio::test]
    async fn a_probe_that_hangs_or_fails_turns_the_status_and_back() {
        let health = Health::new();
        let mut seen = std::pin::pin!(changes(health.state.subscribe()));
        assert_eq!(seen.next().await, Some(ServingStatus::Serving));
        let (hangs, fails) = (AtomicBool::new(true), AtomicBool::new(false));
        let probe = || async {
            if hangs.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            if fails.load(Ordering::Relaxed) { Err(Error::internal("a defect")) } else { Ok(()) }
        };
        let probing = health.probe_with(probe, Duration::ZERO, Duration::from_millis(1));
        let watching = async {
            assert_eq!(seen.next().await, Some(ServingStatus::NotServing));
            hangs.store(false, Ordering::Relaxed);
            assert_eq!(seen.next().await, Some(ServingStatus::Serving));
            fails.store(true, Ordering::Relaxed);
            assert_eq!(seen.next().await, Some(ServingStatus::NotServing));
        };
        tokio::select! {
            () = probing => {}
            () = watching => {}
        }
    }

    #[tokio::test]
    async fn watching_ends_with_the_listener() {
        let health = Health::new();
        let seen = changes(health.state.subscribe());
        health.stop();
        assert_eq!(seen.collect::<Vec<_>>().await, [ServingStatus::NotServing]);
    }
}
