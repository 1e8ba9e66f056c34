//! What can go wrong inside a catalog, and how it looks to each caller.

use datafusion_ducklake::DuckLakeError;
use pintail_types::{Error, ErrorKind, reason};
use rusqlite::ErrorCode;

/// The result of everything inside this crate.
pub(crate) type Result<T, E = CatalogError> = std::result::Result<T, E>;

/// An error inside a catalog.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogError {
    #[error("sqlite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Another process held the write lock for longer than the busy timeout; nothing was written.
    #[error("the catalog is locked by another process")]
    Locked,
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Invalid(String),
    /// With the reason that says what there is none of.
    #[error("{1}")]
    NotFound(&'static str, String),
    /// With the reason that says what there is already.
    #[error("{1}")]
    Exists(&'static str, String),
    #[error("{0}")]
    Unsupported(String),
    #[error("{0}")]
    Corrupt(String),
    #[error(transparent)]
    Lake(#[from] DuckLakeError),
}

impl CatalogError {
    /// Whether SQLite answered that somebody else holds a lock.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Sqlite(error)
            if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)))
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull) => {
                    ErrorKind::Unavailable
                }
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => ErrorKind::Corrupt,
                _ => ErrorKind::Internal,
            },
            Self::Locked => ErrorKind::Unavailable,
            Self::Conflict(_) | Self::Exists(..) => ErrorKind::Conflict,
            Self::Invalid(_) => ErrorKind::Invalid,
            Self::NotFound(..) => ErrorKind::NotFound,
            Self::Unsupported(_) => ErrorKind::Unsupported,
            Self::Corrupt(_) => ErrorKind::Corrupt,
            Self::Lake(error) => match error {
                DuckLakeError::Conflict(_) => ErrorKind::Conflict,
                DuckLakeError::InvalidConfig(_) | DuckLakeError::UnsupportedTypeChange { .. } => {
                    ErrorKind::Invalid
                }
                DuckLakeError::UnsupportedType(_) | DuckLakeError::Unsupported(_) => ErrorKind::Unsupported,
                _ => ErrorKind::Internal,
            },
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotFound(reason, _) | Self::Exists(reason, _) => reason,
            other => other.kind().reason(),
        }
    }

    /// The error at the crate's edge; `place` says which catalog.
    pub(crate) fn at(self, place: impl std::fmt::Display) -> Error {
        let error = Error::new(self.kind(), format!("catalog {place}: {self}"));
        error.with_reason(self.reason()).with_source(self)
    }

    /// The error of a change or a look at the catalog at `place`. Where the request is what is wrong, the place would tell
    /// its sender nothing but how the machine is laid out.
    pub(crate) fn of_request(self, place: impl std::fmt::Display) -> Error {
        match self {
            Self::Conflict(_)
            | Self::Exists(..)
            | Self::Invalid(_)
            | Self::NotFound(..)
            | Self::Unsupported(_) => {
                Error::new(self.kind(), self.to_string()).with_reason(self.reason()).with_source(self)
            }
            Self::Sqlite(_) | Self::Locked | Self::Corrupt(_) | Self::Lake(_) => self.at(place),
        }
    }

    /// There is no catalog.
    pub(crate) fn no_catalog(message: &str) -> Self {
        Self::NotFound(reason::UNDEFINED_CATALOG, message.to_owned())
    }

    /// There is no schema of this name.
    pub(crate) fn no_schema(name: &str) -> Self {
        Self::NotFound(reason::UNDEFINED_SCHEMA, format!("schema {name} does not exist"))
    }

    /// There is no `kind` of thing, a table or a view, of this name.
    pub(crate) fn no_table(kind: &str, name: impl std::fmt::Display) -> Self {
        Self::NotFound(reason::UNDEFINED_TABLE, format!("{kind} {name} does not exist"))
    }

    /// There is a `kind` of thing, a table or a view, of this name already.
    pub(crate) fn table_exists(kind: &str, name: impl std::fmt::Display) -> Self {
        Self::Exists(reason::DUPLICATE_TABLE, format!("{kind} {name} exists already"))
    }

    /// There is a column of this name already.
    pub(crate) fn column_exists(column: &str, table: impl std::fmt::Display) -> Self {
        Self::Exists(reason::DUPLICATE_COLUMN, format!("column {column} of {table} exists already"))
    }
}

/// The staged files of a failed commit are removed only when the error says that nothing was
/// committed: a conflict (the lock was never got, or a check failed), a wrong request, or something
/// not done. Everything else may have happened after the commit became durable.
impl From<CatalogError> for DuckLakeError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Lake(error) => error,
            CatalogError::Conflict(message) | CatalogError::Exists(_, message) => Self::Conflict(message),
            CatalogError::Locked => Self::Conflict(error.to_string()),
            CatalogError::Invalid(message) | CatalogError::NotFound(_, message) => {
                Self::InvalidConfig(message)
            }
            CatalogError::Unsupported(message) => Self::Unsupported(message),
            CatalogError::Sqlite(_) | CatalogError::Corrupt(_) => Self::Internal(error.to_string()),
        }
    }
}
