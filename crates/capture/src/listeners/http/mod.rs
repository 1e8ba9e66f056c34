//! HEP over HTTP: `POST /api/hep` and `/api/hep/binary` take one packet of any version, or several HEP3
//! packets one after the other.
//!
//! 200 means that the journal has synced the stored packets. A client that gets 503 sends again later.

mod body;
mod memory;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::StreamExt as _;
use pintail_identity::tls;
use pintail_types::{Error, JournalPosition, Result};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::body::Part;
use self::memory::{BodyMemory, Refused};
use super::listen;
use crate::accounting::{Note, Reason, Transport};
use crate::auth;
use crate::intake::{BATCH_PACKETS, Core, Frame, Intake, Receipt, WhenFull};
use crate::options::HttpOptions;

/// The time after which a client that was sent away may come again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// How long requests may go on once the end was asked for.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// The running listener.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listener {
    /// Binds the socket and answers from then on.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub(crate) fn start(
        core: &Arc<Core>,
        transport: Transport,
        options: HttpOptions,
        stop: CancellationToken,
    ) -> Result<Self> {
        let listener = tls::Listener::new(listen(options.address)?, options.security.clone());
        let address = listener
            .local_addr()
            .map_err(|error| Error::internal("an http listener without an address").with_source(error))?;
        let limits = pintail_http::Limits {
            connections: options.max_connections,
            head_timeout: options.read_timeout,
            stop_grace: STOP_GRACE,
        };
        let door = Arc::new(Door {
            core: Arc::clone(core),
            transport,
            body_memory: BodyMemory::new(options.max_buffered_bytes.max(options.max_body_bytes)),
            requests: AtomicUsize::new(0),
            stop: stop.clone(),
            options,
        });
        let task = tokio::spawn(pintail_http::serve(listener, router(door), limits, stop));
        Ok(Self { address, task })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until every request has its answer; the token given to [`Listener::start`] ends them.
    pub(crate) async fn stopped(self) {
        if self.task.await.is_err() {
            tracing::error!("the http listener panicked");
        }
    }
}

fn router(door: Arc<Door>) -> Router {
    Router::new()
        .route("/api/hep", post(take_packets))
        .route("/api/hep/binary", post(take_packets))
        .route("/health", get(health))
        .method_not_allowed_fallback(async || refusal(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "no such path; packets go to /api/hep"))
        .with_state(door)
}

/// What all requests share.
#[derive(Debug)]
struct Door {
    core: Arc<Core>,
    transport: Transport,
    options: HttpOptions,
    body_memory: BodyMemory,
    requests: AtomicUsize,
    stop: CancellationToken,
}

async fn health() -> Response {
    axum::Json(json!({"status": "ok", "module": "writer"})).into_response()
}

async fn take_packets(
    State(door): State<Arc<Door>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match door.take(peer, &headers, body).await {
        Ok(response) | Err(response) => response,
    }
}

/// How far a body came.
#[derive(Debug, Default)]
struct Progress {
    stored: usize,
    rejected: usize,
    malformed: usize,
    dropped: usize,
    end: Option<JournalPosition>,
}

impl Progress {
    fn add(&mut self, receipt: Receipt, given: usize) {
        self.stored += receipt.stored;
        self.rejected += receipt.rejected;
        self.malformed += receipt.malformed;
        self.dropped += given - receipt.stored - receipt.rejected;
        self.end = receipt.end.or(self.end);
    }

    fn counts(&self) -> serde_json::Value {
        json!({"stored": self.stored, "rejected": self.rejected})
    }

    fn refusal(&self, status: StatusCode, message: &str) -> Response {
        let mut counts = self.counts();
        counts["error"] = message.into();
        (status, axum::Json(counts)).into_response()
    }
}

impl Door {
    async fn take(&self, peer: SocketAddr, headers: &HeaderMap, body: Body) -> Result<Response, Response> {
        if !self.is_authorized(headers) {
            self.note(Note::HttpUnauthorized);
            return Err(unauthorized());
        }
        if let Err(error) = self.core.lake.admission() {
            self.note(Note::HttpBusy);
            return Err(busy(error.message()));
        }
        let body = self.read(headers, body).await?;
        self.store(peer, body.bytes()).await
    }

