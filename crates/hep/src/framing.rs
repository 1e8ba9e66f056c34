//! Packets in a stream: TCP connections and HTTP bodies.
//!
//! HEP3 packets follow each other without a separator. Versions 1 and 2 have no total length and
//! cannot be framed.

use crate::chunk::PACKET_HEADER;

/// What the start of a buffer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// The first bytes are a whole packet of this length.
    Complete(usize),
    /// The packet goes on behind the end of the buffer.
    Incomplete {
        /// How many bytes the buffer must hold before more can be said: the whole packet's length,
        /// or 6 as long as that is not known.
        need: usize,
    },
    /// No HEP3 packet starts here, or its length is below 6; a stream cannot be resynchronised after it.
    NotHep,
}

/// Looks at the packet at the start of `bytes`.
///
/// Only identifier and length are read; a complete frame can still be malformed inside.
pub fn next_frame(bytes: &[u8]) -> Frame {
    let known = bytes.len().min(4);
    if bytes[..known] != b"HEP3"[..known] && bytes[..known] != b"EEP3"[..known] {
        return Frame::NotHep;
    }
    let Some(&[_, _, _, _, high, low]) = bytes.first_chunk::<PACKET_HEADER>() else {
        return Frame::Incomplete { need: PACKET_HEADER };
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    match length {
        0..PACKET_HEADER => Frame::NotHep,
        _ if length <= bytes.len() => Frame::Complete(length),
        _ => Frame::Incomplete { need: length },
    }
}
