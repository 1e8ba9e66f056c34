//! One file of the journal.
//!
//! Name: the base position as 16 hexadecimal digits, `.journal`. Header of 32 bytes, little-endian: magic
//! `PTLJRNL1`, journal id `u64`, base position `u64`, CRC-32 of the 24 bytes before, 4 zero bytes. Then the
//! records back to back. A record at position P stands at offset `32 + P - base`. What reaches beyond the
//! next segment's base does not count: its write was not confirmed, and the bytes stand there again.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use pintail_types::{Error, FaultPoint, JournalId, JournalPosition, Result};

use super::block::{MAX_RECORD_BYTES, RECORD_HEADER};
use super::io_error;

const MAGIC: &[u8; 8] = b"PTLJRNL1";
const HEADER: usize = 32;
const SUFFIX: &str = ".journal";

/// A segment on the disk.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) id: JournalId,
    pub(super) base: JournalPosition,
    pub(super) path: PathBuf,
}

/// What stands in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Record {
        position: JournalPosition,
        payload: &'a [u8],
    },
    /// A record with a wrong checksum that a good one follows; in a closed segment all that follows too.
    Damaged {
        position: JournalPosition,
        bytes: &'a [u8],
    },
    /// The end of the file is not a whole record.
    Torn {
        position: JournalPosition,
        bytes: usize,
    },
}

/// Makes a segment file that exists whole or not at all, and opens it for appending.
pub(super) fn create(directory: &Path, id: JournalId, base: JournalPosition) -> Result<(Segment, File)> {
    let path = directory.join(format!("{:016x}{SUFFIX}", base.0));
    let temporary = path.with_extension("new");
    let at = |error: std::io::Error| io_error(&path, &error);
    let mut header = Vec::with_capacity(HEADER);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&id.bits().to_le_bytes());
    header.extend_from_slice(&base.0.to_le_bytes());
    header.extend_from_slice(&crc32fast::hash(&header).to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    let mut file = File::create(&temporary).map_err(at)?;
    file.write_all(&header).map_err(at)?;
    file.sync_all().map_err(at)?;
    FaultPoint::JournalSegment.pass();
    fs::rename(&temporary, &path).map_err(at)?;
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(at)?;
    Ok((Segment { id, base, path }, file))
}

/// The segments of a directory, oldest first.
pub(super) fn list(directory: &Path) -> Result<Vec<Segment>> {
    let at = |error: std::io::Error| io_error(directory, &error);
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if let Some(digits) = name.strip_suffix(SUFFIX) {
            segments.push(read_header(&path, digits)?);
        }
    }
    segments.sort_by_key(|segment| segment.base);
    Ok(segments)
}

fn read_header(path: &Path, digits: &str) -> Result<Segment> {
    use std::io::Read as _;
    let corrupt = |what: &str| Error::corrupt(format!("journal segment {}: {what}", path.display()));
    let mut header = [0; HEADER];
    let mut file = File::open(path).map_err(|error| io_error(path, &error))?;
    file.read_exact(&mut header).map_err(|_| corrupt("the header is cut short"))?;
    if &header[..8] != MAGIC {
        return Err(corrupt("this is not a journal of this version"));
    }
    if crc32fast::hash(&header[..24]).to_le_bytes() != header[24..28] {
        return Err(corrupt("the header's checksum is wrong"));
    }
    let base = JournalPosition(word(&header[16..24]));
    if u64::from_str_radix(digits, 16) != Ok(base.0) {
        return Err(corrupt("the name does not say the position that the header says"));
    }
    Ok(Segment { id: JournalId::from_bits(word(&header[8..16])), base, path: path.to_owned() })
}

/// Eight bytes as a little-endian number.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

impl Segment {
    /// The whole file.
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        fs::read(&self.path).map_err(|error| io_error(&self.path, &error))
    }

    /// The position after the last whole record.
    pub(super) fn valid_end(&self) -> Result<JournalPosition> {
        let bytes = self.read()?;
        let mut end = self.base;
        for item in self.items(&bytes, None) {
            match item {
                Item::Record { position, payload } => end = advance(position, RECORD_HEADER + payload.len()),
                Item::Damaged { position, bytes } => end = advance(position, bytes.len()),
                Item::Torn { .. } => {}
            }
        }
        Ok(end)
    }

    /// What stands in the file's `bytes`, up to the position `limit`.
    pub(super) fn items<'a>(&self, bytes: &'a [u8], limit: Option<JournalPosition>) -> Items<'a> {
        let records = bytes.get(HEADER..).unwrap_or_default();
        let length =
            limit.map_or(usize::MAX, |limit| usize::try_from(limit.0 - self.base.0).unwrap_or(usize::MAX));
        Items { rest: &records[..records.len().min(length)], position: self.base, is_closed: limit.is_some() }
    }

    /// Keeps damaged bytes in a file beside the segment.
    pub(super) fn quarantine(&self, position: JournalPosition, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.path.with_file_name(format!("{:016x}.quarantine", position.0));
        fs::write(&path, bytes).map_err(|error| io_error(&path, &error))?;
        Ok(path)
    }
}

/// Reads a segment's records in order.
#[derive(Debug)]
pub(super) struct Items<'a> {
    rest: &'a [u8],
    position: JournalPosition,
    /// Whether another segment follows: then every byte was confirmed, and a bad one is damage.
    is_closed: bool,
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let position = self.position;
        let Some((record, rest)) = split_record(self.rest) else { return Some(self.give_up(position)) };
        let good = is_good(record);
        let good_follows = || split_record(rest).is_some_and(|(next, _)| is_good(next));
        if !good && !good_follows() {
            return Some(self.give_up(position));
        }
        self.rest = rest;
        self.position = advance(position, record.len());
        if good {
            return Some(Item::Record { position, payload: &record[RECORD_HEADER..] });
        }
        Some(Item::Damaged { position, bytes: record })
    }
}

impl<'a> Items<'a> {
    /// Where the next record starts can't be known.
    fn give_up(&mut self, position: JournalPosition) -> Item<'a> {
        let bytes = std::mem::take(&mut self.rest);
        match self.is_closed {
            true => Item::Damaged { position, bytes },
            false => Item::Torn { position, bytes: bytes.len() },
        }
    }
}

/// The first record with its header, by its length field alone, and what follows it.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    if length > MAX_RECORD_BYTES {
        return None;
    }
    bytes.split_at_checked(RECORD_HEADER + length)
}

fn is_good(record: &[u8]) -> bool {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&record[..4]);
    checksum.update(&record[RECORD_HEADER..]);
    checksum.finalize().to_le_bytes() == record[4..RECORD_HEADER]
}

fn advance(position: JournalPosition, bytes: usize) -> JournalPosition {
    JournalPosition(position.0 + bytes as u64)
}
