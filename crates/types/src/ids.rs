//! Numbers with a meaning, each its own type.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::Error;

/// A journal: 48 random bits, drawn once when the journal is made, 12 hexadecimal digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct JournalId(u64);

impl JournalId {
    const MASK: u64 = (1 << 48) - 1;

    /// The lowest 48 bits of `bits`.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & Self::MASK)
    }

    /// The 48 bits.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

impl fmt::Debug for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JournalId({self})")
    }
}

impl FromStr for JournalId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bits = u64::from_str_radix(text, 16)
            .map_err(|_| Error::invalid(format!("'{text}' is not a journal id")))?;
        if text.len() != 12 {
            return Err(Error::invalid(format!(
                "'{text}' is not a journal id: 12 hexadecimal digits wanted"
            )));
        }
        Ok(Self(bits))
    }
}

/// A place in a journal: the number of bytes before it since the journal was made.
///
/// A record is named by the position where it starts. A position used as a bound is exclusive:
/// "flushed up to P" means every record that starts before P.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct JournalPosition(pub u64);

impl fmt::Display for JournalPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A DuckLake snapshot of one catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(pub i64);

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A query, as `system.queries` lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(Uuid);

impl QueryId {
    /// A new id; ids made later sort later.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for QueryId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for QueryId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Uuid::parse_str(text).map(Self).map_err(|_| Error::invalid(format!("'{text}' is not a query id")))
    }
}

/// The `uuid` of a telemetry row: RFC 9562 version 8, made of the journal, the record's position and
/// the index of the message within the record, so that a replay makes the same rows again.
///
/// The layout is 48 bits journal id, 4 bits version, 12 bits index, 2 bits variant, 62 bits position.
/// Positions come last, so the ids of one journal sort as its records do within one index.
pub fn row_uuid(journal: JournalId, position: JournalPosition, index: u16) -> Uuid {
    let high = (u128::from(journal.0) << 16) | u128::from(index & 0x0fff);
    let low = u128::from(position.0 & ((1 << 62) - 1));
    uuid::Builder::from_custom_bytes(((high << 64) | low).to_be_bytes()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_uuids_differ_by_journal_position_and_index() {
        let journal = JournalId::from_bits(0xabcd_ef01_2345);
        let first = row_uuid(journal, JournalPosition(1), 0);
        assert_eq!(first.to_string(), "abcdef01-2345-8000-8000-000000000001");
        assert_ne!(first, row_uuid(journal, JournalPosition(1), 1));
        assert_ne!(first, row_uuid(journal, JournalPosition(2), 0));
        assert_ne!(first, row_uuid(JournalId::from_bits(1), JournalPosition(1), 0));
        assert_eq!(first.get_version_num(), 8);
    }

    #[test]
    fn journal_ids_are_read_back_from_their_text() {
        let id = JournalId::from_bits(0x00ab_cdef_0123);
        assert_eq!(id.to_string().parse::<JournalId>().unwrap(), id);
        assert!("xyz".parse::<JournalId>().is_err());
        assert!("12".parse::<JournalId>().is_err());
    }
}
