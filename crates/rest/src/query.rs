//! Queries over HTTP: a statement comes in as JSON, and its rows leave as JSON while the plan runs.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use futures::stream::Fuse;
use futures::{FutureExt, Stream, StreamExt, stream};
use pintail_engine::{MAX_SQL_BYTES, QueryStream, SessionOptions, Statement};
use pintail_identity::Principal;
use pintail_types::{Error, Result};
use serde::Deserialize;
use tokio::time::timeout;
use tracing::debug;

use crate::encode::{CHUNK_BYTES, RowEncoder, push_string};
use crate::node_api::{DOOR, Node};
use crate::reply::{ErrorBody, Failure};

/// The longest request body: a statement of the greatest length, of which every byte may be escaped in JSON.
const MAX_BODY_BYTES: usize = 2 * MAX_SQL_BYTES;
/// How long a client may take to send the body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The answer's header that names the query, so that it can be found in `system.queries`.
const QUERY_ID: HeaderName = HeaderName::from_static("pintail-query-id");

/// The body of a request. Other keys are errors: one that was misspelt must not be passed over.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryRequest {
    sql: String,
    /// A node always answers in full; the key is there for clients that ask coordinators too.
    #[serde(default, rename = "allow_partial")]
    _allow_partial: bool,
}

/// What stands around the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `{"success": true, "data": […], "count": n}`
    Success,
    /// `{"columns": […], "data": […], "count": n}`
    Columns,
}

/// `POST /query`
pub(crate) async fn query(
    State(node): State<Arc<Node>>,
    request: Request,
) -> Result<Response<Body>, Failure> {
    answer(&node, request, Shape::Success).await
}

/// `POST /api/v4/node/query`
pub(crate) async fn query_with_columns(
    State(node): State<Arc<Node>>,
    request: Request,
) -> Result<Response<Body>, Failure> {
    answer(&node, request, Shape::Columns).await
}

async fn answer(node: &Node, mut request: Request, shape: Shape) -> Result<Response<Body>, Failure> {
    let principal = request
        .extensions_mut()
        .remove::<Principal>()
        .ok_or_else(|| Error::internal("a query came past the authentication"))?;
    let sql = read_sql(request).await?;
    let session = node.engine.session(principal, DOOR, SessionOptions::default());
    let statement = session.statement(&sql).await?;
    if statement.is_update() {
        return changed(&statement, shape).await;
    }
    let encoder = RowEncoder::new(&statement.schema())?;
    let rows = statement.execute().await?;
    let id = rows.id();
    let mut rows = rows.fuse();
    // Whatever fails before the first rows is an answer with an error status.
    let first = rows.next().await.transpose()?;
    let mut head = Vec::with_capacity(CHUNK_BYTES + 4096);
    push_head(&mut head, shape, encoder.names())?;
    let reply = Reply { rows, batch: first, row: 0, encoder, out: head, stage: Stage::Rows };
    let mut response = Response::new(Body::from_stream(reply.chunks()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert(QUERY_ID, id);
    }
    Ok(response)
}

/// Runs a statement that has no rows: the answer is that of a query without rows, and `affected_rows`, null where
/// the number is not known.
async fn changed(statement: &Statement, shape: Shape) -> Result<Response<Body>, Failure> {
    if statement.is_of_session() {
        let error = Error::unsupported(
            "every HTTP request is a session of its own: SET and USE would have no effect",
        );
        return Err(error.into());
    }
    let affected = statement.update(None).await?;
    let mut body = Vec::new();
    push_head(&mut body, shape, &[])?;
    let affected = affected.map_or_else(|| "null".to_owned(), |rows| rows.to_string());
    body.extend_from_slice(format!("],\"count\":0,\"affected_rows\":{affected}}}").as_bytes());
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::try_from(statement.id().to_string()) {
        headers.insert(QUERY_ID, id);
    }
    Ok(response)
}

/// The statement of a request.
async fn read_sql(request: Request) -> Result<String, Failure> {
    let body = read_body(request).await?;
    let request: QueryRequest = serde_json::from_slice(&body).map_err(|error| {
        Error::invalid(format!("the body must be JSON such as {{\"sql\": \"SELECT 1\"}}: {error}"))
    })?;
    Ok(request.sql)
}

/// The body of a request.
pub(crate) async fn read_body(request: Request) -> Result<Bytes, Failure> {
    let body = timeout(BODY_TIMEOUT, to_bytes(request.into_body(), MAX_BODY_BYTES)).await.map_err(|_| {
        let seconds = BODY_TIMEOUT.as_secs();
        let error = Error::deadline_exceeded(format!("the request's body took longer than {seconds} s"));
        Failure::with_status(StatusCode::REQUEST_TIMEOUT, error)
    })?;
    body.map_err(|error| {
        let too_long = format!("the request's body is cut off or longer than {MAX_BODY_BYTES} bytes");
        let error = Error::invalid(too_long).with_source(error);
        Failure::with_status(StatusCode::PAYLOAD_TOO_LARGE, error)
    })
}

fn push_head(out: &mut Vec<u8>, shape: Shape, names: &[String]) -> Result<()> {
    match shape {
        Shape::Success => out.extend_from_slice(b"{\"success\":true"),
        Shape::Columns => {
            out.extend_from_slice(b"{\"columns\":[");
            for (index, name) in names.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                push_string(out, name)?;
            }
            out.push(b']');
        }
    }
    out.extend_from_slice(b",\"data\":[");
    Ok(())
}

