//! Packets out of files: captures of a network (.pcap, .pcapng) and HEP as it was received (.hep, .bin).
//!
//! What kind a file is, its first bytes tell. From a network capture HEP in UDP is taken as it is; SIP and RTCP
//! in UDP are put into HEP3 with their addresses and times. Everything else is counted as skipped.

mod hep_file;
mod network;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pintail_hep::{Packet, TimeWindow, Version};
use pintail_types::{Error, Micros, Result};

use self::hep_file::HepFile;
use self::network::NetworkFile;
use super::{FrameSource, Progress};

/// How packets of a file become packets to send.
#[derive(Debug, Clone)]
pub(crate) struct ReplayFormat {
    /// HEP versions 1 and 2 are written anew as version 3, since a stream cannot carry them.
    pub(crate) as_version_3: bool,
    /// Capture agent id (chunk 0x000c) of what is put into HEP here.
    pub(crate) capture_id: u32,
    /// Authentication key (chunk 0x000e) of what is put into HEP here.
    pub(crate) auth_key: Option<String>,
}

/// The packets of several files, one file after the other.
#[derive(Debug)]
pub(crate) struct Replay {
    files: VecDeque<PathBuf>,
    open: Option<OpenFile>,
    format: ReplayFormat,
    progress: Arc<Progress>,
    /// The packet that is next, and its time.
    next: Option<Micros>,
    frame: Vec<u8>,
    last_time: Micros,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    reader: Reader,
}

#[derive(Debug)]
enum Reader {
    Hep(HepFile),
    Network(Box<NetworkFile>),
}

impl Replay {
    /// Reads `files` in this order. They are opened when it is their turn.
    pub(crate) fn new(files: Vec<PathBuf>, format: ReplayFormat, progress: Arc<Progress>) -> Self {
        Self {
            files: files.into(),
            open: None,
            format,
            progress,
            next: None,
            frame: Vec::new(),
            last_time: 0,
        }
    }

    /// Makes the next packet in `frame`; `false` at the end of the last file.
    fn advance(&mut self) -> Result<bool> {
        loop {
            let Some(open) = &mut self.open else {
                let Some(path) = self.files.pop_front() else { return Ok(false) };
                self.open = Some(OpenFile::new(path)?);
                continue;
            };
            self.frame.clear();
            let read = match &mut open.reader {
                Reader::Hep(file) => file.next(&mut self.frame),
                Reader::Network(file) => file.next(&self.format, &self.progress, &mut self.frame),
            };
            let time = read.map_err(|error| error.context(open.path.display()))?;
            if self.frame.is_empty() {
                self.open = None;
                continue;
            }
            if self.format.as_version_3 && !rewrite_as_version_3(&mut self.frame) {
                self.progress.skip(1);
                continue;
            }
            // A packet without a time goes right after the one before it.
            let time = time.or_else(|| frame_time(&self.frame)).unwrap_or(self.last_time);
            self.last_time = time;
            self.next = Some(time);
            return Ok(true);
        }
    }
}

impl FrameSource for Replay {
    fn next_time(&mut self) -> Result<Option<Micros>> {
        if self.next.is_none() {
            self.advance()?;
        }
        Ok(self.next)
    }

    fn next_frame(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        if self.next_time()?.is_none() {
            return Ok(false);
        }
        out.extend_from_slice(&self.frame);
        self.next = None;
        Ok(true)
    }
}

impl OpenFile {
    fn new(path: PathBuf) -> Result<Self> {
        let reader = open(&path).map_err(|error| error.context(path.display()))?;
        Ok(Self { path, reader })
    }
}

fn open(path: &Path) -> Result<Reader> {
    let cannot_read =
        |error: std::io::Error| Error::invalid(format!("cannot be read: {error}")).with_source(error);
    let mut file = File::open(path).map_err(cannot_read)?;
    let mut magic = [0; 4];
    let mut known = 0;
    while known < magic.len() {
        match file.read(&mut magic[known..]).map_err(cannot_read)? {
            0 => break,
            count => known += count,
        }
    }
    file.rewind().map_err(cannot_read)?;
    match magic {
        // Both byte orders, micro- and nanoseconds; and the section header of pcapng.
        [0xd4, 0xc3, 0xb2, 0xa1]
        | [0xa1, 0xb2, 0xc3, 0xd4]
        | [0x4d, 0x3c, 0xb2, 0xa1]
        | [0xa1, 0xb2, 0x3c, 0x4d] => NetworkFile::pcap(file).map(|file| Reader::Network(Box::new(file))),
        [0x0a, 0x0d, 0x0d, 0x0a] => NetworkFile::pcapng(file).map(|file| Reader::Network(Box::new(file))),
        _ if pintail_hep::identify(&magic).is_some() => Ok(Reader::Hep(HepFile::new(file))),
        _ => Err(Error::invalid("is neither a network capture (pcap, pcapng) nor HEP")),
    }
}

/// The capture time that a HEP packet carries.
fn frame_time(frame: &[u8]) -> Option<Micros> {
    let time = pintail_hep::decode(frame, TimeWindow::ANY).ok()?.time?;
    Some(Micros::from(time.seconds) * 1_000_000 + Micros::from(time.micros))
}

/// Turns a packet of version 1 or 2 into version 3; `false` when it is no HEP.
fn rewrite_as_version_3(frame: &mut Vec<u8>) -> bool {
    match pintail_hep::identify(frame) {
        Some(Version::V3) => true,
        None => false,
        Some(Version::V1 | Version::V2) => {
            let Ok(packet) = pintail_hep::decode(frame, TimeWindow::ANY) else { return false };
            let mut rewritten = Vec::with_capacity(frame.len() + 128);
            let packet = Packet { version: Version::V3, ..packet };
            let written = pintail_hep::encode(&packet, &mut rewritten).is_ok();
            *frame = rewritten;
            written
        }
    }
}
