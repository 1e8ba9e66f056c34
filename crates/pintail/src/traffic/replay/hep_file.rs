//! A file of HEP3 packets back to back, or of one datagram of any version.

use std::fs::File;
use std::io::Read;

use pintail_hep::Version;
use pintail_hep::framing::{Frame, next_frame};
use pintail_types::{Error, Micros, Result};

use crate::traffic::MAX_FRAME_BYTES;

/// How much is read at once.
const READ_BYTES: usize = 256 << 10;

/// A reader with a bounded buffer.
#[derive(Debug)]
pub(super) struct HepFile {
    file: File,
    buffer: Vec<u8>,
    start: usize,
    /// Bytes of the file before `start`.
    offset: u64,
    at_end: bool,
}

impl HepFile {
    pub(super) fn new(file: File) -> Self {
        Self { file, buffer: Vec::with_capacity(READ_BYTES), start: 0, offset: 0, at_end: false }
    }

    /// Appends the next packet to `out`, which stays empty at the end of the file.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<Micros>> {
        loop {
            let rest = &self.buffer[self.start..];
            if rest.is_empty() && self.at_end {
                return Ok(None);
            }
            match next_frame(rest) {
                Frame::Complete(length) => {
                    out.extend_from_slice(&rest[..length]);
                    self.start += length;
                    self.offset += length as u64;
                    return Ok(None);
                }
                Frame::Incomplete { need } if !self.at_end => self.fill(need)?,
                Frame::Incomplete { .. } => {
                    return Err(Error::invalid(format!("ends within the packet at byte {}", self.offset)));
                }
                Frame::NotHep => return self.single_datagram(out),
            }
        }
    }

    /// Versions 1 and 2 do not say their length: the whole file is one packet.
    fn single_datagram(&mut self, out: &mut Vec<u8>) -> Result<Option<Micros>> {
        while !self.at_end && self.buffer.len() <= MAX_FRAME_BYTES {
            self.fill(self.buffer.len() + 1)?;
        }
        let legacy = matches!(pintail_hep::identify(&self.buffer), Some(Version::V1 | Version::V2));
        if self.offset > 0 || !legacy || self.buffer.len() > MAX_FRAME_BYTES {
            return Err(Error::invalid(format!("no HEP packet starts at byte {}", self.offset)));
        }
        out.append(&mut self.buffer);
        self.offset = out.len() as u64;
        Ok(None)
    }

    /// Reads until `need` bytes are there, or the file ends.
    fn fill(&mut self, need: usize) -> Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        while self.buffer.len() < need && !self.at_end {
            let read = (&mut self.file)
                .take(READ_BYTES as u64)
                .read_to_end(&mut self.buffer)
                .map_err(|error| Error::invalid(format!("cannot be read: {error}")).with_source(error))?;
            self.at_end = read < READ_BYTES;
        }
        Ok(())
    }
}
