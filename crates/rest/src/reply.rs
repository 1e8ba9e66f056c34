//! Errors as HTTP answers.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use pintail_types::{Error, ErrorKind};
use serde::Serialize;

/// Cancelled by the client or an operator; the code that gRPC gateways use, without a name in HTTP.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The body of every error.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody<'a> {
    success: bool,
    error: &'a str,
    kind: &'static str,
}

impl<'a> ErrorBody<'a> {
    pub(crate) fn new(error: &'a Error) -> Self {
        Self { success: false, error: error.message(), kind: error.kind().name() }
    }
}

/// An error on its way to the client.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    error: Error,
}

impl Failure {
    /// A failure with a status that HTTP itself asks for.
    pub(crate) const fn with_status(status: StatusCode, error: Error) -> Self {
        Self { status, error }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { status: status(error.kind()), error }
    }
}

/// The one place where kinds of error become HTTP codes.
fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        // What a statement names and does not exist is a mistake in the statement; 404 is for paths.
        ErrorKind::Invalid | ErrorKind::NotFound => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Cancelled => {
            StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
        }
        ErrorKind::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Corrupt | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody::new(&self.error))).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"pintail\""));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// The answer to a path that does not exist.
pub(crate) async fn no_such_path(uri: Uri) -> Failure {
    Failure::with_status(StatusCode::NOT_FOUND, Error::not_found(format!("there is no {}", uri.path())))
}

/// The answer to a path that exists, asked with another method. The router adds `Allow`.
pub(crate) async fn method_not_allowed(method: axum::http::Method, uri: Uri) -> Failure {
    let error = Error::invalid(format!("{} does not answer to {method}", uri.path()));
    Failure::with_status(StatusCode::METHOD_NOT_ALLOWED, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_a_client_or_server_error() {
        for (kind, code) in [
            (ErrorKind::Invalid, 400),
            (ErrorKind::NotFound, 400),
            (ErrorKind::Unauthenticated, 401),
            (ErrorKind::Forbidden, 403),
            (ErrorKind::Conflict, 409),
            (ErrorKind::Exhausted, 429),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::Cancelled, 499),
            (ErrorKind::DeadlineExceeded, 504),
            (ErrorKind::Unsupported, 501),
            (ErrorKind::Corrupt, 500),
            (ErrorKind::Internal, 500),
        ] {
            assert_eq!(status(kind).as_u16(), code, "{kind:?}");
        }
    }
}
