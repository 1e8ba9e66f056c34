//! One error type at every crate's edge: a kind that says what to do, and a message that says what and where.

use std::error::Error as StdError;
use std::fmt;

use crate::ids::QueryId;
use crate::reason;

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

    /// The reason code of an error of this kind of which nothing closer is known.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Invalid => reason::SYNTAX_OR_ACCESS_RULE,
            Self::NotFound => reason::UNDEFINED_OBJECT,
            Self::Unauthenticated => reason::INVALID_AUTHORIZATION,
            Self::Forbidden => reason::INSUFFICIENT_PRIVILEGE,
            Self::Conflict => reason::SERIALIZATION_FAILURE,
            Self::Exhausted => reason::INSUFFICIENT_RESOURCES,
            Self::Unavailable => reason::CANNOT_CONNECT_NOW,
            // PostgreSQL, too, has one code for a statement that was stopped and one that took too long.
            Self::Cancelled | Self::DeadlineExceeded => reason::QUERY_CANCELED,
            Self::Unsupported => reason::FEATURE_NOT_SUPPORTED,
            Self::Corrupt => reason::DATA_CORRUPTED,
            Self::Internal => reason::INTERNAL_ERROR,
        }
    }
}

/// A place in the text of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line, from 1.
    pub line: u64,
    /// The character in the line, from 1.
    pub column: u64,
}

/// An error at a crate's edge.
///
/// The message is lower case, concrete, without a full stop, and carries the path, table or offset.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    reason: &'static str,
    message: String,
    position: Option<Position>,
    query_id: Option<QueryId>,
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
        Self {
            kind,
            reason: kind.reason(),
            message: message.into(),
            position: None,
            query_id: None,
            source: None,
        }
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

    /// The same error with a closer reason than its kind's: one of [`crate::reason`].
    #[must_use]
    pub const fn with_reason(mut self, reason: &'static str) -> Self {
        self.reason = reason;
        self
    }

    /// The same error with its place in the statement, which the message tells too.
    #[must_use]
    pub fn at(mut self, position: Position) -> Self {
        self.message = format!("{} at line {}, column {}", self.message, position.line, position.column);
        self.position = Some(position);
        self
    }

    /// The same error with the query that failed with it.
    #[must_use]
    pub const fn of_query(mut self, id: QueryId) -> Self {
        self.query_id = Some(id);
        self
    }

    /// The same error in other words, without its source.
    #[must_use]
    pub fn reworded(&self, message: impl Into<String>) -> Self {
        let Self { kind, reason, position, query_id, .. } = *self;
        Self { kind, reason, message: message.into(), position, query_id, source: None }
    }

    /// What to do about it.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What went wrong and where.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The stable code of the reason, for programs: an SQLSTATE.
    pub const fn reason(&self) -> &'static str {
        self.reason
    }

    /// The place in the statement, where one is known.
    pub const fn position(&self) -> Option<Position> {
        self.position
    }

    /// The query that failed with it, if it was one.
    pub const fn query_id(&self) -> Option<QueryId> {
        self.query_id
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

    #[test]
    fn what_is_known_closer_is_kept() {
        let (position, id) = (Position { line: 2, column: 7 }, QueryId::new());
        let error =
            Error::not_found("no table t").with_reason(reason::UNDEFINED_TABLE).at(position).of_query(id);
        assert_eq!(error.message(), "no table t at line 2, column 7");
        let other = error.reworded("gone").context("node a");
        assert_eq!(other.to_string(), "node a: gone");
        assert_eq!((other.kind(), other.reason()), (ErrorKind::NotFound, "42P01"));
        assert_eq!((other.position(), other.query_id()), (Some(position), Some(id)));
        assert_eq!(Error::cancelled("stopped").reason(), Error::deadline_exceeded("late").reason());
    }
}