    fn note(&self, note: Note) {
        self.core.accounting.noted(self.transport, note);
    }

    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.options.auth_token else { return true };
        let shown = headers.get(AUTHORIZATION).and_then(|value| {
            let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| credentials.trim())
        });
        shown.is_some_and(|shown| auth::same_secret(token.as_bytes(), shown.as_bytes()).into())
    }

    /// Reads the whole body, within the limits of one body and of all bodies together.
    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<memory::Body<'_>, Response> {
        let limit = self.options.max_body_bytes;
        let declared =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if declared.is_some_and(|length| length > limit) {
            return Err(self.too_large(0));
        }
        let mut read = self.body_memory.begin(limit);
        let mut stream = body.into_data_stream();
        let reading = async {
            while let Some(part) = stream.next().await {
                let part = part.map_err(|_| refusal(StatusCode::BAD_REQUEST, "the body broke off"))?;
                read.push(&part).map_err(|refused| self.refused(refused))?;
            }
            Ok(read)
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(busy("the server is stopping")),
            read = tokio::time::timeout(self.options.read_timeout, reading) => {
                read.map_err(|_| refusal(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))?
            }
        }
    }

    fn refused(&self, refused: Refused) -> Response {
        match refused {
            Refused::TooLong(bytes) => self.too_large(bytes),
            Refused::NoMemory => {
                self.note(Note::HttpBusy);
                busy("too many bodies at the same time")
            }
        }
    }

    fn too_large(&self, bytes: usize) -> Response {
        self.core.accounting.refused(self.transport, Reason::TooLarge, bytes);
        let message = format!(
            "the body is over {} bytes: ingest.http.max_request_body_size",
            self.options.max_body_bytes
        );
        refusal(StatusCode::PAYLOAD_TOO_LARGE, &message)
    }

    /// Stores every packet of a body, waits until they are on the disk, and says how many there were.
    async fn store(&self, peer: SocketAddr, body: &[u8]) -> Result<Response, Response> {
        let deadline = Instant::now() + self.options.write_timeout;
        let shard = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut intake = Intake::new(Arc::clone(&self.core), self.transport, shard);
        let mut progress = Progress::default();
        let mut parts = body::parts(body);
        let mut frames = Vec::with_capacity(BATCH_PACKETS);
        loop {
            frames.clear();
            let mut rest = None;
            while frames.len() < BATCH_PACKETS && rest.is_none() {
                match parts.next() {
                    Some(Part::Packet(bytes)) => frames.push(Frame { bytes, peer }),
                    other => rest = Some(other),
                }
            }
            self.store_batch(&mut intake, &frames, &mut progress, deadline).await?;
            match rest {
                None => tokio::task::yield_now().await,
                Some(None) => break,
                Some(Some(Part::Unreadable(reason, bytes))) => {
                    self.core.accounting.refused(self.transport, reason, bytes.len());
                    progress.rejected += 1;
                    progress.malformed += 1;
                }
                Some(Some(Part::Packet(_))) => {}
            }
        }
        self.answer(&progress, deadline).await
    }

    /// Nothing is in flight across an await here: a client that goes away leaves no packet uncounted.
    async fn store_batch(
        &self,
        intake: &mut Intake,
        frames: &[Frame<'_>],
        progress: &mut Progress,
        deadline: Instant,
    ) -> Result<(), Response> {
        if frames.is_empty() {
            return Ok(());
        }
        // What came before is stored already, so it is worth waiting; the first batch was admitted above.
        let _ = tokio::time::timeout_at(deadline, self.core.lake.admitted()).await;
        let bytes = frames.iter().map(|frame| frame.bytes.len()).sum();
        self.core.accounting.received(self.transport, frames.len(), bytes);
        let receipt = intake.store(frames, WhenFull::Drop).unwrap_or_default();
        progress.add(receipt, frames.len());
        if progress.dropped > 0 {
            return Err(with_retry(progress.refusal(StatusCode::SERVICE_UNAVAILABLE, "the server is full")));
        }
        Ok(())
    }

    async fn answer(&self, progress: &Progress, deadline: Instant) -> Result<Response, Response> {
        if let Some(end) = progress.end {
            let durable = self.core.lake.journal().durable(end);
            let message = match tokio::time::timeout_at(deadline, durable).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("the journal's disk is too slow".to_owned()),
            };
            if let Some(message) = message {
                return Err(busy(&message));
            }
        }
        if progress.stored == 0 && progress.rejected == progress.malformed {
            return Err(progress.refusal(StatusCode::BAD_REQUEST, "the body holds no HEP packet"));
        }
        Ok(axum::Json(progress.counts()).into_response())
    }
}

fn refusal(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({"error": message}))).into_response()
}

fn unauthorized() -> Response {
    let mut response = refusal(StatusCode::UNAUTHORIZED, "a bearer token is needed: ingest.http.auth_token");
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn busy(message: &str) -> Response {
    with_retry(refusal(StatusCode::SERVICE_UNAVAILABLE, message))
}

fn with_retry(mut response: Response) -> Response {
    response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    response
}
