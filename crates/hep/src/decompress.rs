//! The compressed payload of chunk 0x0010.
//!
//! The specification says "gzip/inflate" and captagent sends zlib streams, so all three envelopes of
//! deflate are taken: gzip (RFC 1952), zlib (RFC 1950), and none (RFC 1951).

use std::fmt;
use std::io::Read;

use flate2::bufread::GzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

/// Why a payload could not be decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecompressError {
    /// The output would be longer than the limit.
    TooLong,
    /// The stream is not valid, ends early, or fails its checksum.
    Invalid,
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the decompressed payload is longer than the limit",
            Self::Invalid => "the compressed payload is not a whole gzip, zlib or deflate stream",
        })
    }
}

impl std::error::Error for DecompressError {}

/// Appends what `bytes` decompress to, at most `limit` bytes, to `out`.
///
/// The first bytes tell gzip (`1f 8b`) and zlib (`78` with a valid header checksum); anything else is
/// taken as raw deflate.
///
/// # Errors
/// When the output passes the limit, or the stream is damaged; `out` is then as long as before.
pub fn decompress(bytes: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), DecompressError> {
    let start = out.len();
    let result = match *bytes {
        [0x1f, 0x8b, ..] => gunzip(bytes, limit, out),
        [0x78, flags, ..] if u16::from_be_bytes([0x78, flags]).is_multiple_of(31) => {
            inflate(Decompress::new(true), bytes, limit, out)
        }
        _ => inflate(Decompress::new(false), bytes, limit, out),
    };
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn gunzip(bytes: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), DecompressError> {
    // One byte more than allowed tells "exactly at the limit" from "too long".
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = GzDecoder::new(bytes).take(most).read_to_end(out).map_err(|_| DecompressError::Invalid)?;
    if read > limit { Err(DecompressError::TooLong) } else { Ok(()) }
}

/// The reader types of flate2 take a stream that ends early for a whole one; the state machine tells.
fn inflate(
    mut state: Decompress,
    bytes: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), DecompressError> {
    const STEP: usize = 8 * 1024;
    let start = out.len();
    let mut rest = bytes;
    loop {
        let room = limit.saturating_add(1).saturating_sub(out.len() - start).min(STEP);
        if room == 0 {
            return Err(DecompressError::TooLong);
        }
        let filled = out.len();
        out.resize(filled + room, 0);
        let (read_before, written_before) = (state.total_in(), state.total_out());
        let status = state.decompress(rest, &mut out[filled..], FlushDecompress::None);
        let read = usize::try_from(state.total_in() - read_before).unwrap_or(rest.len());
        let written = usize::try_from(state.total_out() - written_before).unwrap_or(room);
        out.truncate(filled + written);
        rest = rest.get(read..).unwrap_or_default();
        match status {
            Ok(Status::StreamEnd) if out.len() - start > limit => return Err(DecompressError::TooLong),
            Ok(Status::StreamEnd) => return Ok(()),
            Ok(_) if read == 0 && written == 0 => return Err(DecompressError::Invalid),
            Ok(_) => {}
            Err(_) => return Err(DecompressError::Invalid),
        }
    }
}
