//! Records on their way into the journal.

use pintail_types::JournalPosition;

/// Bytes before a record's payload: payload length and CRC-32 of length and payload, both `u32` little-endian.
pub(super) const RECORD_HEADER: usize = 8;

/// The longest payload of one record.
pub(super) const MAX_RECORD_BYTES: usize = 16 << 20;

/// Some records, encoded as the journal's file holds them, to be appended in one step.
#[derive(Debug, Default, Clone)]
pub struct Block {
    bytes: Vec<u8>,
    starts: Vec<u32>,
}

impl Block {
    /// An empty block.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), starts: Vec::new() }
    }

    /// Adds one record whose payload is the parts joined.
    ///
    /// # Panics
    /// When the parts together are longer than [`MAX_RECORD_BYTES`], or the block longer than 4 GiB:
    /// both are far above what a caller's own limits let in.
    pub fn push(&mut self, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        assert!(length <= MAX_RECORD_BYTES, "a journal record of {length} bytes");
        let start = self.bytes.len();
        assert!(start + RECORD_HEADER + length <= u32::MAX as usize, "a journal block of over 4 GiB");
        #[allow(clippy::cast_possible_truncation, reason = "both are asserted above")]
        let (start_word, length_word) = (start as u32, length as u32);
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&length_word.to_le_bytes());
        self.starts.push(start_word);
        self.bytes.extend_from_slice(&length_word.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        for part in parts {
            checksum.update(part);
            self.bytes.extend_from_slice(part);
        }
        self.bytes[start + 4..start + RECORD_HEADER].copy_from_slice(&checksum.finalize().to_le_bytes());
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Removes all records and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }

    /// The encoded records.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The position of record `index`, when the block was appended at `first`.
    pub fn position(&self, first: JournalPosition, index: usize) -> JournalPosition {
        JournalPosition(first.0 + u64::from(self.starts[index]))
    }

    /// The position after the last record, when the block was appended at `first`.
    pub fn end(&self, first: JournalPosition) -> JournalPosition {
        JournalPosition(first.0 + self.bytes.len() as u64)
    }
}
