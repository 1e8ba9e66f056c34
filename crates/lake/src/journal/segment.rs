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

/// Bytes that are looked at again, at most, to find the next record in one damaged segment.
const SEARCH_BYTES: usize = 1 << 30;

/// A segment on the disk.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// The journal that its head names, or what is wrong with the head.
    pub(super) head: Result<JournalId, &'static str>,
    /// The position that its name says.
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
    /// What stands before the next good record or, in a closed segment, before its end.
    Damaged {
        position: JournalPosition,
        bytes: &'a [u8],
    },
    /// The end of the file is not a whole record.
    Torn {
        position: JournalPosition,
        bytes: &'a [u8],
    },
    /// The file ends before the next segment begins.
    Missing {
        position: JournalPosition,
        bytes: u64,
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
    Ok((Segment { head: Ok(id), base, path }, file))
}

/// The segments of a directory, oldest first.
pub(super) fn list(directory: &Path) -> Result<Vec<Segment>> {
    let at = |error: std::io::Error| io_error(directory, &error);
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(digits) = name.strip_suffix(SUFFIX) else { continue };
        let Ok(base) = u64::from_str_radix(digits, 16) else {
            return Err(Error::corrupt(format!(
                "journal segment {}: its name is no position",
                path.display()
            )));
        };
        let base = JournalPosition(base);
        segments.push(Segment { head: read_head(&path, base)?, base, path });
    }
    segments.sort_by_key(|segment| segment.base);
    Ok(segments)
}

/// The journal that the segments belong to; none when there are none.
pub(super) fn id_of(segments: &[Segment]) -> Result<Option<JournalId>> {
    let Some(first) = segments.first() else { return Ok(None) };
    let Some(id) = segments.iter().find_map(|segment| segment.head.ok()) else {
        // Without the id nobody can say which of the records are in the lake already.
        let reason = first.head.err().unwrap_or_default();
        return Err(Error::corrupt(format!(
            "journal segment {}: {reason}, and no other segment names the journal; move the segments away to start \
             without their records",
            first.path.display()
        )));
    };
    match segments.iter().find(|segment| segment.head.is_ok_and(|other| other != id)) {
        Some(foreign) => Err(Error::corrupt(format!(
            "journal segment {} belongs to another journal than {}",
            foreign.path.display(),
            first.path.display()
        ))),
        None => Ok(Some(id)),
    }
}

/// The journal that a segment's head names, or what is wrong with the head.
///
/// # Errors
/// `Unsupported` for a segment of another version; I/O errors.
fn read_head(path: &Path, base: JournalPosition) -> Result<Result<JournalId, &'static str>> {
    use std::io::Read as _;
    let mut header = [0; HEADER];
    let mut file = File::open(path).map_err(|error| io_error(path, &error))?;
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Ok(Err("the head is cut short"));
        }
        Err(error) => return Err(io_error(path, &error)),
    }
    if crc32fast::hash(&header[..24]).to_le_bytes() != header[24..28] {
        return Ok(Err("the head's checksum is wrong"));
    }
    if &header[..8] != MAGIC {
        return Err(Error::unsupported(format!(
            "journal segment {} was written by another version of Pintail, which can read it",
            path.display()
        )));
    }
    if word(&header[16..24]) != base.0 {
        return Ok(Err("the name does not say the position that the head says"));
    }
    Ok(Ok(JournalId::from_bits(word(&header[8..16]))))
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

    /// The position after the last whole record, and what stands behind it.
    pub(super) fn valid_end(&self) -> Result<(JournalPosition, Vec<u8>)> {
        let bytes = self.read()?;
        let mut end = self.base;
        let mut torn = Vec::new();
        for item in self.items(&bytes, None) {
            match item {
                Item::Record { position, payload } => end = advance(position, RECORD_HEADER + payload.len()),
                Item::Damaged { position, bytes } => end = advance(position, bytes.len()),
                Item::Torn { bytes, .. } => torn = bytes.to_vec(),
                Item::Missing { .. } => {}
            }
        }
        Ok((end, torn))
    }

    /// What stands in the file's `bytes`, up to the position `limit`, where the next segment begins.
    pub(super) fn items<'a>(&self, bytes: &'a [u8], limit: Option<JournalPosition>) -> Items<'a> {
        let records = bytes.get(HEADER..).unwrap_or_default();
        let length =
            limit.map_or(usize::MAX, |limit| usize::try_from(limit.0 - self.base.0).unwrap_or(usize::MAX));
        Items {
            rest: &records[..records.len().min(length)],
            position: self.base,
            limit,
            search_bytes: SEARCH_BYTES,
        }
    }
}

/// Reads a segment's records in order.
#[derive(Debug)]
pub(super) struct Items<'a> {
    rest: &'a [u8],
    position: JournalPosition,
    /// Where the next segment begins, if there is one: every byte before was confirmed, and a bad one is damage.
    limit: Option<JournalPosition>,
    /// Bytes that may still be looked at to find the next record.
    search_bytes: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let position = self.position;
        if self.rest.is_empty() {
            return self.missing(position);
        }
        if let Some((record, rest)) = split_record(self.rest) {
            let good = is_good(record);
            if good || split_record(rest).is_some_and(|(next, _)| is_good(next)) {
                self.pass(record.len());
                return Some(match good {
                    true => Item::Record { position, payload: &record[RECORD_HEADER..] },
                    false => Item::Damaged { position, bytes: record },
                });
            }
        }
        // The length may be what is damaged.
        let bytes = self.rest;
        let next = self.find_record();
        self.pass(next.unwrap_or(bytes.len()));
        Some(match next {
            Some(length) => Item::Damaged { position, bytes: &bytes[..length] },
            None if self.limit.is_some() => Item::Damaged { position, bytes },
            None => Item::Torn { position, bytes },
        })
    }
}

impl Items<'_> {
    fn pass(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
        self.position = advance(self.position, bytes);
    }

    /// Where the next good record begins in the rest. Text of a packet makes lengths that no record has, so few places
    /// have to be looked at closely.
    fn find_record(&mut self) -> Option<usize> {
        for start in 1..self.rest.len() {
            let Some((record, _)) = split_record(&self.rest[start..]) else { continue };
            self.search_bytes = self.search_bytes.checked_sub(record.len())?;
            if is_good(record) {
                return Some(start);
            }
        }
        None
    }

    /// What lies between the end of the file and the next segment; once.
    fn missing<'a>(&mut self, position: JournalPosition) -> Option<Item<'a>> {
        let bytes = self.limit?.0.checked_sub(position.0).filter(|bytes| *bytes > 0)?;
        self.limit = None;
        Some(Item::Missing { position, bytes })
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
