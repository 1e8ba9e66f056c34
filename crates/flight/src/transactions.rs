//! Transactions, which are not there: every statement is one of its own. SqlInfo 8 says so.

use bytes::Bytes;
use pintail_types::{Error, Result};

/// The answer to BeginTransaction and BeginSavepoint.
pub(crate) fn cannot_begin() -> Error {
    Error::unsupported("transactions are not supported: every statement commits by itself, use auto-commit")
}

/// The answer to EndTransaction and EndSavepoint: no id that could be ended was ever given out.
pub(crate) fn unknown() -> Error {
    Error::not_found(
        "the transaction is not known: none can be begun here, every statement commits by itself",
    )
}

/// Refuses a command that names a transaction.
///
/// # Errors
/// `NotFound` if it names one.
pub(crate) fn refuse(id: Option<&Bytes>) -> Result<()> {
    match id {
        Some(id) if !id.is_empty() => Err(unknown()),
        _ => Ok(()),
    }
}
