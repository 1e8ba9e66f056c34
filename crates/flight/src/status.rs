//! Errors as gRPC codes.

use pintail_types::{Error, ErrorKind};
use tonic::{Code, Status};

/// Longer messages break the header limits of clients, which then show nonsense.
const MAX_MESSAGE: usize = 2048;

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
    Status::new(code(error.kind()), shortened(error.message()))
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
    use super::*;

    #[test]
    fn long_messages_are_cut_between_characters() {
        let error = Error::invalid("ä".repeat(3000));
        let status = status(&error);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().len() <= MAX_MESSAGE + '…'.len_utf8());
        assert!(status.message().ends_with("ä…"));
    }
}
