//! `POST /api/hep`: many packets in a body, and an answer that says what is stored.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use pintail_types::{Error, Result};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::{CONNECT_TIMEOUT, Progress, SendOptions};
use crate::traffic::FrameBatch;

/// Where Homer and Pintail take HEP over HTTP.
const PATH: &str = "/api/hep";
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// How long an answer may take: the server syncs its journal before it answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a request is repeated that the server was too busy for.
const MAX_ATTEMPTS: u32 = 120;

/// One connection that is kept alive. It has a small runtime of its own, since senders block.
#[derive(Debug)]
pub(crate) struct HttpSender {
    runtime: Runtime,
    requests: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    authorization: Option<HeaderValue>,
}

/// What a server says of a body (INTERFACES.md, 5).
#[derive(Debug, serde::Deserialize)]
struct Answer {
    #[serde(default)]
    stored: u64,
    #[serde(default)]
    rejected: u64,
}

enum Outcome {
    Taken(Answer),
    Wait(Duration),
}

impl HttpSender {
    pub(super) fn connect(addresses: &[SocketAddr], options: &SendOptions) -> Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::internal("cannot start a runtime for HTTP").with_source(error))?;
        let host = HeaderValue::from_str(&options.target)
            .map_err(|_| Error::invalid(format!("'{}' cannot stand in a Host header", options.target)))?;
        let authorization = options.auth_token.as_deref().map(bearer).transpose()?;
        let requests = runtime.block_on(open(addresses, &options.target))?;
        Ok(Self { runtime, requests, host, authorization })
    }

    /// Sends one body and waits for what the server says; asks again when it is busy.
    pub(super) fn post(&mut self, batch: &FrameBatch, progress: &Progress) -> Result<()> {
        let body = Bytes::copy_from_slice(batch.bytes());
        let Self { runtime, requests, host, authorization } = self;
        runtime.block_on(async {
            for attempt in 0..MAX_ATTEMPTS {
                let request = request(body.clone(), host, authorization.as_ref())?;
                if attempt == 0 {
                    progress.handed_over(batch.len(), batch.bytes().len());
                }
                let answered = timeout(ANSWER_TIMEOUT, exchange(requests, request)).await;
                let outcome = answered.map_err(|_| {
                    Error::unavailable(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))
                })??;
                match outcome {
                    Outcome::Taken(answer) => {
                        progress.acknowledged.fetch_add(answer.stored, Ordering::Relaxed);
                        progress.rejected.fetch_add(answer.rejected, Ordering::Relaxed);
                        return Ok(());
                    }
                    Outcome::Wait(pause) => {
                        progress.waited.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(pause).await;
                    }
                }
            }
            Err(Error::unavailable(format!("the server was too busy {MAX_ATTEMPTS} times")))
        })
    }
}

fn bearer(token: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| Error::invalid("the token cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn open(addresses: &[SocketAddr], target: &str) -> Result<SendRequest<Full<Bytes>>> {
    let failed =
        |error: &dyn std::fmt::Display| Error::unavailable(format!("cannot connect to {target}: {error}"));
    let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(addresses))
        .await
        .map_err(|_| failed(&"no answer"))?
        .map_err(|error| failed(&error).with_source(error))?;
    stream.set_nodelay(true).map_err(|error| failed(&error).with_source(error))?;
    let (requests, connection) =
        handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error).with_source(error))?;
    // The connection's errors come out of the request that meets them.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(requests)
}

fn request(
    body: Bytes,
    host: &HeaderValue,
    authorization: Option<&HeaderValue>,
) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::post(PATH)
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/octet-stream")
        .body(Full::new(body))
        .map_err(|error| Error::internal("a request could not be made").with_source(error))?;
    if let Some(authorization) = authorization {
        request.headers_mut().insert(AUTHORIZATION, authorization.clone());
    }
    Ok(request)
}

async fn exchange(requests: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Result<Outcome> {
    let broken =
        |error: hyper::Error| Error::unavailable(format!("the connection broke: {error}")).with_source(error);
    requests.ready().await.map_err(broken)?;
    let response = requests.send_request(request).await.map_err(broken)?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES)
        .collect()
        .await
        .map_err(|error| Error::unavailable(format!("the answer broke off: {error}")))?
        .to_bytes();
    match head.status {
        StatusCode::OK => serde_json::from_slice(&body)
            .map(Outcome::Taken)
            .map_err(|error| Error::unavailable(format!("the answer is not what was expected: {error}"))),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            Ok(Outcome::Wait(retry_after(&head.headers)))
        }
        status => {
            let text = String::from_utf8_lossy(&body);
            Err(Error::invalid(format!("the server answered {status}: {}", text.trim())))
        }
    }
}

/// Seconds of `Retry-After`, from 0 to 30; one second when there is none.
fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    // A server that says 0 means soon, and is not to be asked in a loop.
    seconds.map_or(Duration::from_secs(1), |seconds| {
        Duration::from_secs(seconds.min(30)).max(Duration::from_millis(100))
    })
}
