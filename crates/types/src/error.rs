//! One error type at every crate's edge: a kind that says what to do, and a message that says what and where.

use std::error::Error as StdError;
use std::fmt;

/// The result of anything that can fail at a crate's edge.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the one who sees the error can do about it. Each door maps every kind to its own code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong; change it.
    Invalid,
    /// The thing named does not exist, or may not be seen.
    NotFound,
    /// No credentials, or wrong ones.
    Unauthenticated,
    /// The caller is known and may not do this.
    Forbidden,
    /// Somebody else changed the same thing, or it exists already; look again and retry.
    Conflict,
    /// A limit was reached; ask for less, or wait.
    Exhausted,
    /// Not now; retry later.
    Unavailable,
    /// The caller, or somebody allowed to, stopped it.
    Cancelled,
    /// A time limit passed.
    DeadlineExceeded,
    /// The request is well formed, and this server does not do it.
    Unsupported,
    /// Stored bytes are not what was written.
    Corrupt,
    /// A defect of ours.
    Internal,
}

impl ErrorKind {
    /// The stable lower-case name, as it stands in JSON error bodies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Conflict => "conflict",
            Self::Exhausted => "exhausted",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Unsupported => "unsupported",
            Self::Corrupt => "corrupt",
            Self::Internal => "internal",
        }
    }
}

/// An error at a crate's edge.
///
/// The message is lower case, concrete, without a full stop, and carries the path, table or offset.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)*) => {
        $($(#[$doc])* pub fn $name(message: impl Into<String>) -> Self { Self::new(ErrorKind::$kind, message) })*
    };
}

impl Error {
    /// An error of `kind` with a message for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    constructors! {
        /// The request is wrong.
        invalid => Invalid;
        /// The thing named does not exist.
        not_found => NotFound;
        /// No credentials, or wrong ones.
        unauthenticated => Unauthenticated;
        /// The caller may not do this.
        forbidden => Forbidden;
        /// Somebody else changed the same thing.
        conflict => Conflict;
        /// A limit was reached.
        exhausted => Exhausted;
        /// Not now.
        unavailable => Unavailable;
        /// Stopped on request.
        cancelled => Cancelled;
        /// A time limit passed.
        deadline_exceeded => DeadlineExceeded;
        /// Not done by this server.
        unsupported => Unsupported;
        /// Stored bytes are wrong.
        corrupt => Corrupt;
        /// A defect of ours.
        internal => Internal;
    }

    /// The same error with the lower-level error that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error with `context: ` before its message: where it happened.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }

    /// What to do about it.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What went wrong and where.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_stands_before_the_message_and_keeps_the_kind() {
        let error = Error::corrupt("bad checksum").context("journal segment 7");
        assert_eq!(error.to_string(), "journal segment 7: bad checksum");
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}
