//! Errors as gRPC statuses: the code, a short message, and for programs a reason and the query's id.
//!
//! The message ends with the query's id. Reason and query stand in the trailers `pintail-reason` and `pintail-query-id`
//! too, and in `grpc-status-details-bin` as a `google.rpc.Status` with one `google.rpc.ErrorInfo`, which is what clients of
//! all languages can read.

use std::collections::BTreeMap;

use arrow_flight::sql::Any;
use pintail_types::{Error, ErrorKind, reason};
use prost::Message as _;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Code, Status};

/// Longest message in bytes. It leaves twice, once percent-encoded; clients take 8 KiB of headers, and show nonsense
/// when there are more.
const MAX_MESSAGE: usize = 1024;

/// The domain of our reasons in `ErrorInfo`.
const DOMAIN: &str = "pintail";

/// The type of `ErrorInfo`.
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// `google.rpc.Status`
#[derive(Clone, PartialEq, prost::Message)]
struct StatusDetails {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.rpc.ErrorInfo`
#[derive(Clone, PartialEq, prost::Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
    #[prost(btree_map = "string, string", tag = "3")]
    metadata: BTreeMap<String, String>,
}

/// The gRPC code of every kind of error.
pub(crate) const fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::Forbidden => Code::PermissionDenied,
        ErrorKind::Conflict => Code::Aborted,
        ErrorKind::Exhausted => Code::ResourceExhausted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorKind::Unsupported => Code::Unimplemented,
        ErrorKind::Corrupt => Code::DataLoss,
        ErrorKind::Internal => Code::Internal,
    }
}

/// The status that tells a client about `error`. What caused a defect of ours goes to the log, not over the wire.
pub(crate) fn status(error: &Error) -> Status {
    if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Corrupt) {
        tracing::error!(kind = error.kind().name(), cause = ?std::error::Error::source(error), "{error}");
    }
    let code = code_of(error);
    let query_id = error.query_id().map(|id| id.to_string());
    let message = match &query_id {
        // Most tools show the message only.
        Some(id) => format!("{} (query {id})", shortened(error.message())),
        None => shortened(error.message()),
    };
    let info = ErrorInfo {
        reason: error.reason().to_owned(),
        domain: DOMAIN.to_owned(),
        metadata: query_id.iter().map(|id| ("query_id".to_owned(), id.clone())).collect(),
    };
    let info = Any { type_url: ERROR_INFO.to_owned(), value: info.encode_to_vec().into() };
    let details = StatusDetails { code: code.into(), message: message.clone(), details: vec![info] };
    let mut trailers = MetadataMap::new();
    trailers.insert("pintail-reason", AsciiMetadataValue::from_static(error.reason()));
    if let Some(id) = query_id.and_then(|id| AsciiMetadataValue::try_from(id).ok()) {
        trailers.insert("pintail-query-id", id);
    }
    Status::with_details_and_metadata(code, message, details.encode_to_vec().into(), trailers)
}

/// Among the conflicts, what exists already: trying again is of no use.
fn code_of(error: &Error) -> Code {
    let exists = [reason::DUPLICATE_TABLE, reason::DUPLICATE_SCHEMA, reason::DUPLICATE_COLUMN];
    if error.kind() == ErrorKind::Conflict && exists.contains(&error.reason()) {
        return Code::AlreadyExists;
    }
    code(error.kind())
}

/// The error of a status that tonic gave us about a client's stream.
pub(crate) fn from_status(status: &Status) -> Error {
    let kind = match status.code() {
        Code::InvalidArgument => ErrorKind::Invalid,
        Code::OutOfRange | Code::ResourceExhausted => ErrorKind::Exhausted,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::DeadlineExceeded => ErrorKind::DeadlineExceeded,
        _ => ErrorKind::Cancelled,
    };
    Error::new(kind, format!("the client's data broke off: {}", shortened(status.message())))
}

fn shortened(message: &str) -> String {
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let end = message.floor_char_boundary(MAX_MESSAGE);
    format!("{}…", &message[..end])
}

#[cfg(test)]
mod tests {
    use pintail_types::QueryId;

    use super::*;

    #[test]
    fn long_messages_are_cut_between_characters() {
        let error = Error::invalid("ä".repeat(3000));
        let status = status(&error);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().len() <= MAX_MESSAGE + '…'.len_utf8());
        assert!(status.message().ends_with("ä…"));
        let mut headers = tonic::codegen::http::HeaderMap::new();
        status.add_header(&mut headers).unwrap();
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(bytes < 8 << 10, "{bytes}");
    }

    #[test]
    fn programs_find_reason_and_query() {
        let id = QueryId::new();
        let error = Error::not_found("no table t").with_reason(reason::UNDEFINED_TABLE).of_query(id);
        let status = status(&error);
        assert_eq!(status.metadata().get("pintail-reason").unwrap(), "42P01");
        assert_eq!(status.metadata().get("pintail-query-id").unwrap(), id.to_string().as_str());
        let details = StatusDetails::decode(status.details()).unwrap();
        assert_eq!((details.code, details.message), (5, format!("no table t (query {id})")));
        let info = ErrorInfo::decode(details.details[0].value.clone()).unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("42P01", "pintail"));
        assert_eq!(info.metadata["query_id"], id.to_string());
    }

    #[test]
    fn what_exists_already_is_told_from_what_changed_meanwhile() {
        for (error, expected) in [
            (Error::conflict("t exists").with_reason(reason::DUPLICATE_TABLE), Code::AlreadyExists),
            (Error::conflict("s exists").with_reason(reason::DUPLICATE_SCHEMA), Code::AlreadyExists),
            (Error::conflict("c exists").with_reason(reason::DUPLICATE_COLUMN), Code::AlreadyExists),
            (Error::conflict("t changed"), Code::Aborted),
        ] {
            assert_eq!(status(&error).code(), expected, "{error}");
        }
    }
}