/// A result on its way out. Dropping it stops the plan.
struct Reply {
    rows: Fuse<QueryStream>,
    /// The batch that is being written, and its next row.
    batch: Option<RecordBatch>,
    row: usize,
    encoder: RowEncoder,
    /// What was written and not handed over.
    out: Vec<u8>,
    stage: Stage,
}

enum Stage {
    Rows,
    /// An error was written; the connection is to be aborted.
    Broken,
    Ended,
}

impl Reply {
    /// The body, a chunk whenever the connection takes one.
    fn chunks(self) -> impl Stream<Item = io::Result<Bytes>> + Send {
        stream::unfold(self, |mut reply| async move {
            let chunk = reply.next_chunk().await?;
            Some((chunk, reply))
        })
    }

    async fn next_chunk(&mut self) -> Option<io::Result<Bytes>> {
        match self.stage {
            Stage::Rows => {}
            Stage::Broken => {
                // Lets the server send what it holds, the error's text above all.
                tokio::task::yield_now().await;
                self.stage = Stage::Ended;
                return Some(Err(io::Error::other("the query failed after its first rows were sent")));
            }
            Stage::Ended => return None,
        }
        if let Err(error) = self.fill().await {
            self.break_off(&error);
        }
        Some(Ok(Bytes::from(std::mem::take(&mut self.out))))
    }

    /// Writes until there is a chunk, or the plan has nothing more at the moment.
    async fn fill(&mut self) -> Result<()> {
        loop {
            if let Some(batch) = &self.batch {
                self.row = self.encoder.write(batch, self.row, &mut self.out)?;
                if self.row < batch.num_rows() {
                    return Ok(());
                }
                self.batch = None;
            }
            let next = if self.out.is_empty() {
                self.rows.next().await
            } else {
                // Rows that are written do not wait for rows that are not.
                let Some(next) = self.rows.next().now_or_never() else { return Ok(()) };
                next
            };
            match next.transpose()? {
                Some(batch) => (self.batch, self.row) = (Some(batch), 0),
                None => {
                    let end = format!("],\"count\":{}}}\n", self.encoder.rows());
                    self.out.extend_from_slice(end.as_bytes());
                    self.stage = Stage::Ended;
                    return Ok(());
                }
            }
        }
    }

    /// Ends the body so that no reader takes it for a complete one, and a person sees why: the error stands
    /// where JSON has a comma or a bracket, and all brackets stay open.
    fn break_off(&mut self, error: &Error) {
        debug!(%error, "a query failed after its first rows were sent");
        self.stage = Stage::Broken;
        self.out.extend_from_slice(b"\n");
        // The text is for people; without it the body is broken all the same.
        let written = serde_json::to_writer(&mut self.out, &ErrorBody::new(error));
        debug_assert!(written.is_ok());
        self.out.extend_from_slice(b"\n");
    }
}
